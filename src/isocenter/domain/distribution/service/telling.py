"""Who is told what when something happens: the rules, one for each kind of message.

Whoever said a thing is not told it. A rule looks at what is true now, not only at what happened, so
that repeating it, or events that arrive in another order, tell nothing twice and nothing false.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution.model_messages import (
    MessageKind,
    Notice,
    charge_lines,
    charges_due,
)
from isocenter.domain.distribution.service import messages
from isocenter.domain.distribution.service.messages import Before
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import Exam
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model import Step
from isocenter.domain.scheduling.model_appointments import AWAITED
from isocenter.infra.db import Tx
from isocenter.standards.statuses import (
    ANNOUNCEMENTS,
    APPOINTMENT_ENDED,
    ORDERS,
    Announcement,
)

_SYSTEM = Actor.system("distribution.messages")
_ENDED_TRIGGERS = frozenset(APPOINTMENT_ENDED.values())
_NEW, _MOVED, _CHANGED = "S12", "S13", "S14"
_WHEN_AND_WHERE = frozenset({"start_at", "location", "duration_min", "station_ae_titles"})


def tell_order(
    tx: Tx,
    accession_number: str,
    announcement: Announcement,
    *,
    asserted_by: str = "",
    reason: str = "",
    now: datetime,
) -> int:
    """How many messages say what became of an order: to who placed it, and to who works with it.

    Standard: IHE RAD TF-2 4.3 (status to the placer), 4.4, 4.13 (procedure scheduled, updated)
    """
    placers = messages.wanting(tx, MessageKind.ORDER.permission, asserted_by)
    performers = messages.wanting(tx, MessageKind.PROCEDURE.permission, asserted_by)
    if announcement is Announcement.SCHEDULED and asserted_by:
        # That it is booked is news also for who ordered it, unless that one booked it.
        everybody = messages.wanting(tx, MessageKind.ORDER.permission, "")
        if len(everybody) > len(placers) and not _is_timed(tx, accession_number):
            placers = everybody
    if not placers and not performers:
        return 0
    exam = orders.exam(tx, accession_number)
    if exam is None:
        return 0
    row = ANNOUNCEMENTS[announcement]
    state = ORDERS[exam.order.state].order_status
    queued = 0
    for kind, recipients, control, status in (
        (MessageKind.ORDER, placers, row.placer, row.order_status or state),
        (MessageKind.PROCEDURE, performers, row.performer, row.performer_status or state),
    ):
        if control:
            told = {"control": control, "status": status, "result_status": row.result_status}
            told |= {"reason": reason} if reason else {}
            notice = _of_exam(kind, exam, f"{control} {status}", told)
            queued += messages.tell(tx, recipients, notice, repeats=_same_or_waiting, now=now)
    return queued


def _same_or_waiting(before: Before, notice: Notice) -> bool:
    """Whether it is said already: a change of content is told anew once its message is made."""
    if not before.says(notice):
        return False
    return before.told.get("control") not in {"XX", "XO"} or before.is_untouched


def _of_exam(kind: MessageKind, exam: Exam, occasion: str, told: dict[str, Any]) -> Notice:
    return Notice(
        kind=kind,
        subject=f"order/{exam.order.order_key}",
        occasion=occasion,
        told=told,
        accession_number=exam.order.accession_number,
    )


def _is_timed(tx: Tx, accession_number: str) -> bool:
    steps = scheduling.steps_of(tx, accession_number)
    return any("start_at" in each.said_at for each in steps)


def tell_patient(
    tx: Tx,
    patient_key: int,
    *,
    new: bool,
    asserted_by: str,
    after: int | None = None,
    now: datetime,
) -> int:
    """How many messages say who a patient is. One that still waits says it anyway.

    ``after``: whose messages it is to follow; None: those about the patient.

    Standard: HL7 v2.5.1 3.3.28 (A28), 3.3.31 (A31), 3.3.8 (A08); IHE RAD TF-2 4.12
    """
    recipients = messages.wanting(tx, MessageKind.PATIENT.permission, asserted_by)
    if not recipients or identity.current_key(tx, patient_key) != patient_key:
        return 0  # what is merged is told of whoever stands for it
    notice = Notice(
        kind=MessageKind.PATIENT,
        subject=f"patient/{patient_key}",
        occasion="A28" if new else "A31",
        patient_key=patient_key if after is None else after,
    )
    return messages.tell(tx, recipients, notice, repeats=_will_be_said, now=now)


def _will_be_said(before: Before, notice: Notice) -> bool:
    del notice
    return before.is_untouched and before.occasion in {"A28", "A31"}


def tell_merges(
    tx: Tx, moved_keys: Sequence[int], *, parted_from: int | None, asserted_by: str, now: datetime
) -> int:
    """How many messages say for whom these records stand now: each its survivor, or itself again.

    ``parted_from``: of a merge that was undone, whom its prior record stood for.

    Standard: HL7 v2.5.1 3.3.40 (A40), 3.3.37 (A37); IHE RAD TF-2 4.12
    """
    recipients = messages.wanting(tx, MessageKind.PATIENT.permission, asserted_by)
    queued = 0
    for key in moved_keys:
        current = identity.current_key(tx, key)
        if current != key:
            messages.lane_joined(tx, key, current)
        if recipients:
            queued += _tell_merge(tx, recipients, (key, current), parted_from, now=now)
    return queued


def _tell_merge(
    tx: Tx, recipients: Sequence[str], keys: tuple[int, int], parted_from: int | None, now: datetime
) -> int:
    key, current = keys
    notice = Notice(
        kind=MessageKind.PATIENT,
        subject=f"patient/{key}",
        occasion="A40",
        told={"other_key": current, "identifiers": _identifiers(tx, key)},
        patient_key=current,
    )
    if current == key:
        if parted_from is None or parted_from == key:
            return 0
        told = {"other_key": parted_from, "identifiers": _identifiers(tx, key)}
        notice = replace(notice, occasion="A37", told=told, patient_key=parted_from)
    queued = messages.tell(tx, recipients, notice, now=now)
    if current == key:
        # Demographics of a parted record are its own again: who joined them needs to hear them.
        queued += tell_patient(tx, key, new=False, asserted_by="", after=parted_from, now=now)
    return queued


def _identifiers(tx: Tx, patient_key: int) -> list[dict[str, str]]:
    """The identifiers of one record, as they are to be told, whatever becomes of them."""
    return [
        {
            "value": each.value,
            "assigning_authority": each.assigning_authority,
            "type_code": each.type_code,
        }
        for each in identity.record_identifiers(tx, patient_key)
    ]


def tell_about_records(
    tx: Tx,
    keys: tuple[int, int],
    trigger: str,
    told: dict[str, Any],
    *,
    asserted_by: str,
    now: datetime,
) -> int:
    """How many messages say what happened between two records: linked, parted, a number moved.

    Args:
        tx: an open transaction.
        keys: the record that the message is about, and the other one.
        trigger: A24, A37, A43, A45 or A47.
        told: what is true of it now.
        asserted_by: who said so.
        now: aware.
    """
    recipients = messages.wanting(tx, MessageKind.PATIENT.permission, asserted_by)
    if not recipients:
        return 0
    notice = Notice(
        kind=MessageKind.PATIENT,
        subject=f"patient/{keys[0]}",
        occasion=trigger,
        told={"other_key": keys[1], **told},
        patient_key=keys[0],
    )
    return messages.tell(tx, recipients, notice, now=now)


def tell_booking(
    tx: Tx, accession_number: str, changed: Sequence[str], *, asserted_by: str, now: datetime
) -> int:
    """How many messages say when an exam is booked that we book ourselves.

    Nothing while nobody said when it is to be, and nothing of what another scheduler booked: its
    appointments are told as such.

    Standard: HL7 v2.5.1 10.3 (S12 to S15); IHE RAD TF-2 4.48
    """
    recipients = messages.wanting(tx, MessageKind.APPOINTMENT.permission, asserted_by)
    if not recipients:
        return 0
    subject = f"exam/{accession_number}"
    messages.lock_subject(tx, MessageKind.APPOINTMENT, subject)
    steps = scheduling.steps_of(tx, accession_number)
    others = scheduling.appointments_of(tx, accession_number)
    if any(each.status in AWAITED for each in others):
        return 0
    queued = 0
    for each in recipients:
        before = messages.last_told(tx, MessageKind.APPOINTMENT, subject, each)
        trigger = _booking_trigger(steps, before, changed)
        if trigger:
            notice = Notice(
                kind=MessageKind.APPOINTMENT,
                subject=subject,
                occasion=trigger,
                told={"status": "cancelled" if trigger in _ENDED_TRIGGERS else "booked"},
                accession_number=accession_number,
            )
            queued += messages.tell(tx, [each], notice, repeats=_booking_waits, now=now)
    return queued


def _booking_trigger(steps: Sequence[Step], before: Before | None, changed: Sequence[str]) -> str:
    """The trigger event; '' when there is nothing to be said."""
    standing = before is not None and before.occasion not in _ENDED_TRIGGERS
    if all(each.closed for each in steps):
        return APPOINTMENT_ENDED["cancelled"] if standing else ""
    if not standing:
        timed = any("start_at" in each.said_at for each in steps if not each.closed)
        return _NEW if timed else ""
    return _MOVED if _WHEN_AND_WHERE.intersection(changed) else _CHANGED


def _booking_waits(before: Before, notice: Notice) -> bool:
    """Whether a message that is not made yet says it anyway, or the end was told already."""
    if notice.occasion in _ENDED_TRIGGERS:
        return before.occasion == notice.occasion
    return before.is_untouched and before.occasion not in _ENDED_TRIGGERS


def tell_appointment(
    tx: Tx,
    appointment_key: int,
    accession_numbers: Sequence[str],
    changed: Sequence[str],
    *,
    asserted_by: str,
    now: datetime,
) -> int:
    """How many messages say what another scheduler said of an appointment."""
    recipients = messages.wanting(tx, MessageKind.APPOINTMENT.permission, asserted_by)
    appointment = scheduling.appointment(tx, appointment_key) if recipients else None
    if appointment is None:
        return 0
    subject = f"appointment/{appointment_key}"
    messages.lock_subject(tx, MessageKind.APPOINTMENT, subject)
    ended = APPOINTMENT_ENDED.get(appointment.status)
    queued = 0
    for each in recipients:
        before = messages.last_told(tx, MessageKind.APPOINTMENT, subject, each)
        standing = before is not None and before.occasion not in _ENDED_TRIGGERS
        if ended is not None:
            trigger = ended
        elif not standing:
            trigger = _NEW
        else:
            trigger = _MOVED if _WHEN_AND_WHERE.intersection(changed) else _CHANGED
        notice = Notice(
            kind=MessageKind.APPOINTMENT,
            subject=subject,
            occasion=trigger,
            told={"status": appointment.status},
            accession_number=next(iter(accession_numbers), ""),
            patient_key=appointment.patient_key,
        )
        queued += messages.tell(tx, [each], notice, repeats=_booking_waits, now=now)
    return queued


def tell_charges(tx: Tx, accession_number: str, *, now: datetime) -> int:
    """How many messages post what an exam is charged with, or credit what stands no longer.

    What is charged follows from the exam as it is now; what was posted before is not posted again,
    so an addendum charges nothing.

    Standard: HL7 v2.5.1 6.4.3 (P03); IHE RAD TF-3 4.35
    """
    recipients = messages.wanting(tx, MessageKind.CHARGE.permission, "")
    if not recipients:
        return 0
    subject = f"exam/{accession_number}"
    messages.lock_subject(tx, MessageKind.CHARGE, subject)
    exam = orders.exam(tx, accession_number)
    if exam is None:
        return 0
    viewer = Viewer.of(_SYSTEM, Action.REPORT_READ)
    report = reporting.report_of(tx, viewer, accession_number)
    lines = charge_lines(exam, signed=report is not None and report.version > 0)
    queued = 0
    for each in recipients:
        posted = messages.all_told(tx, MessageKind.CHARGE, subject, each)
        charged = [line for told in posted for line in told["lines"]]
        due = charges_due(lines, charged)
        if due:
            notice = Notice(
                kind=MessageKind.CHARGE,
                subject=subject,
                occasion="P03",
                told={"lines": due},
                accession_number=accession_number,
            )
            queued += messages.tell(tx, [each], notice, repeats=_never, now=now)
    return queued


def _never(before: Before, notice: Notice) -> bool:
    del before, notice
    return False
