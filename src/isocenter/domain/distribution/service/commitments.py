"""Storage commitment both ways: peers hold us to their images, and we hold them to ours.

A peer's request is a row before it is confirmed. Whoever works on it claims it under a lease; its
answer is repeated until the peer has it.

Standard: PS3.4 Annex J
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_outgoing import InstanceSpan
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.distribution._store import commitments as _store
from isocenter.domain.distribution._store import transfers as _transfers
from isocenter.domain.distribution.events import (
    CommitmentReported,
    CommitmentRequested,
    ImagesCommitted,
)
from isocenter.domain.distribution.model import (
    ClaimedCommitment,
    ClaimLost,
    Commitment,
    CommitmentState,
    DeliveryInProgress,
    UnknownDelivery,
)
from isocenter.domain.distribution.service.audited import audit
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_SENDER = Actor.system("dicom.sender")
_REASON_LENGTH_MAX = 500
_OPEN = frozenset({CommitmentState.REQUESTED.value, CommitmentState.DECIDED.value})
REPORT_TRIED_FOR = timedelta(days=3)
ASK_ATTEMPTS_MAX = 8
_KEPT = timedelta(days=90)
_ASK_INSTANCES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """What a peer asks: SOP class and instance of each object, under its transaction UID."""

    transaction_uid: str
    references: Sequence[tuple[str, str]]

    @property
    def digest(self) -> bytes:
        """The same for the same instances, in whatever order."""
        lines = sorted(f"{sop_class} {instance}" for sop_class, instance in self.references)
        return hashlib.sha256("\n".join(lines).encode()).digest()


def request_commitment(
    tx: Tx, actor: Actor, request: CommitmentRequest, *, hold_s: float, now: datetime
) -> int:
    """The key under which the peer's request is known from the commit of this transaction on.

    The same request again, also after it was answered, is worked on once more under the same key.
    Other instances under a transaction UID that is in use are all answered with failure (0131H).
    For ``hold_s`` the answer is left to the association on which it was asked.
    """
    authorize(actor, Action.STUDY_STORE)
    held_until = now + timedelta(seconds=hold_s)
    known = _store.known(tx, request.transaction_uid)
    if known and known.peer == actor.name and known.request_digest == request.digest:
        if known.state not in _OPEN:
            _store.reopen(
                tx, known.commitment_key, address=actor.source, held_until=held_until, now=now
            )
        return known.commitment_key
    asked = _store.Asked(
        peer=actor.name,
        address=actor.source,
        transaction_uid=request.transaction_uid,
        references=request.references,
        request_digest=request.digest,
        duplicate=known is not None,
    )
    key = _store.insert(tx, asked, held_until=held_until, now=now)
    if key is None:  # another process was told the same at the same moment, and has committed
        return request_commitment(tx, actor, request, hold_s=hold_s, now=now)
    count = len(request.references)
    outbox.append(tx, CommitmentRequested(actor.name, request.transaction_uid, count), now=now)
    return key


def claim_commitment(tx: Tx, *, lease_s: float, now: datetime) -> ClaimedCommitment | None:
    """A request that is to be decided, or answered over a new association, leased to the caller."""
    return _store.claim_due(tx, until=now + timedelta(seconds=lease_s), now=now)


def hold_answer(tx: Tx, commitment_key: int, *, hold_s: float, now: datetime) -> str | None:
    """The state of an open request, whose answer stays with its association; None: not open."""
    return _store.hold(tx, commitment_key, until=now + timedelta(seconds=hold_s))


def release_answer(tx: Tx, commitment_key: int) -> None:
    """Leave the answer to a new association: the one on which it was asked is gone."""
    _store.release(tx, commitment_key)


def claim_answer(
    tx: Tx, commitment_key: int, *, lease_s: float, now: datetime
) -> ClaimedCommitment | None:
    """That decided request, leased to the caller, unless somebody answers it already."""
    until = now + timedelta(seconds=lease_s)
    return _store.claim_answer(tx, commitment_key, until=until, now=now)


def keep_commitment_claim(
    tx: Tx, claimed: ClaimedCommitment, *, lease_s: float, now: datetime
) -> None:
    """Renew the lease while instances are read back. Raises ``ClaimLost``."""
    _held(tx, claimed)
    until = now + timedelta(seconds=lease_s)
    _store.extend_lease(tx, claimed.commitment_key, until=until)


def decide_commitment(
    tx: Tx, claimed: ClaimedCommitment, failure_reasons: Sequence[int], *, now: datetime
) -> None:
    """Note for which instances we can answer: 0, or why not. Raises ``ClaimLost``."""
    _held(tx, claimed)
    _store.decide(tx, claimed.commitment_key, failure_reasons, now=now)


def mark_reported(tx: Tx, claimed: ClaimedCommitment, *, now: datetime) -> None:
    """Note that the peer has our answer, whoever heard it say so."""
    failed = sum(reason != 0 for reason in claimed.failure_reasons or ())
    if _store.attempts(tx, claimed.commitment_key) is None:
        return  # told twice
    _store.mark_reported(tx, claimed.commitment_key, now=now)
    count = len(claimed.sop_instance_uids)
    event = CommitmentReported(claimed.peer, claimed.transaction_uid, count, failed)
    outbox.append(tx, event, now=now)
    entry = AuditEntry(
        action="commitment.report",
        actor=_SENDER.name,
        actor_kind=_SENDER.kind.value,
        source=claimed.peer,
        object_type="commitment",
        object_id=claimed.transaction_uid,
        outcome="success" if not failed else "failure",
    )
    record(tx, entry, now=now)


def report_later(
    tx: Tx, claimed: ClaimedCommitment, *, reason: str, due_at: datetime, now: datetime
) -> None:
    """Have it tried again at ``due_at``, or park it after three days. Raises ``ClaimLost``."""
    _held(tx, claimed)
    give_up = now - claimed.requested_at > REPORT_TRIED_FOR
    reason = reason[:_REASON_LENGTH_MAX]
    _store.retry(tx, claimed.commitment_key, reason, give_up=give_up, due_at=due_at, now=now)


def replay_commitment(tx: Tx, actor: Actor, commitment_key: int, *, now: datetime) -> None:
    """Have a request of a peer decided and answered once more.

    Raises ``UnknownDelivery``, ``DeliveryInProgress``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    found = _store.lock(tx, commitment_key)
    if found is None:
        raise UnknownDelivery("there is no such request")
    if found.state in _OPEN:
        raise DeliveryInProgress("it is worked on already")
    _store.reopen(tx, commitment_key, address=found.address, held_until=now, now=now)
    audit(tx, actor, "commitment.replay", "commitment", found.transaction_uid, now)


def commitments(tx: Tx, viewer: Viewer, *, limit: int = 100) -> list[Commitment]:
    """Requests of peers, newest first."""
    viewer.require(Action.DELIVERY_READ)
    return _store.recent(tx, limit=limit)


def prune_commitments(tx: Tx, *, now: datetime) -> int:
    """How many requests, answered or given up long ago, were forgotten.

    Their transaction UIDs are as good as new afterwards; the audit still knows of the answers.
    """
    return _store.prune(tx, before=now - _KEPT)


@dataclass(frozen=True, slots=True)
class WantedCommitment:
    """A commitment that is to be asked of a peer now, and for what."""

    delivery_key: int
    recipient: str
    transaction_uid: str
    attempts: int
    references: list[tuple[str, str]]


def ask_for_commitments(
    tx: Tx, transaction_uid: str, *, answer_within: timedelta, now: datetime
) -> WantedCommitment | None:
    """A delivery whose commitment is to be asked for now, under this transaction UID.

    It is asked for again, under another UID, when there is no answer within the time.
    """
    wanted = _store.claim_wanted(tx, transaction_uid, answer_by=now + answer_within, now=now)
    if wanted is None:
        return None
    if wanted.attempts > ASK_ATTEMPTS_MAX:
        _store.settle_wanted(
            tx, wanted.delivery_key, committed=False, reason="no answer came", now=now
        )
        return None
    viewer = Viewer.of(_SENDER, Action.STUDY_READ)
    span = InstanceSpan(
        study_instance_uid=wanted.study_instance_uid,
        series_instance_uids=wanted.series_instance_uids,
        after_key=wanted.after_key,
        through_key=wanted.through_key,
    )
    found = archive.locate_between(tx, viewer, span, limit=_ASK_INSTANCES_MAX)
    references = [(each.sop_class_uid, each.sop_instance_uid) for each in found]
    return WantedCommitment(
        wanted.delivery_key, wanted.recipient, transaction_uid, wanted.attempts, references
    )


def postpone_commitment(
    tx: Tx, wanted: WantedCommitment, *, reason: str, due_at: datetime, now: datetime
) -> None:
    """Have the peer asked again at ``due_at``, or no more after several attempts."""
    give_up = wanted.attempts >= ASK_ATTEMPTS_MAX
    _store.postpone_wanted(
        tx,
        wanted.transaction_uid,
        reason[:_REASON_LENGTH_MAX],
        give_up=give_up,
        due_at=due_at,
        now=now,
    )


def settle_commitment(
    tx: Tx, peer: str, transaction_uid: str, *, failed: Sequence[str], now: datetime
) -> bool:
    """Whether the peer's answer belongs to a question of ours; it is on record now.

    ``failed`` says of each instance that the peer does not commit to why not. That we asked it is
    the peer's right to answer.
    """
    current = _transfers.lock_transaction(tx, transaction_uid)
    if current is None or current.recipient != peer:
        return False
    if current.commitment != "requested":
        return True  # told twice
    count = len(failed)
    reason = f"{count} instances are not committed: {failed[0]}" if failed else None
    _store.settle_wanted(tx, current.delivery_key, committed=not failed, reason=reason, now=now)
    event = ImagesCommitted(
        current.delivery_key,
        current.kind,
        current.study_instance_uid,
        current.accession_number,
        current.recipient,
        "failed" if failed else "committed",
    )
    outbox.append(tx, event, now=now)
    return True


def _held(tx: Tx, claimed: ClaimedCommitment) -> None:
    """Raises ``ClaimLost`` when the claim is not the newest."""
    if _store.attempts(tx, claimed.commitment_key) != claimed.attempt:
        raise ClaimLost("the lease ended and the request went on without this worker")
