"""The SQL of reports on their way.

A recipient's lane is its rows that are queued or sent, by key. Only the head of a lane is ever
claimed, and only while no other row of the lane has a living lease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.distribution.model import Claimed
from isocenter.infra.db import Tx

_ENSURE_DESTINATIONS = """
insert into distribution.destination (recipient)
select unnest(%s::text[]) on conflict do nothing
"""


def ensure_destinations(tx: Tx, recipients: Sequence[str]) -> None:
    """Have a row for each recipient."""
    tx.run(_ENSURE_DESTINATIONS, (sorted(recipients),))


@dataclass(frozen=True, slots=True)
class Queued:
    """A delivery that has just been queued."""

    delivery_key: int
    recipient: str


_QUEUE = """
insert into distribution.delivery
       (report_id, version, accession_number, recipient, due_at, queued_at)
select %(report_id)s, %(version)s, %(accession_number)s, recipient, %(now)s, %(now)s
  from unnest(%(recipients)s::text[]) as recipient
on conflict on constraint delivery_once do nothing
returning delivery_key, recipient
"""


def queue(
    tx: Tx,
    recipients: Sequence[str],
    *,
    report_id: str,
    version: int,
    accession_number: str,
    now: datetime,
) -> list[Queued]:
    """The deliveries that did not exist before."""
    params = {
        "recipients": sorted(recipients),
        "report_id": report_id,
        "version": version,
        "accession_number": accession_number,
        "now": now,
    }
    return tx.all(Queued, _QUEUE, params)


_DUE = """
select recipient
  from distribution.destination
  cross join lateral (
       select due_at, claimed_until from distribution.delivery
        where delivery.recipient = destination.recipient and state in ('queued', 'sent')
        order by delivery_key limit 1) head
 where paused_at is null and head.due_at <= %(now)s
   and (claimed_until is null or claimed_until <= %(now)s)
 order by head.due_at, recipient
"""


def recipients_due(tx: Tx, *, now: datetime) -> list[str]:
    """Recipients with something to be sent now."""
    return tx.values(_DUE, {"now": now})


_LOCK_DESTINATION = """
select recipient from distribution.destination
 where recipient = %s and paused_at is null for update skip locked
"""
_CLAIM = """
update distribution.delivery
   set claimed_until = %(until)s, attempts = attempts + 1
 where delivery_key = (
       select delivery_key from distribution.delivery
        where recipient = %(recipient)s and state in ('queued', 'sent')
        order by delivery_key limit 1)
   and state in ('queued', 'sent') and due_at <= %(now)s
   and not exists (
       select from distribution.delivery as leased
        where leased.recipient = %(recipient)s and leased.state in ('queued', 'sent')
          and leased.claimed_until > %(now)s)
returning delivery_key, report_id, version, accession_number, recipient, attempts as attempt,
          control_id, message
"""


def lock_lane(tx: Tx, recipient: str) -> bool:
    """Whether the lane is ours until the transaction ends: not paused, and nobody else is at it."""
    return tx.value(_LOCK_DESTINATION, (recipient,)) is not None


def claim_head(tx: Tx, recipient: str, *, until: datetime, now: datetime) -> Claimed | None:
    """The head of the lane, leased. Call with the lane locked."""
    return tx.maybe(Claimed, _CLAIM, {"recipient": recipient, "until": until, "now": now})


@dataclass(frozen=True, slots=True)
class Current:
    """A delivery's row, locked."""

    delivery_key: int
    report_id: str
    version: int
    accession_number: str
    recipient: str
    state: str
    attempts: int
    sent_at: datetime | None
    control_id: str | None
    message: bytes | None


_LOCK = """
select delivery_key, report_id, version, accession_number, recipient, state, attempts, sent_at,
       control_id, message
  from distribution.delivery where delivery_key = %s for update
"""


def lock(tx: Tx, delivery_key: int) -> Current | None:
    """The delivery, locked until the transaction ends."""
    return tx.maybe(Current, _LOCK, (delivery_key,))


_SET_MESSAGE = """
update distribution.delivery set control_id = %s, message = %s where delivery_key = %s
"""


def set_message(tx: Tx, delivery_key: int, control_id: str, message: bytes) -> None:
    """Keep the bytes that every attempt sends."""
    tx.run(_SET_MESSAGE, (control_id, message, delivery_key))


_MARK_SENT = """
update distribution.delivery set state = 'sent', sent_at = coalesce(sent_at, %s)
 where delivery_key = %s
"""


def mark_sent(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """Note that the message is on its way."""
    tx.run(_MARK_SENT, (now, delivery_key))


_ACKNOWLEDGE = """
update distribution.delivery
   set state = 'acknowledged', acknowledged_at = %(now)s, sent_at = coalesce(sent_at, %(now)s),
       acknowledgement = %(acknowledgement)s, claimed_until = null, failing_since = null,
       last_error = null, refused_at = null
 where delivery_key = %(key)s
"""


def acknowledge(tx: Tx, delivery_key: int, acknowledgement: bytes, *, now: datetime) -> None:
    """Note that the recipient has it."""
    tx.run(_ACKNOWLEDGE, {"key": delivery_key, "acknowledgement": acknowledgement, "now": now})


_REFUSE = """
update distribution.delivery
   set state = 'refused', refused_at = %(now)s, acknowledgement = %(acknowledgement)s,
       claimed_until = null, failing_since = coalesce(failing_since, %(now)s),
       last_error = %(reason)s
 where delivery_key = %(key)s
"""


def refuse(
    tx: Tx, delivery_key: int, reason: str, acknowledgement: bytes | None, *, now: datetime
) -> None:
    """Park it."""
    params = {"key": delivery_key, "reason": reason, "acknowledgement": acknowledgement, "now": now}
    tx.run(_REFUSE, params)


_RETRY = """
update distribution.delivery
   set due_at = %(due_at)s, claimed_until = null, last_error = %(reason)s,
       failing_since = coalesce(failing_since, %(now)s)
 where delivery_key = %(key)s
"""


def retry(tx: Tx, delivery_key: int, reason: str, *, due_at: datetime, now: datetime) -> None:
    """Have it tried again at ``due_at``."""
    tx.run(_RETRY, {"key": delivery_key, "reason": reason, "due_at": due_at, "now": now})


_SUPERSEDED = """
select exists (select from distribution.delivery
                where report_id = %s and recipient = %s and version > %s)
"""


def superseded(tx: Tx, report_id: str, recipient: str, version: int) -> bool:
    """Whether the recipient has been given, or will be, a newer version."""
    return bool(tx.value(_SUPERSEDED, (report_id, recipient, version)))


_REQUEUE = """
update distribution.delivery
   set state = 'queued', due_at = %(now)s, queued_at = %(now)s, claimed_until = null,
       control_id = null, message = null, acknowledgement = null, sent_at = null,
       acknowledged_at = null, refused_at = null, failing_since = null, last_error = null
 where delivery_key = %(key)s
"""


def requeue(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """Have it sent as if never sent before: the message is made anew, under a new control id."""
    tx.run(_REQUEUE, {"key": delivery_key, "now": now})
