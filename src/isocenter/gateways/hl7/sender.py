"""Sends messages of every kind to their recipients: one lane each, one message under way in it.

What to send next, and who may send it, is decided by ``distribution`` under a lease, so that any
number of processes may run this. A recipient that is slow or away holds up nobody else.

Standard: HL7 v2.5.1 2.9.2; IHE RAD TF-3 4.28.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Claimed
from isocenter.domain.distribution.model_messages import MessageKind, Telling
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer, PeerUnknown
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7 import outbound
from isocenter.gateways.hl7.delivering import Batch, Means, Pace
from isocenter.gateways.hl7.known import Known, known_of
from isocenter.gateways.hl7.link import Address, Answer, Link
from isocenter.gateways.hl7.numbering import Numbering
from isocenter.gateways.hl7.receive import new_control_id
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import backoff_s, wait_for
from isocenter.standards.hl7v2.er7 import body_digest
from isocenter.standards.hl7v2.mllp import is_sendable

_log = get_logger(__name__)
_NOT_A_RECIPIENT: Final = "the recipient is not an enabled peer that gets these"
_REASON_LENGTH_MAX: Final = 500


class NotSendable(IsocenterError):
    """A message cannot go out in a block of its own."""

    kind = Kind.FAULT


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """How messages are sent.

    Attributes:
        application: our MSH-3.
        facility: our MSH-4.
        poll_s: how often new deliveries are looked for.
        batch_max: how many deliveries are taken at a time.
        backoff_first_s: wait before the second attempt; it doubles up to ``backoff_max_s``.
        stop_grace_s: how long stopping waits for acknowledgements that are under way.
    """

    application: str = "ISOCENTER"
    facility: str = ""
    poll_s: float = 0.25
    connect_timeout_s: float = 10.0
    batch_max: int = 64
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
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._links: dict[str, Link] = {}
        self._paces: dict[str, Pace] = {}
        self._numberings: dict[str, Numbering] = {}
        self._stopping = asyncio.Event()
        self._means = Means(pool, clock, partial(backoff_s, options), recorded)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver what is due until ``stop`` is set; then end within the grace time."""
        stopper = asyncio.create_task(self._stop_with(stop))
        try:
            while not stop.is_set():
                await self._serve_due()
                await wait_for(stop, self._options.poll_s)
        finally:
            stopper.cancel()
            await self._end()

    async def _stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping.set()

    async def _serve_due(self) -> None:
        try:
            due = await self._pool.read(distribution.recipients_due, now=self._clock())
        except IsocenterError as error:
            _log.warning("hl7_deliveries_unknown", error_kind=error.kind.value)
            await wait_for(self._stopping, 1.0)
            return
        for recipient in due:
            task = self._serving.get(recipient)
            if task is None or task.done():
                self._serving[recipient] = asyncio.create_task(self._serve(recipient))

    async def _end(self) -> None:
        self._stopping.set()
        tasks = [task for task in self._serving.values() if not task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._options.stop_grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for link in self._links.values():
            link.close()

    async def _serve(self, recipient: str) -> None:
        """Deliver to one recipient until nothing is due."""
        taken: _Taken | None = None
        try:
            while not self._stopping.is_set():
                taken = taken or await self._pool.run(self._take, recipient)
                if not taken.found:
                    break
                taken = await self._deliver(taken)
        except IsocenterError as error:
            # The lease ends by itself, and the delivery is due again.
            self._drop_link(recipient)
            _log.warning("hl7_lane_failed", destination=recipient, error_kind=error.kind.value)
        except Exception as error:  # noqa: BLE001 - a defect may stop one lane, not all of them
            self._drop_link(recipient)
            _log.error("hl7_lane_defect", destination=recipient, exc_info=error)

    async def _deliver(self, taken: "_Taken") -> "_Taken | None":
        """Send what was taken; gives what was taken meanwhile, to be sent next."""
        peer, claims = taken.peer, taken.claims
        if peer is None or not claims:
            return None
        pace = self._paces.setdefault(peer.name, Pace())
        numbering = self._numberings.setdefault(peer.name, Numbering(self._pool, self._clock))
        batch = Batch(peer, self._link(peer), pace, self._means, numbering=numbering)
        if len(claims) < self._options.batch_max or not _may_go_on(peer):
            await batch.send(claims, self._stopping)
            return None
        ahead = asyncio.create_task(self._pool.run(self._take_besides, peer, claims))
        try:
            await batch.send(claims, self._stopping)
        finally:
            following = await asyncio.shield(self._following(batch, ahead))
        return following

    async def _following(
        self, batch: Batch, ahead: "asyncio.Task[_Taken | None]"
    ) -> "_Taken | None":
        """What was taken ahead; nothing, and it is given back, when it is not to be sent now."""
        try:
            following = await ahead
        except IsocenterError as error:
            _log.warning("hl7_not_taken_ahead", error_kind=error.kind.value)
            return None
        if following is None or (batch.is_through and not self._stopping.is_set()):
            return following
        await self._pool.run(distribution.give_back, following.claims)
        return None

    def _take_besides(self, tx: Tx, peer: Hl7Peer, claims: Sequence[Claimed]) -> "_Taken | None":
        """What is to be sent to the peer after ``claims``, of other lanes; None: nothing now."""
        if _reachable(tx, peer.name) != peer:  # as it is set up now, it is another connection
            return None
        most, lease_s, now = self._options.batch_max, self._means.lease_s, self._clock()
        found = distribution.claim_besides(
            tx, peer.name, claims, most=most, lease_s=lease_s, now=now
        )
        return _Taken(peer, True, self._with_messages(tx, found, peer)) if found else None

    def _take(self, tx: Tx, recipient: str) -> "_Taken":
        """What is to be sent to the recipient now, leased to us, each with its message."""
        peer = _reachable(tx, recipient)
        if peer is None:
            return _Taken(None, self._postpone(tx, recipient), [])
        found = self._claim(tx, peer)
        return _Taken(peer, bool(found), self._with_messages(tx, found, peer))

    def _postpone(self, tx: Tx, recipient: str) -> bool:
        """Leave a recipient alone that gets nothing as it is set up."""
        now, wait_s = self._clock(), self._means.wait_s
        claimed = distribution.claim(tx, recipient, lease_s=self._means.lease_s, now=now)
        if claimed is None:
            return False
        due_at = distribution.note_away(tx, recipient, wait_s=wait_s, now=now)
        distribution.retry_later(tx, claimed, reason=_NOT_A_RECIPIENT, due_at=due_at, now=now)
        return True

    def _claim(self, tx: Tx, peer: Hl7Peer) -> list[Claimed]:
        now, most = self._clock(), self._options.batch_max
        if peer.rate_per_s_max or peer.gap_s:
            each_s = max(peer.gap_s, 1 / peer.rate_per_s_max if peer.rate_per_s_max else 0.0)
            most = max(1, min(most, int(self._means.batch_s / each_s)))
        return distribution.claim_batch(
            tx,
            peer.name,
            most=most,
            lease_s=self._means.lease_s,
            strict=peer.ordering == "all",
            now=now,
        )

    def _with_messages(self, tx: Tx, claims: Sequence[Claimed], peer: Hl7Peer) -> list[Claimed]:
        """What can be sent of them: with the message made now, or by an earlier attempt.

        All that their messages are about is read at once, and the messages are kept at once.
        """
        now = self._clock()
        wanted, unwanted = _parted(claims, peer)
        for each in unwanted:
            due_at = now + timedelta(seconds=self._means.wait_s(each.attempt))
            distribution.retry_later(tx, each, reason=_NOT_A_RECIPIENT, due_at=due_at, now=now)
        new = {
            each.delivery_key: distribution.telling_of(each)
            for each in wanted
            if each.message is None
        }
        known = known_of(tx, new.values())
        made: list[Claimed] = []
        for each in wanted:
            if each.message is not None:
                continue
            try:
                made.append(_made(known, (each, new[each.delivery_key]), peer, self._options, now))
            except IsocenterError as error:
                reason = f"the message cannot be made: {error.message}"[:_REASON_LENGTH_MAX]
                distribution.refuse(tx, each, reason=reason, acknowledgement=None, now=now)
        kept = {each.delivery_key: each for each in distribution.set_messages(tx, made)}
        ready = (each if each.message else kept.get(each.delivery_key) for each in wanted)
        return [each for each in ready if each is not None]

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


@dataclass(frozen=True, slots=True)
class _Taken:
    """What was taken to be sent.

    Attributes:
        peer: to whom; None when it gets nothing as it is set up.
        found: whether anything was due.
    """

    peer: Hl7Peer | None
    found: bool
    claims: list[Claimed]


def _reachable(tx: Tx, recipient: str) -> Hl7Peer | None:
    """The peer, if it may get anything."""
    try:
        peer = peers.hl7_peer(tx, recipient)
    except PeerUnknown:
        return None
    return peer if peer.enabled and peer.port else None


def _may_go_on(peer: Hl7Peer) -> bool:
    """Whether a message may follow one that is under way, in another lane and at any time."""
    return peer.ordering != "all" and not (peer.rate_per_s_max or peer.gap_s)


def _parted(claims: Sequence[Claimed], peer: Hl7Peer) -> tuple[list[Claimed], list[Claimed]]:
    """What the peer gets, and what it does not get any more."""
    parted: tuple[list[Claimed], list[Claimed]] = ([], [])
    for each in claims:
        parted[MessageKind(each.kind).permission not in peer.send].append(each)
    return parted


def _made(
    known: Known,
    what: tuple[Claimed, Telling],
    peer: Hl7Peer,
    options: SenderOptions,
    now: datetime,
) -> Claimed:
    """Return the claim with its message.

    Raises:
        IsocenterError: what it is about is not there, or the peer takes no such message.
    """
    claimed, telling = what
    control_id = new_control_id()
    sending = (options.application, options.facility)
    envelope = outbound.envelope_of(peer, sending, control_id, now)
    message = outbound.made_of(known, telling, envelope)
    if not is_sendable(message):
        raise NotSendable("it holds characters that end a block")
    return replace(claimed, control_id=control_id, message=message)


def recorded(claimed: Claimed, answer: Answer, error: str | None) -> Hl7Message:
    """The message and its answer as the log has them that people search."""
    message = claimed.message or b""
    facts = outbound.facts_of(message)
    return Hl7Message(
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
        effect=outbound.effect_of(distribution.telling_of(claimed)),
        error=error,
    )
