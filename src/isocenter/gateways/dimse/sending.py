"""Sends images to DICOM peers: one lane per destination, one transfer under way in each.

What goes next, and who may send it, is decided by ``distribution`` under a lease, so that any
number of workers may run this. A destination that is slow or away holds up nobody else. What it
took is noted as it goes: after a crash or a broken connection little is repeated and nothing lost.

Standard: PS3.4 Annex B
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import ClaimedTransfer, ClaimLost, TransferKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, PeerUnknown
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import availability
from isocenter.gateways.dimse.commitment_reports import OutgoingOptions, call_to
from isocenter.gateways.dimse.outgoing import Transcode
from isocenter.gateways.dimse.sending_page import BrokenOff, Files, Page, PageSender, next_page
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import backoff_s, renewed, wait_for

_log = get_logger(__name__)
_LEASE_S: Final = 20.0
_LANES_MAX: Final = 16
_FILE_THREADS: Final = 4
_AWAY_S: Final = 1.0


class ImageSender:
    """Delivers until ``stop`` is set."""

    def __init__(
        self,
        pool: Pool,
        blobs: BlobStore,
        options: OutgoingOptions,
        *,
        clock: Clock,
        transcode: Transcode,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is used for the peers that want TLS, ``transcode`` for what they do not take."""
        self._pool = pool
        self._files = Files(blobs, transcode, threads=_FILE_THREADS)
        self._options = options
        self._clock = clock
        self._tls = tls
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver what is due until ``stop`` is set; an instance under way is finished."""
        try:
            while not stop.is_set():
                await self._start_lanes()
                await wait_for(stop, self._options.poll_s)
        finally:
            self._stopping.set()
            tasks = [task for task in self._lanes.values() if not task.done()]
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=self._options.stop_grace_s)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            self._files.close()

    async def _start_lanes(self) -> None:
        try:
            due = await self._pool.read(distribution.image_destinations_due, now=self._clock())
        except IsocenterError as error:
            _log.warning("image_deliveries_unknown", error_kind=error.kind.value)
            await wait_for(self._stopping, _AWAY_S)
            return
        self._lanes = {name: task for name, task in self._lanes.items() if not task.done()}
        for recipient in due:
            if len(self._lanes) < _LANES_MAX and recipient not in self._lanes:
                self._lanes[recipient] = asyncio.create_task(self._lane(recipient))

    async def _lane(self, recipient: str) -> None:
        """Deliver to one destination until nothing is due."""
        try:
            while not self._stopping.is_set() and await self._deliver_next(recipient):
                pass
        except ClaimLost:
            _log.warning("image_claim_lost", destination=recipient)
        except IsocenterError as error:
            # The lease ends by itself, and the transfer is due again.
            _log.warning("image_lane_failed", destination=recipient, error_kind=error.kind.value)
        except Exception as error:  # noqa: BLE001 - a defect may stop one lane, not all of them
            _log.error("image_lane_defect", destination=recipient, exc_info=error)

    async def _deliver_next(self, recipient: str) -> bool:
        claimed = await self._pool.run(
            distribution.claim_transfer, recipient, lease_s=_LEASE_S, now=self._clock()
        )
        if claimed is None:
            return False
        try:
            peer = await self._pool.read(peers.dicom_peer, recipient)
        except PeerUnknown:
            await self._later(claimed, "the destination is no longer a peer")
            return True
        if not peer.enabled:
            await self._later(claimed, "the destination is disabled")
            return True
        try:
            async with renewed(partial(self._renew, claimed), every_s=_LEASE_S / 4):
                if claimed.kind is TransferKind.AVAILABILITY:
                    await self._notify(claimed, peer)
                else:
                    await self._send(claimed, peer)
        except BrokenOff as error:
            await self._later(claimed, error.message, broke=error.within_instance)
        except ClaimLost:
            raise
        except IsocenterError as error:
            await self._later(claimed, error.message)
        except asyncio.CancelledError:
            with suppress(IsocenterError):
                await asyncio.shield(self._give_back(claimed))
            raise
        return True

    async def _send(self, claimed: ClaimedTransfer, peer: DicomPeer) -> None:
        """Send what is left of the transfer, a page of instances per association."""
        rest = claimed
        called = call_to(peer, self._options, self._tls)
        while True:
            page = await self._page(rest, peer)
            if not page.instances:
                break
            sender = PageSender(self._pool, self._files, clock=self._clock, lease_s=_LEASE_S)
            done = await sender.send(called, rest, page, self._stopping)
            rest = replace(rest, sent_key=done, breaks=0)
            if self._stopping.is_set():
                await self._give_back(claimed)
                return
        await self._pool.run(distribution.finish_transfer, claimed, now=self._clock())
        _log.info("images_sent", destination=peer.name, attempt=claimed.attempt)

    async def _page(self, rest: ClaimedTransfer, peer: DicomPeer) -> Page:
        return await self._pool.read(next_page, rest, not_from=peer.ae_title)

    async def _notify(self, claimed: ClaimedTransfer, peer: DicomPeer) -> None:
        """Tell the destination which of the study's instances can be had here, and which not."""
        found = await self._pool.read(distribution.instances_available, claimed)
        gone = await self._pool.read(distribution.instances_unavailable, claimed)
        if found or gone:
            called = call_to(peer, self._options, self._tls)
            told = [*availability.online(found), *availability.unavailable(gone)]
            refused = await availability.notify(called, told, ae_title=self._options.ae_title)
            if refused:
                await self._pool.run(
                    distribution.refuse_transfer, claimed, reason=refused, now=self._clock()
                )
                return
        await self._pool.run(distribution.finish_transfer, claimed, now=self._clock())

    async def _renew(self, claimed: ClaimedTransfer) -> None:
        """Keep the claim while a large instance is under way to a slow destination."""
        await self._pool.run(
            distribution.keep_transfer_claim, claimed, lease_s=_LEASE_S, now=self._clock()
        )

    async def _later(self, claimed: ClaimedTransfer, reason: str, *, broke: bool = False) -> None:
        now = self._clock()
        wait_s = backoff_s(self._options, claimed.attempt)
        await self._pool.run(
            distribution.retry_transfer_later,
            claimed,
            reason=reason,
            broke=broke,
            due_at=now + timedelta(seconds=wait_s),
            now=now,
        )
        _log.warning("images_not_sent", destination=claimed.recipient, attempt=claimed.attempt)

    async def _give_back(self, claimed: ClaimedTransfer) -> None:
        await self._pool.run(distribution.give_back_transfer, claimed, now=self._clock())
