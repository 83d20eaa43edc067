"""Messages with group commit: what concurrent connections sent is applied in one transaction.

Messages that arrive while others are being applied wait here; then one thread takes them all, reads
them, applies those together that have nothing to do with each other, and each other one alone. When
something goes wrong with a transaction of several, each of them is tried alone, so that a bad one
harms no other. A message is answered after the commit of its transaction, and its connection sends
the next one after that: messages of one connection keep their order.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7 import metrics
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.receive import (
    Caller,
    Reply,
    Understood,
    receive,
    refuse,
    understand,
)
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.standards import RemoteProtocolError

_log = get_logger(__name__)
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_GATHERING_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much is done at a time.

    Attributes:
        messages_max: in one transaction.
        batches_max: transactions at work, each with a thread and a connection.
        patience_s: how long a transaction is at work before the next one begins beside it. Most
            are done by then; one that waits for a lock does not hold up all others.
        gathering_s: how long at most, after messages were answered, those of their senders have to
            send the next ones who always did so at once, so that these share a transaction again;
            a quarter of the time that the last transaction took, where that is longer.
        beside_min: a second transaction begins beside the first when each of them gets so many of
            the messages that come one after the other: one waits for the database while the other
            is being read. Smaller ones cost more than that saves.
    """

    messages_max: int = 64
    batches_max: int = 4
    patience_s: float = 0.3
    gathering_s: float = 0.004
    beside_min: int = 8


@dataclass(slots=True)
class _Entry:
    """One message on its way through a batch."""

    data: bytes
    caller: Caller
    answered: asyncio.Future[Reply]
    is_prompt: bool
    reply: Reply | None = None


class Admission:
    """Takes messages from the event loop and answers them there."""

    def __init__(
        self,
        pool: Pool,
        options: ReceiveOptions,
        clock: Clock,
        limits: AdmissionLimits | None = None,
    ) -> None:
        self._pool = pool
        self._options = options
        self._clock = clock
        self._limits = limits or AdmissionLimits()
        self._waiting: deque[_Entry] = deque()
        self._at_work: set[asyncio.Task[None]] = set()
        self._messages_at_work = 0
        self._expected = 0  # next messages of those who were answered just now,
        self._expected_until = 0.0
        self._begun_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, data: bytes, caller: Caller, *, is_prompt: bool = False) -> Reply:
        """Return the answer to a message when it is durable; every failure is an answer too.

        ``is_prompt``: its sender always sends the next one as soon as it has the answer.
        """
        entry = _Entry(data, caller, asyncio.get_running_loop().create_future(), is_prompt)
        self._waiting.append(entry)
        if is_prompt and self._expected:
            self._expected -= 1
        self._begin()
        return await entry.answered

    def _begin(self) -> None:
        """Apply what waits, now or as soon as it is time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._at_work) < self._limits.batches_max:
            due_at = self._due_at(now := loop.time())
            if due_at > now:
                self._timer = loop.call_at(due_at, self._begin)
                return
            batch = [self._waiting.popleft() for _ in range(self._count())]
            self._messages_at_work += len(batch)
            self._begun_at = now
            self._at_work.add(loop.create_task(self._work(batch)))

    def _due_at(self, now: float) -> float:
        """When the next transaction begins, unless further messages make it earlier."""
        if now >= self._expected_until:
            self._expected = 0
        concerned = len(self._waiting) + self._messages_at_work + self._expected
        half = concerned // 2
        has_enough = len(self._waiting) >= (half if half >= self._limits.beside_min else concerned)
        if not self._at_work:
            return now if has_enough else self._expected_until
        if has_enough and len(self._at_work) == 1:
            return now
        return self._begun_at + self._limits.patience_s

    def _count(self) -> int:
        """How many of those that wait share the next transaction."""
        waiting = len(self._waiting)
        if not self._at_work and waiting // 2 >= self._limits.beside_min:
            waiting -= waiting // 2
        return min(waiting, self._limits.messages_max)

    async def _work(self, batch: Sequence[_Entry]) -> None:
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        try:
            await self._pool.call(self._apply, batch)
        finally:
            metrics.BATCH_MESSAGES.observe(len(batch))
            for each in batch:
                if each.answered.done():  # nobody waits for it
                    continue
                if each.reply is not None:
                    each.answered.set_result(each.reply)
                else:
                    each.answered.cancel()
            self._at_work = {each for each in self._at_work if each is not asyncio.current_task()}
            self._messages_at_work -= len(batch)
            now = loop.time()
            if now >= self._expected_until:
                self._expected = 0
            self._expected += sum(each.is_prompt for each in batch)
            wait_s = max(self._limits.gathering_s, _GATHERING_SHARE * (now - begun_at))
            self._expected_until = now + min(wait_s, self._limits.patience_s)
            self._begin()

    def _apply(self, batch: Sequence[_Entry]) -> None:
        now = self._clock()
        together: list[tuple[_Entry, Understood]] = []
        alone: list[tuple[_Entry, Understood]] = []
        names: set[tuple[str, ...]] = set()
        for entry in batch:
            message = self._understood(entry, now)
            if message is None:
                continue
            own = message.intent.names()
            if message.intent.is_plain and names.isdisjoint(own):
                names |= own
                together.append((entry, message))
            else:
                alone.append((entry, message))
        away = self._apply_together(together, now)
        for entry, message in [*together, *alone]:
            if entry.reply is None:
                away = self._apply_alone(entry, message, away)

    def _understood(self, entry: _Entry, now: datetime) -> Understood | None:
        """The message as read; None when it is answered already."""
        try:
            return understand(entry.data, entry.caller, self._options, now=now)
        except (IsocenterError, RemoteProtocolError) as error:
            self._refuse(entry, error)
        except Exception as error:  # noqa: BLE001 - a defect must cost one message, not the interface
            self._refuse_for_defect(entry, error)
        return None

    def _apply_together(
        self, entries: Sequence[tuple[_Entry, Understood]], now: datetime
    ) -> IsocenterError | None:
        """Answer all of them or, when one cannot be applied, none; gives why none can be."""
        if len(entries) < 2:  # alone it is tried once
            return None
        messages = [message for _, message in entries]
        try:
            replies = self._pool.run_here(lambda tx: receive(tx, messages, self._options, now=now))
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is alone
            _log.info("hl7_batch_divided", count=len(entries))
            return error if isinstance(error, IsocenterError) and error.kind in _AWAY else None
        for (entry, _), reply in zip(entries, replies, strict=True):
            entry.reply = reply
        return None

    def _apply_alone(
        self, entry: _Entry, message: Understood, away: IsocenterError | None
    ) -> IsocenterError | None:
        """Answer it; gives why none can be applied: who waited once for that waits no more."""
        now = self._clock()
        try:
            if away is not None:
                raise away
            (entry.reply,) = self._pool.run_here(
                lambda tx: receive(tx, [message], self._options, now=now)
            )
        except (IsocenterError, RemoteProtocolError) as error:
            self._refuse(entry, error)
            return error if isinstance(error, IsocenterError) and error.kind in _AWAY else None
        except Exception as error:  # noqa: BLE001 - a defect must cost one message, not the interface
            self._refuse_for_defect(entry, error)
        return None

    def _refuse_for_defect(self, entry: _Entry, error: Exception) -> None:
        metrics.DEFECTS.inc()
        _log.error("hl7_defect", remote_address=entry.caller.address, exc_info=error)
        self._refuse(entry, None)

    def _refuse(self, entry: _Entry, error: IsocenterError | RemoteProtocolError | None) -> None:
        known = error if isinstance(error, IsocenterError) else None
        data, caller, now = entry.data, entry.caller, self._clock()
        if known is None or known.kind not in _AWAY:
            try:
                entry.reply = self._pool.run_here(
                    lambda tx: refuse(tx, data, caller, known, now=now)
                )
            except Exception as second:  # noqa: BLE001 - the sender is owed an answer all the same
                _log.error("hl7_refusal_not_recorded", exc_info=second)
        if entry.reply is None:
            entry.reply = refuse(None, data, caller, known, now=now)
