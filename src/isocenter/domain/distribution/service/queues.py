"""What people see of deliveries and do with them, of whatever kind these are."""

from datetime import datetime
from typing import Literal

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.distribution._store import queues as _store
from isocenter.domain.distribution.model import Delivery, Destination, SentReport
from isocenter.domain.distribution.service import reports, transfers
from isocenter.infra.db import Tx

Protocol = Literal["hl7", "dicom"]


def deliveries(
    tx: Tx,
    viewer: Viewer,
    *,
    accession_number: str | None = None,
    state: str | None = None,
    study_instance_uid: str | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Deliveries, newest first."""
    viewer.require(Action.DELIVERY_READ)
    return _store.deliveries(
        tx,
        accession_number=accession_number,
        state=state,
        study_instance_uid=study_instance_uid,
        limit=limit,
    )


def reports_sent(tx: Tx, viewer: Viewer, recipient: str, *, limit: int) -> list[SentReport]:
    """The latest report versions that a recipient acknowledged, newest first."""
    viewer.require(Action.DELIVERY_READ)
    return _store.reports_sent(tx, recipient, limit=limit)


def destinations(tx: Tx, viewer: Viewer) -> list[Destination]:
    """All recipients by name, with the state of their lanes."""
    viewer.require(Action.DELIVERY_READ)
    return _store.destinations(tx)


def replay(tx: Tx, actor: Actor, delivery_key: int, *, now: datetime) -> None:
    """Have a finished delivery made anew.

    Raises ``UnknownDelivery``, ``DeliveryInProgress``, and ``Superseded`` for a report of which a
    newer version is on its way to that recipient or there: an old text must not arrive after it.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    if _store.is_transfer(tx, delivery_key):
        transfers.replay_transfer(tx, actor, delivery_key, now=now)
    else:
        reports.replay_report(tx, actor, delivery_key, now=now)


def pause(
    tx: Tx,
    actor: Actor,
    recipient: str,
    *,
    protocol: Protocol | None = None,
    reason: str,
    now: datetime,
) -> None:
    """Send nothing to the recipient until it is resumed; what is under way may still end.

    ``protocol`` tells an HL7 peer from a DICOM peer of the same name. Raises
    ``UnknownDestination``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    if _protocol(tx, recipient, protocol) == "hl7":
        reports.pause_reports(tx, actor, recipient, reason=reason, now=now)
    else:
        transfers.pause_images(tx, actor, recipient, reason=reason, now=now)


def resume(
    tx: Tx, actor: Actor, recipient: str, *, protocol: Protocol | None = None, now: datetime
) -> None:
    """Send to the recipient again, beginning at once with what waited for its next attempt."""
    authorize(actor, Action.DELIVERY_REPLAY)
    if _protocol(tx, recipient, protocol) == "hl7":
        reports.resume_reports(tx, actor, recipient, now=now)
    else:
        transfers.resume_images(tx, actor, recipient, now=now)


def _protocol(tx: Tx, recipient: str, given: Protocol | None) -> Protocol:
    return given or ("hl7" if _store.gets_reports(tx, recipient) else "dicom")
