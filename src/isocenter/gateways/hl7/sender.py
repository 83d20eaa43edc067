"""Sends messages of every kind to their recipients: one lane each, one message under way in it.

What to send next, and who may send it, is decided by ``distribution`` under a lease, so that any
number of processes may run this. A recipient that is slow or away holds up nobody else.

Standard: HL7 v2.5.1 2.9.2; IHE RAD TF-3 4.28.
"""

import asyncio
import secrets
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Claimed, ClaimLost
from isocenter.domain.distribution.model_messages import MessageKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer, PeerUnknown
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7 import metrics, outbound
from isocenter.gateways.hl7.link import Address, Answer, Link
from isocenter.gateways.hl7.receive import new_control_id
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.standards.hl7v2 import decision as decisions
from isocenter.standards.hl7v2.decision import Decision, Outcome, decide
from isocenter.standards.hl7v2.er7 import body_digest

_log = get_logger(__name__)
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_LEASE_MARGIN_S: Final = 30.0
_REASON_LENGTH_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """How messages are sent.

    Attributes:
        application: our MSH-3.
        facility: our MSH-4.
        poll_s: how often new deliveries are looked for.
        backoff_first_s: wait before the second attempt; it doubles up to ``backoff_max_s``.
        stop_grace_s: how long stopping waits for acknowledgements that are under way.
    """

    application: str = "ISOCENTER"
    facility: str = ""
    poll_s: float = 0.25
    connect_timeout_s: float = 10.0
    backoff_first_s: float = 2.0
    backoff_max_s: float = 300.0
    stop_grace_s: float = 5.0


class Hl7Sender:
    """Delivers until ``stop`` is set."""

    def __init__(
        self,
        pool: Pool,
        options: SenderOptions,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is used for the peers that want TLS."""
        self._pool = pool
        self._options = options
        self._clock = clock
        self._tls = tls
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._links: dict[str, Link] = {}
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver what is due until ``stop`` is set; then end within the grace time."""
        stopper = asyncio.create_task(self._stop_with(stop))
        try:
            while not stop.is_set():
                await self._start_lanes()
                await _wait(stop, self._options.poll_s)
        finally:
            stopper.cancel()
            await self._end()

    async def _stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping.set()

    async def _start_lanes(self) -> None:
        try:
            due = await self._pool.read(distribution.recipients_due, now=self._clock())
        except IsocenterError as error:
            _log.warning("hl7_deliveries_unknown", error_kind=error.kind.value)
            await _wait(self._stopping, 1.0)
            return
        for recipient in due:
            task = self._lanes.get(recipient)
            if task is None or task.done():
                self._lanes[recipient] = asyncio.create_task(self._lane(recipient))

    async def _end(self) -> None:
        self._stopping.set()
        tasks = [task for task in self._lanes.values() if not task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._options.stop_grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for link in self._links.values():
            link.close()

    async def _lane(self, recipient: str) -> None:
        """Deliver to one recipient until nothing is due."""
        try:
            while not self._stopping.is_set() and await self._deliver_next(recipient):
                pass
        except IsocenterError as error:
            # The lease ends by itself, and the delivery is due again.
            self._drop_link(recipient)
            _log.warning("hl7_lane_failed", destination=recipient, error_kind=error.kind.value)
        except Exception as error:  # noqa: BLE001 - a defect may stop one lane, not all of them
            self._drop_link(recipient)
            _log.error("hl7_lane_defect", destination=recipient, exc_info=error)

    async def _deliver_next(self, recipient: str) -> bool:
        peer = await self._peer(recipient)
        lease_s = _LEASE_MARGIN_S + self._options.connect_timeout_s
        lease_s += 2 * (peer.ack_timeout_s if peer else 0)
        claimed = await self._pool.run(
            distribution.claim, recipient, lease_s=lease_s, now=self._clock()
        )
        if claimed is None:
            return False
        if peer is None or MessageKind(claimed.kind).permission not in peer.send:
            await self._later(claimed, "the recipient is not an enabled peer that gets these")
            return True
        try:
            claimed = await self._pool.run(prepare, claimed, peer, self._options, now=self._clock())
        except ClaimLost:
            return True
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
            reason = f"the message cannot be made: {error.message}"
            await self._pool.run(_park, claimed, None, reason, now=self._clock())
            return True
        await self._transmit(claimed, peer)
        return True

    async def _peer(self, recipient: str) -> Hl7Peer | None:
        try:
            peer = await self._pool.read(peers.hl7_peer, recipient)
        except PeerUnknown:
            return None
        return peer if peer.enabled and peer.port else None

    async def _transmit(self, claimed: Claimed, peer: Hl7Peer) -> None:
        link = self._link(peer)
        try:
            answer = await self._exchange(link, claimed, peer)
        except asyncio.CancelledError:
            # Stopping: whether it arrived is not known. The same bytes go again, at once.
            link.close()
            await asyncio.shield(self._give_back(claimed))
            raise
        decision = decide(answer.outcome)
        if decision.close_connection:
            link.close()
        try:
            await self._settle(claimed, answer, decision)
        except ClaimLost:
            _log.warning("hl7_claim_lost", destination=claimed.recipient)
        self._note(claimed, answer, decision)

    async def _exchange(self, link: Link, claimed: Claimed, peer: Hl7Peer) -> Answer:
        message, control_id = claimed.message or b"", claimed.control_id or ""
        failed = await link.open() or await link.send(message, timeout_s=peer.ack_timeout_s)
        if failed:
            return Answer(Outcome.NOT_SENT, reason=failed)
        await self._pool.run(distribution.mark_sent, claimed, now=self._clock())
        return await link.answer(control_id, timeout_s=peer.ack_timeout_s)

    async def _settle(self, claimed: Claimed, answer: Answer, decision: Decision) -> None:
        now = self._clock()
        match decision.action:
            case decisions.Action.DELIVERED:
                await self._pool.run(_acknowledge, claimed, answer, now=now)
            case decisions.Action.PARK:
                await self._pool.run(_park, claimed, answer, answer.reason, now=now)
            case decisions.Action.RETRY | decisions.Action.WAIT_ON:
                await self._later(claimed, answer.reason)

    async def _later(self, claimed: Claimed, reason: str) -> None:
        now = self._clock()
        due_at = now + timedelta(seconds=self._backoff_s(claimed.attempt))
        reason = reason[:_REASON_LENGTH_MAX]
        await self._pool.run(
            distribution.retry_later, claimed, reason=reason, due_at=due_at, now=now
        )

    async def _give_back(self, claimed: Claimed) -> None:
        now = self._clock()
        reason = "stopped while sending"
        try:
            await self._pool.run(
                distribution.retry_later, claimed, reason=reason, due_at=now, now=now
            )
        except IsocenterError as error:
            _log.warning("hl7_claim_kept", error_kind=error.kind.value)

    def _backoff_s(self, attempt: int) -> float:
        """Return the wait after an attempt, with jitter so that lanes do not march in step."""
        doubled = self._options.backoff_first_s * 2 ** min(attempt - 1, 16)
        jitter = 0.8 + 0.4 * secrets.randbelow(1000) / 1000
        return min(doubled, self._options.backoff_max_s) * jitter

    def _link(self, peer: Hl7Peer) -> Link:
        address = Address(peer.host, peer.port or 0, self._tls if peer.tls else None)
        link = self._links.get(peer.name)
        if link is None or link.address != address:
            self._drop_link(peer.name)
            link = Link(address, connect_timeout_s=self._options.connect_timeout_s)
            self._links[peer.name] = link
        return link

    def _drop_link(self, recipient: str) -> None:
        link = self._links.pop(recipient, None)
        if link is not None:
            link.close()

    @staticmethod
    def _note(claimed: Claimed, answer: Answer, decision: Decision) -> None:
        metrics.TRANSMISSIONS.labels(answer.outcome.value).inc()
        log = _log.info if decision.action is decisions.Action.DELIVERED else _log.warning
        log(
            "hl7_result_sent" if answer.outcome is Outcome.ACCEPTED else "hl7_result_not_delivered",
            destination=claimed.recipient,
            control_id=claimed.control_id,
            attempt=claimed.attempt,
            result=answer.outcome.value,
            action=decision.action.value,
        )


def prepare(
    tx: Tx, claimed: Claimed, peer: Hl7Peer, options: SenderOptions, *, now: datetime
) -> Claimed:
    """Return the claim with its message: made now, or the one that an earlier attempt made.

    Raises:
        IsocenterError: what it is about cannot be read, or the peer takes no such message.
    """
    if claimed.message is not None:
        return claimed
    control_id = new_control_id()
    sending = (options.application, options.facility)
    telling = distribution.telling_of(tx, claimed)
    message = outbound.message_of(tx, telling, outbound.envelope_of(peer, sending, control_id, now))
    return distribution.set_message(tx, claimed, control_id=control_id, message=message)


def _acknowledge(tx: Tx, claimed: Claimed, answer: Answer, *, now: datetime) -> None:
    acknowledgement = answer.acknowledgement or b""
    distribution.acknowledge(tx, claimed, acknowledgement=acknowledgement, now=now)
    _record(tx, claimed, answer, None, now=now)


def _park(tx: Tx, claimed: Claimed, answer: Answer | None, reason: str, *, now: datetime) -> None:
    acknowledgement = answer.acknowledgement if answer else None
    reason = reason[:_REASON_LENGTH_MAX]
    distribution.refuse(tx, claimed, reason=reason, acknowledgement=acknowledgement, now=now)
    if answer is not None:
        _record(tx, claimed, answer, reason, now=now)


def _record(tx: Tx, claimed: Claimed, answer: Answer, error: str | None, *, now: datetime) -> None:
    """Put the message and its answer into the log that people search."""
    message = claimed.message or b""
    facts = outbound.facts_of(message)
    peers.record_message(
        tx,
        Hl7Message(
            direction="out",
            peer=claimed.recipient,
            control_id=claimed.control_id or "",
            message_type=facts.message_type,
            body_digest=body_digest(message),
            raw=message,
            acknowledgement=answer.acknowledgement,
            acknowledgement_code=answer.ack.code.value if answer.ack else None,
            patient_id=facts.patient_id,
            accession_number=claimed.accession_number or None,
            effect=outbound.effect_of(distribution.telling_of(tx, claimed)),
            error=error,
        ),
        now=now,
    )


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
