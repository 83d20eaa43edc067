"""Placing, revising, cancelling and discontinuing orders, and moving them on as they are done.

Order messages come in through ``scheduling``, which registers the patient first and books the steps
afterwards. Locks are taken in the order patient, order, step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import microseconds, not_from_the_future, revised
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import (
    OrderCancelled,
    OrderCompleted,
    OrderDiscontinued,
    OrderPlaced,
    OrderReopened,
    OrderRevised,
    OrderStarted,
)
from isocenter.domain.orders.model import (
    CLOSED,
    DESCRIBED,
    AccessionConflict,
    AccessionFormat,
    Exam,
    Order,
    OrderFacts,
    OrderNumberConflict,
    OrderPatientConflict,
    OrderReference,
    OrderState,
    OrderUnidentified,
    OrderUnknown,
    OrderVerb,
    Placement,
    Procedure,
    ProcedureFacts,
    StudyInstanceUidFixed,
    after,
    check_facts,
    order_state,
    paired,
)
from isocenter.infra import ids, outbox
from isocenter.infra.db import Tx, UniqueViolation

ACCESSION_FORMAT = AccessionFormat()
_ATTEMPTS_MAX = 100
_NUMBERS = ("placer", "filler")


def place(
    tx: Tx,
    actor: Actor,
    patient_key: int,
    facts: OrderFacts,
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> Placement:
    """Create the order, or bring a known one up to date where the facts are newer.

    The caller holds the lock of the patient's row. What is missing is issued: an accession number
    that no order has, a Study Instance UID for each procedure. Placing and revising are the same,
    so that a revision that overtakes its order is not lost. Raises ``AccessionConflict``,
    ``OrderNumberConflict``, ``OrderPatientConflict``, ``StudyInstanceUidFixed``, ``StateForbids``,
    ``NumberUnusable``, ``OrderUnidentified``.

    Standard: IHE RAD TF-2 4.2, 4.3, 4.4, 4.13
    """
    request = PlacementRequest(actor, patient_key, facts)
    return place_all(tx, [request], now=now, accession_format=accession_format)[0]


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """An order to be placed or revised."""

    actor: Actor
    patient_key: int
    facts: OrderFacts


def place_all(
    tx: Tx,
    requests: Sequence[PlacementRequest],
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> list[Placement]:
    """As ``place`` for each of the requests, in two statements when all orders are new.

    No two requests share a number of their orders. What one of them raises concerns all.
    """
    for each in requests:
        authorize(each.actor, Action.ORDER_WRITE)
        check_facts(each.facts)
    done: dict[int, Placement] = {}
    try:
        for _ in range(_ATTEMPTS_MAX):
            waiting = {p: each for p, each in enumerate(requests) if p not in done}
            if not waiting:
                break
            fresh = _revise_known(tx, waiting, done, now=now)
            _place_fresh(tx, fresh, done, accession_format, now=now)
            # What is not done: a number of it was taken a moment ago, and the order that took it is
            # visible now; another request changed its order, which is read anew; or the next
            # thousand numbers to issue were all taken by messages.
    except UniqueViolation as taken:
        raise StudyInstanceUidFixed(
            "another procedure has this Study Instance UID or requested procedure ID"
        ) from taken
    if len(done) < len(requests):
        raise AccessionConflict("no free accession number was found")
    return [done[position] for position in range(len(requests))]


def _revise_known(
    tx: Tx,
    waiting: Mapping[int, PlacementRequest],
    done: dict[int, Placement],
    *,
    now: datetime,
) -> dict[int, PlacementRequest]:
    """Revise each order that is known, once; gives the requests whose order is not."""
    locked = store.lock_orders(tx, [each.facts.reference() for each in waiting.values()])
    concerned: set[int] = set()
    fresh: dict[int, PlacementRequest] = {}
    for position, each in waiting.items():
        reference = each.facts.reference()
        known = _the_order([e for e in locked if _is_meant(e, reference)], reference)
        if known is None:
            fresh[position] = each
        elif known.order_key not in concerned:
            concerned.add(known.order_key)
            done[position] = _revise(tx, each.actor, known, each.patient_key, each.facts, now=now)
    return fresh


def _place_fresh(
    tx: Tx,
    fresh: Mapping[int, PlacementRequest],
    done: dict[int, Placement],
    accession_format: AccessionFormat,
    *,
    now: datetime,
) -> None:
    """Insert the orders, without those of which a number was taken a moment ago."""
    if not fresh:
        return
    positions, orders = list(fresh), [_new_order(each, now) for each in fresh.values()]
    inserted: dict[int, list[store.InsertedProcedure]] = {}
    for row in store.insert_orders(tx, orders, accession_format, now):
        inserted.setdefault(positions[row.position], []).append(row)
    for position, rows in inserted.items():
        done[position] = _placed(tx, fresh[position], rows, now=now)


def _is_meant(order: Order, reference: OrderReference) -> bool:
    by_accession = order.accession_number == reference.accession_number
    return by_accession or _shares_number(order, reference)


def _the_order(found: Sequence[Order], reference: OrderReference) -> Order | None:
    """The one order that is meant, or None."""
    if not found:
        return None
    if len(found) > 1:
        by_accession = [e for e in found if e.accession_number == reference.accession_number]
        if by_accession and len(found) == 2:
            raise AccessionConflict("the accession number belongs to another order")
        raise OrderNumberConflict("the order's numbers belong to different orders")
    order = found[0]
    given = reference.accession_number
    if given and order.accession_number != given:
        raise AccessionConflict("the order has another accession number already")
    return order


def _new_order(
    request: PlacementRequest, now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of a new order, and those of its procedures."""
    facts = request.facts
    asserted_at = not_from_the_future(facts.asserted_at, now)
    columns = _new_columns(facts, asserted_at) | {
        "accession_number_said": facts.accession_number or None,
        "patient_key": request.patient_key,
        "source_peer": request.actor.name,
    }
    return columns, _new_procedures(facts.requested(), asserted_at)


def _new_columns(facts: OrderFacts, asserted_at: datetime) -> dict[str, Any]:
    first = revised(dict.fromkeys(DESCRIBED), {}, facts.said(), asserted_at)
    return {
        "placer_order_number": facts.placer_order_number or None,
        "placer_namespace": facts.placer_namespace,
        "filler_order_number": facts.filler_order_number or None,
        "filler_namespace": facts.filler_namespace,
        "accession_issuer": facts.accession_issuer,
        **dict.fromkeys(DESCRIBED),
        **first.values,
        # The check on the column knows no "said to be none".
        "priority": facts.priority or None,
        "asserted_at": asserted_at,
        "said_at": first.said_at,
    }


_PROCEDURE_COLUMNS = (
    "requested_procedure_id",
    "study_instance_uid",
    "code_value",
    "code_scheme",
    "code_meaning",
    "description",
    "laterality",
)


def _new_procedures(
    procedures: Sequence[ProcedureFacts], asserted_at: datetime
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for position, each in enumerate(procedures):
        first = revised(dict.fromkeys(_PROCEDURE_COLUMNS), {}, each.said(), asserted_at)
        rows.append({
            "position": position,
            **dict.fromkeys(_PROCEDURE_COLUMNS),
            **first.values,
            "study_instance_uid": each.study_instance_uid or ids.new_uid(),
            "study_instance_uid_issued": not each.study_instance_uid,
            "said_at": first.said_at,
        })
    return rows


def _placed(
    tx: Tx,
    request: PlacementRequest,
    rows: Sequence[store.InsertedProcedure],
    *,
    now: datetime,
) -> Placement:
    uids = [each.study_instance_uid for each in rows]
    order_key, number = rows[0].order_key, rows[0].accession_number
    outbox.append(tx, OrderPlaced(order_key, number, uids, request.patient_key), now=now)
    entry = _entry(request.actor, "order.place", number, {"procedures": len(uids)})
    audit.record(tx, entry, now=now)
    return Placement(
        order_key=order_key,
        accession_number=number,
        study_instance_uids=tuple(uids),
        procedure_keys=tuple(each.procedure_key for each in rows),
        step_facts=tuple(each.steps for each in request.facts.requested()),
        created=True,
        changed=("order",),
        closed=False,
    )


def _entry(actor: Actor, verb: str, accession_number: str, detail: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        action=verb,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="order",
        object_id=accession_number,
        detail=detail,
    )


def _revise(
    tx: Tx,
    actor: Actor,
    order: Order,
    patient_key: int,
    facts: OrderFacts,
    *,
    now: datetime,
) -> Placement:
    if not identity.same_person(tx, order.patient_key, patient_key):
        if not _shares_number(order, facts):
            raise AccessionConflict("the accession number belongs to another patient's exam")
        raise OrderPatientConflict("the order belongs to another patient")
    asserted_at = not_from_the_future(facts.asserted_at, now)
    closed = OrderState(order.state) in CLOSED
    # What was said before the order was closed may arrive after that; a new instruction may not.
    if not closed or microseconds(asserted_at) > order.said_at.get("state", 0):
        after(OrderState(order.state), OrderVerb.REVISE)
    changed = _revise_order(tx, order, facts, asserted_at, now=now)
    keys = _revise_procedures(tx, order, facts, asserted_at, changed)
    uids = [each.study_instance_uid for each in store.procedures_of(tx, order.order_key)]
    number = order.accession_number
    if changed:
        event = OrderRevised(order.order_key, number, uids, order.patient_key, changed)
        outbox.append(tx, event, now=now)
        audit.record(tx, _entry(actor, "order.revise", number, {"changed": changed}), now=now)
    return Placement(
        order_key=order.order_key,
        accession_number=number,
        study_instance_uids=tuple(uids),
        procedure_keys=keys,
        step_facts=tuple(each.steps for each in facts.requested()),
        created=False,
        changed=tuple(changed),
        closed=closed,
    )


def _shares_number(order: Order, facts: OrderFacts | OrderReference) -> bool:
    placer = (order.placer_order_number, order.placer_namespace)
    filler = (order.filler_order_number, order.filler_namespace)
    return (
        bool(facts.placer_order_number)
        and placer == (facts.placer_order_number, facts.placer_namespace)
    ) or (
        bool(facts.filler_order_number)
        and filler == (facts.filler_order_number, facts.filler_namespace)
    )


def _revise_order(
    tx: Tx, order: Order, facts: OrderFacts, asserted_at: datetime, *, now: datetime
) -> list[str]:
    """Write the order's columns where the facts are newer; gives the names of what changed."""
    current = {name: getattr(order, name) for name in DESCRIBED}
    said = facts.said()
    if said.get("priority") == "":
        said["priority"] = None
    revision = revised(current, order.said_at, said, asserted_at)
    # A number is never taken away and never replaced: others know the order by it.
    numbers: dict[str, Any] = {
        "placer_order_number": order.placer_order_number,
        "placer_namespace": order.placer_namespace,
        "filler_order_number": order.filler_order_number,
        "filler_namespace": order.filler_namespace,
        "accession_issuer": order.accession_issuer or facts.accession_issuer,
    }
    for kind in _NUMBERS:
        number = getattr(facts, f"{kind}_order_number")
        if number and not numbers[f"{kind}_order_number"]:
            numbers[f"{kind}_order_number"] = number
            numbers[f"{kind}_namespace"] = getattr(facts, f"{kind}_namespace")
    added = [name for name, value in numbers.items() if value != getattr(order, name)]
    if revision.newer or added:
        columns = {
            **numbers,
            **current,
            **revision.values,
            "asserted_at": asserted_at,
            "said_at": revision.said_at,
            "now": now,
        }
        store.update_order(tx, order.order_key, columns)
    return sorted([*added, *revision.values])


def _revise_procedures(
    tx: Tx, order: Order, facts: OrderFacts, asserted_at: datetime, changed: list[str]
) -> tuple[int, ...]:
    """Update and add procedures; gives the key of each of the facts', and adds to ``changed``."""
    procedures = facts.requested()
    # An order with a number of its own that shares the exam adds procedures, it replaces none.
    guest = bool(facts.placer_order_number) and order.placer_order_number is not None
    in_order = not guest or _shares_number(order, facts)
    pairs = paired(procedures, store.procedures_of(tx, order.order_key), in_order=in_order)
    names: set[str] = set()
    for each, known in zip(procedures, pairs, strict=True):
        if known is not None:
            names |= _revise_procedure(tx, known, each, asserted_at)
    fresh = [each for each, known in zip(procedures, pairs, strict=True) if known is None]
    added: list[Procedure] = []
    if fresh:
        added = store.add_procedures(tx, order.order_key, _new_procedures(fresh, asserted_at))
        if OrderState(order.state) in CLOSED:
            keys = [each.procedure_key for each in added]
            store.set_procedure_states(tx, keys, order.state)
        names.add("procedures")
    changed += sorted(names)
    following = iter(added)
    return tuple((known or next(following)).procedure_key for known in pairs)


def _revise_procedure(
    tx: Tx, known: Procedure, facts: ProcedureFacts, asserted_at: datetime
) -> set[str]:
    said = facts.said()
    _keep_uid(known, said)
    current = {name: getattr(known, name) for name in _PROCEDURE_COLUMNS}
    revision = revised(current, known.said_at, said, asserted_at)
    if revision.newer:
        columns = {
            **current,
            **revision.values,
            "study_instance_uid_issued": known.study_instance_uid_issued
            and "study_instance_uid" not in said,
            "said_at": revision.said_at,
        }
        store.update_procedure(tx, known.procedure_key, columns)
    return set(revision.values)


def _keep_uid(known: Procedure, said: Mapping[str, Any]) -> None:
    """Raise ``StudyInstanceUidFixed`` when another UID is said than the one that is in use."""
    uid = said.get("study_instance_uid")
    in_use = not known.study_instance_uid_issued or known.state != OrderState.PLACED
    if uid is not None and uid != known.study_instance_uid and in_use:
        raise StudyInstanceUidFixed("the procedure has another Study Instance UID already")


def cancel(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> Exam:
    """Withdraw an order that is not begun. Raises ``OrderUnknown``, ``StateForbids``.

    Cancelling again changes nothing.
    """
    authorize(actor, Action.ORDER_WRITE)
    return _close(tx, actor, reference, OrderVerb.CANCEL, reason, now=now)


def discontinue(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> Exam:
    """Stop an order, begun or not. Raises ``OrderUnknown``, ``StateForbids``."""
    authorize(actor, Action.ORDER_WRITE)
    return _close(tx, actor, reference, OrderVerb.DISCONTINUE, reason, now=now)


def _close(
    tx: Tx,
    actor: Actor,
    reference: OrderReference,
    verb: OrderVerb,
    reason: str,
    *,
    now: datetime,
) -> Exam:
    order = _lock(tx, reference)
    state = after(OrderState(order.state), verb)
    procedures = store.procedures_of(tx, order.order_key)
    if state == order.state:
        return Exam(order, tuple(procedures))
    said_at = microseconds(not_from_the_future(reference.asserted_at or now, now))
    store.set_order_state(
        tx, order.order_key, state, reason=reason or None, said_at=said_at, now=now
    )
    open_keys = [each.procedure_key for each in procedures if each.state not in _FINISHED]
    store.set_procedure_states(tx, open_keys, state)
    event = OrderCancelled if state is OrderState.CANCELLED else OrderDiscontinued
    uids = [each.study_instance_uid for each in procedures]
    outbox.append(
        tx,
        event(order.order_key, order.accession_number, uids, order.patient_key, reason),
        now=now,
    )
    detail = {"reason": reason} if reason else {}
    entry = _entry(actor, f"order.{verb.value}", order.accession_number, detail)
    audit.record(tx, entry, now=now)
    return Exam(order, tuple(store.procedures_of(tx, order.order_key)))


_FINISHED = frozenset({OrderState.COMPLETED, *CLOSED})


def _lock(tx: Tx, reference: OrderReference) -> Order:
    if reference.is_empty():
        raise OrderUnidentified("an order is named by its placer, filler or accession number")
    order = _the_order(store.lock_orders(tx, [reference]), reference)
    if order is None:
        raise OrderUnknown("no order has this number")
    return order


def locked_exam(tx: Tx, accession_number: str) -> Exam:
    """The exam, its order locked until the transaction ends. Raises ``OrderUnknown``.

    For the stages that move exams on: it audits nothing.
    """
    order = _lock(tx, OrderReference(accession_number=accession_number))
    return Exam(order, tuple(store.procedures_of(tx, order.order_key)))


def progress(
    tx: Tx, actor: Actor, exam: Exam, states: Mapping[int, OrderState], *, now: datetime
) -> None:
    """Have the procedures (by key) of a locked exam be where their steps are, and the order too.

    The order is completed when all its procedures are; what is cancelled or discontinued stays so.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    order = exam.order
    if OrderState(order.state) in CLOSED:
        return
    for state in sorted(set(states.values())):
        keys = [
            each.procedure_key
            for each in exam.procedures
            if states.get(each.procedure_key) == state
            and each.state != state
            and OrderState(each.state) not in CLOSED
        ]
        if keys:
            store.set_procedure_states(tx, keys, state)
    target = order_state([
        states.get(e.procedure_key, OrderState(e.state)) for e in exam.procedures
    ])
    if target != order.state:
        store.set_order_state(tx, order.order_key, target, reason=None, said_at=None, now=now)
        event = _PROGRESS_EVENTS[target]
        outbox.append(tx, event(order.order_key, order.accession_number), now=now)


_PROGRESS_EVENTS: Mapping[
    OrderState, type[OrderStarted] | type[OrderCompleted] | type[OrderReopened]
] = {
    OrderState.PLACED: OrderReopened,
    OrderState.IN_PROGRESS: OrderStarted,
    OrderState.COMPLETED: OrderCompleted,
}


def exam(tx: Tx, accession_number: str) -> Exam | None:
    """What an accession number stands for. For other stages: it audits nothing."""
    return order_for(tx, OrderReference(accession_number=accession_number))


def order_for(tx: Tx, reference: OrderReference) -> Exam | None:
    """The exam that the numbers mean; None when they mean none or several."""
    found = store.orders_by(tx, reference)
    if len(found) != 1:
        return None
    return Exam(found[0], tuple(store.procedures_of(tx, found[0].order_key)))


def exam_of_study(tx: Tx, study_instance_uid: str) -> Exam | None:
    """The exam that a study was ordered by. For other stages: it audits nothing."""
    number = store.exam_of_study(tx, study_instance_uid)
    return exam(tx, number) if number is not None else None
