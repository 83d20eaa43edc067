"""The SQL of subscriptions to workitems. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.worklist.model_workitems import (
    Origin,
    Subscriber,
    WorklistSubscription,
)
from isocenter.infra.db import Tx, jsonb


@dataclass(frozen=True, slots=True)
class _Row:
    ae_title: str
    channel: str


@dataclass(frozen=True, slots=True)
class _RowOfWorkitem:
    workitem_key: int
    ae_title: str
    channel: str


def set_worklist_subscription(
    tx: Tx, subscription: WorklistSubscription, subscribed_by: str, now: datetime
) -> None:
    """Keep that an application entity hears of new workitems, in place of what it heard before."""
    tx.run(
        """
        insert into worklist.worklist_subscription
               (ae_title, filtered, filter, channel, deletion_lock, subscribed_by, subscribed_at)
        values (%(ae_title)s, %(filtered)s, %(filter)s, %(channel)s, %(deletion_lock)s,
                %(subscribed_by)s, %(now)s)
            on conflict (ae_title, filtered) do update
           set filter = excluded.filter, channel = excluded.channel,
               deletion_lock = excluded.deletion_lock, subscribed_by = excluded.subscribed_by,
               subscribed_at = excluded.subscribed_at
        """,
        {
            "ae_title": subscription.ae_title,
            "filtered": subscription.filtered,
            "filter": jsonb(subscription.filter),
            "channel": subscription.channel,
            "deletion_lock": subscription.deletion_lock,
            "subscribed_by": subscribed_by,
            "now": now,
        },
    )


def worklist_subscriptions(tx: Tx) -> list[WorklistSubscription]:
    """Who hears of new workitems; of one application entity that of all workitems first."""
    return tx.all(
        WorklistSubscription,
        "select ae_title, filtered, filter, channel, deletion_lock"
        " from worklist.worklist_subscription order by ae_title, filtered",
    )


def remove_worklist_subscriptions(tx: Tx, ae_title: str, kinds: Sequence[bool]) -> int:
    """How many of an application entity's worklist subscriptions there were; now there are none.

    ``kinds``: of the filtered one, the one of all workitems, or both.
    """
    return tx.run(
        "delete from worklist.worklist_subscription where ae_title = %s and filtered = any(%s)",
        (ae_title, list(kinds)),
    )


def subscribe(
    tx: Tx,
    workitem_keys: Sequence[int],
    subscriber: Subscriber,
    *,
    origin: Origin,
    deletion_lock: bool,
    now: datetime,
) -> list[int]:
    """Subscribe to workitems to which there is no subscription yet; gives their keys."""
    return tx.values(
        """
        insert into worklist.workitem_subscription
               (workitem_key, ae_title, channel, origin, deletion_lock, subscribed_at)
        select workitem_key, %(ae_title)s, %(channel)s, %(origin)s, %(deletion_lock)s, %(now)s
          from unnest(%(workitem_keys)s::bigint[]) as workitem_key order by workitem_key
            on conflict (workitem_key, ae_title) do nothing
        returning workitem_key
        """,
        {
            "workitem_keys": list(workitem_keys),
            "ae_title": subscriber.ae_title,
            "channel": subscriber.channel,
            "origin": origin,
            "deletion_lock": deletion_lock,
            "now": now,
        },
    )


def set_subscription(
    tx: Tx, workitem_key: int, subscriber: Subscriber, *, deletion_lock: bool, now: datetime
) -> None:
    """Subscribe to one workitem, in place of any subscription before."""
    tx.run(
        """
        insert into worklist.workitem_subscription
               (workitem_key, ae_title, channel, origin, deletion_lock, subscribed_at)
        values (%s, %s, %s, 'workitem', %s, %s)
            on conflict (workitem_key, ae_title) do update
           set channel = excluded.channel, origin = excluded.origin,
               deletion_lock = excluded.deletion_lock, subscribed_at = excluded.subscribed_at
        """,
        (workitem_key, subscriber.ae_title, subscriber.channel, deletion_lock, now),
    )


def unsubscribe(tx: Tx, workitem_key: int, ae_title: str) -> int:
    """1 when there was a subscription to the workitem, which is gone now; else 0."""
    return tx.run(
        "delete from worklist.workitem_subscription where workitem_key = %s and ae_title = %s",
        (workitem_key, ae_title),
    )


def unsubscribe_all(tx: Tx, ae_title: str, origins: Sequence[Origin]) -> int:
    """How many subscriptions to workitems are gone: those of these origins."""
    return tx.run(
        "delete from worklist.workitem_subscription where ae_title = %s and origin = any(%s)",
        (ae_title, [each.value for each in origins]),
    )


def subscribers(tx: Tx, workitem_key: int) -> list[tuple[str, str]]:
    """AE title and channel of those that hear of a workitem."""
    return subscribers_of(tx, [workitem_key]).get(workitem_key, [])


def subscribers_of(tx: Tx, workitem_keys: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    """By key of the workitems AE title and channel of those that hear of them, if any do."""
    rows = tx.all(
        _RowOfWorkitem,
        "select workitem_key, ae_title, channel from worklist.workitem_subscription"
        " where workitem_key = any(%s) order by workitem_key, ae_title",
        (list(workitem_keys),),
    )
    found: dict[int, list[tuple[str, str]]] = {}
    for each in rows:
        found.setdefault(each.workitem_key, []).append((each.ae_title, each.channel))
    return found


def all_subscribers(tx: Tx) -> list[tuple[str, str]]:
    """AE title and channel of everybody who hears of any workitem."""
    rows = tx.all(
        _Row,
        """
        select distinct on (ae_title) ae_title, channel from (
            select ae_title, channel from worklist.worklist_subscription
             union all
            select distinct ae_title, channel from worklist.workitem_subscription
        ) heard order by ae_title, channel
        """,
    )
    return [(each.ae_title, each.channel) for each in rows]


def subscriber_count(tx: Tx, workitem_key: int | None) -> int:
    """How many hear of a workitem; None: of new ones."""
    if workitem_key is None:
        return tx.value("select count(*) from worklist.worklist_subscription")
    return tx.value(
        "select count(*) from worklist.workitem_subscription where workitem_key = %s",
        (workitem_key,),
    )


def channel_position(tx: Tx, ae_title: str) -> int | None:
    """The last event that was sent to a web subscriber; None when none ever was."""
    return tx.value("select event_id from worklist.event_channel where ae_title = %s", (ae_title,))


def set_channel_position(tx: Tx, ae_title: str, event_id: int, now: datetime) -> None:
    """Keep how far a web subscriber has been told."""
    tx.run(
        """
        insert into worklist.event_channel as known (ae_title, event_id, updated_at)
        values (%s, %s, %s)
            on conflict (ae_title) do update
           set event_id = greatest(known.event_id, excluded.event_id),
               updated_at = excluded.updated_at
        """,
        (ae_title, event_id, now),
    )
