"""What happens to steps: people arrive, a person moves them, scanners and images move them on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import (
    Exam,
    StepFacts,
)
from isocenter.domain.scheduling import _store as store
from isocenter.domain.scheduling.events import (
    StepMoved,
    StepStatusChanged,
)
from isocenter.domain.scheduling.model import (
    WAITING,
    ExamUnknown,
    Step,
    StepNotMovable,
    StepStatus,
    StepUnknown,
    further,
    procedure_states,
    settled,
)
from isocenter.domain.scheduling.service.booking import revise_step
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def arrive(tx: Tx, actor: Actor, accession_number: str, *, now: datetime) -> list[int]:
    """Note that the patient is here. Gives the steps that this changed. Raises ``ExamUnknown``."""
    authorize(actor, Action.SCHEDULE_WRITE)
    steps = store.lock_steps(tx, accession_number)
    if not steps:
        raise ExamUnknown("no steps are booked under this accession number")
    arrived = [
        replace(each, waiting_status=further(each.waiting_status, StepStatus.ARRIVED))
        for each in steps
    ]
    keys = _settle(tx, accession_number, steps, arrived, now=now)
    if keys:
        audit.record(tx, schedule_entry(actor, "schedule.arrive", accession_number), now=now)
    return keys


def move(tx: Tx, actor: Actor, step_key: int, facts: StepFacts, *, now: datetime) -> None:
    """Give a waiting step another time, place, device or protocol, as a person decided.

    Raises ``StepUnknown``, and ``StepNotMovable`` when it is begun, done or cancelled.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    number = store.accession_number_of(tx, step_key)
    step = next((e for e in store.lock_steps(tx, number or "") if e.step_key == step_key), None)
    if step is None:
        raise StepUnknown("there is no such step")
    if StepStatus(step.status) not in WAITING:
        raise StepNotMovable("the step is begun, done or cancelled")
    changed = revise_step(tx, step, facts, (now, step.start_at), now=now)
    if changed:
        event = StepMoved(step.accession_number, [step_key], sorted(changed))
        outbox.append(tx, event, now=now)
        entry = schedule_entry(actor, "schedule.move", step.accession_number, sorted(changed))
        audit.record(tx, entry, now=now)


def start(
    tx: Tx,
    actor: Actor,
    accession_number: str,
    *,
    study_instance_uid: str | None = None,
    now: datetime,
) -> list[int]:
    """Note that images of an exam are here: its steps are STARTED unless a modality tells more.

    With a study, only the procedure that was ordered with it. Gives the steps that this changed:
    none for a repetition or a cancelled order. Raises ``OrderUnknown``.
    """
    return _imaged(tx, actor, accession_number, study_instance_uid, StepStatus.STARTED, now=now)


def complete(
    tx: Tx,
    actor: Actor,
    accession_number: str,
    *,
    study_instance_uid: str | None = None,
    now: datetime,
) -> list[int]:
    """As ``start``, for images of which no more are expected."""
    return _imaged(tx, actor, accession_number, study_instance_uid, StepStatus.COMPLETED, now=now)


def _imaged(
    tx: Tx,
    actor: Actor,
    accession_number: str,
    study_instance_uid: str | None,
    status: StepStatus,
    *,
    now: datetime,
) -> list[int]:
    authorize(actor, Action.SCHEDULE_WRITE)
    exam = orders.locked_exam(tx, accession_number)
    found = [e for e in exam.procedures if e.study_instance_uid == study_instance_uid]
    concerned = {each.procedure_key for each in found or exam.procedures}
    steps = store.lock_steps(tx, exam.order.accession_number)
    said = [
        replace(each, imaged_status=further(each.imaged_status, status))
        if each.procedure_key in concerned
        else each
        for each in steps
    ]
    return _progress(tx, actor, exam, steps, said, now=now)


def forget_images(tx: Tx, actor: Actor, accession_number: str, *, now: datetime) -> list[int]:
    """Take back what was noted of images: those that there are were not this exam's.

    Whoever calls it notes those that are left. Gives the steps that this changed.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    exam = orders.locked_exam(tx, accession_number)
    steps = store.lock_steps(tx, exam.order.accession_number)
    said = [replace(each, imaged_status=None) for each in steps]
    return _progress(tx, actor, exam, steps, said, now=now)


def perform(
    tx: Tx,
    actor: Actor,
    accession_number: str,
    statuses: Callable[[Exam, Sequence[Step]], Mapping[int, StepStatus]],
    *,
    now: datetime,
) -> list[int]:
    """Note what the modalities say of an exam's steps; gives the steps that this changed.

    ``statuses`` is asked once the exam is locked, so that nothing it reads can change: it gives
    a performed status by step key, and leaves out steps of which nothing is said.
    Raises ``OrderUnknown``.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    exam = orders.locked_exam(tx, accession_number)
    steps = store.lock_steps(tx, exam.order.accession_number)
    performed = statuses(exam, steps)
    said = [replace(each, performed_status=performed.get(each.step_key)) for each in steps]
    return _progress(tx, actor, exam, steps, said, now=now)


def _progress(
    tx: Tx, actor: Actor, exam: Exam, steps: Sequence[Step], said: Sequence[Step], *, now: datetime
) -> list[int]:
    keys = _settle(tx, exam.order.accession_number, steps, said, now=now)
    orders.progress(tx, actor, exam, procedure_states(settled(said)), now=now)
    return keys


def _settle(
    tx: Tx, accession_number: str, steps: Sequence[Step], said: Sequence[Step], *, now: datetime
) -> list[int]:
    """Write what is said of the steps now; gives those whose status it changed."""
    after = settled(said)
    written = [new for old, new in zip(steps, after, strict=True) if new != old]
    if written:
        store.set_statuses(tx, written, now)
    changed = [new for old, new in zip(steps, after, strict=True) if new.status != old.status]
    for status in sorted({each.status for each in changed}):
        keys = [each.step_key for each in changed if each.status == status]
        outbox.append(tx, StepStatusChanged(accession_number, keys, status), now=now)
    return [each.step_key for each in changed]


def steps_of(tx: Tx, accession_number: str) -> list[Step]:
    """The steps of an exam, locked. For other stages: it audits nothing."""
    return store.lock_steps(tx, accession_number)


def steps_of_exams(tx: Tx, accession_numbers: Sequence[str]) -> list[Step]:
    """The steps of exams, locked exam by exam. For other stages: it audits nothing."""
    return store.lock_steps_of(tx, accession_numbers)


def schedule_entry(
    by: Actor, verb: str, accession_number: str, changed: Sequence[str] = ()
) -> AuditEntry:
    """What the audit record says of something that was done to an exam's steps."""
    return AuditEntry(
        action=verb,
        actor=by.name,
        actor_kind=by.kind,
        source=by.source,
        object_type="order",
        object_id=accession_number,
        detail={"changed": list(changed)} if changed else {},
    )
