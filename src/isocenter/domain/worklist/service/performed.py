"""Performed procedure steps: begun, updated, completed or discontinued, and what follows.

What a performed step means for the exams that it names is computed anew from all performed steps
and all scheduled ones whenever one of them changes, so that it does not matter which came first:
in the transaction that brings the news, and once more after its commit, because an order may have
come in the same moment. Locks are taken in the order performed step, order, scheduled step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.orders.model import Exam
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model import Step, StepStatus
from isocenter.domain.worklist._store import performed as store
from isocenter.domain.worklist._store import step_workitems
from isocenter.domain.worklist.events import StepPerformed
from isocenter.domain.worklist.model import (
    FinalAttributesMissing,
    FixedAttributesChanged,
    NothingDiscontinued,
    Performed,
    PerformedStatus,
    PerformedStep,
    PerformedStepExists,
    PerformedStepFinal,
    PerformedStepUnknown,
    SaysOfStep,
    StepStart,
    StepUpdate,
    status_of,
    steps_meant,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.performed_step import FIXED, required_at_end

_STARTED = "performed_step.start"


def start(tx: Tx, actor: Actor, step: StepStart, *, now: datetime) -> None:
    """Note that a modality has begun, whatever it says that it is doing, even nothing.

    Raises ``PerformedStepExists``.

    Standard: PS3.4 F.7.2.1; IHE RAD TF-2 4.6
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    key = store.insert(tx, step, actor.name, now)
    if key is None:
        raise PerformedStepExists("a performed procedure step with this UID exists already")
    store.insert_references(tx, key, step.references)
    store.replace_series(tx, key, step.series)
    _told(tx, actor, _STARTED, _required(tx, step.sop_instance_uid), now=now)


def update(
    tx: Tx,
    actor: Actor,
    sop_instance_uid: str,
    said: StepUpdate,
    *,
    now: datetime,
) -> None:
    """Note what a modality says later: what it made, and that it has ended.

    Raises ``PerformedStepUnknown``, ``PerformedStepFinal``, ``FixedAttributesChanged``,
    ``FinalAttributesMissing``.

    Standard: PS3.4 F.7.2.2; IHE RAD TF-2 4.7
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    known = _required(tx, sop_instance_uid)
    if known.is_final:
        raise PerformedStepFinal("Performed Procedure Step Object may no longer be updated")
    changed = [tag for tag in FIXED if _differs(said.attributes, known.attributes, tag)]
    if changed:
        raise FixedAttributesChanged(changed)
    after = _updated(known, said)
    missing = [tag for tag in required_at_end(after.status) if not _has_value(after, tag)]
    if missing:
        raise FinalAttributesMissing(missing)
    store.update(tx, after, now)
    if said.series is not None:
        store.replace_series(tx, known.performed_key, said.series)
    verb = _VERBS[PerformedStatus(after.status)]
    _told(tx, actor, f"performed_step.{verb}", after, now=now)


_VERBS: Mapping[PerformedStatus, str] = {
    PerformedStatus.IN_PROGRESS: "update",
    PerformedStatus.COMPLETED: "complete",
    PerformedStatus.DISCONTINUED: "discontinue",
}


def _differs(said: Mapping[str, Any], known: Mapping[str, Any], tag: int) -> bool:
    key = f"{tag:08X}"
    return key in said and said[key] != known.get(key)


def _has_value(step: PerformedStep, tag: int) -> bool:
    return bool(step.attributes.get(f"{tag:08X}", {}).get("Value"))


def _required(tx: Tx, sop_instance_uid: str) -> PerformedStep:
    step = store.lock(tx, sop_instance_uid)
    if step is None:
        raise PerformedStepUnknown("there is no performed procedure step with this UID")
    return step


def _updated(known: PerformedStep, said: StepUpdate) -> PerformedStep:
    reason = said.reason
    return replace(
        known,
        status=said.status or known.status,
        ended_at=said.ended_at or known.ended_at,
        discontinuation_reason_code=reason.code if reason else known.discontinuation_reason_code,
        discontinuation_reason_scheme=reason.scheme
        if reason
        else known.discontinuation_reason_scheme,
        discontinuation_reason_meaning=reason.meaning
        if reason
        else known.discontinuation_reason_meaning,
        attributes={**known.attributes, **said.attributes},
    )


def _told(tx: Tx, actor: Actor, action: str, step: PerformedStep, *, now: datetime) -> None:
    """What follows when something was said of a step: effect, event, audit."""
    references = store.references_of(tx, step.performed_key)
    numbers = _settle(tx, actor, step.performed_key, now=now)
    studies = sorted({each.study_instance_uid for each in references})
    is_new = action == _STARTED
    event = StepPerformed(step.sop_instance_uid, step.status, studies, numbers, is_new)
    outbox.append(tx, event, now=now)
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="performed_step",
        object_id=step.sop_instance_uid,
        patient_id=step.patient_id,
        detail={"accession_numbers": numbers},
    )
    audit.record(tx, entry, now=now)


def settle_performed(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> list[str]:
    """Accession numbers of the exams whose steps a performed one means; they follow it from now on.

    Raises ``PerformedStepUnknown``.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    return _settle(tx, actor, _required(tx, sop_instance_uid).performed_key, now=now)


def _settle(tx: Tx, actor: Actor, performed_key: int, *, now: datetime) -> list[str]:
    named = store.exams_named(tx, store.references_of(tx, performed_key))
    for accession_number in sorted({*named, *store.exams_meant(tx, performed_key)}):
        _settle_exam(tx, actor, accession_number, now=now)
    return store.exams_meant(tx, performed_key)


def settle_exams(tx: Tx, actor: Actor, accession_numbers: Sequence[str], *, now: datetime) -> None:
    """Have the steps of exams follow the performed ones that mean them."""
    authorize(actor, Action.SCHEDULE_WRITE)
    for accession_number in store.named_exams(tx, accession_numbers):
        _settle_exam(tx, actor, accession_number, now=now)


def settle_workitem(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> str | None:
    """Have a scheduled step follow what whoever claimed its workitem says; gives the exam."""
    authorize(actor, Action.SCHEDULE_WRITE)
    accession_number = step_workitems.exam_of(tx, sop_instance_uid)
    if accession_number is not None:
        _settle_exam(tx, actor, accession_number, now=now)
    return accession_number


def _settle_exam(tx: Tx, actor: Actor, accession_number: str, *, now: datetime) -> None:
    def statuses(exam: Exam, steps: Sequence[Step]) -> Mapping[int, StepStatus]:
        del exam
        meant = _meant(tx, accession_number)
        pairs = {(key, each.performed_key) for key, found in meant.items() for each in found}
        store.set_performance(tx, [each.step_key for each in steps], pairs)
        says: dict[int, list[SaysOfStep]] = {key: [*found] for key, found in meant.items()}
        for each in step_workitems.claimed(tx, [each.step_key for each in steps]):
            says.setdefault(each.step_key, []).append(each)
        said = {key: status_of(found) for key, found in says.items()}
        return {key: status for key, status in said.items() if status is not None}

    scheduling.perform(tx, actor, accession_number, statuses, now=now)


def _meant(tx: Tx, accession_number: str) -> dict[int, list[Performed]]:
    """By key of the exam's steps, the performed ones that mean them."""
    steps = store.named_steps(tx, accession_number)
    uids = {each.study_instance_uid for each in steps}
    found: dict[int, list[Performed]] = {}
    for reference in store.performed_for(tx, accession_number, uids):
        for step in steps_meant(reference, steps):
            found.setdefault(step.step_key, []).append(reference)
    return found


def book_again(tx: Tx, actor: Actor, accession_number: str, *, now: datetime) -> None:
    """Have the steps of an exam wait again that its modality discontinued.

    Raises ``NothingDiscontinued``.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    keys = store.set_aside(tx, accession_number, actor.name, now)
    workitems = step_workitems.set_aside(tx, accession_number, now)
    if not keys and not workitems:
        raise NothingDiscontinued("no scanner has discontinued this exam")
    for key in sorted(keys):
        _settle(tx, actor, key, now=now)
    if workitems:
        _settle_exam(tx, actor, accession_number, now=now)
    entry = AuditEntry(
        action="schedule.book_again",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="order",
        object_id=accession_number,
    )
    audit.record(tx, entry, now=now)


def performed_step(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> PerformedStep:
    """The performed step, for whoever asks for it. Raises ``PerformedStepUnknown``.

    Standard: PS3.4 F.8
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    step = _required(tx, sop_instance_uid)
    entry = AuditEntry(
        action="performed_step.read",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="performed_step",
        object_id=sop_instance_uid,
        patient_id=step.patient_id,
    )
    audit.record(tx, entry, now=now)
    return step


def confirm_series(tx: Tx, keys: Sequence[tuple[int, str]]) -> None:
    """Keep that all objects of series were received: (performed key, Series Instance UID).

    For ``reconcile``, which sees what performed steps and images say of each other.
    """
    store.confirm_series(tx, keys)


def studies_in_progress(tx: Tx, *, since: datetime) -> list[str]:
    """Studies that a modality has begun after ``since`` and not ended. It audits nothing."""
    return store.studies_in_progress(tx, since)
