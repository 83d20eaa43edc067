"""Appointments that another scheduler makes: kept, and followed by the steps of their exams.

A cancelled or missed appointment cancels no order: the exam waits for another one, and whoever
looks at it sees why.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity.model import not_from_the_future, revised
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import OrderReference, StepFacts
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.domain.scheduling import _store as store
from isocenter.domain.scheduling import _store_appointments as appointments
from isocenter.domain.scheduling.events import AppointmentKept, StepMoved
from isocenter.domain.scheduling.model import WAITING, StepStatus
from isocenter.domain.scheduling.model_appointments import (
    AWAITED,
    COLUMNS,
    Appointment,
    AppointmentFacts,
    AppointmentOutcome,
    AppointmentUnidentified,
    AppointmentUnknown,
    KeptAppointment,
    numbers_of,
)
from isocenter.domain.scheduling.service.booking import revise_step
from isocenter.domain.scheduling.service.progress import arrive
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def keep_appointment(
    tx: Tx,
    actor: Actor,
    facts: AppointmentFacts,
    patient_key: int | None,
    *,
    may_be_new: bool,
    now: datetime,
) -> AppointmentOutcome:
    """Book an appointment or change one; of each fact the newest assertion holds.

    Raises ``AppointmentUnidentified``, and ``AppointmentUnknown`` for one that is not known and may
    not be new: a cancellation books nothing.

    Standard: HL7 v2.5.1 10.3; IHE RAD TF-2 4.48
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    ids = (facts.placer_appointment_id, facts.filler_appointment_id)
    if not any(ids):
        raise AppointmentUnidentified("an appointment needs a placer or filler appointment ID")
    known = next(iter(appointments.lock_appointments(tx, actor.name, *ids)), None)
    if known is None and not may_be_new:
        raise AppointmentUnknown("no appointment has this ID")
    asserted_at = not_from_the_future(facts.asserted_at, now)
    unsaid: dict[str, Any] = dict.fromkeys(COLUMNS)
    current = {name: getattr(known, name) for name in COLUMNS} if known else unsaid
    after = revised(current, known.said_at if known else {}, facts.said(), asserted_at)
    bound = known.accession_numbers if known else []
    exams = list(dict.fromkeys([*bound, *_exams(tx, facts.orders)]))
    columns = {
        **current,
        **after.values,
        "status": after.values.get("status") or current["status"] or "booked",
        "said_at": after.said_at,
        "source_peer": actor.name,
        "placer_appointment_id": ids[0],
        "filler_appointment_id": ids[1],
        "patient_key": patient_key,
        "accession_numbers": exams,
        "order_numbers": list(
            dict.fromkeys([*(known.order_numbers if known else []), *facts.order_numbers])
        ),
        "asserted_at": asserted_at,
        "now": now,
    }
    changed: list[str] = sorted(after.values)
    if exams != bound:
        changed.append("exams")
    if known is None:
        appointments.insert_appointment(tx, columns)
    elif after.newer or changed:
        appointments.update_appointment(tx, known.appointment_key, columns)
    kept = next(iter(appointments.lock_appointments(tx, actor.name, *ids)), None)
    if kept is not None and changed:
        _follow(tx, actor, kept, exams, now=now)
        created = known is None
        event = AppointmentKept(
            kept.appointment_key, exams, created, changed, asserting_peer(actor)
        )
        outbox.append(tx, event, now=now)
        _record(tx, actor, ids[1] or ids[0], changed, now=now)
    return AppointmentOutcome(known is None, tuple(changed), tuple(exams))


def bind_orders(tx: Tx, actor: Actor, accession_numbers: Sequence[str], *, now: datetime) -> None:
    """Let orders that are new be of the appointments that name them already."""
    authorize(actor, Action.SCHEDULE_WRITE)
    for accession_number in appointments.named_exams(tx, accession_numbers):
        _bind_order(tx, actor, accession_number, now=now)


def _bind_order(tx: Tx, actor: Actor, accession_number: str, *, now: datetime) -> None:
    exam = orders.exam(tx, accession_number)
    if exam is None:
        return
    order = exam.order
    named = OrderReference(
        order.placer_order_number,
        order.placer_namespace,
        order.filler_order_number,
        order.filler_namespace,
    )
    for each in appointments.bind_exam(tx, numbers_of(named), accession_number):
        _follow(tx, actor, each, [accession_number], now=now)


def appointment(tx: Tx, appointment_key: int) -> KeptAppointment | None:
    """Whose an appointment is, and where it stands. For other stages: it audits nothing."""
    return appointments.appointment(tx, appointment_key)


def appointments_of(tx: Tx, accession_number: str) -> list[Appointment]:
    """The appointments of an exam, the last one first. For other stages: it audits nothing."""
    return appointments.appointments_of(tx, accession_number)


def _exams(tx: Tx, references: Sequence[OrderReference]) -> list[str]:
    found = [orders.order_for(tx, each) for each in references]
    return [each.order.accession_number for each in found if each is not None]


def _follow(
    tx: Tx, actor: Actor, appointment: Appointment, exams: Sequence[str], *, now: datetime
) -> None:
    """Let the steps of exams wait where and when the appointment is."""
    if appointment.status not in AWAITED:
        return
    facts = StepFacts(start_at=appointment.start_at, location=appointment.location)
    for number in exams:
        waiting = [
            each
            for each in store.lock_steps(tx, number)
            if not each.closed and StepStatus(each.status) in WAITING
        ]
        moved: dict[int, set[str]] = {}
        for step in waiting:
            times = (appointment.asserted_at, step.start_at)
            changed = revise_step(tx, step, facts, times, now=now)
            if changed:
                moved[step.step_key] = changed
        if moved:
            names = sorted({name for each in moved.values() for name in each})
            event = StepMoved(number, sorted(moved), names, asserting_peer(actor))
            outbox.append(tx, event, now=now)
        if waiting and appointment.status == "arrived":
            arrive(tx, actor, number, now=now)


def _record(
    tx: Tx, actor: Actor, appointment_id: str, changed: Sequence[str], *, now: datetime
) -> None:
    entry = AuditEntry(
        action="appointment.keep",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="appointment",
        object_id=appointment_id,
        detail={"changed": list(changed)},
    )
    audit.record(tx, entry, now=now)
