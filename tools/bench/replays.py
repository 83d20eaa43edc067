"""``python -m tools.bench.replays``: a bulk replay each way, beside live traffic.

Ten thousand messages that came in are processed again, and ten thousand that a receiver had refused
are sent again, at the highest rate that may be asked for. What is told: how long asking takes,
whether the rate is held, and what live messages wait for meanwhile and without it.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from isocenter.domain.access.model import Actor
from isocenter.domain.distribution import service as distribution
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.domain.peers.model_replay import RATE_PER_S_MAX, REPLAYS_AT_ONCE_MAX, ReplayWish
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database, jsonb
from tools.bench import interface, outbound, receivers
from tools.bench.processor import Meter

_ACTOR = Actor.system("bench")
_LIVE_PER_S = 20
_LIVE_S = 10
_GIVE_UP_S = 900.0
_DONE = """
select count(*) as done, extract(epoch from max(done_at) - min(done_at))::float as seconds,
       (select max(count) from (select count(*) from peers.replay
                                 group by date_trunc('second', done_at)) as each)
         as most_in_a_second
  from peers.replay where done_at is not null
"""
_TOLD = {"control": "SC", "status": "CM", "result_status": ""}
# Each of an order of its own: of messages about one order only the latest is sent again.
_REFUSED = """
insert into distribution.delivery
       (kind, subject, occasion, told, accession_number, recipient, lane, due_at, queued_at, state,
        quarantined_at)
select 'order', 'order/' || 10000000 + number, 'SC CM', %(told)s, 'OUT0000000', %(recipient)s,
       'replayed/' || number, now(), now(), 'refused', now()
  from generate_series(1, %(count)s) as number
"""
_LIVE = """
insert into distribution.delivery
       (kind, subject, occasion, told, accession_number, recipient, lane, due_at, queued_at)
select 'order', 'order/' || %(first)s + number, 'SC CM', %(told)s, 'OUT0000000', %(recipient)s,
       %(run)s || number, at, at
  from (select number, now() + number * interval '1 s' / %(rate)s as at
          from generate_series(1, %(count)s) as number) as spread
"""
_SENT = """
select count(*) as done,
       extract(epoch from max(acknowledged_at) - min(acknowledged_at))::float as seconds,
       (select max(count) from (select count(*) from distribution.delivery
                                 where recipient = %(recipient)s and lane like 'replayed/%%'
                                   and acknowledged_at is not null
                                 group by date_trunc('second', acknowledged_at)) as each)
         as most_in_a_second
  from distribution.delivery
 where recipient = %(recipient)s and lane like 'replayed/%%' and acknowledged_at is not null
"""
_WAITED_MS = """
select (extract(epoch from acknowledged_at - due_at) * 1000)::float from distribution.delivery
 where recipient = %s and lane like %s || '%%' and acknowledged_at is not null
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What was processed or sent again, in which time, and the most of it in one second."""

    done: int
    seconds: float
    most_in_a_second: int


def main() -> int:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=REPLAYS_AT_ONCE_MAX)
    parser.add_argument("--folder", type=Path, default=None, help="where the data is kept")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        receivers.isocenter(Path(folder) / "replays") as receiver,
    ):
        meter = Meter(receiver.process_id, Path(folder) / "replays" / "home")
        try:
            _inbound(meter.database, receiver.hl7_port, arguments.messages)
            _outbound(meter.database, arguments.messages)
        finally:
            meter.close()
    return 0


def _inbound(database: Database, port: int, messages: int) -> None:
    interface.flood(port, messages=messages, run="R")
    live = _LIVE_PER_S * _LIVE_S
    alone = interface.steady(port, messages=live, run="A", per_second=_LIVE_PER_S)
    wanted = MessageFilter(direction="in")
    with database.read() as tx:
        keys = peers.found_keys(tx, _ACTOR, wanted, limit=messages + live)[-messages:]
    started = time.perf_counter()
    with database.transaction() as tx:
        wish = ReplayWish("bench", rate_per_s=RATE_PER_S_MAX)
        peers.process_again(tx, _ACTOR, keys, wish, now=utc_now())
    asked_s = time.perf_counter() - started
    beside = interface.steady(port, messages=3 * live, run="B", per_second=_LIVE_PER_S)
    started = time.perf_counter()
    while time.perf_counter() - started < _GIVE_UP_S:
        with database.read() as tx:
            if peers.replays_waiting(tx, _ACTOR) == 0:
                break
        time.sleep(0.5)
    with database.read() as tx:
        done = tx.one(Done, _DONE)
    _tell("processed again", messages, asked_s, done)
    _line(f"  live messages alone  {alone.median_ms:.1f} ms (median) {alone.p99_ms:.1f} ms (p99)")
    _line(f"  live messages beside {beside.median_ms:.1f} ms (median) {beside.p99_ms:.1f} ms (p99)")


def _outbound(database: Database, messages: int) -> None:
    recipient, live = outbound.RECIPIENT, _LIVE_PER_S * _LIVE_S
    with outbound.receiver() as port:
        outbound.queue(database, 1, port)
        with database.transaction() as tx:
            tx.run("update peers.hl7_peer set send = '{oru,orm}' where name = %s", (recipient,))
            tx.run(_REFUSED, {"recipient": recipient, "count": messages, "told": jsonb(_TOLD)})
        outbound.deliver(database, 1)
        _live(database, "alone/", live)
        started = time.perf_counter()
        with database.transaction() as tx:
            distribution.replay_refused(
                tx, _ACTOR, recipient, rate_per_s=RATE_PER_S_MAX, now=utc_now()
            )
        asked_s = time.perf_counter() - started
        _live(database, "beside/", 3 * live)
        done = _sent(database, messages)
        _tell("sent again", messages, asked_s, done)
        for run in ("alone/", "beside/"):
            with database.read() as tx:
                waited = tx.values(_WAITED_MS, (recipient, run))
            p99 = quantiles(waited, n=100)[98]
            name = run.removesuffix("/").ljust(6)
            _line(f"  live messages {name} {median(waited):.0f} ms (median) {p99:.0f} ms (p99)")


def _sent(database: Database, messages: int) -> Done:
    """What was sent, when all of it was."""
    started = time.perf_counter()
    while True:
        with database.read() as tx:
            done = tx.one(Done, _SENT, {"recipient": outbound.RECIPIENT})
        if done.done == messages:
            return done
        if time.perf_counter() - started > _GIVE_UP_S:
            raise TimeoutError(f"{done.done} of {messages} were sent")
        time.sleep(0.5)


def _live(database: Database, run: str, count: int) -> None:
    """Have so many live messages sent at their rate, and wait for their time."""
    named = {
        "recipient": outbound.RECIPIENT,
        "run": run,
        "rate": _LIVE_PER_S,
        "count": count,
        "first": 20_000_000 if run.startswith("alone") else 30_000_000,
        "told": jsonb(_TOLD),
    }
    with database.transaction() as tx:
        tx.run(_LIVE, named)
    time.sleep(count / _LIVE_PER_S + 1.0)


def _tell(what: str, asked: int, asked_s: float, done: Done) -> None:
    rate = (done.done - 1) / done.seconds
    _line(
        f"{asked} messages {what}: asked for in {asked_s:.2f} s, {done.done} done in"
        f" {done.seconds:.1f} s, {rate:.1f} a second, {done.most_in_a_second} in the busiest one"
    )


def _line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a bench is for


if __name__ == "__main__":
    raise SystemExit(main())
