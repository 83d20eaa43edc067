"""Order messages from the door to the booked step, and what happens to steps afterwards.

One transaction registers the patient, places the order and books its steps: a message is applied
whole or not at all. Locks are taken in the order patient, order, step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import (
    PatientFacts,
    not_from_the_future,
    revised,
)
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import (
    AccessionFormat,
    Exam,
    OrderFacts,
    OrderReference,
    Placement,
    StepFacts,
)
from isocenter.domain.scheduling import _store as store
from isocenter.domain.scheduling.events import (
    StepBooked,
    StepCancelled,
    StepMoved,
    StepStatusChanged,
)
from isocenter.domain.scheduling.model import (
    COLUMNS,
    WAITING,
    ClosedOrder,
    ExamUnknown,
    PlacedOrder,
    Step,
    StepNotMovable,
    StepStatus,
    StepUnknown,
    further,
    paired,
    procedure_states,
    said_of,
    settled,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx

PlacementRequest = orders.PlacementRequest
ACCESSION_FORMAT = orders.ACCESSION_FORMAT


def place_order(
    tx: Tx,
    actor: Actor,
    patient: PatientFacts,
    order: OrderFacts,
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> PlacedOrder:
    """Register the patient, place or revise the order, book or move its steps.

    A procedure of which nothing is said about steps gets one step, so that the exam is on the
    worklist. Repeating it changes nothing; older facts never replace newer ones. Raises what
    ``identity.service.register`` and ``orders.service.place`` raise.

    Standard: IHE RAD TF-2 4.2, 4.4
    """
    authorize(actor, Action.ORDER_WRITE)
    registered = identity.register(tx, actor, patient, now=now)
    request = PlacementRequest(actor, registered.patient_key, order)
    return place_orders(tx, [request], now=now, accession_format=accession_format)[0]


def place_orders(
    tx: Tx,
    requests: Sequence[PlacementRequest],
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> list[PlacedOrder]:
    """As ``place_order`` for orders whose patients are registered and locked, all at once.

    No two requests share a number of their orders. What one of them raises concerns all.
    """
    placements = orders.place_all(tx, requests, now=now, accession_format=accession_format)
    plans = [
        _Plan() if placement.closed else _plan(tx, request.facts, placement, now=now)
        for request, placement in zip(requests, placements, strict=True)
    ]
    _book(tx, [(p.accession_number, plan) for p, plan in zip(placements, plans, strict=True)], now)
    return [
        PlacedOrder(
            order_key=placement.order_key,
            accession_number=placement.accession_number,
            study_instance_uids=placement.study_instance_uids,
            created=placement.created,
            changed=(*placement.changed, *plan.changed),
        )
        for placement, plan in zip(placements, plans, strict=True)
    ]


def revise_order(
    tx: Tx,
    actor: Actor,
    patient: PatientFacts,
    order: OrderFacts,
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> PlacedOrder:
    """As ``place_order``: a revision that overtakes its order creates it.

    Standard: IHE RAD TF-2 4.13 (XO)
    """
    return place_order(tx, actor, patient, order, now=now, accession_format=accession_format)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of the steps of one order: rows of new ones, and what changed of known ones."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    moved: dict[int, set[str]] = field(default_factory=dict[int, set[str]])

    @property
    def names(self) -> list[str]:
        """What changed of known steps."""
        return sorted({name for each in self.moved.values() for name in each})

    @property
    def changed(self) -> tuple[str, ...]:
        """What is to be told of it."""
        return (*(("steps",) if self.rows else ()), *self.names)


def _plan(tx: Tx, order: OrderFacts, placement: Placement, *, now: datetime) -> _Plan:
    """Move the known steps, and say which are to be booked."""
    asserted_at = not_from_the_future(order.asserted_at, now)
    default_start = order.ordered_at or asserted_at
    known = [] if placement.created else store.lock_steps(tx, placement.accession_number)
    plan = _Plan()
    for procedure_key, said in zip(placement.procedure_keys, placement.step_facts, strict=True):
        own = [each for each in known if each.procedure_key == procedure_key]
        # Steps of which nothing is said are concerned too: of when the exam was asked for.
        steps = said + (StepFacts(),) * (max(1, len(own)) - len(said))
        for facts, step in zip(steps, paired(steps, own), strict=True):
            if step is None:
                row = _new_row(facts, asserted_at, default_start)
                row["procedure_key"] = procedure_key
                row["accession_number"] = placement.accession_number
                plan.rows.append(row)
            else:
                names = _revise(tx, step, facts, (asserted_at, default_start), now=now)
                if names:
                    plan.moved[step.step_key] = names
    return plan


def _book(tx: Tx, plans: Sequence[tuple[str, _Plan]], now: datetime) -> None:
    """Insert the new steps of several exams, and tell of these and of the moved ones."""
    rows = [row for _, plan in plans for row in plan.rows]
    keys = iter(store.insert_steps(tx, rows, now) if rows else [])
    for accession_number, plan in plans:
        if plan.rows:
            booked = StepBooked(accession_number, list(islice(keys, len(plan.rows))))
            outbox.append(tx, booked, now=now)
        if plan.moved:
            moved = StepMoved(accession_number, sorted(plan.moved), plan.names)
            outbox.append(tx, moved, now=now)


def _new_row(facts: StepFacts, asserted_at: datetime, default_start: datetime) -> dict[str, Any]:
    unsaid: dict[str, Any] = {
        **dict.fromkeys(COLUMNS),
        "modality": "",
        "station_ae_titles": [],
        "protocol_codes": [],
        "start_at": default_start,
    }
    first = revised(unsaid, {}, said_of(facts), asserted_at)
    return {**unsaid, **first.values, "said_at": first.said_at}


def _revise(
    tx: Tx, step: Step, facts: StepFacts, times: tuple[datetime, datetime], *, now: datetime
) -> set[str]:
    asserted_at, default_start = times
    current = {name: getattr(step, name) for name in COLUMNS}
    revision = revised(current, step.said_at, said_of(facts), asserted_at)
    values = revision.values
    # As long as nobody said when, the earliest moment at which the exam was asked for counts.
    if "start_at" not in revision.said_at and default_start < step.start_at:
        values["start_at"] = default_start
    if revision.newer or values:
        columns = {**current, **values, "said_at": revision.said_at}
        store.update_step(tx, step.step_key, columns, now)
    return set(values)


def cancel_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> ClosedOrder:
    """Withdraw an order that is not begun, and its steps from the worklist.

    Raises ``OrderUnknown``, and ``StateForbids`` when it is begun or done.

    Standard: IHE RAD TF-2 4.2.4.2 (CA)
    """
    exam = orders.cancel(tx, actor, reference, now=now, reason=reason)
    return _closed(tx, exam, StepStatus.CANCELLED, now=now)


def discontinue_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> ClosedOrder:
    """Stop an order, begun or not, and what is left of its steps.

    Standard: IHE RAD TF-2 4.13 (DC)
    """
    exam = orders.discontinue(tx, actor, reference, now=now, reason=reason)
    return _closed(tx, exam, StepStatus.DISCONTINUED, now=now)


def _closed(tx: Tx, exam: Exam, status: StepStatus, *, now: datetime) -> ClosedOrder:
    number = exam.order.accession_number
    steps = [
        replace(each, status=status, closed=True)
        for each in store.lock_steps(tx, number)
        if not each.closed and each.status != StepStatus.COMPLETED
    ]
    keys = [each.step_key for each in steps]
    if keys:
        store.set_statuses(tx, steps, now)
        outbox.append(tx, StepCancelled(number, keys, status), now=now)
    return ClosedOrder(exam.order.order_key, number, changed=bool(keys))


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
        audit.record(tx, _entry(actor, "schedule.arrive", accession_number), now=now)
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
    changed = _revise(tx, step, facts, (now, step.start_at), now=now)
    if changed:
        event = StepMoved(step.accession_number, [step_key], sorted(changed))
        outbox.append(tx, event, now=now)
        entry = _entry(actor, "schedule.move", step.accession_number, sorted(changed))
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


def _entry(
    actor: Actor, verb: str, accession_number: str, changed: Sequence[str] = ()
) -> AuditEntry:
    return AuditEntry(
        action=verb,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="order",
        object_id=accession_number,
        detail={"changed": list(changed)} if changed else {},
    )
