"""Runs the handlers: claims deliveries, handles them and settles them in one transaction.

A worker that dies takes its transaction with it, and the deliveries are claimed again by another.
Threads, not processes, are this module's business; any number of processes may run dispatchers on
one database.
"""

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from isocenter.errors import IsocenterError
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, DatabaseBusy, DatabaseUnavailable, Tx
from isocenter.infra.log import get_logger
from isocenter.infra.outbox.claim import (
    Claimed,
    claim,
    divide,
    held_up,
    next_try_at,
    settle_done,
    settle_failed,
    settle_given_up,
)
from isocenter.infra.outbox.events import UndecodableEvent, from_data
from isocenter.infra.outbox.lookout import Turn, look_out
from isocenter.infra.outbox.routing import GiveUp, Router, Subscription
from isocenter.infra.outbox.timers import fire_due_timer, timer_names

_BATCH_MAX = 192
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 0.2
_AWAY_S = 1.0
_WORKING_SHARE = 5
_RESERVE_AFTER = timedelta(seconds=0.3)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Crew:
    """Threads that serve the same subscribers."""

    subscribers: Sequence[str]
    workers: int
    external: bool

    @property
    def batch_max(self) -> int:
        """How many deliveries share a transaction."""
        return 1 if self.external else _BATCH_MAX

    @property
    def turns(self) -> Sequence[tuple[Collection[str], timedelta]]:
        """For each thread, whose deliveries are its business, and how long they are due before.

        Where deliveries share transactions, two threads would make two small ones of each large
        one: all but the first are for when that one is held up, or does not keep up.
        """
        reserve = timedelta() if self.external else _RESERVE_AFTER
        names = frozenset(self.subscribers)
        return [(names, timedelta()), *[(names, reserve)] * (self.workers - 1)]


def _subscribers(router: Router, *, external: bool) -> Sequence[str]:
    own = [each.subscriber for each in router.subscriptions if each.external is external]
    # First what is looked for most often: they are compared one after the other.
    return own if external or not own else [*router.joints, *own]


class Dispatcher:
    """Delivers what is due. Thread-safe; ``run`` needs a connection per worker and two more."""

    def __init__(
        self,
        db: Database,
        router: Router,
        *,
        clock: Clock,
        workers: int = 2,
        external_workers: int = 4,
    ) -> None:
        """``external_workers`` threads serve the external subscriptions, ``workers`` the others."""
        self._db = db
        self._router = router
        self._clock = clock
        self._crews = [
            each
            for each in (
                _Crew(_subscribers(router, external=False), workers, external=False),
                _Crew(_subscribers(router, external=True), external_workers, external=True),
            )
            if each.subscribers
        ]

    def run_once(self) -> int:
        """The number of deliveries tried: everything due by now, and what that makes due.

        Raises what the database raises. For tests, and to drain before a shutdown.
        """
        tried = 0
        while True:
            before = tried
            while self._fire_timer():
                pass
            for crew in self._crews:
                while count := self._deliver(crew):
                    tried += count
            if tried == before and not self._fire_timer():
                return tried

    def run(self, stop: threading.Event) -> None:
        """Deliver until ``stop`` is set; what a worker has begun by then it finishes."""
        turns = [Turn(self._fire_timer, 1, timer_names(self._router))]
        for crew in self._crews:
            turns += [
                Turn(partial(self._deliver, crew, overdue=after), crew.batch_max, names, after)
                for names, after in crew.turns
            ]
        threads = [
            threading.Thread(target=_work, args=(turn, stop), name="dispatch") for turn in turns
        ]
        for each in threads:
            each.start()
        look_out(turns, stop, db=self._db, clock=self._clock)
        for each in threads:
            each.join()

    def _fire_timer(self) -> bool:
        with self._db.transaction() as tx:
            tx.router = self._router
            return fire_due_timer(tx, self._router, now=self._clock())

    def _deliver(self, crew: _Crew, *, overdue: timedelta = timedelta()) -> int:
        """How many deliveries were tried, in one transaction, of those due for so long."""
        while True:
            now = self._clock()
            with self._db.transaction() as tx:
                tx.router = self._router
                found = claim(
                    tx,
                    crew.subscribers,
                    durable=crew.external,
                    most=crew.batch_max,
                    now=now - overdue,
                )
                claimed = self._without_held_up(tx, found, now)
                done = self._handle_all(tx, claimed, now)
                if done:
                    settle_done(tx, done)
            if claimed or not found:
                return len(claimed)

    def _handle_all(self, tx: Tx, claimed: Sequence[Claimed], now: datetime) -> Sequence[Claimed]:
        """Handle deliveries of any subscribers; gives those that are done.

        At once, which saves each subscriber its savepoint and statements of its own for what it
        appends; or, when that fails, the deliveries of one subscriber after those of another.
        """
        joint = [each for each in claimed if self._router.joint(each.subscriber)]
        parts = self._parts(claimed)
        if joint or len(parts) > 1:
            try:
                with tx.savepoint(), tx.gathered():
                    for subscription, own in parts:
                        _react(tx, subscription, own, now)
            except Exception as error:  # noqa: BLE001 - whose failure it is shows when each is alone
                _raise_if_gone(tx, error)
            else:
                return claimed
        if joint:
            divide(tx, joint, self._shares(joint), now=now)
        done: list[Claimed] = []
        for subscription, own in parts:
            done += self._handle(tx, subscription, own, now)
        return done

    def _without_held_up(
        self, tx: Tx, claimed: Sequence[Claimed], now: datetime
    ) -> Sequence[Claimed]:
        """What may be handled now.

        A joint delivery is divided when one of its members has an earlier event of the lane still
        before it; the others go on.
        """
        shares = self._shares([e for e in claimed if self._router.joint(e.subscriber)])
        held = held_up(tx, shares) if shares else []
        if not held:
            return claimed
        events = {each.event_id for each in held}
        joint = [e for e in claimed if e.event_id in events and self._router.joint(e.subscriber)]
        own = self._shares(joint)
        divide(tx, joint, own, now=now)
        return [*(e for e in claimed if e not in joint), *(e for e in own if e not in held)]

    def _shares(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """The same with each member's own share of those that are joint."""
        shares: list[Claimed] = []
        for each in claimed:
            joint = self._router.joint(each.subscriber)
            if joint is None:
                shares.append(each)
                continue
            shares += [replace(each, subscriber=own.subscriber) for own in joint.members]
        return shares

    def _parts(self, claimed: Sequence[Claimed]) -> Sequence[tuple[Subscription, list[Claimed]]]:
        """Who is to see what, each the events in their order."""
        parts: dict[str, list[Claimed]] = {}
        for each in self._shares(claimed):
            parts.setdefault(each.subscriber, []).append(each)
        found: list[tuple[Subscription, list[Claimed]]] = []
        for subscriber in sorted(parts):
            subscription = self._router.for_subscriber(subscriber)
            if subscription is None:  # the claim asked for our names only
                raise LookupError(subscriber)
            found.append((subscription, parts[subscriber]))
        return found

    def _handle(
        self, tx: Tx, subscription: Subscription, deliveries: Sequence[Claimed], now: datetime
    ) -> Sequence[Claimed]:
        """Handle deliveries together or, when that fails, one by one; gives those that are done."""
        if subscription.together is not None and len(deliveries) > 1:
            try:
                with tx.savepoint(), tx.gathered():
                    _react(tx, subscription, deliveries, now)
            except Exception as error:  # noqa: BLE001 - whose failure it is shows when each is alone
                _raise_if_gone(tx, error)
            else:
                return deliveries
        return [each for each in deliveries if self._handle_one(tx, subscription, each, now)]

    def _handle_one(
        self, tx: Tx, subscription: Subscription, delivery: Claimed, now: datetime
    ) -> bool:
        try:
            with tx.savepoint(), tx.gathered():
                _react(tx, subscription, [delivery], now)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its failure
            _raise_if_gone(tx, error)
            self._settle_failure(tx, subscription, delivery, error)
            return False
        return True

    def _settle_failure(
        self, tx: Tx, subscription: Subscription, delivery: Claimed, error: Exception
    ) -> None:
        now = self._clock()
        failures = delivery.attempts + 1
        reason = f"{type(error).__name__}: {error}"
        hopeless = isinstance(error, GiveUp | UndecodableEvent)
        if hopeless or failures >= subscription.attempts_max:
            state = "blocked" if subscription.blocks_lane else "dead"
            settle_given_up(tx, delivery, state, reason, now=now)
            log.error(
                "delivery_given_up",
                event_id=delivery.event_id,
                event_name=delivery.name,
                subscriber=delivery.subscriber,
                attempts=failures,
                state=state,
                exc_info=error,
            )
            return
        due_at = next_try_at(subscription, failures, now=now)
        settle_failed(tx, delivery, due_at, reason)
        log.warning(
            "delivery_failed",
            event_id=delivery.event_id,
            event_name=delivery.name,
            subscriber=delivery.subscriber,
            attempts=failures,
            due_at=due_at,
            error_kind=error.kind if isinstance(error, IsocenterError) else None,
            exc_info=error,
        )


def _react(
    tx: Tx, subscription: Subscription, deliveries: Sequence[Claimed], now: datetime
) -> None:
    """Have the subscriber's handler see the events, several at a time where it can."""
    events = [from_data(subscription.event, each.data) for each in deliveries]
    if subscription.together is not None and len(events) > 1:
        subscription.together(tx, events, now=now)
        return
    for event in events:
        subscription.handler(tx, event, now=now)


def _raise_if_gone(tx: Tx, error: Exception) -> None:
    """Raise the error again when the transaction is gone, and with it our claims."""
    if isinstance(error, DatabaseUnavailable) and (error.outcome_unknown or not _usable(tx)):
        raise error


def _usable(tx: Tx) -> bool:
    """Whether the transaction still stands (a deadlock is undone by the savepoint alone)."""
    try:
        tx.value("select 1")
    except (DatabaseUnavailable, DatabaseBusy):
        return False
    return True


def _work(turn: Turn, stop: threading.Event) -> None:
    """One thread: no pause while a step does the most it can, a short one while it does something.

    What comes during the short pause makes one batch, which costs much less than several. The pause
    grows with what the work before it took, so batches grow with the load, and the more so the
    slower the machine is. When there is nothing to do the thread waits to be called.
    """
    pause_s = _POLL_FIRST_S
    while not stop.is_set():
        began = time.monotonic()
        try:
            count = turn.step()
        except (DatabaseUnavailable, DatabaseBusy) as error:
            log.warning("dispatch_interrupted", error_kind=error.kind)
            stop.wait(_AWAY_S)
            continue
        except Exception:
            log.exception("dispatch_failed")
            stop.wait(_AWAY_S)
            continue
        took_s = time.monotonic() - began
        if count:
            pause_s = _POLL_FIRST_S
            if count < turn.most:
                # What is overdue is not to wait for company.
                gathering_s = 0.0 if turn.overdue else _WORKING_SHARE * took_s
                stop.wait(min(max(pause_s, gathering_s), _POLL_MAX_S))
            continue
        pause_s = min(pause_s * 1.5, _POLL_MAX_S)
        # Looking in vain must never become a load, whatever it costs at the moment.
        turn.rest(stop, max(pause_s, _WORKING_SHARE * took_s))
