"""Images on their way: claimed under a lease, sent by a gateway, settled with the claim.

Instances go in the order of their keys, and how far they are is kept: whoever goes on after a
crash or a broken connection repeats what was not noted yet and nothing else.
"""

from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_outgoing import InstanceSpan, KeyedLocation
from isocenter.domain.distribution._store import transfers as _store
from isocenter.domain.distribution.events import (
    ImagesAcknowledged,
    ImagesQueued,
    ImagesRefused,
    ImagesSent,
)
from isocenter.domain.distribution.model import (
    ClaimedTransfer,
    ClaimLost,
    DeliveryInProgress,
    DeliveryState,
    Progress,
    UnknownDelivery,
)
from isocenter.domain.distribution.service.audited import audit
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.key_object import Reference

_UNFINISHED = frozenset({DeliveryState.QUEUED.value, DeliveryState.SENT.value})
_SENDER = Actor.system("dicom.sender")
_REASON_LENGTH_MAX = 500
INSTANCES_ANNOUNCED_MAX = 50_000


def image_destinations_due(tx: Tx, *, now: datetime) -> list[str]:
    """DICOM peers with something to be sent now, the longest due first."""
    return _store.destinations_due(tx, now=now)


def claim_transfer(
    tx: Tx, recipient: str, *, lease_s: float, now: datetime
) -> ClaimedTransfer | None:
    """What must go to the DICOM peer next, leased to the caller; None: nothing to do.

    Transfers to one peer go one at a time: the most urgent first, then the oldest. The lease must
    outlast the sending of one instance; ``note_progress`` renews it.
    """
    if not _store.lock_lane(tx, recipient):
        return None
    return _store.claim_head(tx, recipient, until=now + timedelta(seconds=lease_s), now=now)


def instances_to_send(
    tx: Tx, claimed: ClaimedTransfer, *, not_from: str, limit: int
) -> list[KeyedLocation]:
    """The next instances of the transfer; without those that ``not_from`` sent."""
    viewer = Viewer.of(_SENDER, Action.STUDY_READ)
    if claimed.note_sop_instance_uid is not None:
        return _note_to_send(tx, viewer, claimed, claimed.note_sop_instance_uid)
    span = InstanceSpan(
        study_instance_uid=claimed.study_instance_uid,
        series_instance_uids=claimed.series_instance_uids,
        after_key=claimed.sent_key,
        through_key=claimed.through_key,
        not_from=not_from,
    )
    return archive.locate_between(tx, viewer, span, limit=limit)


def _note_to_send(
    tx: Tx, viewer: Viewer, claimed: ClaimedTransfer, uid: str
) -> list[KeyedLocation]:
    if claimed.sent_key >= claimed.through_key:
        return []
    found = archive.note_to_send(tx, viewer, uid, key=claimed.through_key)
    return [found] if found else []


def instances_unavailable(tx: Tx, claimed: ClaimedTransfer) -> list[Reference]:
    """The instances of the study that were rejected: nobody gets them here."""
    viewer = Viewer.of(_SENDER, Action.STUDY_READ)
    return archive.rejected_instances(
        tx, viewer, claimed.study_instance_uid, limit=INSTANCES_ANNOUNCED_MAX
    )


def instances_available(tx: Tx, claimed: ClaimedTransfer) -> list[KeyedLocation]:
    """Every instance of the study that the notification is about."""
    viewer = Viewer.of(_SENDER, Action.STUDY_READ)
    span = InstanceSpan(
        study_instance_uid=claimed.study_instance_uid,
        series_instance_uids=claimed.series_instance_uids,
        after_key=0,
        through_key=claimed.through_key,
    )
    return archive.locate_between(tx, viewer, span, limit=INSTANCES_ANNOUNCED_MAX)


def keep_transfer_claim(tx: Tx, claimed: ClaimedTransfer, *, lease_s: float, now: datetime) -> None:
    """Renew the lease. Raises ``ClaimLost``."""
    _held(tx, claimed)
    until = now + timedelta(seconds=lease_s)
    _store.extend_lease(tx, claimed.delivery_key, until=until)


def note_progress(
    tx: Tx, claimed: ClaimedTransfer, done: Progress, *, lease_s: float, now: datetime
) -> None:
    """Note how far the transfer is, and renew the lease. Raises ``ClaimLost``.

    The first instance that was taken puts the disclosure on record.
    """
    current = _held(tx, claimed)
    until = now + timedelta(seconds=lease_s)
    _store.progress(tx, claimed.delivery_key, done, until=until, now=now)
    if done.sent and current.sent_at is None:
        archive.record_study_access(
            tx, _SENDER, claimed.study_instance_uid, action="study.send", now=now
        )
        outbox.append(tx, ImagesSent(*_facts(current)), now=now)


def finish_transfer(tx: Tx, claimed: ClaimedTransfer, *, now: datetime) -> None:
    """Note that all of it was dealt with: acknowledged when the peer took all, else refused.

    Raises ``ClaimLost``.
    """
    current = _held(tx, claimed)
    if current.instances_failed:
        reason = f"{current.instances_failed} of {current.instances} instances were not taken"
        _store.refuse(tx, claimed.delivery_key, reason, now=now)
        outbox.append(tx, ImagesRefused(*_facts(current)), now=now)
        return
    _store.acknowledge(tx, claimed.delivery_key, now=now)
    outbox.append(tx, ImagesAcknowledged(*_facts(current)), now=now)


def refuse_transfer(tx: Tx, claimed: ClaimedTransfer, *, reason: str, now: datetime) -> None:
    """Park the transfer until a person replays it; those behind it go on. Raises ``ClaimLost``."""
    current = _held(tx, claimed)
    _store.refuse(tx, claimed.delivery_key, reason[:_REASON_LENGTH_MAX], now=now)
    outbox.append(tx, ImagesRefused(*_facts(current)), now=now)


def retry_transfer_later(
    tx: Tx,
    claimed: ClaimedTransfer,
    *,
    reason: str,
    broke: bool = False,
    due_at: datetime,
    now: datetime,
) -> None:
    """Have the rest tried again at ``due_at``; ``broke``: in the middle of an instance.

    Raises ``ClaimLost``.
    """
    _held(tx, claimed)
    reason = reason[:_REASON_LENGTH_MAX]
    _store.retry(tx, claimed.delivery_key, reason, broke=broke, due_at=due_at, now=now)


def give_back_transfer(tx: Tx, claimed: ClaimedTransfer, *, now: datetime) -> None:
    """End the lease without a result: another sender may go on at once. Raises ``ClaimLost``."""
    _held(tx, claimed)
    _store.give_back(tx, claimed.delivery_key, now=now)


def replay_transfer(tx: Tx, actor: Actor, delivery_key: int, *, now: datetime) -> None:
    """Have a finished transfer made anew, all of it.

    Raises ``UnknownDelivery``, ``DeliveryInProgress``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    current = _locked(tx, delivery_key)
    if current.state in _UNFINISHED:
        raise DeliveryInProgress("it is in the queue already")
    _store.requeue(tx, delivery_key, now=now)
    outbox.append(tx, ImagesQueued(*_facts(current)), now=now)
    audit(tx, actor, "delivery.replay", "delivery", str(delivery_key), now)


def _locked(tx: Tx, delivery_key: int) -> _store.Current:
    current = _store.lock(tx, delivery_key)
    if current is None:
        raise UnknownDelivery("there is no such delivery")
    return current


def _held(tx: Tx, claimed: ClaimedTransfer) -> _store.Current:
    """The transfer's row, locked; raises ``ClaimLost`` when the claim is not the newest."""
    current = _locked(tx, claimed.delivery_key)
    if current.attempts != claimed.attempt or current.state not in _UNFINISHED:
        raise ClaimLost("the lease ended and the transfer went on without this sender")
    return current


def _facts(current: _store.Current) -> tuple[int, str, str, str, str]:
    return (
        current.delivery_key,
        current.kind,
        current.study_instance_uid,
        current.accession_number,
        current.recipient,
    )
