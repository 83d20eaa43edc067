"""Asks destinations to commit to the images that they took.

The answer may come on the same association, for which we wait a little, or on a new one, which the
listener takes (``commitment``). Without an answer it is asked again under a new transaction UID.

Standard: PS3.4 J.3.2
"""

import asyncio
import ssl
from contextlib import suppress
from datetime import timedelta
from typing import Final

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.service import WantedCommitment
from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import scu
from isocenter.gateways.dimse.commitment_messages import (
    REQUEST_COMMITMENT,
    STORAGE_COMMITMENT_PUSH,
    WELL_KNOWN_INSTANCE,
    describe_failure,
    encode_request,
    result_of,
)
from isocenter.gateways.dimse.commitment_reports import OutgoingOptions, call_to
from isocenter.infra.clock import Clock
from isocenter.infra.ids import new_uid
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import backoff_s, repeat
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.status import Status

_log = get_logger(__name__)
# Some archives answer when their media are written: an hour later, or in the night.
_ANSWER_WITHIN: Final = timedelta(hours=24)
_SAME_ASSOCIATION_S: Final = 2.0


class CommitmentAsker:
    """Asks until stopped, one destination after the other."""

    def __init__(
        self,
        pool: Pool,
        options: OutgoingOptions,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is used for the peers that want TLS."""
        self._pool = pool
        self._options = options
        self._clock = clock
        self._tls = tls

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until ``stop`` is set."""
        await repeat(self._next, stop, poll_s=self._options.poll_s, failed="commitments_not_asked")

    async def _next(self) -> bool:
        wanted = await self._pool.run(
            distribution.ask_for_commitments,
            new_uid(),
            answer_within=_ANSWER_WITHIN,
            now=self._clock(),
        )
        if wanted is None:
            return False
        try:
            await self._ask(wanted)
        except IsocenterError as error:
            await self._postpone(wanted, error.message)
        return True

    async def _ask(self, wanted: WantedCommitment) -> None:
        peer = await self._pool.read(peers.dicom_peer, wanted.recipient)
        called = call_to(peer, self._options, self._tls)
        contexts = [(STORAGE_COMMITMENT_PUSH, scu.UNCOMPRESSED)]
        async with scu.associate(called, contexts) as association:
            request = dimse.NActionRequest(
                message_id=association.next_message_id(),
                requested_sop_class_uid=STORAGE_COMMITMENT_PUSH,
                requested_sop_instance_uid=WELL_KNOWN_INSTANCE,
                action_type_id=REQUEST_COMMITMENT,
                has_data_set=True,
            )
            data_set = encode_request(wanted.transaction_uid, wanted.references)
            response, _ = await association.request(STORAGE_COMMITMENT_PUSH, request, data_set)
            if response.status != Status.SUCCESS:
                reason = f"the question was answered with status {response.status:04X}H"
                await self._postpone(wanted, reason)
                return
            _log.info("commitment_asked", destination=peer.name, count=len(wanted.references))
            with suppress(TimeoutError):
                async with asyncio.timeout(_SAME_ASSOCIATION_S):
                    await self._hear(association, wanted)

    async def _hear(self, association: scu.ClientAssociation, wanted: WantedCommitment) -> None:
        """Take the answer, if it comes on this association."""
        command, data_set = await association.next_request(STORAGE_COMMITMENT_PUSH)
        if not isinstance(command, dimse.NEventReportRequest):
            raise scu.PeerFault("the peer asks for something instead of answering")
        result = result_of(data_set)
        known = await self._pool.run(
            distribution.settle_commitment,
            wanted.recipient,
            result.transaction_uid,
            failed=[describe_failure(reason) for _, reason in result.failed],
            now=self._clock(),
        )
        response = dimse.NEventReportResponse(
            message_id_being_responded_to=command.message_id,
            status=Status.SUCCESS if known else Status.INVALID_ARGUMENT_VALUE,
            affected_sop_class_uid=STORAGE_COMMITMENT_PUSH,
            affected_sop_instance_uid=WELL_KNOWN_INSTANCE,
            event_type_id=command.event_type_id,
        )
        await association.respond(STORAGE_COMMITMENT_PUSH, response)

    async def _postpone(self, wanted: WantedCommitment, reason: str) -> None:
        now = self._clock()
        wait_s = backoff_s(self._options, wanted.attempts)
        await self._pool.run(
            distribution.postpone_commitment,
            wanted,
            reason=reason,
            due_at=now + timedelta(seconds=wait_s),
            now=now,
        )
        _log.warning("commitment_not_asked", destination=wanted.recipient, attempt=wanted.attempts)
