"""The log as an ordered change feed for readers that keep their own place in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One entry of the log. ``data`` is the decoded JSON object of the event's fields."""

    id: int
    name: str
    subject: str
    occurred_at: datetime
    data: dict[str, Any]


_FEED = """
select id, name, subject, occurred_at, data from outbox.event
where id > %(after)s and id <= %(end)s
  and (%(names)s::text[] is null or name = any(%(names)s))
order by id limit %(limit)s
"""


def feed(
    tx: Tx, after: int, limit: int, *, names: Sequence[str] | None = None
) -> list[RecordedEvent]:
    """The next events after id ``after``, by id. None that commits later has an id among these.

    ``names``: of the kinds of events that are wanted; None for all.

    A reader passes the last id it got; 0 reads from the beginning. ``tx`` is of
    ``Database.transaction``: a transaction that sees one unchanging moment cannot tell which ids
    are settled, and is refused with ``StatementFailed``.
    """
    parameters = {
        "after": after,
        "end": feed_end(tx),
        "limit": limit,
        "names": names and list(names),
    }
    return tx.all(RecordedEvent, _FEED, parameters)


def feed_end(tx: Tx) -> int:
    """The id after which a reader continues who wants only what is new; 0 when there is nothing.

    Ids are given before transactions commit; this is the id up to which all are settled.
    """
    return tx.value("select outbox.settled_id()")
