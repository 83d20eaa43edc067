"""Reactions of distribution that tell other systems in HL7 what became of whom and what.

Each asks first who wants to hear it, so that an installation without such peers pays one statement.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.distribution.service import messages, telling
from isocenter.domain.identity.events import (
    IdentifierMoved,
    IdentifierReplaced,
    PatientLinked,
    PatientMerged,
    PatientRegistered,
    PatientUnlinked,
    PatientUnmerged,
    PatientUpdated,
    VisitMoved,
)
from isocenter.domain.orders.events import (
    OrderCancelled,
    OrderCompleted,
    OrderDiscontinued,
    OrderHeld,
    OrderPlaced,
    OrderReleased,
    OrderReopened,
    OrderRevised,
    OrderStarted,
)
from isocenter.domain.reporting.events import ReportSigned
from isocenter.domain.scheduling.events import (
    AppointmentKept,
    StepCancelled,
    StepMoved,
)
from isocenter.infra.db import Tx
from isocenter.standards.statuses import Announcement

_MOVED = "A43"


def on_order_placed(tx: Tx, event: OrderPlaced, *, now: datetime) -> None:
    """Tell that an order is booked, what is to be done, and when."""
    number, by = event.accession_number, event.asserted_by
    telling.tell_order(tx, number, Announcement.SCHEDULED, asserted_by=by, now=now)
    telling.tell_booking(tx, number, ["start_at"], asserted_by=by, now=now)


def on_orders_placed(tx: Tx, events: Sequence[OrderPlaced], *, now: datetime) -> None:
    """As ``on_order_placed`` for several orders."""
    if messages.is_wanted(tx, {"orm", "omi", "siu"}):
        for each in events:
            on_order_placed(tx, each, now=now)


def on_order_revised(tx: Tx, event: OrderRevised, *, now: datetime) -> None:
    """Tell what an order says now, what was added to it, and what it is charged with."""
    number, by = event.accession_number, event.asserted_by
    telling.tell_order(tx, number, Announcement.CHANGED, asserted_by=by, now=now)
    if "procedures" in event.changed:
        telling.tell_booking(tx, number, event.changed, asserted_by=by, now=now)
    telling.tell_charges(tx, number, now=now)


def on_order_ended(tx: Tx, event: OrderCancelled | OrderDiscontinued, *, now: datetime) -> None:
    """Tell that an order will not be done, or not be finished."""
    cancelled = isinstance(event, OrderCancelled)
    telling.tell_order(
        tx,
        event.accession_number,
        Announcement.CANCELLED if cancelled else Announcement.DISCONTINUED,
        asserted_by=event.asserted_by,
        reason=event.reason,
        now=now,
    )
    telling.tell_charges(tx, event.accession_number, now=now)


def on_order_held(tx: Tx, event: OrderHeld, *, now: datetime) -> None:
    """Tell that an order waits for a decision."""
    telling.tell_order(
        tx,
        event.accession_number,
        Announcement.HELD,
        asserted_by=event.asserted_by,
        reason=event.reason,
        now=now,
    )


def on_order_released(tx: Tx, event: OrderReleased, *, now: datetime) -> None:
    """Tell that an order may be done."""
    telling.tell_order(
        tx, event.accession_number, Announcement.RELEASED, asserted_by=event.asserted_by, now=now
    )


def on_order_progress(
    tx: Tx, event: OrderStarted | OrderCompleted | OrderReopened, *, now: datetime
) -> None:
    """Tell how far an order is, and what it is charged with."""
    announcement = {
        OrderStarted: Announcement.STARTED,
        OrderCompleted: Announcement.COMPLETED,
        OrderReopened: Announcement.REOPENED,
    }[type(event)]
    telling.tell_order(tx, event.accession_number, announcement, now=now)
    telling.tell_charges(tx, event.accession_number, now=now)


def on_report_signed(tx: Tx, event: ReportSigned, *, now: datetime) -> None:
    """Post what an exam is charged with once it is read."""
    telling.tell_charges(tx, event.accession_number, now=now)


def on_reports_signed(tx: Tx, events: Sequence[ReportSigned], *, now: datetime) -> None:
    """As ``on_report_signed`` for several reports."""
    if messages.is_wanted(tx, {"dft"}):
        for each in events:
            on_report_signed(tx, each, now=now)


def on_step_moved(tx: Tx, event: StepMoved, *, now: datetime) -> None:
    """Tell when and where an exam is now, as an order and as an appointment."""
    telling.tell_order(
        tx, event.accession_number, Announcement.CHANGED, asserted_by=event.asserted_by, now=now
    )
    telling.tell_booking(
        tx, event.accession_number, event.changed, asserted_by=event.asserted_by, now=now
    )


def on_step_cancelled(tx: Tx, event: StepCancelled, *, now: datetime) -> None:
    """Tell that nobody is expected any more."""
    telling.tell_booking(tx, event.accession_number, [], asserted_by="", now=now)


def on_appointment_kept(tx: Tx, event: AppointmentKept, *, now: datetime) -> None:
    """Tell what another scheduler said."""
    telling.tell_appointment(
        tx,
        event.appointment_key,
        event.accession_numbers,
        event.changed,
        asserted_by=event.asserted_by,
        now=now,
    )


def on_patient_known(tx: Tx, event: PatientRegistered | PatientUpdated, *, now: datetime) -> None:
    """Tell who a patient is."""
    telling.tell_patient(
        tx,
        event.patient_key,
        new=isinstance(event, PatientRegistered),
        asserted_by=event.asserted_by,
        now=now,
    )


def on_patients_known(
    tx: Tx, events: Sequence[PatientRegistered | PatientUpdated], *, now: datetime
) -> None:
    """As ``on_patient_known`` for several patients."""
    if messages.is_wanted(tx, {"adt"}):
        for each in events:
            on_patient_known(tx, each, now=now)


def on_patient_merged(tx: Tx, event: PatientMerged, *, now: datetime) -> None:
    """Tell for whom records stand now."""
    telling.tell_merges(
        tx, event.moved_keys, parted_from=None, asserted_by=event.asserted_by, now=now
    )


def on_patient_unmerged(tx: Tx, event: PatientUnmerged, *, now: datetime) -> None:
    """Tell that a merge is undone, and who everybody is now."""
    telling.tell_merges(
        tx,
        event.moved_keys,
        parted_from=event.patient_key,
        asserted_by=event.asserted_by,
        now=now,
    )


def on_patient_linked(tx: Tx, event: PatientLinked | PatientUnlinked, *, now: datetime) -> None:
    """Tell that two records are, or are not known to be, one person.

    Standard: HL7 v2.5.1 3.3.24 (A24), 3.3.37 (A37)
    """
    trigger = "A24" if isinstance(event, PatientLinked) else "A37"
    keys = (event.patient_key, event.other_key)
    telling.tell_about_records(
        tx, keys, trigger, {"link_key": event.link_key}, asserted_by=event.asserted_by, now=now
    )


def on_identifier_moved(tx: Tx, event: IdentifierMoved, *, now: datetime) -> None:
    """Tell whose an identifier is now. Standard: HL7 v2.5.1 3.3.43 (A43)."""
    told = {"identifiers": _named(event)}
    keys = (event.patient_key, event.from_key)
    telling.tell_about_records(tx, keys, _MOVED, told, asserted_by=event.asserted_by, now=now)


def on_identifier_replaced(tx: Tx, event: IdentifierReplaced, *, now: datetime) -> None:
    """Tell which identifier took the place of another. Standard: HL7 v2.5.1 3.3.47 (A47)."""
    told = {"identifiers": _named(event)}
    keys = (event.patient_key, event.patient_key)
    telling.tell_about_records(tx, keys, "A47", told, asserted_by=event.asserted_by, now=now)


def _named(event: IdentifierMoved | IdentifierReplaced) -> list[dict[str, str]]:
    return [
        {
            "value": event.identifier,
            "assigning_authority": event.assigning_authority,
            "type_code": "MR",
        }
    ]


def on_visit_moved(tx: Tx, event: VisitMoved, *, now: datetime) -> None:
    """Tell whose a visit is now. Standard: HL7 v2.5.1 3.3.45 (A45)."""
    keys = (event.patient_key, event.former_key)
    told = {"visit_number": event.visit_number}
    telling.tell_about_records(tx, keys, "A45", told, asserted_by=event.asserted_by, now=now)
