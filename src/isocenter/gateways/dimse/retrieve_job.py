"""The sub-operations of one retrieval: what is left to send, what became of the rest.

A channel is an association over which objects are stored: ours to the destination of a C-MOVE, or
the caller's own (C-GET). While one object is on its way the next ones are read, so that neither
disk nor peer waits for the other.

Standard: PS3.4 C.4.2.3.1, C.4.3.3.1
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from isocenter.errors import IsocenterError
from isocenter.gateways.dimse.outgoing import (
    NotSendable,
    Outgoing,
    Piece,
    Transcode,
    choose,
    prepare,
)
from isocenter.infra.blobs import BlobStore
from isocenter.infra.log import get_logger
from isocenter.infra.threads import Threads
from isocenter.standards import ProtocolError
from isocenter.standards.dicom.dimse.status import Category, category_of

_log = get_logger(__name__)
_AHEAD: Final = 3
_ATTEMPTS_MAX: Final = 3

DataSetPieces: TypeAlias = Iterable[Piece] | AsyncIterable[Piece]


class Channel(Protocol):
    """An association over which objects can be stored, one after the other."""

    def carries(self, sop_class_uid: str) -> bool:
        """Whether objects of the SOP class belong on this association; else they are left."""
        ...

    def accepted(self, sop_class_uid: str) -> frozenset[str]:
        """The transfer syntaxes in which objects of a SOP class are taken."""
        ...

    async def store(
        self, instance: Outgoing, transfer_syntax_uid: str, pieces: DataSetPieces
    ) -> int:
        """The status of the C-STORE. Raises an ``IsocenterError`` when the association broke."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What preparing objects takes.

    Attributes:
        ahead_bytes: objects up to this size are read as a whole before their turn.
    """

    blobs: BlobStore
    transcode: Transcode
    threads: Threads
    ahead_bytes: int


@dataclass(slots=True)
class _Item:
    """An instance of the job, and how often it was tried."""

    instance: Outgoing
    attempts: int = 0
    has_result: bool = False


_Ahead: TypeAlias = deque[tuple[_Item, str, asyncio.Task[DataSetPieces]]]


@dataclass(slots=True)
class Job:
    """The sub-operations of one retrieval.

    Attributes:
        pending: not begun, or to be tried again.
        under_way: begun, on any channel.
        failed: SOP Instance UIDs.
        progressed: called after each sub-operation.
        cancelled: nothing new is begun.
    """

    pending: deque[_Item]
    under_way: int = 0
    completed: int = 0
    warnings: int = 0
    failed: list[str] = field(default_factory=list[str])
    progressed: Callable[[], None] = lambda: None
    cancelled: bool = False

    @classmethod
    def of(cls, instances: Iterable[Outgoing]) -> "Job":
        """All of them, nothing begun."""
        return cls(deque(_Item(each) for each in instances))

    @property
    def remaining(self) -> int:
        """Sub-operations that have no result yet."""
        return len(self.pending) + self.under_way

    def fail_rest(self) -> None:
        """What was not sent cannot be sent."""
        while self.pending:
            self._done(self.pending.popleft(), None)

    def left(self) -> Iterator[Outgoing]:
        """The instances that are not begun."""
        return (each.instance for each in self.pending)

    async def pump(self, channel: Channel, means: Means) -> None:
        """Sends until nothing is left, or the retrieval is cancelled.

        Raises:
            IsocenterError: the channel broke; what was not answered is pending again.
        """
        ahead: _Ahead = deque()
        left: list[_Item] = []
        try:
            while not self.cancelled:
                self._fill(ahead, left, channel, means)
                if not ahead:
                    break
                await self._store(*ahead[0], channel)
                ahead.popleft()
                self.progressed()
        finally:
            # The one that was being sent is still the first of them, unless it has its result.
            for item, _, reading in reversed(ahead):
                reading.cancel()
                if not item.has_result:
                    self._put_back(item)
            for item in reversed(left):
                self._put_back(item)

    def _fill(self, ahead: _Ahead, left: list[_Item], channel: Channel, means: Means) -> None:
        while self.pending and len(ahead) < _AHEAD:
            item = self.pending.popleft()
            self.under_way += 1
            if not channel.carries(item.instance.sop_class_uid):
                left.append(item)
                continue
            syntax = choose(channel.accepted(item.instance.sop_class_uid), item.instance)
            if syntax is None:
                _log.warning(
                    "instance_not_accepted",
                    sop_instance_uid=item.instance.sop_instance_uid,
                    sop_class_uid=item.instance.sop_class_uid,
                )
                self._finish(item, None)
                continue
            reading = asyncio.create_task(_read(item.instance, syntax, means))
            reading.add_done_callback(_seen)
            ahead.append((item, syntax, reading))

    async def _store(
        self, item: _Item, syntax: str, reading: asyncio.Task[DataSetPieces], channel: Channel
    ) -> None:
        """Gives the item its result, or raises and leaves it to be tried again."""
        try:
            pieces = await reading
        except (IsocenterError, ProtocolError, OSError) as error:
            self._not_read(item, error)
            return
        try:
            status = await channel.store(item.instance, syntax, pieces)
        except NotSendable as error:
            # Its bytes gave out half way: the channel is lost, and the object with it.
            self._not_read(item, error)
            raise ChannelSpoilt("an object could not be read to its end") from error
        except BaseException:
            item.attempts += 1
            if item.attempts >= _ATTEMPTS_MAX:
                self._finish(item, None)
            raise
        self._finish(item, status)

    def _not_read(self, item: _Item, error: Exception) -> None:
        _log.error(
            "instance_not_sendable",
            sop_instance_uid=item.instance.sop_instance_uid,
            error_type=type(error).__name__,
        )
        self._finish(item, None)

    def _put_back(self, item: _Item) -> None:
        self.under_way -= 1
        self.pending.appendleft(item)

    def _finish(self, item: _Item, status: int | None) -> None:
        self.under_way -= 1
        self._done(item, status)

    def _done(self, item: _Item, status: int | None) -> None:
        item.has_result = True
        category = Category.FAILURE if status is None else category_of(status)
        if category is Category.SUCCESS:
            self.completed += 1
        elif category is Category.WARNING:
            self.warnings += 1
        else:
            self.failed.append(item.instance.sop_instance_uid)


class ChannelSpoilt(NotSendable):
    """The association cannot be used any more, because an object on it was not sent to its end."""


async def _read(instance: Outgoing, syntax: str, means: Means) -> DataSetPieces:
    """The pieces of the data set: in memory, or of a large one while they are taken."""

    def begin() -> list[Piece] | Iterator[Piece]:
        prepared = prepare(means.blobs, instance, syntax, transcode=means.transcode)
        if instance.size_bytes <= means.ahead_bytes:
            return list(prepared.pieces)
        return prepared.pieces

    pieces = await means.threads.call(begin)
    return pieces if isinstance(pieces, list) else _in_turn(pieces, means.threads)


def _seen(done: asyncio.Future[Any]) -> None:
    """Nobody may be left to hear of it."""
    if not done.cancelled():
        done.exception()


async def _in_turn(pieces: Iterator[Piece], threads: Threads) -> AsyncIterator[Piece]:
    """The pieces as they are read in a thread, one ahead of the one that is being sent."""

    def read() -> asyncio.Future[Piece | None]:
        future = threads.call(lambda: next(pieces, None))
        future.add_done_callback(_seen)
        return future

    following = read()
    while True:
        try:
            piece = await following
        except (IsocenterError, ProtocolError, OSError) as error:
            raise NotSendable(f"reading failed: {type(error).__name__}") from error
        if piece is None:
            return
        following = read()
        yield piece
