"""Order messages from the door to the booked step.

One transaction registers the patient, places the order and books its steps: a message is applied
whole or not at all. Locks are taken in the order patient, order, step.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import (
    PatientFacts,
)
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import (
    AccessionConflict,
    AccessionFormat,
    Exam,
    OrderFacts,
    OrderReference,
)
from isocenter.domain.scheduling import _store as store
from isocenter.domain.scheduling.events import (
    StepCancelled,
)
from isocenter.domain.scheduling.model import (
    OrderOutcome,
    PlacedOrder,
    StepStatus,
)
from isocenter.domain.scheduling.service.booking import Plan, book, plan_steps
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
        Plan() if placement.closed else plan_steps(tx, request.facts, placement, now=now)
        for request, placement in zip(requests, placements, strict=True)
    ]
    booked = [
        (placement.accession_number, plan, request.actor)
        for placement, plan, request in zip(placements, plans, requests, strict=True)
    ]
    book(tx, booked, now)
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


def cancel_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> OrderOutcome:
    """Withdraw an order that is not begun, and its steps from the worklist.

    Raises ``OrderUnknown``, and ``StateForbids`` when it is begun or done.

    Standard: IHE RAD TF-2 4.2.4.2 (CA)
    """
    exam = orders.cancel(tx, actor, reference, now=now, reason=reason)
    return _closed(tx, exam, StepStatus.CANCELLED, now=now)


def discontinue_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> OrderOutcome:
    """Stop an order, begun or not, and what is left of its steps.

    Standard: IHE RAD TF-2 4.13 (DC)
    """
    exam = orders.discontinue(tx, actor, reference, now=now, reason=reason)
    return _closed(tx, exam, StepStatus.DISCONTINUED, now=now)


def replace_order(
    tx: Tx, actor: Actor, reference: OrderReference, replacement: PlacedOrder, *, now: datetime
) -> OrderOutcome:
    """Withdraw an order that is not begun: the replacement, placed before, is done instead.

    Raises ``OrderUnknown``, ``StateForbids``; ``AccessionConflict`` when both are one exam: that
    is a revision.

    Standard: HL7 v2.5.1 4.5.1.1 (RP, RO)
    """
    if orders.find_exam(tx, actor, reference).order.order_key == replacement.order_key:
        raise AccessionConflict("the accession number belongs to the order that is replaced")
    exam = orders.replace(tx, actor, reference, replacement.order_key, now=now)
    return _closed(tx, exam, StepStatus.CANCELLED, now=now)


def hold_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> OrderOutcome:
    """Keep an order that is not begun from being done: scanners are not offered it.

    Raises ``OrderUnknown``, and ``StateForbids`` when it is begun or done.

    Standard: HL7 v2.5.1 4.5.1.1 (HD)
    """
    exam, changed = orders.hold(tx, actor, reference, now=now, reason=reason)
    return OrderOutcome(exam.order.order_key, exam.order.accession_number, changed)


def release_order(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> OrderOutcome:
    """Let an order be done that was on hold. Raises as ``hold_order``.

    Standard: HL7 v2.5.1 4.5.1.1 (RL)
    """
    exam, changed = orders.release(tx, actor, reference, now=now, reason=reason)
    return OrderOutcome(exam.order.order_key, exam.order.accession_number, changed)


def _closed(tx: Tx, exam: Exam, status: StepStatus, *, now: datetime) -> OrderOutcome:
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
    return OrderOutcome(exam.order.order_key, number, changed=bool(keys))
