"""Deliveries that were given up, for a person to see, repeat or let go."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx


class DeliveryNotFound(IsocenterError):
    """There is no such delivery, or it is not given up."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up.

    Attributes:
        state: ``dead``, or ``blocked`` when its lane waits for a person.
        last_error: type and message of the last failure; may hold patient data.
    """

    event_id: int
    subscriber: str
    lane: str
    state: str
    attempts: int
    ended_at: datetime
    last_error: str
    name: str
    subject: str
    occurred_at: datetime
    data: dict[str, Any]


_LIST = """
select delivery.event_id, subscriber, lane, state, attempts, ended_at, last_error,
       name, subject, occurred_at, data
from outbox.delivery join outbox.event on event.id = delivery.event_id
where state in ('dead', 'blocked')
  and (%(before)s::bigint is null or delivery.event_id < %(before)s)
order by delivery.event_id desc, subscriber limit %(limit)s
"""


def dead_letters(tx: Tx, *, limit: int, before: int | None = None) -> list[DeadLetter]:
    """The given-up deliveries, newest event first; ``before`` an event id, for the next page."""
    return tx.all(DeadLetter, _LIST, {"limit": limit, "before": before})


def replay(tx: Tx, event_id: int, subscriber: str, *, now: datetime) -> None:
    """Have a given-up delivery tried again from now on. Raises ``DeliveryNotFound``."""
    changed = tx.run(
        "update outbox.delivery"
        " set state = 'waiting', attempts = 0, due_at = %(now)s, ended_at = null"
        " where event_id = %(event_id)s and subscriber = %(subscriber)s"
        " and state in ('dead', 'blocked')",
        {"event_id": event_id, "subscriber": subscriber, "now": now},
    )
    if not changed:
        raise DeliveryNotFound("there is no given-up delivery of this event to this subscriber")


def hurry(tx: Tx, subscriber: str, lane: str, *, now: datetime) -> int:
    """The number of waiting deliveries of a lane that no longer wait for their next try."""
    return tx.run(
        "update outbox.delivery set due_at = %(now)s where subscriber = %(subscriber)s"
        " and lane = %(lane)s and state = 'waiting' and due_at > %(now)s",
        {"subscriber": subscriber, "lane": lane, "now": now},
    )


def skip(tx: Tx, event_id: int, subscriber: str, *, now: datetime) -> None:
    """Let a given-up delivery go for good; its lane goes on. Raises ``DeliveryNotFound``."""
    changed = tx.run(
        "update outbox.delivery set state = 'skipped', ended_at = %(now)s"
        " where event_id = %(event_id)s and subscriber = %(subscriber)s"
        " and state in ('dead', 'blocked')",
        {"event_id": event_id, "subscriber": subscriber, "now": now},
    )
    if not changed:
        raise DeliveryNotFound("there is no given-up delivery of this event to this subscriber")


def count_waiting(tx: Tx) -> int:
    """The number of deliveries still to be made, due or not."""
    return tx.value("select count(*) from outbox.delivery where state = 'waiting'")
