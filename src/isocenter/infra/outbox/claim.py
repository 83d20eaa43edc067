"""Finding and settling deliveries: a lane keeps its order with any number of workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any, Final

from isocenter.infra.db import Tx
from isocenter.infra.outbox.routing import Subscription

_LAST_ERROR_CHARACTERS_MAX = 2000
_JITTER = 0.25
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery whose row this transaction has locked, with its event."""

    event_id: int
    subscriber: str
    lane: str
    attempts: int
    name: str
    data: dict[str, Any]
    durability: str


# How it finds them is told where it is written, in migrations 0001 and 0004.
_CLAIM = """
select event_id, subscriber, lane, attempts, name, data,
       set_config('synchronous_commit', %(durability)s, true) as durability
from outbox.claim(%(subscribers)s::text[], %(now)s, %(most)s)
"""


def claim(
    tx: Tx, subscribers: Sequence[str], *, durable: bool, most: int, now: datetime
) -> list[Claimed]:
    """The due heads of at most so many lanes, locked until the transaction ends; the oldest first.

    Unless ``durable``, the transaction's commit does not wait for the disk. Losing it in a crash is
    as if the handler had not run yet: it runs again. Whoever answers a peer because of what it did
    commits later, and the log on disk has no gaps, so that answer never outlives its cause.
    """
    found = tx.all(
        Claimed,
        _CLAIM,
        {
            "now": now,
            "subscribers": list(subscribers),
            "durability": "on" if durable else "off",
            "most": most,
        },
    )
    return sorted(found, key=lambda each: each.event_id)


@dataclass(frozen=True, slots=True)
class Due:
    """That something of a subscriber, or a timer of this name, is due, and since when."""

    name: str
    due_at: datetime
    deliveries: int


DUE_LOOKED_AT_MAX: Final = 500
_DUE = """
select subscriber as name, min(due_at) as due_at, count(*)::int as deliveries
  from (select subscriber, due_at from outbox.delivery
         where state = 'waiting' and due_at <= %(now)s
         order by due_at, event_id limit %(limit)s) as waiting
 group by subscriber
union all
select name, min(due_at), 0 from outbox.timer where due_at <= %(now)s group by name
"""


def due(tx: Tx, *, now: datetime) -> list[Due]:
    """What is due among the deliveries that wait the longest, and of the timers.

    Those that wait the longest may be what nobody here handles, or what a lane holds up. When they
    are ``DUE_LOOKED_AT_MAX``, what is behind them is not told.
    """
    return tx.all(Due, _DUE, {"now": now, "limit": DUE_LOOKED_AT_MAX})


_HELD_UP = """
select asked.event_id || ' ' || asked.subscriber
  from unnest(%s::bigint[], %s::text[], %s::text[]) as asked (event_id, subscriber, lane)
 cross join lateral (
       select from outbox.delivery as earlier
        where earlier.subscriber = asked.subscriber and earlier.lane = asked.lane
          and earlier.state in ('waiting', 'blocked') and earlier.event_id < asked.event_id
        limit 1) as found
"""


def held_up(tx: Tx, deliveries: Sequence[Claimed]) -> list[Claimed]:
    """Those that others of their lanes come before, of the members' shares of joint deliveries.

    Earlier joint deliveries of the lane are settled: what is left of them was divided. That was
    committed before ours could be claimed, so this, asked after the claim, sees it.
    """
    found = set(tx.values(_HELD_UP, _columns(deliveries)))
    return [each for each in deliveries if f"{each.event_id} {each.subscriber}" in found]


_DIVIDE = """
insert into outbox.delivery (event_id, subscriber, lane, due_at)
select own.event_id, own.subscriber, own.lane,
       greatest(%s::timestamptz, (
           select max(earlier.due_at) from outbox.delivery as earlier
            where earlier.subscriber = own.subscriber and earlier.lane = own.lane
              and earlier.state = 'waiting' and earlier.event_id < own.event_id))
  from unnest(%s::bigint[], %s::text[], %s::text[]) as own (event_id, subscriber, lane)
"""


def divide(tx: Tx, joint: Sequence[Claimed], shares: Sequence[Claimed], *, now: datetime) -> None:
    """Replace joint deliveries by the members' shares of them, locked as those were.

    What has to wait for an earlier one is due when that is.
    """
    settle_done(tx, joint)
    tx.run(_DIVIDE, (now, *_columns(shares)))


def _columns(deliveries: Sequence[Claimed]) -> tuple[list[int], list[str], list[str]]:
    return (
        [each.event_id for each in deliveries],
        [each.subscriber for each in deliveries],
        [each.lane for each in deliveries],
    )


def settle_done(tx: Tx, deliveries: Sequence[Claimed]) -> None:
    """Remove what is done: what there is to do is all that is kept beside the events."""
    tx.run(
        """
        delete from outbox.delivery
         using unnest(%s::bigint[], %s::text[]) as done (event_id, subscriber)
         where delivery.event_id = done.event_id and delivery.subscriber = done.subscriber
        """,
        ([each.event_id for each in deliveries], [each.subscriber for each in deliveries]),
    )


def settle_given_up(tx: Tx, delivery: Claimed, state: str, reason: str, *, now: datetime) -> None:
    """Record that a person must look; ``state`` is ``dead`` or ``blocked``."""
    tx.run(
        "update outbox.delivery"
        " set state = %s, attempts = attempts + 1, ended_at = %s, last_error = %s"
        " where event_id = %s and subscriber = %s",
        (state, now, storable(reason), delivery.event_id, delivery.subscriber),
    )


def settle_failed(tx: Tx, delivery: Claimed, due_at: datetime, reason: str) -> None:
    """Record a failure; the whole lane is due again at ``due_at``."""
    tx.run(
        "update outbox.delivery set attempts = attempts + 1, last_error = %s"
        " where event_id = %s and subscriber = %s",
        (storable(reason), delivery.event_id, delivery.subscriber),
    )
    tx.run(
        "update outbox.delivery set due_at = %(due_at)s"
        " where subscriber = %(subscriber)s and lane = %(lane)s and state = 'waiting'"
        " and (due_at < %(due_at)s or event_id = %(event_id)s)",
        {
            "due_at": due_at,
            "subscriber": delivery.subscriber,
            "lane": delivery.lane,
            "event_id": delivery.event_id,
        },
    )


def backoff_s(subscription: Subscription, failures: int) -> float:
    """Seconds to wait after ``failures`` failures in a row: doubling, bounded, spread by a quarter.

    The spread keeps what failed together (a peer went away) from coming back together.
    """
    doubled = subscription.backoff_first_s * 2.0 ** min(failures - 1, 60)
    bounded = min(doubled, subscription.backoff_max_s)
    return bounded * (1.0 + _random.uniform(-_JITTER, _JITTER))


def next_try_at(subscription: Subscription, failures: int, *, now: datetime) -> datetime:
    """When to try again after ``failures`` failures in a row."""
    return now + timedelta(seconds=backoff_s(subscription, failures))


def storable(reason: str) -> str:
    """``reason`` as PostgreSQL can hold it."""
    return reason.replace("\0", "")[:_LAST_ERROR_CHARACTERS_MAX]
