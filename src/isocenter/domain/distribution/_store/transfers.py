"""The SQL of images on their way. As with reports, only the head of a lane is ever claimed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.distribution.model import ClaimedTransfer, Progress, Route, TransferKind
from isocenter.infra.db import Tx, jsonb

_ENSURE_DESTINATION = """
insert into distribution.image_destination (recipient) values (%s) on conflict do nothing
"""


def ensure_destination(tx: Tx, recipient: str) -> None:
    """Have a row for the destination."""
    tx.run(_ENSURE_DESTINATION, (recipient,))


@dataclass(frozen=True, slots=True)
class Newest:
    """How far a route has brought a study.

    Attributes:
        untouched: nobody has begun with it: more may still be added.
    """

    delivery_key: int
    through_key: int
    untouched: bool


_NEWEST = """
select delivery_key, through_key, state = 'queued' and attempts = 0 as untouched
  from distribution.transfer
 where kind = %(kind)s and route_name = %(route)s and recipient = %(recipient)s
   and study_instance_uid = %(study)s
 order by through_key desc, delivery_key desc limit 1 for update
"""


def newest(tx: Tx, kind: TransferKind, route: Route, study: str) -> Newest | None:
    """The newest transfer of a study by a route, locked."""
    params = {
        "kind": kind.value,
        "route": route.name,
        "recipient": route.recipient,
        "study": study,
    }
    return tx.maybe(Newest, _NEWEST, params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """The instances of a transfer."""

    study_instance_uid: str
    accession_number: str
    series_instance_uids: Sequence[str]
    after_key: int
    through_key: int
    instances: int


_QUEUE = """
insert into distribution.transfer (
    kind, route_name, recipient, study_instance_uid, accession_number, series_instance_uids,
    after_key, through_key, sent_key, instances, urgency, transfer_syntax_uid, wants_commitment,
    due_at, queued_at)
values (
    %(kind)s, %(route)s, %(recipient)s, %(study)s, %(accession_number)s, %(series)s, %(after)s,
    %(through)s, %(after)s, %(instances)s, %(urgency)s, %(transfer_syntax_uid)s,
    %(wants_commitment)s, %(now)s, %(now)s)
on conflict on constraint transfer_once do nothing
returning delivery_key
"""


def queue(
    tx: Tx, kind: TransferKind, route: Route, portion: Portion, *, now: datetime
) -> int | None:
    """The key of the new transfer; None when it is queued already."""
    params = {
        "kind": kind.value,
        "route": route.name,
        "recipient": route.recipient,
        "study": portion.study_instance_uid,
        "accession_number": portion.accession_number,
        "series": list(portion.series_instance_uids),
        "after": portion.after_key,
        "through": portion.through_key,
        "instances": portion.instances,
        "urgency": route.priority.urgency,
        "transfer_syntax_uid": route.transfer_syntax_uid,
        "wants_commitment": route.wants_commitment and kind is TransferKind.IMAGES,
        "now": now,
    }
    return tx.value(_QUEUE, params)


_HOLDERS = """
select distinct recipient from distribution.transfer
 where study_instance_uid = %s and kind = 'images'
   and (sent_at is not null or claimed_until is not null)
 order by recipient
"""
_QUEUE_NOTE = """
insert into distribution.transfer (
    kind, route_name, recipient, study_instance_uid, accession_number, series_instance_uids,
    after_key, through_key, sent_key, instances, urgency, wants_commitment, due_at, queued_at,
    note_sop_instance_uid)
select 'rejection', '', %(recipient)s, %(study)s, max(accession_number), '{}', count(*) filter (
           where kind = 'rejection'), count(*) filter (where kind = 'rejection') + 1,
       count(*) filter (where kind = 'rejection'), 1, %(urgency)s, false, %(now)s, %(now)s, %(note)s
  from distribution.transfer
 where recipient = %(recipient)s and study_instance_uid = %(study)s
having not coalesce(bool_or(note_sop_instance_uid = %(note)s), false)
returning delivery_key
"""
_QUEUE_AVAILABILITY = """
insert into distribution.transfer (
    kind, route_name, recipient, study_instance_uid, accession_number, series_instance_uids,
    after_key, through_key, sent_key, instances, urgency, wants_commitment, due_at, queued_at)
select distinct on (recipient, route_name)
       kind, route_name, recipient, study_instance_uid, accession_number, series_instance_uids,
       through_key, through_key, through_key, 0, urgency, false, %(now)s, %(now)s
  from distribution.transfer
 where study_instance_uid = %(study)s and kind = 'availability' and acknowledged_at is not null
 order by recipient, route_name, through_key desc, delivery_key desc
on conflict on constraint transfer_once do nothing
returning delivery_key
"""


def holders(tx: Tx, study: str) -> list[str]:
    """The destinations that got images of the study, or are getting them."""
    return tx.values(_HOLDERS, (study,))


def queue_note(
    tx: Tx, recipient: str, study: str, note_sop_instance_uid: str, *, urgency: int, now: datetime
) -> int | None:
    """The key of the transfer that brings a note; None when there is one. The lane is locked."""
    params = {
        "recipient": recipient,
        "study": study,
        "note": note_sop_instance_uid,
        "urgency": urgency,
        "now": now,
    }
    return tx.value(_QUEUE_NOTE, params)


def queue_availability_again(tx: Tx, study: str, *, now: datetime) -> list[int]:
    """The keys of the transfers by which those who were told of the study are told again."""
    return tx.values(_QUEUE_AVAILABILITY, {"study": study, "now": now})


_EXTEND = """
update distribution.transfer
   set through_key = %(through)s, instances = instances + %(instances)s,
       series_instance_uids = array(
           select unnest(series_instance_uids) union select unnest(%(series)s::text[]) order by 1)
 where delivery_key = %(key)s
"""


def extend(tx: Tx, delivery_key: int, portion: Portion) -> None:
    """Add a portion to a transfer that nobody has begun with."""
    params = {
        "key": delivery_key,
        "through": portion.through_key,
        "instances": portion.instances,
        "series": list(portion.series_instance_uids),
    }
    tx.run(_EXTEND, params)


_DUE = """
select recipient
  from distribution.image_destination as destination
  cross join lateral (
       select due_at, claimed_until from distribution.transfer
        where transfer.recipient = destination.recipient and state in ('queued', 'sent')
        order by urgency, delivery_key limit 1) head
 where paused_at is null and due_at <= %(now)s
   and not exists (
       select from distribution.transfer as leased
        where leased.recipient = destination.recipient and leased.state in ('queued', 'sent')
          and leased.claimed_until > %(now)s)
 order by due_at, recipient
"""


def destinations_due(tx: Tx, *, now: datetime) -> list[str]:
    """Destinations with something to be sent now."""
    return tx.values(_DUE, {"now": now})


_LOCK_DESTINATION = """
select recipient from distribution.image_destination
 where recipient = %s and paused_at is null for update skip locked
"""
_CLAIM = """
update distribution.transfer
   set claimed_until = %(until)s, attempts = attempts + 1
 where delivery_key = (
       select delivery_key from distribution.transfer
        where recipient = %(recipient)s and state in ('queued', 'sent')
        order by urgency, delivery_key limit 1)
   and state in ('queued', 'sent') and due_at <= %(now)s
   and not exists (
       select from distribution.transfer as leased
        where leased.recipient = %(recipient)s and leased.state in ('queued', 'sent')
          and leased.claimed_until > %(now)s)
returning delivery_key, kind, route_name, recipient, study_instance_uid, accession_number,
          series_instance_uids, sent_key, through_key, urgency, transfer_syntax_uid,
          wants_commitment, attempts as attempt, breaks, note_sop_instance_uid
"""


_LOCK_FOR_QUEUEING = """
select recipient from distribution.image_destination where recipient = %s for update
"""


def lock_destination(tx: Tx, recipient: str) -> None:
    """Have whoever queues for the destination take turns, and a row for it."""
    tx.run(_ENSURE_DESTINATION, (recipient,))
    tx.run(_LOCK_FOR_QUEUEING, (recipient,))


def lock_lane(tx: Tx, recipient: str) -> bool:
    """Whether the lane is ours until the transaction ends: not paused, and nobody else is at it."""
    return tx.value(_LOCK_DESTINATION, (recipient,)) is not None


def claim_head(tx: Tx, recipient: str, *, until: datetime, now: datetime) -> ClaimedTransfer | None:
    """The head of the lane, leased. Call with the lane locked."""
    return tx.maybe(ClaimedTransfer, _CLAIM, {"recipient": recipient, "until": until, "now": now})


@dataclass(frozen=True, slots=True)
class Current:
    """A transfer's row, locked."""

    delivery_key: int
    kind: str
    recipient: str
    study_instance_uid: str
    accession_number: str
    state: str
    attempts: int
    instances: int
    instances_failed: int
    sent_at: datetime | None
    commitment: str | None
    transaction_uid: str | None


_LOCK = """
select delivery_key, kind, recipient, study_instance_uid, accession_number, state, attempts,
       instances, instances_failed, sent_at, commitment, transaction_uid
  from distribution.transfer where delivery_key = %s for update
"""


def lock(tx: Tx, delivery_key: int) -> Current | None:
    """The transfer, locked until the transaction ends."""
    return tx.maybe(Current, _LOCK, (delivery_key,))


_LOCK_TRANSACTION = """
select delivery_key, kind, recipient, study_instance_uid, accession_number, state, attempts,
       instances, instances_failed, sent_at, commitment, transaction_uid
  from distribution.transfer where transaction_uid = %s for update
"""


def lock_transaction(tx: Tx, transaction_uid: str) -> Current | None:
    """The transfer whose commitment was asked for by this transaction, locked."""
    return tx.maybe(Current, _LOCK_TRANSACTION, (transaction_uid,))


FAILURES_KEPT = 100

_PROGRESS = """
update distribution.transfer
   set sent_key = %(sent_key)s, instances_sent = instances_sent + %(sent)s,
       instances_failed = instances_failed + %(failed)s,
       failures = case when jsonb_array_length(failures) < %(kept)s
                       then failures || %(failures)s else failures end,
       state = case when %(sent)s > 0 then 'sent' else state end,
       sent_at = case when %(sent)s > 0 then coalesce(sent_at, %(now)s) else sent_at end,
       claimed_until = %(until)s, breaks = 0
 where delivery_key = %(key)s
"""


def progress(tx: Tx, delivery_key: int, done: Progress, *, until: datetime, now: datetime) -> None:
    """Note how far it is, and keep the lease."""
    params = {
        "key": delivery_key,
        "sent_key": done.sent_key,
        "sent": done.sent,
        "failed": len(done.failures),
        "failures": jsonb(list(done.failures[:FAILURES_KEPT])),
        "kept": FAILURES_KEPT,
        "until": until,
        "now": now,
    }
    tx.run(_PROGRESS, params)


_EXTEND_LEASE = """
update distribution.transfer set claimed_until = %(until)s where delivery_key = %(key)s
"""


def extend_lease(tx: Tx, delivery_key: int, *, until: datetime) -> None:
    """Keep the claim."""
    tx.run(_EXTEND_LEASE, {"key": delivery_key, "until": until})


_ACKNOWLEDGE = """
update distribution.transfer
   set state = 'acknowledged', acknowledged_at = %(now)s, sent_at = coalesce(sent_at, %(now)s),
       claimed_until = null, failing_since = null, last_error = null, refused_at = null,
       commitment = case when wants_commitment and instances_sent > 0 then 'due' end,
       commitment_due_at = case when wants_commitment and instances_sent > 0 then %(now)s end,
       commitment_attempts = 0, commitment_at = null, commitment_error = null,
       transaction_uid = null
 where delivery_key = %(key)s
"""


def acknowledge(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """Note that the destination has all of it."""
    tx.run(_ACKNOWLEDGE, {"key": delivery_key, "now": now})


_REFUSE = """
update distribution.transfer
   set state = 'refused', refused_at = %(now)s, claimed_until = null,
       failing_since = coalesce(failing_since, %(now)s), last_error = %(reason)s
 where delivery_key = %(key)s
"""


def refuse(tx: Tx, delivery_key: int, reason: str, *, now: datetime) -> None:
    """Park it."""
    tx.run(_REFUSE, {"key": delivery_key, "reason": reason, "now": now})


_RETRY = """
update distribution.transfer
   set due_at = %(due_at)s, claimed_until = null, last_error = %(reason)s,
       failing_since = coalesce(failing_since, %(now)s), breaks = breaks + %(breaks)s
 where delivery_key = %(key)s
"""


def retry(
    tx: Tx, delivery_key: int, reason: str, *, broke: bool, due_at: datetime, now: datetime
) -> None:
    """Have it tried again at ``due_at``."""
    params = {
        "key": delivery_key,
        "reason": reason,
        "breaks": int(broke),
        "due_at": due_at,
        "now": now,
    }
    tx.run(_RETRY, params)


_GIVE_BACK = """
update distribution.transfer set due_at = %(now)s, claimed_until = null
 where delivery_key = %(key)s
"""


def give_back(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """End the lease: another may go on at once."""
    tx.run(_GIVE_BACK, {"key": delivery_key, "now": now})


_REQUEUE = """
update distribution.transfer
   set state = 'queued', due_at = %(now)s, queued_at = %(now)s, claimed_until = null,
       sent_key = after_key, instances_sent = 0, instances_failed = 0, failures = '[]', breaks = 0,
       sent_at = null, acknowledged_at = null, refused_at = null, failing_since = null,
       last_error = null, commitment = null, commitment_due_at = null, commitment_at = null,
       commitment_error = null, transaction_uid = null
 where delivery_key = %(key)s
"""


def requeue(tx: Tx, delivery_key: int, *, now: datetime) -> None:
    """Have it sent as if never sent before."""
    tx.run(_REQUEUE, {"key": delivery_key, "now": now})
