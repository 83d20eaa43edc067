"""Messages beside reports: queued for everyone who gets messages of their kind.

They go the way that reports go: the same lanes, the same leases, the same replay.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution._store import messages as _store
from isocenter.domain.distribution._store import reports as _reports
from isocenter.domain.distribution.events import DeliveryQueued
from isocenter.domain.distribution.model import Claimed
from isocenter.domain.distribution.model_messages import MessageKind, Notice, Telling
from isocenter.domain.distribution.service.lanes import lanes_for, patient_lane
from isocenter.domain.peers import service as peers
from isocenter.infra import outbox
from isocenter.infra.db import Tx

Before = _store.Before


def tell(
    tx: Tx,
    recipients: Iterable[str],
    notice: Notice,
    *,
    repeats: Callable[[Before, Notice], bool] = Before.says,
    now: datetime,
) -> int:
    """How many recipients a notice is newly queued for.

    Args:
        tx: an open transaction.
        recipients: names of HL7 peers.
        notice: what is to be told.
        repeats: whether what a recipient was told last of the subject makes it needless.
        now: aware.
    """
    lock_subject(tx, notice.kind, notice.subject)
    wanted = [
        each
        for each in sorted(set(recipients))
        if (before := _store.last(tx, notice.kind.value, notice.subject, each)) is None
        or not repeats(before, notice)
    ]
    if not wanted:
        return 0
    lanes = _lanes(tx, wanted, notice)
    _reports.ensure_destinations(tx, wanted)
    for each in wanted:
        key = _store.queue(tx, notice, each, lanes[each], now=now)
        event = DeliveryQueued(key, None, None, notice.accession_number, each, notice.kind.value)
        outbox.append(tx, event, now=now)
    return len(wanted)


def _lanes(tx: Tx, recipients: Sequence[str], notice: Notice) -> dict[str, str]:
    """The lane of a notice for each recipient.

    Who a patient is goes in one lane with reports: it must be known before them, unless it is
    refused: a result is worth more to the reader than its patient's new address. What is told of
    orders, appointments and charges has lanes of its own: a charge that is refused holds no result.
    """
    if notice.patient_key is None:
        lanes = lanes_for(tx, recipients, notice.accession_number)
    else:
        lanes = dict.fromkeys(recipients, patient_lane(tx, notice.patient_key))
    if notice.kind is MessageKind.PATIENT:
        return lanes
    return {each: f"{notice.kind.value}/{lane}" for each, lane in lanes.items()}


def lock_subject(tx: Tx, kind: MessageKind, subject: str) -> None:
    """Have what is told of a subject told one after the other, until the transaction ends."""
    _store.lock_subject(tx, kind.value, subject)


def last_told(tx: Tx, kind: MessageKind, subject: str, recipient: str) -> Before | None:
    """What the recipient was told last of a subject, or will be."""
    return _store.last(tx, kind.value, subject, recipient)


def all_told(tx: Tx, kind: MessageKind, subject: str, recipient: str) -> list[dict[str, Any]]:
    """What the recipient was told of a subject, or will be, the oldest first."""
    return _store.all_told(tx, kind.value, subject, recipient)


def lane_joined(tx: Tx, former_key: int, patient_key: int) -> None:
    """Have what waits about a patient who was merged go before what comes about the survivor."""
    _store.join_lanes(tx, f"patient/{former_key}", patient_lane(tx, patient_key))


def telling_of(claimed: Claimed) -> Telling:
    """What a claimed delivery tells."""
    return Telling(
        delivery_key=claimed.delivery_key,
        kind=MessageKind(claimed.kind),
        subject=claimed.subject,
        occasion=claimed.occasion,
        told=dict(claimed.told),
        accession_number=claimed.accession_number,
        report_id=claimed.report_id,
        version=claimed.version,
    )


def tellings_sent(tx: Tx, viewer: Viewer, recipient: str, *, limit: int) -> list[Telling]:
    """The latest that a recipient acknowledged, newest first."""
    viewer.require(Action.DELIVERY_READ)
    return _store.tellings_sent(tx, recipient, limit=limit)


def telling_sent_as(tx: Tx, viewer: Viewer, recipient: str, control_id: str) -> Telling | None:
    """What a message told a recipient, by its MSH-10; None when it was none of our deliveries."""
    viewer.require(Action.DELIVERY_READ)
    return _store.telling_sent_as(tx, recipient, control_id)


def wanting(tx: Tx, permission: str, asserted_by: str) -> list[str]:
    """Who gets messages of a kind, but for the system that said what they would tell."""
    return [each.name for each in peers.hl7_listeners(tx, permission, asserted_by)]


def is_wanted(tx: Tx, permissions: Collection[str]) -> bool:
    """Whether anybody gets messages of one of these kinds."""
    return any(each.enabled and each.send & set(permissions) for each in peers.hl7_known(tx))
