"""The SQL of reports on their way.

A lane of a recipient is its rows with one ``lane`` that are queued or sent, by key; what was
refused and not released holds what is behind it, but for results behind a message that says who
their patient is. Only heads of lanes are claimed, and only while nothing of the recipient has a
living lease: one sender at a time serves it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from isocenter.domain.distribution.model import Arrival, Claimed
from isocenter.infra.db import Tx

_ENSURE_DESTINATIONS = """
insert into distribution.destination (recipient)
select unnest(%s::text[]) on conflict do nothing
"""


def ensure_destinations(tx: Tx, recipients: Sequence[str]) -> None:
    """Have a row for each recipient."""
    tx.run(_ENSURE_DESTINATIONS, (sorted(recipients),))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report version for a recipient, in a lane."""

    report_id: str
    version: int
    accession_number: str
    recipient: str
    lane: str


@dataclass(frozen=True, slots=True)
class Queued:
    """A delivery that has just been queued."""

    delivery_key: int
    report_id: str
    version: int
    accession_number: str
    recipient: str


_QUEUE = """
insert into distribution.delivery
       (report_id, version, accession_number, recipient, lane, due_at, queued_at)
select report_id, version, accession_number, recipient, lane, %(now)s, %(now)s
  from unnest(%(report_ids)s::text[], %(versions)s::int[], %(numbers)s::text[],
              %(recipients)s::text[], %(lanes)s::text[]) with ordinality
       as wanted (report_id, version, accession_number, recipient, lane, position)
 order by position
on conflict on constraint delivery_once do nothing
returning delivery_key, report_id, version, accession_number, recipient
"""


def queue(tx: Tx, wanted: Sequence[Wanted], *, now: datetime) -> list[Queued]:
    """The deliveries that did not exist before, queued in the order in which they are wanted."""
    params = {
        "report_ids": [each.report_id for each in wanted],
        "versions": [each.version for each in wanted],
        "numbers": [each.accession_number for each in wanted],
        "recipients": [each.recipient for each in wanted],
        "lanes": [each.lane for each in wanted],
        "now": now,
    }
    return tx.all(Queued, _QUEUE, params)


# Nothing of its lane is before it. What is before it is looked up by the lane: a join may be
# planned, while the table is small, to visit the whole queue for each row. A patient's message that
# was refused, and those that wait for it, are not before results.
_IS_HEAD = """
          and (select true from distribution.delivery as before
                where before.recipient = head.recipient and before.lane = head.lane
                  and before.delivery_key < head.delivery_key
                  and (before.state in ('queued', 'sent') or before.quarantined_at is not null)
                  and (before.kind <> 'patient' or head.kind = 'patient'
                       or before.quarantined_at is null and not exists (
                          select from distribution.delivery as refused
                           where refused.recipient = before.recipient
                             and refused.lane = before.lane and refused.kind = 'patient'
                             and refused.delivery_key < before.delivery_key
                             and refused.quarantined_at is not null))
                limit 1) is not true
"""
# Whether anything is due is all that is asked: the first head that is found ends the search, and a
# long queue at one recipient costs the others nothing.
_DUE = "".join((
    """
select destination.recipient
  from distribution.destination
 where paused_at is null and (destination.due_at is null or destination.due_at <= %(now)s)
   and not exists (
       select from distribution.delivery as leased
        where leased.recipient = destination.recipient and leased.state in ('queued', 'sent')
          and leased.claimed_until > %(now)s)
   and (select true from distribution.delivery as head
         where head.recipient = destination.recipient and head.state in ('queued', 'sent')
           and head.due_at <= %(now)s
    """,
    _IS_HEAD,
    " limit 1) order by recipient",
))


def recipients_due(tx: Tx, *, now: datetime) -> list[str]:
    """Recipients with something to be sent now."""
    return tx.values(_DUE, {"now": now})


_LOCK_DESTINATION = """
select recipient from distribution.destination
 where recipient = %(recipient)s and paused_at is null and (due_at is null or due_at <= %(now)s)
   for update skip locked
"""
# Asked behind the lock, by a statement of its own: the lock's may not have seen the latest lease.
_CLAIMED = """
   and not exists (
       select from distribution.delivery as leased
        where leased.recipient = %(recipient)s and leased.state in ('queued', 'sent')
          and leased.claimed_until > %(now)s
          and leased.delivery_key <> all(%(besides)s::bigint[]))
returning delivery_key, kind, report_id, version, accession_number, recipient, attempts as attempt,
          control_id, message, lane, subject, occasion, told
"""
_CLAIM_HEADS = "".join((
    """
update distribution.delivery
   set claimed_until = %(until)s, attempts = attempts + 1
 where delivery_key in (
       select delivery_key from distribution.delivery as head
        where head.recipient = %(recipient)s and state in ('queued', 'sent') and due_at <= %(now)s
          and head.delivery_key <> all(%(besides)s::bigint[])
    """,
    _IS_HEAD,
    " order by urgency, due_at, delivery_key limit %(most)s)",
))
_CLAIM_FIRST = """
update distribution.delivery
   set claimed_until = %(until)s, attempts = attempts + 1
 where delivery_key in (
       select delivery_key
         from (select delivery_key,
                      bool_and(due_at <= %(now)s) over (order by delivery_key) as is_due
                 from (select delivery_key, due_at from distribution.delivery as waiting
                        where waiting.recipient = %(recipient)s and state in ('queued', 'sent')
                          and (select true from distribution.delivery as before
                                where before.recipient = waiting.recipient
                                  and before.lane = waiting.lane
                                  and before.delivery_key < waiting.delivery_key
                                  and before.quarantined_at is not null
                                  and (before.kind <> 'patient' or waiting.kind = 'patient')
                                limit 1) is not true
                        order by delivery_key limit %(most)s) as first) as counted
        where is_due)
"""


def lock_destination(tx: Tx, recipient: str, *, now: datetime) -> bool:
    """Whether the recipient is ours until the transaction ends.

    That is: it is not paused or to be left alone, and nobody else is at it.
    """
    return tx.value(_LOCK_DESTINATION, {"recipient": recipient, "now": now}) is not None


def claim(
    tx: Tx, recipient: str, *, strict: bool, most: int, until: datetime, now: datetime
) -> list[Claimed]:
    """Heads of lanes, or the first rows of all, leased. Call with the destination locked."""
    statement = "".join((_CLAIM_FIRST if strict else _CLAIM_HEADS, _CLAIMED))
    return _claimed(tx, statement, recipient, (), {"until": until, "now": now, "most": most})


def claim_besides(
    tx: Tx, recipient: str, keys: Sequence[int], *, most: int, until: datetime, now: datetime
) -> list[Claimed]:
    """As ``claim``, heads of lanes, also while these deliveries are leased: to the caller."""
    statement = "".join((_CLAIM_HEADS, _CLAIMED))
    return _claimed(tx, statement, recipient, keys, {"until": until, "now": now, "most": most})


def _claimed(
    tx: Tx,
    statement: LiteralString,
    recipient: str,
    besides: Sequence[int],
    params: Mapping[str, object],
) -> list[Claimed]:
    said = {**params, "recipient": recipient, "besides": list(besides)}
    return sorted(tx.all(Claimed, statement, said), key=lambda each: each.delivery_key)


_KEEP = """
update distribution.delivery set claimed_until = %s
  from unnest(%s::bigint[], %s::int[]) as held (delivery_key, attempt)
 where delivery.delivery_key = held.delivery_key
   and delivery.attempts = held.attempt and state in ('queued', 'sent')
"""


def keep(tx: Tx, claims: Sequence[Claimed], *, until: datetime) -> None:
    """Have leases end later."""
    keys, attempts = [each.delivery_key for each in claims], [each.attempt for each in claims]
    tx.run(_KEEP, (until, keys, attempts))


_GIVE_BACK = """
update distribution.delivery set claimed_until = null, attempts = attempts - 1
  from unnest(%s::bigint[], %s::int[]) as untouched (delivery_key, attempt)
 where delivery.delivery_key = untouched.delivery_key
   and delivery.attempts = untouched.attempt and state in ('queued', 'sent')
"""


def give_back(tx: Tx, claims: Sequence[Claimed]) -> None:
    """End leases without a result."""
    keys, attempts = [each.delivery_key for each in claims], [each.attempt for each in claims]
    tx.run(_GIVE_BACK, (keys, attempts))


@dataclass(frozen=True, slots=True)
class Current:
    """A delivery's row, locked."""

    delivery_key: int
    kind: str
    subject: str
    occasion: str
    report_id: str | None
    version: int | None
    accession_number: str
    recipient: str
    state: str
    attempts: int
    sent_at: datetime | None
    control_id: str | None
    claimed_until: datetime | None
    quarantined_at: datetime | None


_CURRENT = """
select delivery_key, kind, subject, occasion, report_id, version, accession_number, recipient,
       state, attempts, sent_at, control_id, claimed_until, quarantined_at
  from distribution.delivery
"""
_LOCK = "".join((_CURRENT, " where delivery_key = %s for update"))
_LOCK_MANY = "".join((_CURRENT, " where delivery_key = any(%s) order by delivery_key for update"))


def lock(tx: Tx, delivery_key: int) -> Current | None:
    """The delivery, locked until the transaction ends."""
    return tx.maybe(Current, _LOCK, (delivery_key,))


def lock_many(tx: Tx, delivery_keys: Sequence[int]) -> list[Current]:
    """The deliveries that there are, locked until the transaction ends."""
    return tx.all(Current, _LOCK_MANY, (list(delivery_keys),))


_SET_MESSAGES = """
update distribution.delivery
   set control_id = coalesce(delivery.control_id, made.control_id),
       message = coalesce(delivery.message, made.message)
  from unnest(%(keys)s::bigint[], %(attempts)s::int[], %(control_ids)s::text[],
              %(messages)b::bytea[]) as made (delivery_key, attempt, control_id, message)
 where delivery.delivery_key = made.delivery_key and delivery.attempts = made.attempt
   and state in ('queued', 'sent')
returning delivery.delivery_key, delivery.control_id,
          case when delivery.control_id <> made.control_id then delivery.message end as message
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Which message is sent; ``message`` is None when it is the one that was given."""

    delivery_key: int
    control_id: str
    message: bytes | None


def set_messages(tx: Tx, made: Sequence[Claimed]) -> list[Kept]:
    """Keep the bytes that every attempt sends; a claim that is lost is left out."""
    params = {
        "keys": [each.delivery_key for each in made],
        "attempts": [each.attempt for each in made],
        "control_ids": [each.control_id for each in made],
        "messages": [each.message for each in made],
    }
    return tx.all(Kept, _SET_MESSAGES, params)


_MARK_SENT = """
update distribution.delivery set state = 'sent', sent_at = coalesce(sent_at, %s)
 where delivery_key = %s
"""


def mark_sent(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """Note that the message is on its way."""
    tx.run(_MARK_SENT, (now, delivery_key))


_ACKNOWLEDGE = """
update distribution.delivery
   set state = 'acknowledged', acknowledged_at = %(now)s,
       sent_at = coalesce(delivery.sent_at, held.said_sent_at),
       acknowledgement = held.said_acknowledgement, claimed_until = null, failing_since = null,
       last_error = null, refused_at = null, quarantined_at = null
  from (select before.*, said.control_id as said_control_id, said.sent_at as said_sent_at,
               said.acknowledgement as said_acknowledgement
          from distribution.delivery as before
          join unnest(%(keys)s::bigint[], %(control_ids)s::text[],
                      %(acknowledgements)b::bytea[], %(sent)s::timestamptz[])
               as said (delivery_key, control_id, acknowledgement, sent_at) using (delivery_key)
         order by before.delivery_key for update of before) as held
 where delivery.delivery_key = held.delivery_key and held.state <> 'acknowledged'
   and held.control_id is not distinct from held.said_control_id
returning held.delivery_key, held.kind, held.subject, held.occasion, held.report_id, held.version,
          held.accession_number, held.recipient, held.state, held.attempts, held.sent_at,
          held.control_id, held.claimed_until, held.quarantined_at
"""


def acknowledge(tx: Tx, arrivals: Sequence[Arrival], *, now: datetime) -> list[Current]:
    """What recipients have now, as it was before.

    What was acknowledged before, or is another message by now, is left out and as it was.
    """
    params = {
        "keys": [each.claimed.delivery_key for each in arrivals],
        "control_ids": [each.claimed.control_id for each in arrivals],
        "acknowledgements": [each.acknowledgement for each in arrivals],
        "sent": [each.sent_at for each in arrivals],
        "now": now,
    }
    return sorted(tx.all(Current, _ACKNOWLEDGE, params), key=lambda each: each.delivery_key)


_REFUSE = """
update distribution.delivery
   set state = 'refused', refused_at = %(now)s, acknowledgement = %(acknowledgement)s,
       quarantined_at = %(now)s, claimed_until = null,
       failing_since = coalesce(failing_since, %(now)s), last_error = %(reason)s
 where delivery_key = %(key)s
"""


def refuse(
    tx: Tx, delivery_key: int, reason: str, acknowledgement: bytes | None, *, now: datetime
) -> None:
    """Park it; what is behind it in its lane waits."""
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


# Of messages that tell how something is, a later one says all that an earlier one said; messages
# that tell of a step (a number moved, a charge) say what no other does.
_SUPERSEDED = """
select delivery_key from distribution.delivery as old
 where delivery_key = any(%s)
   and case when old.kind = 'report' then exists (
           select from distribution.delivery as newer
            where newer.report_id = old.report_id and newer.recipient = old.recipient
              and newer.version > old.version)
       else exists (
           select from distribution.delivery as newer
            where newer.kind <> 'report' and newer.kind = old.kind and newer.subject = old.subject
              and newer.recipient = old.recipient and newer.delivery_key > old.delivery_key
              and case newer.kind
                  when 'charge' then false
                  when 'patient' then
                       (old.occasion in ('A28', 'A31') and newer.occasion in ('A28', 'A31'))
                       or (old.occasion in ('A37', 'A40') and newer.occasion in ('A37', 'A40'))
                  else true end)
       end
"""


def superseded(tx: Tx, delivery_keys: Sequence[int]) -> set[int]:
    """Those of which the recipient has been told, or will be, something newer instead."""
    return set(tx.values(_SUPERSEDED, (list(delivery_keys),)))


_REQUEUE = """
update distribution.delivery
   set state = 'queued', due_at = anew.due_at, queued_at = %(now)s, urgency = %(urgency)s,
       claimed_until = null, quarantined_at = null, control_id = null, message = null,
       acknowledgement = null, sent_at = null,
       acknowledged_at = null, refused_at = null, failing_since = null, last_error = null
  from unnest(%(keys)s::bigint[], %(due)s::timestamptz[]) as anew (delivery_key, due_at)
 where delivery.delivery_key = anew.delivery_key
"""


def requeue(
    tx: Tx, delivery_key: int, *, urgency: int = 0, due_at: datetime, now: datetime
) -> None:
    """Have it sent as if never sent before: the message is made anew, under a new control id."""
    requeue_all(tx, {delivery_key: due_at}, urgency=urgency, now=now)


def requeue_all(tx: Tx, due_at: Mapping[int, datetime], *, urgency: int = 0, now: datetime) -> None:
    """As ``requeue`` for many, each at its time."""
    params = {"keys": list(due_at), "due": list(due_at.values()), "urgency": urgency, "now": now}
    tx.run(_REQUEUE, params)
