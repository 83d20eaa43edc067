"""The worker's part of storage commitment: read back what peers ask about, and tell them.

A request is decided only after every instance has been read back and its digest compared. Its
answer is taken to the peer over a new association in which we are the SCP, again and again with
growing waits, unless the association on which it was asked takes it (``commitment``).

Standard: PS3.4 J.3.3, PS3.7 D.3.3.4
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_outgoing import CommitmentFailure, StoredInstance
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import ClaimedCommitment, ClaimLost
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, PeerUnknown
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import metrics, scu
from isocenter.gateways.dimse.commitment import event_report, result_for
from isocenter.gateways.dimse.commitment_messages import STORAGE_COMMITMENT_PUSH, encode_result
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import backoff_s, renewed, repeat
from isocenter.standards.dicom.ul.items import RoleSelection

_log = get_logger(__name__)
_ACTOR: Final = Actor.system("dicom.commitment")
_INSTANCES_AT_ONCE: Final = 50
_LEASE_S: Final = 20.0
# We tell events: in this association the SCP is the one that asks for it.
AS_SCP: Final = (RoleSelection(STORAGE_COMMITMENT_PUSH, scu=False, scp=True),)


@dataclass(frozen=True, slots=True)
class OutgoingOptions:
    """How we call DICOM peers.

    Attributes:
        ae_title: ours.
        poll_s: how often new work is looked for.
        timeout_s: for each answer of a peer.
        backoff_first_s: wait before the second attempt; it doubles up to ``backoff_max_s``.
        commitments_max: requests that are worked on at a time.
        stop_grace_s: how long stopping waits for what is under way.
    """

    ae_title: str
    poll_s: float = 0.25
    timeout_s: float = 30.0
    backoff_first_s: float = 2.0
    backoff_max_s: float = 300.0
    commitments_max: int = 2
    stop_grace_s: float = 5.0


class CommitmentReporter:
    """Decides and answers until stopped."""

    def __init__(
        self,
        pool: Pool,
        blobs: BlobStore,
        options: OutgoingOptions,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is used for the peers that want TLS."""
        self._pool = pool
        self._blobs = blobs
        self._options = options
        self._clock = clock
        self._tls = tls

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; what is under way is left to whoever comes next."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.commitments_max):
                group.create_task(self._work(stop))

    async def _work(self, stop: asyncio.Event) -> None:
        await repeat(self._turn, stop, poll_s=self._options.poll_s, failed="commitments_unknown")

    async def _turn(self) -> bool:
        try:
            return await self._next()
        except ClaimLost:
            return True

    async def _next(self) -> bool:
        claimed = await self._pool.run(
            distribution.claim_commitment, lease_s=_LEASE_S, now=self._clock()
        )
        if claimed is None:
            return False
        try:
            async with renewed(partial(self._renew, claimed), every_s=_LEASE_S / 4):
                if claimed.failure_reasons is None:
                    await self._decide(claimed)
                else:
                    await self._report(claimed)
        except ClaimLost:
            raise
        except IsocenterError as error:
            await self._later(claimed, error.message)
        return True

    async def _renew(self, claimed: ClaimedCommitment) -> None:
        """Keep the claim while instances are read back."""
        await self._pool.run(
            distribution.keep_commitment_claim, claimed, lease_s=_LEASE_S, now=self._clock()
        )

    async def _decide(self, claimed: ClaimedCommitment) -> None:
        if claimed.duplicate:
            reasons = [int(CommitmentFailure.DUPLICATE_TRANSACTION_UID)] * len(
                claimed.sop_instance_uids
            )
        else:
            reasons = await self._read_back(claimed)
        await self._pool.run(distribution.decide_commitment, claimed, reasons, now=self._clock())
        failed = sum(reason != 0 for reason in reasons)
        metrics.COMMITMENTS.labels("committed").inc(len(reasons) - failed)
        metrics.COMMITMENTS.labels("failed").inc(failed)

    async def _read_back(self, claimed: ClaimedCommitment) -> list[int]:
        references = list(zip(claimed.sop_class_uids, claimed.sop_instance_uids, strict=True))
        reasons: list[int] = []
        for start in range(0, len(references), _INSTANCES_AT_ONCE):
            portion = references[start : start + _INSTANCES_AT_ONCE]
            stored = await self._pool.read(
                archive.stored_instances, _ACTOR, [each[1] for each in portion]
            )
            reasons += await self._pool.call(self._failures, stored, portion)
        return reasons

    def _failures(
        self, stored: Mapping[str, StoredInstance], references: Sequence[tuple[str, str]]
    ) -> list[int]:
        return [
            int(archive.failure_of(self._blobs, stored, sop_class, instance))
            for sop_class, instance in references
        ]

    async def _report(self, claimed: ClaimedCommitment) -> None:
        try:
            peer = await self._pool.read(peers.dicom_peer, claimed.peer)
        except PeerUnknown:
            await self._later(claimed, "the peer that asked is no longer known")
            return
        called = call_to(peer, self._options, self._tls, seen_at=claimed.address)
        contexts = [(STORAGE_COMMITMENT_PUSH, scu.UNCOMPRESSED)]
        async with scu.associate(called, contexts, roles=AS_SCP) as association:
            result = result_for(claimed)
            request = event_report(result, association.next_message_id())
            response, _ = await association.request(
                STORAGE_COMMITMENT_PUSH, request, encode_result(result)
            )
        if response.status != 0:
            await self._later(claimed, f"the peer answered with status {response.status:04X}H")
            return
        await self._pool.run(distribution.mark_reported, claimed, now=self._clock())
        _log.info("commitment_reported", peer=claimed.peer, origin="new_association")

    async def _later(self, claimed: ClaimedCommitment, reason: str) -> None:
        now = self._clock()
        wait_s = backoff_s(self._options, claimed.attempt)
        due_at = now + timedelta(seconds=wait_s)
        await self._pool.run(
            distribution.report_later, claimed, reason=reason, due_at=due_at, now=now
        )
        _log.warning("commitment_not_reported", peer=claimed.peer, attempt=claimed.attempt)


def call_to(
    peer: DicomPeer, options: OutgoingOptions, tls: ssl.SSLContext | None, *, seen_at: str = ""
) -> scu.Peer:
    """How a peer is called. One that is a network is called where it was seen last."""
    return scu.Peer(
        host=seen_at if seen_at and _is_network(peer.host) else peer.host,
        port=peer.port,
        called_ae_title=peer.ae_title,
        calling_ae_title=options.ae_title,
        tls=tls if peer.tls else None,
        timeout_s=options.timeout_s,
    )


def _is_network(host: str) -> bool:
    if "/" not in host:
        return False
    try:
        return ipaddress.ip_network(host, strict=False).num_addresses > 1
    except ValueError:
        return False
