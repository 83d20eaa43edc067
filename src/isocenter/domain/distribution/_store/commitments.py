"""The SQL of storage commitments: those that peers ask of us, and those that we ask of peers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.distribution.model import ClaimedCommitment, Commitment
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class Known:
    """A request that came before under the same transaction UID, locked."""

    commitment_key: int
    peer: str
    request_digest: bytes
    state: str


_KNOWN = """
select commitment_key, peer, request_digest, state from distribution.commitment
 where transaction_uid = %s and not duplicate for update
"""


def known(tx: Tx, transaction_uid: str) -> Known | None:
    """The request that has this transaction UID, locked."""
    return tx.maybe(Known, _KNOWN, (transaction_uid,))


_INSERT = """
insert into distribution.commitment (
    peer, address, transaction_uid, request_digest, sop_class_uids, sop_instance_uids, duplicate,
    due_at, held_until, requested_at)
values (%(peer)s, %(address)s, %(transaction_uid)s, %(digest)s, %(classes)s, %(instances)s,
        %(duplicate)s, %(now)s, %(held_until)s, %(now)s)
on conflict (transaction_uid) where not duplicate do nothing
returning commitment_key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A new request. ``duplicate``: its transaction UID is in use."""

    peer: str
    address: str
    transaction_uid: str
    references: Sequence[tuple[str, str]]
    request_digest: bytes
    duplicate: bool


def insert(tx: Tx, asked: Asked, *, held_until: datetime, now: datetime) -> int | None:
    """The key of the new request; None when another came under this UID at the same moment."""
    params = {
        "peer": asked.peer,
        "address": asked.address,
        "transaction_uid": asked.transaction_uid,
        "digest": asked.request_digest,
        "classes": [each[0] for each in asked.references],
        "instances": [each[1] for each in asked.references],
        "duplicate": asked.duplicate,
        "held_until": held_until,
        "now": now,
    }
    return tx.value(_INSERT, params)


_REOPEN = """
update distribution.commitment
   set state = 'requested', failure_reasons = null, decided_at = null, reported_at = null,
       due_at = %(now)s, claimed_until = null, held_until = %(held_until)s, attempts = attempts + 1,
       failing_since = null, last_error = null, address = %(address)s
 where commitment_key = %(key)s
"""


def reopen(
    tx: Tx, commitment_key: int, *, address: str, held_until: datetime, now: datetime
) -> None:
    """Have it decided and answered once more."""
    params = {"key": commitment_key, "address": address, "held_until": held_until, "now": now}
    tx.run(_REOPEN, params)


_CLAIM_DUE = """
update distribution.commitment set claimed_until = %(until)s, attempts = attempts + 1
 where commitment_key = (
       select commitment_key from distribution.commitment
        where state in ('requested', 'decided') and due_at <= %(now)s
          and (claimed_until is null or claimed_until <= %(now)s)
          and (state = 'requested' or held_until is null or held_until <= %(now)s)
        order by due_at limit 1 for update skip locked)
returning commitment_key, peer, address, transaction_uid, sop_class_uids, sop_instance_uids,
          failure_reasons, duplicate, attempts as attempt, requested_at
"""


def claim_due(tx: Tx, *, until: datetime, now: datetime) -> ClaimedCommitment | None:
    """A request that is to be decided or answered now, leased."""
    return tx.maybe(ClaimedCommitment, _CLAIM_DUE, {"until": until, "now": now})


_CLAIM_ANSWER = """
update distribution.commitment set claimed_until = %(until)s, attempts = attempts + 1
 where commitment_key = %(key)s and state = 'decided'
   and (claimed_until is null or claimed_until <= %(now)s)
returning commitment_key, peer, address, transaction_uid, sop_class_uids, sop_instance_uids,
          failure_reasons, duplicate, attempts as attempt, requested_at
"""


def claim_answer(
    tx: Tx, commitment_key: int, *, until: datetime, now: datetime
) -> ClaimedCommitment | None:
    """That request, leased, when it is decided and nobody is answering it."""
    params = {"key": commitment_key, "until": until, "now": now}
    return tx.maybe(ClaimedCommitment, _CLAIM_ANSWER, params)


_HOLD = """
update distribution.commitment set held_until = %(until)s
 where commitment_key = %(key)s and state in ('requested', 'decided')
returning state
"""


def hold(tx: Tx, commitment_key: int, *, until: datetime) -> str | None:
    """The state of an open request, whose answer is left to its association until then."""
    return tx.value(_HOLD, {"key": commitment_key, "until": until})


_RELEASE = """
update distribution.commitment set held_until = null
 where commitment_key = %s and state in ('requested', 'decided')
"""


def release(tx: Tx, commitment_key: int) -> None:
    """Leave the answer to whoever looks first."""
    tx.run(_RELEASE, (commitment_key,))


_CURRENT = """
select attempts from distribution.commitment
 where commitment_key = %s and state in ('requested', 'decided') for update
"""


def attempts(tx: Tx, commitment_key: int) -> int | None:
    """How often an open request was claimed, its row locked; None when it is not open."""
    return tx.value(_CURRENT, (commitment_key,))


_EXTEND_LEASE = """
update distribution.commitment set claimed_until = %(until)s where commitment_key = %(key)s
"""


def extend_lease(tx: Tx, commitment_key: int, *, until: datetime) -> None:
    """Keep the claim."""
    tx.run(_EXTEND_LEASE, {"key": commitment_key, "until": until})


_DECIDE = """
update distribution.commitment
   set state = 'decided', failure_reasons = %(reasons)s, decided_at = %(now)s, due_at = %(now)s,
       claimed_until = null, failing_since = null, last_error = null
 where commitment_key = %(key)s
"""


def decide(tx: Tx, commitment_key: int, reasons: Sequence[int], *, now: datetime) -> None:
    """Note for which instances we can answer."""
    tx.run(_DECIDE, {"key": commitment_key, "reasons": list(reasons), "now": now})


_REPORTED = """
update distribution.commitment
   set state = 'reported', reported_at = %(now)s, claimed_until = null, failing_since = null,
       last_error = null
 where commitment_key = %(key)s
"""


def mark_reported(tx: Tx, commitment_key: int, *, now: datetime) -> None:
    """Note that the peer has the answer."""
    tx.run(_REPORTED, {"key": commitment_key, "now": now})


_RETRY = """
update distribution.commitment
   set due_at = %(due_at)s, claimed_until = null, held_until = null, last_error = %(reason)s,
       failing_since = coalesce(failing_since, %(now)s),
       state = case when %(give_up)s then 'refused' else state end
 where commitment_key = %(key)s
"""


def retry(
    tx: Tx, commitment_key: int, reason: str, *, give_up: bool, due_at: datetime, now: datetime
) -> None:
    """Have it tried again at ``due_at``, or park it."""
    params = {
        "key": commitment_key,
        "reason": reason,
        "give_up": give_up,
        "due_at": due_at,
        "now": now,
    }
    tx.run(_RETRY, params)


_RECENT = """
select commitment_key, peer, transaction_uid, state, cardinality(sop_instance_uids) as instances,
       (select count(*) from unnest(failure_reasons) as reason where reason <> 0)::int as failed,
       attempts, requested_at, decided_at, reported_at, last_error
  from distribution.commitment
 order by requested_at desc, commitment_key desc limit %s
"""


def recent(tx: Tx, *, limit: int) -> list[Commitment]:
    """Requests of peers, newest first."""
    return tx.all(Commitment, _RECENT, (limit,))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transfer whose commitment is to be asked for now.

    Attributes:
        lost: it was asked for before and no answer came.
    """

    delivery_key: int
    recipient: str
    study_instance_uid: str
    series_instance_uids: list[str]
    after_key: int
    through_key: int
    attempts: int
    lost: bool


_CLAIM_WANTED = """
update distribution.transfer
   set commitment = 'requested', transaction_uid = %(transaction_uid)s,
       commitment_due_at = %(answer_by)s, commitment_attempts = commitment_attempts + 1
 where delivery_key = (
       select delivery_key from distribution.transfer
        join distribution.image_destination using (recipient)
        where commitment in ('due', 'requested') and commitment_due_at <= %(now)s
          and paused_at is null
        order by commitment_due_at limit 1 for update of transfer skip locked)
returning delivery_key, recipient, study_instance_uid, series_instance_uids, after_key,
          through_key, commitment_attempts as attempts, commitment_error is not null as lost
"""


def claim_wanted(
    tx: Tx, transaction_uid: str, *, answer_by: datetime, now: datetime
) -> Wanted | None:
    """A transfer whose commitment is to be asked for now, under this transaction UID."""
    params = {"transaction_uid": transaction_uid, "answer_by": answer_by, "now": now}
    return tx.maybe(Wanted, _CLAIM_WANTED, params)


_POSTPONE_WANTED = """
update distribution.transfer
   set commitment = case when %(give_up)s then 'failed' else 'due' end,
       commitment_due_at = %(due_at)s, commitment_error = %(reason)s,
       commitment_at = case when %(give_up)s then %(now)s::timestamptz end
 where transaction_uid = %(transaction_uid)s and commitment = 'requested'
"""


def postpone_wanted(
    tx: Tx,
    transaction_uid: str,
    reason: str,
    *,
    give_up: bool,
    due_at: datetime,
    now: datetime,
) -> None:
    """Have the commitment asked for again at ``due_at``, or no more."""
    params = {
        "transaction_uid": transaction_uid,
        "reason": reason,
        "give_up": give_up,
        "due_at": due_at,
        "now": now,
    }
    tx.run(_POSTPONE_WANTED, params)


_SETTLE_WANTED = """
update distribution.transfer
   set commitment = %(state)s, commitment_at = %(now)s, commitment_error = %(reason)s,
       commitment_due_at = null
 where delivery_key = %(key)s
"""


def settle_wanted(
    tx: Tx, delivery_key: int, *, committed: bool, reason: str | None, now: datetime
) -> None:
    """Note what the destination answered."""
    params = {
        "key": delivery_key,
        "state": "committed" if committed else "failed",
        "reason": reason,
        "now": now,
    }
    tx.run(_SETTLE_WANTED, params)


@dataclass(frozen=True, slots=True)
class Current:
    """A request's row, locked."""

    transaction_uid: str
    address: str
    state: str


_LOCK = """
select transaction_uid, address, state from distribution.commitment
 where commitment_key = %s for update
"""


def lock(tx: Tx, commitment_key: int) -> Current | None:
    """The request, locked until the transaction ends."""
    return tx.maybe(Current, _LOCK, (commitment_key,))


_PRUNE = """
delete from distribution.commitment
 where commitment_key in (
       select commitment_key from distribution.commitment
        where state in ('reported', 'refused') and requested_at < %s
        order by requested_at limit 1000)
"""


def prune(tx: Tx, *, before: datetime) -> int:
    """How many requests that ended, at most a thousand, were older and are gone."""
    return tx.run(_PRUNE, (before,))
