"""Events that happen later unless something happens first: expected times, reminders, retries.

A timer is an event with a due time and a key; setting it again moves it. When it is due a
dispatcher appends it to the log, and its subscribers handle it like any other. Timers are as exact
as the dispatcher's polling.
"""

from datetime import datetime
from typing import Any

from isocenter.infra.db import Tx
from isocenter.infra.outbox.append import append
from isocenter.infra.outbox.events import Event, from_data, to_data
from isocenter.infra.outbox.routing import Router

_SET = """
insert into outbox.timer (name, key, due_at, subject, data)
values (%(name)s, %(key)s, %(due_at)s, %(subject)s, %(data)s::jsonb)
on conflict (name, key) do update
set due_at = excluded.due_at, subject = excluded.subject, data = excluded.data
"""


def set_timer(tx: Tx, timer: Event, *, key: str, due_at: datetime) -> None:
    """Let ``timer`` happen at ``due_at``, instead of what was set under its name and ``key``."""
    tx.run(
        _SET,
        {
            "name": timer.name,
            "key": key,
            "due_at": due_at,
            "subject": timer.subject,
            "data": to_data(timer).decode(),
        },
    )


def cancel_timer(tx: Tx, name: str, key: str) -> bool:
    """Whether a timer ``name`` with ``key`` was waiting; it will not happen."""
    return tx.run("delete from outbox.timer where name = %s and key = %s", (name, key)) > 0


_TAKE_DUE = """
with due as (
    select name, key from outbox.timer where due_at <= %(now)s and name = any(%(names)s)
    order by due_at limit 1 for update skip locked
)
delete from outbox.timer using due
where timer.name = due.name and timer.key = due.key
returning jsonb_build_array(timer.name, timer.data)
"""


def timer_names(router: Router) -> list[str]:
    """The names of the events to which this program subscribes, each of which may be a timer."""
    return sorted({each.event.name for each in router.subscriptions})


def fire_due_timer(tx: Tx, router: Router, *, now: datetime) -> bool:
    """Whether a timer was due; it is now an event of the log.

    Timers to which this program does not subscribe are left for a version that does.
    """
    taken: list[Any] | None = tx.value(_TAKE_DUE, {"now": now, "names": timer_names(router)})
    if taken is None:
        return False
    name, data = taken
    event_class = router.event_class(name)
    if event_class is None:  # the query asked for subscribed names only
        raise LookupError(name)
    append(tx, from_data(event_class, data), now=now)
    return True
