"""The outbox on a real server: order, retries, dead letters, crashes, timers, the feed."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database, DatabaseUnavailable, StatementFailed, Tx
from isocenter.infra.outbox import (
    DeliveryNotFound,
    Dispatcher,
    GiveUp,
    Router,
    Subscription,
    append,
    append_all,
    cancel_timer,
    count_waiting,
    dead_letters,
    feed,
    feed_end,
    hurry,
    prune,
    replay,
    set_timer,
    skip,
)
from isocenter.infra.outbox.claim import DUE_LOOKED_AT_MAX, claim
from isocenter.infra.outbox.lookout import Turn, call_due
from tests.fakes.clock import FixedClock

MakeDatabase = Callable[..., Database]


@dataclass(frozen=True, slots=True)
class Counted:
    """A fact about a counter: its value after one more was counted."""

    name: ClassVar[str] = "test.counted"
    counter: str
    value: int
    at: datetime | None = None

    @property
    def subject(self) -> str:
        return f"counter/{self.counter}"


@dataclass(frozen=True, slots=True)
class Echoed:
    name: ClassVar[str] = "test.echoed"
    counter: str

    @property
    def subject(self) -> str:
        return f"counter/{self.counter}"


class Rig:
    """A database, subscriptions made by the test, a clock, and what handlers saw."""

    def __init__(self, make_database: MakeDatabase, *subscriptions: Subscription) -> None:
        self.clock = FixedClock()
        self.router = Router(subscriptions)
        self.db = make_database(router=self.router)
        self.dispatcher = Dispatcher(self.db, self.router, clock=self.clock)

    def append(self, *events: Counted | Echoed) -> list[int]:
        with self.db.transaction() as tx:
            return list(append_all(tx, events, now=self.clock()))

    def state_of(self, event_id: int) -> str | None:
        """The state of its delivery; None when there is nothing left to do."""
        with self.db.read() as tx:
            return tx.value("select state from outbox.delivery where event_id = %s", (event_id,))


class Seen(list[Counted]):
    """A handler that notes what it gets and fails as long as ``failing`` says so."""

    def __init__(self) -> None:
        self.failing: Callable[[Counted], bool] = lambda _: False
        self.error: Exception = ValueError("not today")

    def __call__(self, tx: Tx, event: Counted, *, now: datetime) -> None:
        if self.failing(event):
            raise self.error
        self.append(event)


def test_an_event_reaches_every_subscriber_as_it_was(make_database: MakeDatabase) -> None:
    first, second, other = Seen(), Seen(), Seen()
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="a", handler=first),
        Subscription(event=Counted, subscriber="b", handler=second, external=True),
        Subscription(event=Echoed, subscriber="c", handler=other),
    )
    event = Counted("x", 7, datetime(2026, 3, 2, 9, 30, 0, 5, tzinfo=UTC))
    rig.append(event)
    assert rig.dispatcher.run_once() == 2
    assert (first, second, other) == ([event], [event], [])
    assert rig.dispatcher.run_once() == 0


def test_a_rolled_back_transaction_leaves_no_event(make_database: MakeDatabase) -> None:
    seen = Seen()
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    with pytest.raises(ZeroDivisionError), rig.db.transaction() as tx:
        append(tx, Counted("x", 1), now=rig.clock())
        raise ZeroDivisionError
    assert rig.dispatcher.run_once() == 0
    with rig.db.transaction() as tx:
        assert feed(tx, 0, 10) == []


def test_events_of_handlers_are_dispatched_too(make_database: MakeDatabase) -> None:
    seen: list[str] = []

    def echo(tx: Tx, event: Counted, *, now: datetime) -> None:
        append(tx, Echoed(event.counter), now=now)

    def note(tx: Tx, event: Echoed, *, now: datetime) -> None:
        seen.append(event.counter)

    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="echo", handler=echo),
        Subscription(event=Echoed, subscriber="note", handler=note),
    )
    rig.append(Counted("x", 1), Counted("y", 1))
    assert rig.dispatcher.run_once() == 4
    assert seen == ["x", "y"]


class Overlap:
    """A handler that keeps what it saw, and notices when its lane runs twice at once.

    It may be slow and fail now and then.
    """

    def __init__(self, name: str, *, failing: float) -> None:
        self.name = name
        self._failing = failing
        self.overlaps: list[str] = []
        self._running: set[str] = set()
        self._guard = threading.Lock()
        self._chance = random.Random(4)

    def __call__(self, tx: Tx, event: Counted, *, now: datetime) -> None:
        with self._guard:
            if event.counter in self._running:
                self.overlaps.append(event.counter)
            self._running.add(event.counter)
        try:
            if self._failing:
                tx.value("select pg_sleep(%s)", (self._chance.random() * 0.004,))
            if self._chance.random() < self._failing:
                raise ValueError("now and then")
            tx.run(
                "insert into handled (by, lane, value) values (%s, %s, %s)",
                (self.name, event.counter, event.value),
            )
        finally:
            with self._guard:
                self._running.discard(event.counter)


def count_up(db: Database, lane: str) -> None:
    """What a service does: lock the subject, change it, append the fact."""
    with db.transaction() as tx:
        tx.value("select 1 from counter where name = %s for update", (lane,))
        value = tx.value(
            "update counter set value = value + 1 where name = %s returning value", (lane,)
        )
        append(tx, Counted(lane, value), now=utc_now())


def test_order_within_a_lane_holds_with_many_appenders_and_workers(
    make_database: MakeDatabase,
) -> None:
    """400 events on 7 lanes by 6 appending threads, handled by 8 workers of 2 dispatchers."""
    handlers = [Overlap("failing", failing=0.05), Overlap("steady", failing=0.0)]
    router = Router([
        Subscription(
            event=Counted,
            subscriber=each.name,
            handler=each,
            attempts_max=50,
            backoff_first_s=0.001,
            backoff_max_s=0.01,
        )
        for each in handlers
    ])
    db = make_database(router=router, connections_max=16)
    with db.transaction() as tx:
        tx.run("create table counter (name text primary key, value int not null)")
        tx.run("insert into counter select 'lane' || n, 0 from generate_series(0, 6) as n")
        tx.run(
            "create table handled (position bigint generated always as identity,"
            " by text, lane text, value int)"
        )

    def append_share(start: int) -> None:
        for number in range(start, 400, 6):
            count_up(db, f"lane{number % 7}")

    stop = threading.Event()
    dispatchers = [Dispatcher(db, router, clock=utc_now, workers=4) for _ in range(2)]
    workers = [threading.Thread(target=each.run, args=(stop,)) for each in dispatchers]
    appenders = [threading.Thread(target=append_share, args=(start,)) for start in range(6)]
    for each in [*workers, *appenders]:
        each.start()
    for each in appenders:
        each.join()
    wait_until_settled(db)
    stop.set()
    for each in workers:
        each.join()

    assert [each.overlaps for each in handlers] == [[], []]
    with db.read() as tx:
        kept = tx.values("select array[by, lane, value::text] from handled order by position")
    for handler in handlers:
        for lane in range(7):
            values = [int(v) for by, of, v in kept if (by, of) == (handler.name, f"lane{lane}")]
            assert values == list(range(1, len(values) + 1))
    assert len(kept) == 2 * 400


def wait_until_settled(db: Database) -> None:
    pause = threading.Event()
    for _ in range(600):
        with db.read() as tx:
            if count_waiting(tx) == 0:
                return
        pause.wait(0.1)
    pytest.fail("deliveries are still waiting after a minute")


def test_a_failure_backs_off_and_what_follows_in_the_lane_waits(
    make_database: MakeDatabase,
) -> None:
    seen = Seen()
    seen.failing = lambda event: event.counter == "bad"
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    rig.append(Counted("bad", 1), Counted("bad", 2), Counted("good", 1))
    assert rig.dispatcher.run_once() == 2
    assert seen == [Counted("good", 1)]
    rig.append(Counted("bad", 3))
    assert rig.dispatcher.run_once() == 0
    seen.failing = lambda _: False
    rig.clock.advance(seconds=0.7)  # first back-off: 1 s less a quarter at most
    assert rig.dispatcher.run_once() == 0
    rig.clock.advance(seconds=0.6)  # and a quarter more at most
    assert rig.dispatcher.run_once() == 3
    assert [each.value for each in seen[1:]] == [1, 2, 3]


def test_a_long_queue_behind_a_slow_head_hides_no_other_lane(make_database: MakeDatabase) -> None:
    """More deliveries are due behind a head that another worker holds than are looked at first."""
    seen = Seen()
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    rig.append(*(Counted("long", number) for number in range(120)))
    rig.append(Counted("m", 1), Counted("z", 1))
    with rig.db.transaction() as other_worker:
        (held,) = claim(other_worker, ["+test.counted"], durable=False, most=1, now=rig.clock())
        assert held.lane == "counter/long"
        assert rig.dispatcher.run_once() == 2
    assert [each.counter for each in seen] == ["m", "z"]
    assert rig.dispatcher.run_once() == 120


class SeenTogether(Seen):
    """A handler of several events that notes them with how many it got at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Counted]] = []

    def together(self, tx: Tx, events: Sequence[Counted], *, now: datetime) -> None:
        append_all(tx, [Echoed(each.counter) for each in events], now=now)
        for each in events:
            if self.failing(each):
                raise self.error
        self.batches.append(list(events))


def test_the_heads_of_several_lanes_are_handled_together(make_database: MakeDatabase) -> None:
    seen = SeenTogether()
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="a", handler=seen, together=seen.together),
    )
    rig.append(Counted("x", 1), Counted("y", 1), Counted("x", 2), Counted("z", 1), Counted("y", 2))
    assert rig.dispatcher.run_once() == 5
    assert [[(each.counter, each.value) for each in batch] for batch in seen.batches] == [
        [("x", 1), ("y", 1), ("z", 1)],
        [("x", 2), ("y", 2)],
    ]


def test_when_events_fail_together_each_is_tried_alone(make_database: MakeDatabase) -> None:
    seen = SeenTogether()
    seen.failing = lambda event: event.counter == "bad"
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="a", handler=seen, together=seen.together),
    )
    good, bad, other = rig.append(Counted("good", 1), Counted("bad", 1), Counted("other", 1))
    assert rig.dispatcher.run_once() == 3
    assert seen == [Counted("good", 1), Counted("other", 1)]
    assert [rig.state_of(each) for each in (good, bad, other)] == [None, "waiting", None]
    with rig.db.transaction() as tx:  # what the batch had done is undone
        assert "test.echoed" not in {each.name for each in feed(tx, 0, 10)}


def test_reactions_that_succeed_share_a_delivery(make_database: MakeDatabase) -> None:
    first, second = Seen(), Seen()
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="a", handler=first),
        Subscription(event=Counted, subscriber="b", handler=second),
    )
    rig.append(Counted("x", 1))
    with rig.db.read() as tx:
        assert tx.values("select subscriber from outbox.delivery") == ["+test.counted"]
    assert rig.dispatcher.run_once() == 1
    assert first == second == [Counted("x", 1)]


def test_a_reaction_that_fails_is_tried_alone_and_keeps_its_order(
    make_database: MakeDatabase,
) -> None:
    def keep(tx: Tx, event: Counted, *, now: datetime) -> None:
        append(tx, Echoed(f"{event.counter} {event.value}"), now=now)

    failing = Seen()
    failing.failing = lambda event: event.counter == "bad"
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="failing", handler=failing),
        Subscription(event=Counted, subscriber="steady", handler=keep),
    )

    def kept() -> list[str]:
        with rig.db.transaction() as tx:
            found = feed(tx, 0, 100, names=["test.echoed"])
        return [each.data["counter"] for each in found]

    rig.append(Counted("bad", 1), Counted("good", 1), Counted("bad", 2))
    rig.dispatcher.run_once()
    rig.append(Counted("bad", 3))
    rig.dispatcher.run_once()
    assert sorted(kept()) == ["bad 1", "bad 2", "bad 3", "good 1"]
    assert set(failing) == {Counted("good", 1)}
    with rig.db.read() as tx:
        waiting = tx.values("select subscriber from outbox.delivery order by event_id")
    assert waiting == ["failing"] * 3
    failing.failing = lambda _: False
    rig.clock.advance(seconds=2)
    rig.append(Counted("bad", 4))
    rig.dispatcher.run_once()
    rig.append(Counted("bad", 5))  # nothing is before it any more
    rig.dispatcher.run_once()
    assert [each.value for each in failing if each.counter == "bad"] == [1, 2, 3, 4, 5]
    assert [each for each in kept() if each != "good 1"] == [f"bad {n}" for n in range(1, 6)]
    with rig.db.read() as tx:
        assert count_waiting(tx) == 0


def test_what_an_earlier_version_addressed_to_each_comes_first(
    make_database: MakeDatabase,
) -> None:
    seen, other = Seen(), Seen()
    rig = Rig(
        make_database,
        Subscription(event=Counted, subscriber="a", handler=seen),
        Subscription(event=Counted, subscriber="b", handler=other),
    )
    (earlier,) = rig.append(Counted("x", 1))
    later = rig.clock() + timedelta(minutes=1)
    with rig.db.transaction() as tx:
        tx.run(
            "update outbox.delivery set subscriber = 'a', due_at = %s where event_id = %s",
            (later, earlier),
        )
    rig.append(Counted("x", 2))
    assert rig.dispatcher.run_once() == 1
    assert (seen, other) == ([], [Counted("x", 2)])
    rig.clock.advance(minutes=1)
    assert rig.dispatcher.run_once() == 2
    assert seen == [Counted("x", 1), Counted("x", 2)]


def test_a_failed_handler_leaves_nothing_behind(make_database: MakeDatabase) -> None:
    def half(tx: Tx, event: Counted, *, now: datetime) -> None:
        append(tx, Echoed("half"), now=now)
        tx.run("insert into outbox.timer values ('half', 'done', now(), 'x', '{}')")
        raise ValueError("only half done")

    rig = Rig(make_database, Subscription(event=Counted, subscriber="half", handler=half))
    rig.append(Counted("x", 1))
    rig.dispatcher.run_once()
    with rig.db.transaction() as tx:
        assert [each.name for each in feed(tx, 0, 10)] == ["test.counted"]
        assert tx.value("select count(*) from outbox.timer") == 0
        error = tx.value("select last_error from outbox.delivery")
    assert error == "ValueError: only half done"


def test_an_sql_error_in_a_handler_is_a_failure_like_any_other(
    make_database: MakeDatabase,
) -> None:
    def wrong(tx: Tx, event: Counted, *, now: datetime) -> None:
        tx.run("insert into nowhere values (1)")

    rig = Rig(make_database, Subscription(event=Counted, subscriber="wrong", handler=wrong))
    (event_id,) = rig.append(Counted("x", 1))
    assert rig.dispatcher.run_once() == 1
    assert rig.state_of(event_id) == "waiting"


def test_poison_is_given_up_after_its_attempts_and_the_lane_goes_on(
    make_database: MakeDatabase,
) -> None:
    seen = Seen()
    seen.failing = lambda event: event.value == 1
    rig = Rig(
        make_database, Subscription(event=Counted, subscriber="a", handler=seen, attempts_max=3)
    )
    poison, _ = rig.append(Counted("x", 1), Counted("x", 2))
    tries = 0
    for _ in range(5):
        tries += rig.dispatcher.run_once()
        rig.clock.advance(minutes=10)
    assert tries == 4
    assert seen == [Counted("x", 2)]
    with rig.db.read() as tx:
        (dead,) = dead_letters(tx, limit=10)
        assert dead_letters(tx, limit=10, before=poison) == []
    assert (dead.event_id, dead.subscriber, dead.lane, dead.state) == (
        poison,
        "a",
        "counter/x",
        "dead",
    )
    assert (dead.attempts, dead.last_error) == (3, "ValueError: not today")
    assert dead.data == {"counter": "x", "value": 1, "at": None}


def test_a_handler_may_give_up_at_once(make_database: MakeDatabase) -> None:
    seen = Seen()
    seen.failing = lambda _: True
    seen.error = GiveUp("refused for good")
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    (event_id,) = rig.append(Counted("x", 1))
    assert rig.dispatcher.run_once() == 1
    assert rig.state_of(event_id) == "dead"


def test_a_blocked_lane_waits_until_replayed(make_database: MakeDatabase) -> None:
    seen = Seen()
    seen.failing = lambda event: event.value == 1
    seen.error = GiveUp("a person must look")
    rig = Rig(
        make_database, Subscription(event=Counted, subscriber="a", handler=seen, blocks_lane=True)
    )
    first, _ = rig.append(Counted("x", 1), Counted("x", 2))
    rig.append(Counted("y", 9))
    rig.dispatcher.run_once()
    assert rig.state_of(first) == "blocked"
    assert seen == [Counted("y", 9)]
    seen.failing = lambda _: False
    with rig.db.transaction() as tx:
        replay(tx, first, "a", now=rig.clock())
    assert rig.dispatcher.run_once() == 2
    assert seen == [Counted("y", 9), Counted("x", 1), Counted("x", 2)]


def test_a_blocked_lane_goes_on_when_a_person_skips(make_database: MakeDatabase) -> None:
    seen = Seen()
    seen.failing = lambda event: event.value == 1
    seen.error = GiveUp("a person must look")
    rig = Rig(
        make_database, Subscription(event=Counted, subscriber="a", handler=seen, blocks_lane=True)
    )
    first, _ = rig.append(Counted("x", 1), Counted("x", 2))
    rig.dispatcher.run_once()
    with rig.db.transaction() as tx:
        skip(tx, first, "a", now=rig.clock())
    rig.dispatcher.run_once()
    assert seen == [Counted("x", 2)]
    with rig.db.transaction() as tx, pytest.raises(DeliveryNotFound):
        replay(tx, first, "a", now=rig.clock())


def test_a_lane_in_back_off_can_be_hurried(make_database: MakeDatabase) -> None:
    seen = Seen()
    seen.failing = lambda _: True
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    rig.append(Counted("x", 1), Counted("x", 2))
    rig.dispatcher.run_once()
    seen.failing = lambda _: False
    assert rig.dispatcher.run_once() == 0
    with rig.db.transaction() as tx:
        assert hurry(tx, "a", "counter/x", now=rig.clock()) == 2
    assert rig.dispatcher.run_once() == 2


def test_a_worker_that_loses_its_connection_delivers_again(make_database: MakeDatabase) -> None:
    """What kill -9 of a worker does, seen from the database: its session ends mid-handler."""
    tries: list[int] = []

    def die_once(tx: Tx, event: Counted, *, now: datetime) -> None:
        tries.append(event.value)
        append(tx, Echoed("side effect"), now=now)
        if len(tries) == 1:
            mine = tx.value("select pg_backend_pid()")
            with rig.db.transaction() as other:
                other.value("select pg_terminate_backend(%s)", (mine,))
            tx.value("select 1")

    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=die_once))
    rig.append(Counted("x", 1))
    with pytest.raises(DatabaseUnavailable):
        rig.dispatcher.run_once()
    assert rig.dispatcher.run_once() == 1
    assert tries == [1, 1]
    with rig.db.transaction() as tx:
        assert [each.name for each in feed(tx, 0, 10)] == ["test.counted", "test.echoed"]


def test_an_event_that_no_longer_decodes_is_given_up(make_database: MakeDatabase) -> None:
    seen = Seen()
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    with rig.db.transaction() as tx:
        event_id = tx.value(
            "insert into outbox.event (name, subject, occurred_at, data)"
            " values ('test.counted', 's', now(), '{\"counter\": 3}') returning id"
        )
        tx.run(
            "insert into outbox.delivery (event_id, subscriber, lane, due_at)"
            " values (%s, 'a', 's', %s)",
            (event_id, rig.clock()),
        )
    rig.dispatcher.run_once()
    assert rig.state_of(event_id) == "dead"


def test_a_timer_happens_when_due_and_once(make_database: MakeDatabase) -> None:
    seen = Seen()
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    with rig.db.transaction() as tx:
        set_timer(tx, Counted("x", 1), key="k", due_at=rig.clock() + timedelta(minutes=5))
    assert rig.dispatcher.run_once() == 0
    rig.clock.advance(minutes=5)
    assert rig.dispatcher.run_once() == 1
    assert rig.dispatcher.run_once() == 0
    assert seen == [Counted("x", 1)]


def test_a_timer_can_be_moved_and_cancelled(make_database: MakeDatabase) -> None:
    seen = Seen()
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=seen))
    with rig.db.transaction() as tx:
        set_timer(tx, Counted("x", 1), key="k", due_at=rig.clock() + timedelta(minutes=5))
        set_timer(tx, Counted("x", 2), key="k", due_at=rig.clock() + timedelta(minutes=9))
        set_timer(tx, Counted("y", 1), key="other", due_at=rig.clock() + timedelta(minutes=5))
        assert cancel_timer(tx, "test.counted", "other")
        assert not cancel_timer(tx, "test.counted", "other")
    rig.clock.advance(minutes=8)
    assert rig.dispatcher.run_once() == 0
    rig.clock.advance(minutes=1)
    rig.dispatcher.run_once()
    assert seen == [Counted("x", 2)]


@contextmanager
def running(dispatcher: Dispatcher) -> Iterator[None]:
    """It delivers by itself until the block ends, and stops then."""
    stop = threading.Event()
    thread = threading.Thread(target=dispatcher.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_a_running_dispatcher_finds_new_work_and_stops(make_database: MakeDatabase) -> None:
    handled = threading.Event()

    def handle(tx: Tx, event: Counted, *, now: datetime) -> None:
        handled.set()

    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=handle))
    with running(rig.dispatcher):
        for number in range(3):
            handled.clear()
            rig.append(Counted("x", number))
            assert handled.wait(10)


def test_whoever_has_something_to_do_is_called(make_database: MakeDatabase) -> None:
    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=Seen()))
    others = Turn(lambda: 0, 1, ["b"])
    first = Turn(lambda: 0, 1, ["+test.counted"])
    reserve = Turn(lambda: 0, 1, ["+test.counted"], overdue=timedelta(seconds=1))
    timers = Turn(lambda: 0, 1, ["test.counted"])
    turns = [others, first, reserve, timers]

    def called() -> list[Turn]:
        call_due(turns, rig.db, now=rig.clock())
        return [each for each in turns if each.called.is_set()]

    assert called() == []
    rig.append(Counted("x", 1))
    assert called() == [first]
    rig.clock.advance(seconds=1)
    assert called() == [first, reserve]
    with rig.db.transaction() as tx:
        set_timer(tx, Counted("x", 1), key="k", due_at=rig.clock())
    assert called() == [first, reserve, timers]


def test_all_are_called_when_too_much_is_due_to_tell_whose_it_is(
    make_database: MakeDatabase,
) -> None:
    rig = Rig(make_database, Subscription(event=Counted, subscriber="gone", handler=Seen()))
    turn = Turn(lambda: 0, 1, ["a"])
    rig.append(*(Counted("x", number) for number in range(DUE_LOOKED_AT_MAX - 1)))
    call_due([turn], rig.db, now=rig.clock())
    assert not turn.called.is_set()
    rig.append(Counted("x", 0))
    call_due([turn], rig.db, now=rig.clock())
    assert turn.called.is_set()


def test_what_is_overdue_is_handled_beside_what_takes_long(make_database: MakeDatabase) -> None:
    begun, released, handled = threading.Event(), threading.Event(), threading.Event()

    def handle(tx: Tx, event: Counted, *, now: datetime) -> None:
        if event.counter == "long":
            begun.set()
            released.wait(30)
        else:
            handled.set()

    router = Router([Subscription(event=Counted, subscriber="a", handler=handle)])
    db = make_database(router=router)
    dispatcher = Dispatcher(db, router, clock=utc_now, workers=2)
    with running(dispatcher):
        try:
            for counter, seen in (("long", begun), ("short", handled)):
                with db.transaction() as tx:
                    append(tx, Counted(counter, 1), now=utc_now())
                assert seen.wait(30)
        finally:
            released.set()


def test_a_running_dispatcher_fires_timers(make_database: MakeDatabase) -> None:
    fired = threading.Event()

    def handle(tx: Tx, event: Counted, *, now: datetime) -> None:
        fired.set()

    rig = Rig(make_database, Subscription(event=Counted, subscriber="a", handler=handle))
    with running(rig.dispatcher):
        with rig.db.transaction() as tx:
            set_timer(tx, Counted("x", 1), key="k", due_at=rig.clock())
        assert fired.wait(30)


def test_the_feed_is_in_order_and_pages(make_database: MakeDatabase) -> None:
    rig = Rig(make_database)
    ids = rig.append(*(Counted("x", number) for number in range(5)))
    with rig.db.transaction() as tx:
        first = feed(tx, 0, 3)
        rest = feed(tx, first[-1].id, 3)
        assert feed_end(tx) == ids[-1]
        assert feed(tx, ids[-1], 3) == []
    assert [each.id for each in first + rest] == ids
    assert rest[-1].data["value"] == 4


def test_the_feed_never_passes_an_uncommitted_lower_id(make_database: MakeDatabase) -> None:
    rig = Rig(make_database)
    (before,) = rig.append(Counted("before", 0))
    with rig.db.transaction() as slow:
        slow.value("select pg_current_xact_id()")
        with rig.db.transaction() as slower:
            (first,) = append_all(slower, [Counted("slower", 1)], now=rig.clock())
            (second,) = append_all(slow, [Counted("slow", 1)], now=rig.clock())
            (third,) = rig.append(Counted("fast", 1))
            assert before < first < second < third
            with rig.db.transaction() as tx:
                assert [each.id for each in feed(tx, 0, 10)] == [before]
        with rig.db.transaction() as tx:
            assert [each.id for each in feed(tx, 0, 10)] == [before, first]
    with rig.db.transaction() as tx:
        assert [each.id for each in feed(tx, before, 10)] == [first, second, third]


def test_the_feed_passes_ids_that_were_rolled_back(make_database: MakeDatabase) -> None:
    rig = Rig(make_database)
    with pytest.raises(ZeroDivisionError), rig.db.transaction() as tx:
        append(tx, Counted("undone", 1), now=rig.clock())
        raise ZeroDivisionError
    with rig.db.transaction() as tx:
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            append(tx, Counted("undone", 1), now=rig.clock())
            raise ZeroDivisionError
        (kept,) = append_all(tx, [Counted("kept", 1)], now=rig.clock())
        with rig.db.transaction() as other:
            assert feed(other, 0, 10) == []
    with rig.db.transaction() as tx:
        assert [each.id for each in feed(tx, 0, 10)] == [kept]


def test_the_feed_refuses_a_transaction_that_sees_one_moment(make_database: MakeDatabase) -> None:
    rig = Rig(make_database)
    with pytest.raises(StatementFailed, match="read committed"), rig.db.read() as tx:
        feed(tx, 0, 10)


def test_a_reader_under_load_misses_nothing(make_database: MakeDatabase) -> None:
    """A reader that follows the feed while 6 threads commit out of order sees each event once."""
    rig = Rig(make_database)
    chance = random.Random(7)

    def write(lane: int) -> None:
        for number in range(40):
            with rig.db.transaction() as tx:
                append(tx, Counted(f"{lane}", number), now=rig.clock())
                tx.value("select pg_sleep(%s)", (chance.random() * 0.01,))

    writers = [threading.Thread(target=write, args=(lane,)) for lane in range(6)]
    for each in writers:
        each.start()
    ids: list[int] = []
    for _ in range(3000):
        if len(ids) == 240:
            break
        with rig.db.transaction() as tx:
            page = feed(tx, ids[-1] if ids else 0, 50)
        ids += [each.id for each in page]
    for each in writers:
        each.join()
    with rig.db.read() as tx:
        assert ids == tx.values("select id from outbox.event order by id")


def test_events_cannot_be_changed(make_database: MakeDatabase) -> None:
    rig = Rig(make_database)
    rig.append(Counted("x", 1))
    with pytest.raises(Exception, match="never changed"), rig.db.transaction() as tx:
        tx.run("update outbox.event set name = 'other'")


def test_pruning_removes_what_is_old_and_settled(make_database: MakeDatabase) -> None:
    seen = Seen()
    seen.failing = lambda event: event.value == 2
    rig = Rig(
        make_database, Subscription(event=Counted, subscriber="a", handler=seen, attempts_max=1)
    )
    rig.append(Counted("x", 1), Counted("x", 2))
    rig.dispatcher.run_once()
    rig.clock.advance(days=10)
    rig.append(Counted("x", 3))
    rig.dispatcher.run_once()
    with rig.db.transaction() as tx:
        assert prune(tx, before=rig.clock() - timedelta(days=1)) == 1
        assert [each.data["value"] for each in feed(tx, 0, 10)] == [2, 3]
