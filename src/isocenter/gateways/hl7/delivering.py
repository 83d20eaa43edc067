"""One batch of messages to one recipient: sent one after the other, settled as answers come.

Acknowledgements of a long queue are noted in groups, while the next messages go out. Whatever
else comes back ends as the table of ``standards.hl7v2.decision`` says. What a batch does not get to
is given back untouched.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Concatenate, Final, ParamSpec

from isocenter.domain.access.model import Actor
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Arrival, Claimed, ClaimLost
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer
from isocenter.errors import IsocenterError
from isocenter.gateways.hl7 import metrics
from isocenter.gateways.hl7.link import Answer, Link
from isocenter.gateways.hl7.numbering import Numbering
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import renewed, wait_for
from isocenter.standards.hl7v2.decision import Action, Decision, Held, Outcome, decide

_log = get_logger(__name__)
P = ParamSpec("P")
SENDER: Final = Actor.system("hl7.sender")
_REASON_LENGTH_MAX: Final = 500
# An answer that takes longer is waited for with the message noted as sent.
_NOTE_SENT_AFTER_S: Final = 1.0
# With as many waiting, acknowledgements are noted while the next messages go out. What was not
# noted when a process dies goes again: with fewer, each is noted before the next one goes.
_GROUPED_FROM: Final = 32
# So many of them at a time, or those of so short a while.
_GROUP: Final = 16
_GROUPING_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Means:
    """What a batch works with.

    Attributes:
        wait_s: before attempt n + 1, by n.
        recorded: a message with its answer, and what is wrong, as the log of messages has it.
        batch_s: how long a batch goes on sending.
        lease_s: how long it is ours if we say nothing more.
    """

    pool: Pool
    clock: Clock
    wait_s: Callable[[int], float]
    recorded: Callable[[Claimed, Answer, str | None], Hl7Message]
    batch_s: float = 5.0
    lease_s: float = 30.0


class Pace:
    """When a recipient may get its next message: its rate and its gap."""

    def __init__(self) -> None:
        self._not_before_s = 0.0

    async def turn(self, peer: Hl7Peer) -> None:
        """Return when the next message may go, and count it."""
        now_s = _loop_time()
        if self._not_before_s > now_s:
            await asyncio.sleep(self._not_before_s - now_s)
        if peer.rate_per_s_max:
            self._not_before_s = max(self._not_before_s, now_s) + 1 / peer.rate_per_s_max

    def answered(self, peer: Hl7Peer) -> None:
        """Leave the recipient alone for its gap."""
        if peer.gap_s:
            self._not_before_s = max(self._not_before_s, _loop_time() + peer.gap_s)

    @property
    def left_s(self) -> float:
        """How long the recipient is to be left alone."""
        return max(0.0, self._not_before_s - _loop_time())


class Batch:
    """Deliveries that are leased to us, and the connection on which they go."""

    def __init__(
        self, peer: Hl7Peer, link: Link, pace: Pace, means: Means, *, numbering: Numbering
    ) -> None:
        """``numbering`` is used for a peer whose messages are numbered."""
        self._numbering = numbering if peer.sequence_numbers_sent else None
        self._peer = peer
        self._link = link
        self._pace = pace
        self._means = means
        self._waiting: list[Claimed] = []
        self._under_way: list[Claimed] = []
        self._arrived: list[tuple[Arrival, Answer]] = []
        self._settling: asyncio.Task[None] | None = None
        self._settle_now = asyncio.Event()
        self._paused = False
        self._stopped = False
        self._grouped = False
        self._cancelled = False

    @property
    def is_through(self) -> bool:
        """Whether, after sending, nothing speaks against sending more."""
        return not (self._waiting or self._stopped or self._paused or self._cancelled)

    async def send(self, claims: Sequence[Claimed], stop: asyncio.Event) -> None:
        """Send them until one fares so that the rest must wait, or the batch's time is over."""
        self._waiting = list(claims)
        # A number says what became of one message: of each before the next one goes.
        self._grouped = len(claims) >= _GROUPED_FROM and self._numbering is None
        ends_at = _loop_time() + self._means.batch_s
        try:
            async with renewed(self._renew, every_s=self._means.lease_s / 3):
                while self._waiting and not (self._paused or stop.is_set()):
                    if _loop_time() + self._pace.left_s > ends_at:
                        break
                    await self._pace.turn(self._peer)
                    await self._send_first()
        except asyncio.CancelledError:
            self._cancelled = True
            self._link.close()
            raise
        finally:
            # Also when we are cancelled: what was acknowledged is noted, the rest given back.
            await asyncio.shield(self._end())

    async def _send_first(self) -> None:
        claimed = self._waiting.pop(0)
        self._under_way = [claimed]
        sent_at = self._means.clock()
        claimed, answer = await self._exchange(claimed)
        self._under_way = []
        self._pace.answered(self._peer)
        decision = decide(answer.outcome)
        if decision.close_connection:
            self._link.close()
        _note(claimed, answer, decision)
        if decision.action is Action.DELIVERED:
            self._arrived.append((Arrival(claimed, answer.acknowledgement or b"", sent_at), answer))
            if len(self._arrived) >= _GROUP:
                self._settle_now.set()
            if self._settling is None or self._settling.done():
                self._settling = asyncio.create_task(self._settle())
            if not self._grouped:
                await self._settled()
            return
        self._stopped = self._stops(decision)
        kept = [] if self._stopped else self._waiting
        if decision.action is Action.PARK:
            kept = [each for each in kept if each.lane != claimed.lane]
        await self._give_back([each for each in self._waiting if each not in kept])
        self._waiting = kept
        await self._settled()
        await self._run(self._fail, claimed, answer, sent_at)

    def _stops(self, decision: Decision) -> bool:
        """Whether nothing more of the batch may go."""
        if decision.held is Held.DESTINATION:
            return True
        return decision.action is Action.RETRY and self._peer.ordering == "all"

    async def _exchange(self, claimed: Claimed) -> tuple[Claimed, Answer]:
        """The message as it went, and what came back."""
        if failed := await self._link.open():
            return claimed, Answer(Outcome.NOT_SENT, reason=failed)
        if self._numbering is None:
            return claimed, await self._answer_to(claimed)
        numbered = await self._numbering.numbered(self._peer, self._link, claimed)
        if isinstance(numbered, Answer):
            return claimed, numbered
        answer = await self._answer_to(numbered)
        return numbered, await self._numbering.noted(self._peer, self._link, answer)

    async def _answer_to(self, claimed: Claimed) -> Answer:
        message, control_id = claimed.message or b"", claimed.control_id or ""
        timeout_s = self._peer.ack_timeout_s
        if failed := await self._link.send(message, timeout_s=timeout_s):
            return Answer(Outcome.NOT_SENT, reason=failed)
        sent_at = self._means.clock()
        noting: list[asyncio.Task[None]] = []
        timer = asyncio.get_running_loop().call_later(
            _NOTE_SENT_AFTER_S,
            lambda: noting.append(asyncio.create_task(self._run(_mark_sent, claimed, sent_at))),
        )
        try:
            return await self._link.answer(control_id, timeout_s=timeout_s)
        finally:
            timer.cancel()
            await asyncio.gather(*noting)

    async def _end(self) -> None:
        await self._settled()
        for claimed in self._under_way:
            # Stopped, or a defect: whether it arrived is not known. The same bytes go again.
            wait_s = 0.0 if self._cancelled else self._means.wait_s(claimed.attempt)
            await self._run(_send_again, claimed, self._means.clock(), wait_s)
        await self._give_back(self._waiting)
        if self._pace.left_s:
            next_at = self._means.clock() + timedelta(seconds=self._pace.left_s)
            await self._run(distribution.note_reached, self._peer.name, next_at=next_at)

    async def _settled(self) -> None:
        """Return when every acknowledgement that came is noted."""
        while self._arrived or (self._settling is not None and not self._settling.done()):
            self._settle_now.set()
            if self._settling is None or self._settling.done():
                self._settling = asyncio.create_task(self._settle())
            await self._settling

    async def _settle(self) -> None:
        """Note the acknowledgements that came, and those that come meanwhile after them."""
        while self._arrived:
            if self._grouped:
                await wait_for(self._settle_now, _GROUPING_S)
            self._settle_now.clear()
            arrived, self._arrived = self._arrived, []
            await self._run(self._acknowledge, arrived)

    def _acknowledge(self, tx: Tx, arrived: Sequence[tuple[Arrival, Answer]]) -> None:
        now = self._means.clock()
        lost = distribution.acknowledge_all(tx, [arrival for arrival, _ in arrived], now=now)
        for each in lost:
            _log.warning("hl7_claim_lost", destination=each.claimed.recipient)
        records = [
            self._means.recorded(arrival.claimed, answer, None) for arrival, answer in arrived
        ]
        peers.record_messages(tx, records, now=now)
        if self._numbering is not None:
            self._numbering.keep(tx, self._peer)
        self._paused = not distribution.note_reached(tx, self._peer.name)

    def _fail(self, tx: Tx, claimed: Claimed, answer: Answer, sent_at: datetime) -> None:
        """Note what came back instead of an acceptance, as the table says."""
        now, decision = self._means.clock(), decide(answer.outcome)
        if answer.outcome not in {Outcome.NOT_SENT, Outcome.OUT_OF_STEP}:
            distribution.mark_sent(tx, claimed, now=sent_at)
        if decision.action is Action.PARK:
            self.park(tx, claimed, answer, answer.reason)
            if decision.pauses:
                reason = f"it takes no such message: {answer.reason}"
                distribution.pause_for_fault(tx, SENDER, claimed.recipient, reason=reason, now=now)
            return
        if decision.pauses:
            distribution.retry_later(tx, claimed, reason=answer.reason, due_at=now, now=now)
            reason = answer.reason
            distribution.pause_for_fault(tx, SENDER, claimed.recipient, reason=reason, now=now)
            return
        due_at = now + timedelta(seconds=self._means.wait_s(claimed.attempt))
        reason = answer.reason[:_REASON_LENGTH_MAX]
        distribution.retry_later(tx, claimed, reason=reason, due_at=due_at, now=now)
        if decision.held is Held.DESTINATION:
            distribution.note_away(tx, claimed.recipient, wait_s=self._means.wait_s, now=now)
        else:
            distribution.note_reached(tx, claimed.recipient)

    def park(self, tx: Tx, claimed: Claimed, answer: Answer | None, reason: str) -> None:
        """Have the delivery, and its lane, wait for a person."""
        now, reason = self._means.clock(), reason[:_REASON_LENGTH_MAX]
        acknowledgement = answer.acknowledgement if answer else None
        distribution.refuse(tx, claimed, reason=reason, acknowledgement=acknowledgement, now=now)
        if answer is not None:
            peers.record_message(tx, self._means.recorded(claimed, answer, reason), now=now)

    async def _renew(self) -> None:
        held = [*self._under_way, *self._waiting, *(each.claimed for each, _ in self._arrived)]
        await self._means.pool.run(
            distribution.keep_claims, held, lease_s=self._means.lease_s, now=self._means.clock()
        )

    async def _give_back(self, claims: Sequence[Claimed]) -> None:
        if claims:
            await self._run(distribution.give_back, claims)

    async def _run(
        self, fn: Callable[Concatenate[Tx, P], object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Do it in a transaction; what fails is told, and comes right when the lease ends."""
        try:
            await self._means.pool.run(fn, *args, **kwargs)
        except IsocenterError as error:
            _log.warning(
                "hl7_claim_lost" if isinstance(error, ClaimLost) else "hl7_claim_kept",
                destination=self._peer.name,
                error_kind=error.kind.value,
            )


def _mark_sent(tx: Tx, claimed: Claimed, sent_at: datetime) -> None:
    distribution.mark_sent(tx, claimed, now=sent_at)


def _send_again(tx: Tx, claimed: Claimed, now: datetime, wait_s: float) -> None:
    due_at = now + timedelta(seconds=wait_s)
    distribution.retry_later(tx, claimed, reason="stopped while sending", due_at=due_at, now=now)


def _note(claimed: Claimed, answer: Answer, decision: Decision) -> None:
    metrics.TRANSMISSIONS.labels(answer.outcome.value).inc()
    if answer.outcome is Outcome.ACCEPTED:
        return  # it is in the message log, which is better than a line here
    log = _log.info if decision.action is Action.DELIVERED else _log.warning
    log(
        "hl7_result_not_delivered",
        destination=claimed.recipient,
        control_id=claimed.control_id,
        attempt=claimed.attempt,
        result=answer.outcome.value,
        action=decision.action.value,
    )


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
