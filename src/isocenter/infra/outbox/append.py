"""Writing to the log: an event, and one delivery for each of its subscribers."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from isocenter.infra.db import Tx
from isocenter.infra.outbox.events import Event, to_data

_APPEND = """
with appended as (
    insert into outbox.event (name, subject, occurred_at, data)
    values (%(name)s, %(subject)s, %(now)s, %(data)s::jsonb)
    returning id
), routed as (
    insert into outbox.delivery (event_id, subscriber, lane, due_at)
    select appended.id, route.subscriber, route.lane, %(now)s
    from appended
    cross join unnest(%(subscribers)s::text[], %(lanes)s::text[]) as route (subscriber, lane)
)
select id from appended
"""


def append(tx: Tx, event: Event, *, now: datetime) -> int:
    """The id of ``event`` in the log, after recording it and its deliveries.

    The caller holds the row lock of the event's subject.
    """
    routes = tx.router.for_event(event.name)
    return tx.value(
        _APPEND,
        {
            "name": event.name,
            "subject": event.subject,
            "now": now,
            "data": to_data(event).decode(),
            "subscribers": [route.subscriber for route in routes],
            "lanes": [route.lane_of(event) for route in routes],
        },
    )


def append_all(tx: Tx, events: Iterable[Event], *, now: datetime) -> Sequence[int]:
    """The ids of ``events``, recorded in their order."""
    return [append(tx, event, now=now) for event in events]


_PRUNE = """
with old as (
    select id from outbox.event as event
    where occurred_at < %(before)s
      and not exists (
          select from outbox.delivery
          where event_id = event.id and state in ('waiting', 'dead', 'blocked')
      )
    order by occurred_at limit %(limit)s
)
delete from outbox.event where id in (select id from old)
"""


def prune(tx: Tx, *, before: datetime, limit: int = 10_000) -> int:
    """The number of events removed: at most ``limit`` older than ``before`` with nothing to do."""
    return tx.run(_PRUNE, {"before": before, "limit": limit})
