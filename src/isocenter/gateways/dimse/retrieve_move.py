"""The C-STORE sub-operations of a C-MOVE: associations to the destination, and their retries.

One association carries it; more are opened beside it when there is much to send, and wait for
nobody: a destination that takes one at a time gets one. A broken association is opened anew, with
pauses, until it breaks again without having carried anything.

Standard: PS3.4 C.4.2.3.1
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import scu
from isocenter.gateways.dimse.outgoing import Outgoing, proposals
from isocenter.gateways.dimse.retrieve_job import DataSetPieces, Job, Means
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError

_log = get_logger(__name__)
_CONTEXTS_MAX: Final = 128  # PS3.8 9.3.2.2: odd numbers from 1 to 255
_INSTANCES_PER_ASSOCIATION: Final = 40
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose C-MOVE it is: the sub-operations name it."""

    ae_title: str
    message_id: int


class _MoveChannel:
    """An association of ours to the destination."""

    def __init__(
        self,
        association: scu.ClientAssociation,
        originator: Originator,
        proposed: Collection[str],
    ) -> None:
        self._association = association
        self._originator = originator
        self._proposed = proposed

    def carries(self, sop_class_uid: str) -> bool:
        """Whether the destination was asked for the SOP class at all."""
        return sop_class_uid in self._proposed

    def accepted(self, sop_class_uid: str) -> frozenset[str]:
        """What the destination takes."""
        return self._association.accepted(sop_class_uid)

    async def store(
        self, instance: Outgoing, transfer_syntax_uid: str, pieces: DataSetPieces
    ) -> int:
        """The destination's status."""
        item = scu.StoreItem(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            transfer_syntax_uid,
            pieces,
            self._originator.ae_title,
            self._originator.message_id,
        )
        try:
            return (await self._association.store(item)).status
        except ProtocolError as error:
            # The association ended under our hands.
            raise scu.PeerFault("the peer ended the association") from error


class Move:
    """Sends the instances of a job to one destination."""

    def __init__(
        self,
        job: Job,
        means: Means,
        destination: scu.Peer,
        originator: Originator,
        *,
        associations_max: int,
        pauses_s: Sequence[float],
    ) -> None:
        """``pauses_s`` are before the attempts to open an association that broke, in order."""
        self._job = job
        self._means = means
        self._destination = destination
        self._originator = originator
        self._pauses_s = pauses_s
        # One comes first: a destination that takes one at a time must not take a helper's.
        self._stands = asyncio.Event()
        wanted = len(job.pending) // _INSTANCES_PER_ASSOCIATION
        self._helpers = min(associations_max - 1, wanted)

    async def run(self) -> None:
        """Returns when every sub-operation has its result, or the job is cancelled."""
        helpers = [asyncio.create_task(self._help()) for _ in range(self._helpers)]
        try:
            while await self._carry():
                # Helpers may be at their last objects; one that breaks puts back what it had.
                busy = {each for each in helpers if not each.done()}
                while busy and self._job.under_way:
                    _, busy = await asyncio.wait(
                        busy, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
                    )
                if not self._job.pending or self._job.cancelled:
                    break
        finally:
            for each in helpers:
                each.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        if not self._job.cancelled:
            self._job.fail_rest()

    async def _carry(self) -> bool:
        """Sends until nothing is left, over as many associations as break; False: it gave up."""
        job = self._job
        pauses = iter(self._pauses_s)
        while job.pending and not job.cancelled:
            before = job.remaining
            try:
                await self._over_one()
            except IsocenterError as error:
                _log.warning(
                    "move_association_failed",
                    called_ae_title=self._destination.called_ae_title,
                    error_type=type(error).__name__,
                )
                if job.remaining < before:
                    pauses = iter(self._pauses_s)
                pause = next(pauses, None)
                if pause is None:
                    return False
                await asyncio.sleep(pause)
        return True

    async def _help(self) -> None:
        """Sends beside the others when the destination lets us; gives up quietly."""
        await self._stands.wait()
        with suppress(IsocenterError):
            if self._job.pending and not self._job.cancelled:
                await self._over_one()

    async def _over_one(self) -> None:
        """Sends over one association as much as its presentation contexts allow."""
        syntaxes = _proposed(self._job.left())
        classes = {sop_class_uid for sop_class_uid, _ in syntaxes}
        async with scu.associate(self._destination, syntaxes) as association:
            self._stands.set()
            channel = _MoveChannel(association, self._originator, classes)
            await self._job.pump(channel, self._means)


def _proposed(instances: Iterable[Outgoing]) -> list[tuple[str, tuple[str, ...]]]:
    """Presentation contexts for as many of the SOP classes as one association has room for."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for _, contexts in groupby(proposals(instances), key=itemgetter(0)):
        of_class = list(contexts)
        if len(found) + len(of_class) > _CONTEXTS_MAX:
            break
        found += of_class
    return found
