"""Which order is meant, and the exam that it makes with its procedures."""

from collections.abc import Mapping, Sequence
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.model import (
    AccessionConflict,
    Exam,
    Order,
    OrderFacts,
    OrderNumberConflict,
    OrderReference,
    OrderUnidentified,
    OrderUnknown,
)
from isocenter.infra.db import Tx

RelatedOrder = store.RelatedOrder


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


def related_orders(tx: Tx, order_key: int) -> list[RelatedOrder]:
    """The orders that belong to an order: what replaced it, what it was parted into, and so on.

    For other stages: it audits nothing.
    """
    return store.related_orders(tx, order_key)


def locked_exam(tx: Tx, accession_number: str) -> Exam:
    """The exam, its order locked until the transaction ends. Raises ``OrderUnknown``.

    For the stages that move exams on: it audits nothing.
    """
    order = lock_order(tx, OrderReference(accession_number=accession_number))
    return Exam(order, tuple(store.procedures_of(tx, order.order_key)))


def lock_order(tx: Tx, reference: OrderReference) -> Order:
    """The order, locked. Raises ``OrderUnidentified``, ``OrderUnknown`` and the conflicts."""
    if reference.is_empty():
        raise OrderUnidentified("an order is named by its placer, filler or accession number")
    order = the_order(store.lock_orders(tx, [reference]), reference)
    if order is None:
        raise OrderUnknown("no order has this number")
    return order


def the_order(found: Sequence[Order], reference: OrderReference) -> Order | None:
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


def is_meant(order: Order, reference: OrderReference) -> bool:
    """Whether any of the numbers is the order's."""
    by_accession = order.accession_number == reference.accession_number
    return by_accession or shares_number(order, reference)


def shares_number(order: Order, facts: OrderFacts | OrderReference) -> bool:
    """Whether the placer or filler order number is the order's."""
    placer = (order.placer_order_number, order.placer_namespace)
    filler = (order.filler_order_number, order.filler_namespace)
    return (
        bool(facts.placer_order_number)
        and placer == (facts.placer_order_number, facts.placer_namespace)
    ) or (
        bool(facts.filler_order_number)
        and filler == (facts.filler_order_number, facts.filler_namespace)
    )


def audit_entry(
    by: Actor, verb: str, accession_number: str, detail: Mapping[str, Any]
) -> AuditEntry:
    """What the audit record says of something that was done to an order."""
    return AuditEntry(
        action=verb,
        actor=by.name,
        actor_kind=by.kind,
        source=by.source,
        object_type="order",
        object_id=accession_number,
        detail=detail,
    )
