"""Writing to the log: an event, and the deliveries for its subscribers."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from isocenter.infra.db import Tx, jsonb
from isocenter.infra.outbox.events import Event

# A trigger gives the ids in the order of insertion: by them the events are told apart.
_APPEND = """
with appended as (
    insert into outbox.event (name, subject, occurred_at, data)
    select said.name, said.subject, said.occurred_at, said.data
    from jsonb_to_recordset(%(events)s)
        as said (position int, name text, subject text, occurred_at timestamptz, data jsonb)
    order by said.position
    returning id
), numbered as (
    select id, row_number() over (order by id) as position from appended
), routed as (
    insert into outbox.delivery (event_id, subscriber, lane, due_at)
    select numbered.id, route.subscriber, route.lane, route.due_at
    from jsonb_to_recordset(%(routes)s)
        as route (position int, subscriber text, lane text, due_at timestamptz)
    join numbered using (position)
)
select id from numbered order by id
"""


def append(tx: Tx, event: Event, *, now: datetime) -> None:
    """Record ``event`` and its deliveries, at the end of a ``gathered`` part where there is one.

    The caller holds the row lock of the event's subject.
    """
    tx.add(_write, (event, now))


def append_all(tx: Tx, events: Iterable[Event], *, now: datetime) -> Sequence[int]:
    """The ids of ``events``, recorded at once and in their order."""
    rows = [(event, now) for event in events]
    return _write(tx, rows) if rows else []


def _write(tx: Tx, rows: Sequence[tuple[Event, datetime]]) -> Sequence[int]:
    events = [
        {
            "position": position,
            "name": event.name,
            "subject": event.subject,
            "occurred_at": now,
            "data": event,
        }
        for position, (event, now) in enumerate(rows, 1)
    ]
    routes = [
        {
            "position": position,
            "subscriber": route.subscriber,
            "lane": route.lane_of(event),
            "due_at": now,
        }
        for position, (event, now) in enumerate(rows, 1)
        for route in tx.router.for_event(event.name)
    ]
    return tx.values(_APPEND, {"events": jsonb(events), "routes": jsonb(routes)})


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
