"""One association's worth of a transfer: choose encodings, send, note what was taken.

While one instance is on the wire the next one is read and, where needed, encoded. Statuses decide:
success and warnings count as taken, a destination without room is asked again later, and whatever
else it says of an instance is kept for a person, without holding up the instances behind.

Standard: PS3.4 B.2.3
"""

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Final, ParamSpec, TypeVar

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service import renditions
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import ClaimedTransfer, Failure, Progress
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import metrics, scu
from isocenter.gateways.dimse.outgoing import (
    KeptRendition,
    NotSendable,
    Outgoing,
    Piece,
    Transcode,
    choose,
    prepare,
    proposals,
)
from isocenter.infra.blobs import BlobMissing, BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.standards import ProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse.status import Status

P = ParamSpec("P")
R = TypeVar("R")
_SENDER: Final = Actor.system("dicom.sender")
_INSTANCES_MAX: Final = 500
_CONTEXTS_MAX: Final = 128
_NOTED_INSTANCES: Final = 50
_NOTED_S: Final = 2.0
_BREAKS_MAX: Final = 5
# Read whole in a thread before sending; larger ones a piece at a time.
_READ_AHEAD_BYTES: Final = 8 << 20
_TRANSIENT: Final = frozenset({Status.RESOURCE_LIMITATION, *range(0xA700, 0xA800)})


class BrokenOff(IsocenterError):
    """The association ended before its time, or the destination asks for another time.

    Attributes:
        within_instance: while an instance was being sent.
    """

    kind: ClassVar[Kind] = Kind.UNAVAILABLE

    def __init__(self, reason: str, *, within_instance: bool = False) -> None:
        super().__init__(reason)
        self.within_instance = within_instance


@dataclass(frozen=True, slots=True)
class Page:
    """The next instances of a transfer, with their keys, as one association can carry them."""

    keys: Sequence[int] = ()
    instances: Sequence[Outgoing] = ()


def next_page(tx: Tx, claimed: ClaimedTransfer, *, not_from: str) -> Page:
    """What is left of the transfer, as much of it as one association can carry."""
    found = distribution.instances_to_send(tx, claimed, not_from=not_from, limit=_INSTANCES_MAX)
    viewer = Viewer.of(_SENDER, Action.STUDY_READ)
    uids = [each.sop_instance_uid for each in found]
    modifications = archive.modifications(tx, viewer, {claimed.study_instance_uid}, uids)
    kept = {
        uid: KeptRendition(each.blob_key, each.size_bytes)
        for uid, each in renditions.renditions_of(tx, viewer, uids).items()
    }
    outgoing = [
        replace(
            Outgoing.of(each, modifications.of(each)), rendition=kept.get(each.sop_instance_uid)
        )
        for each in found
    ]
    fitting = len(outgoing)
    while len(_contexts(outgoing[:fitting], claimed.transfer_syntax_uid)) > _CONTEXTS_MAX:
        fitting //= 2
    return Page([each.instance_key for each in found[:fitting]], outgoing[:fitting])


class Files:
    """Reads and encodes in threads of its own, so that nobody's statements wait for an encoder."""

    def __init__(self, blobs: BlobStore, transcode: Transcode, *, threads: int) -> None:
        self.blobs = blobs
        self.transcode = transcode
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="outgoing")

    async def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``fn(…)`` returns, from a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(fn, *args, **kwargs))

    def close(self) -> None:
        """End the threads; what they are at is nobody's any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class _Tally:
    """What happened since it was noted last."""

    sent_key: int
    noted_at_s: float
    sent: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])

    @property
    def count(self) -> int:
        """Instances dealt with."""
        return self.sent + len(self.failures)


class PageSender:
    """Sends one page over one association."""

    def __init__(self, pool: Pool, files: Files, *, clock: Clock, lease_s: float) -> None:
        self._pool = pool
        self._files = files
        self._clock = clock
        self._lease_s = lease_s

    async def send(
        self, called: scu.Peer, claimed: ClaimedTransfer, page: Page, stopping: asyncio.Event
    ) -> int:
        """The key up to which instances were dealt with: of the page's last, unless stopping.

        Raises:
            BrokenOff: what is left is to be tried again; what was taken is noted.
            IsocenterError: nobody answers, or the destination wants no association.
        """
        tally = _Tally(claimed.sent_key, asyncio.get_running_loop().time())
        if claimed.breaks >= _BREAKS_MAX:
            reason = f"the association broke {claimed.breaks} times while it was being sent"
            tally.sent_key = page.keys[0]
            tally.failures.append(Failure(page.instances[0].sop_instance_uid, reason))
            await self._note(claimed, tally)
            return tally.sent_key
        contexts = _contexts(page.instances, claimed.transfer_syntax_uid)
        try:
            async with scu.associate(called, contexts) as association:
                await self._send_all(association, claimed, page, tally, stopping)
        finally:
            await self._note(claimed, tally)
        return tally.sent_key

    async def _send_all(
        self,
        association: scu.ClientAssociation,
        claimed: ClaimedTransfer,
        page: Page,
        tally: _Tally,
        stopping: asyncio.Event,
    ) -> None:
        classes = {each.sop_class_uid for each in page.instances}
        accepted = {each: association.accepted(each) for each in classes}
        compress_to = claimed.transfer_syntax_uid
        keys = iter(page.keys)
        async for instance, prepared in self._prepared(page.instances, accepted, compress_to):
            key = next(keys)
            if isinstance(prepared, Failure):
                tally.failures.append(prepared)
            else:
                failure = await _stored(association, instance, prepared)
                tally.sent += failure is None
                tally.failures += [failure] if failure else []
            tally.sent_key = key
            elapsed_s = asyncio.get_running_loop().time() - tally.noted_at_s
            if tally.count >= _NOTED_INSTANCES or elapsed_s > _NOTED_S:
                await self._note(claimed, tally)
            if stopping.is_set():
                return

    async def _prepared(
        self,
        instances: Sequence[Outgoing],
        accepted: Mapping[str, Collection[str]],
        compress_to: str | None,
    ) -> AsyncIterator[tuple[Outgoing, "_Ready | Failure"]]:
        """Each instance with what is sent of it, the next one always in the making."""
        ahead: asyncio.Task[_Ready | Failure] | None = None
        try:
            for place, instance in enumerate(instances):
                current = ahead or self._begin(instance, accepted, compress_to)
                ahead = None
                ready = await current
                if place + 1 < len(instances):
                    ahead = self._begin(instances[place + 1], accepted, compress_to)
                yield instance, ready
        finally:
            if ahead is not None:
                ahead.cancel()

    def _begin(
        self, instance: Outgoing, accepted: Mapping[str, Collection[str]], compress_to: str | None
    ) -> "asyncio.Task[_Ready | Failure]":
        taken = accepted.get(instance.sop_class_uid, ())
        wanted = _wanted(instance, taken, compress_to)
        return asyncio.create_task(self._files.call(self._ready, instance, taken, wanted))

    def _ready(
        self, instance: Outgoing, accepted: Collection[str], wanted: str | None
    ) -> "_Ready | Failure":
        """In a thread: the instance's pieces, or why there are none."""
        if wanted is None:
            reason = "the destination takes none of the encodings that it can be sent in"
            return Failure(instance.sop_instance_uid, reason)
        try:
            return self._read(instance, wanted)
        except NotSendable as error:
            # One that cannot be compressed goes as it is stored.
            plain = choose(accepted, instance)
            if plain is not None and plain != wanted:
                return self._ready(instance, accepted, plain)
            return Failure(instance.sop_instance_uid, error.message)
        except BlobMissing:
            return Failure(instance.sop_instance_uid, "its bytes are missing here")
        except ProtocolError as error:
            return Failure(instance.sop_instance_uid, f"it cannot be read: {error}")

    def _read(self, instance: Outgoing, wanted: str) -> "_Ready":
        prepared = prepare(self._files.blobs, instance, wanted, transcode=self._files.transcode)
        if instance.size_bytes <= _READ_AHEAD_BYTES:
            return _Ready(wanted, list(prepared.pieces))
        return _Ready(wanted, self._in_threads(prepared.pieces))

    async def _in_threads(self, pieces: Iterator[Piece]) -> AsyncIterator[Piece]:
        """Each piece, read in a thread when the one before is on its way."""
        while True:
            piece = await self._files.call(next, pieces, None)
            if piece is None:
                return
            yield piece

    async def _note(self, claimed: ClaimedTransfer, tally: _Tally) -> None:
        if not tally.count:
            return
        done = Progress(tally.sent_key, tally.sent, tally.failures)
        await self._pool.run(
            distribution.note_progress, claimed, done, lease_s=self._lease_s, now=self._clock()
        )
        metrics.INSTANCES_SENT.labels("taken").inc(tally.sent)
        metrics.INSTANCES_SENT.labels("not_taken").inc(len(tally.failures))
        tally.sent, tally.failures = 0, []
        tally.noted_at_s = asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Ready:
    transfer_syntax_uid: str
    pieces: Iterable[Piece] | AsyncIterable[Piece]


async def _stored(
    association: scu.ClientAssociation, instance: Outgoing, ready: _Ready
) -> Failure | None:
    """Why the destination did not take the instance; None when it did."""
    item = scu.StoreItem(
        instance.sop_class_uid, instance.sop_instance_uid, ready.transfer_syntax_uid, ready.pieces
    )
    try:
        answer = await association.store(item)
    except IsocenterError as error:
        raise BrokenOff(error.message, within_instance=True) from error
    except ProtocolError as error:
        raise BrokenOff("the destination ended the association", within_instance=True) from error
    if answer.is_done:
        return None
    said = f"status {answer.status:04X}H {answer.error_comment}".rstrip()
    if answer.status in _TRANSIENT:
        raise BrokenOff(f"the destination cannot take more now: {said}")
    return Failure(instance.sop_instance_uid, said)


def _contexts(
    instances: Sequence[Outgoing], compress_to: str | None
) -> list[tuple[str, tuple[str, ...]]]:
    """What is proposed: as for any sending, and before it what is compressed to."""
    compressed = (
        dict.fromkeys((each.sop_class_uid, (compress_to,)) for each in instances)
        if compress_to
        else {}
    )
    return list(dict.fromkeys([*compressed, *proposals(instances)]))


def _wanted(instance: Outgoing, accepted: Collection[str], compress_to: str | None) -> str | None:
    """The transfer syntax to send in: compressed where that is asked for, makes sense and is taken.

    What is compressed already stays as it is: a second compression gains nothing.
    """
    stored = uids.transfer_syntax(instance.transfer_syntax_uid)
    compressible = instance.pixel_data_offset is not None and not stored.encapsulated
    if compress_to in accepted and compressible:
        return compress_to
    return choose(accepted, instance)
