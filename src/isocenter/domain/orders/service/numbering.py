"""The numbers that others know an order by, and how orders belong together."""

from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.model import Exam, Order, OrderNumberConflict, OrderReference
from isocenter.domain.orders.service.finding import audit_entry, lock_order
from isocenter.infra.db import Tx, UniqueViolation


def assign_numbers(
    tx: Tx, actor: Actor, accession_number: str, namespace: str, *, now: datetime
) -> Order:
    """The order with a placer and a filler order number: its accession number where one is missing.

    Assigning again changes nothing. Raises ``OrderUnknown``.

    Standard: HL7 v2.5.1 4.5.1.1 (SN, NA)
    """
    authorize(actor, Action.ORDER_WRITE)
    order = lock_order(tx, OrderReference(accession_number=accession_number))
    missing = OrderReference(accession_number, namespace, accession_number, namespace)
    return _with_numbers(tx, actor, order, missing, now=now)


def add_numbers(tx: Tx, actor: Actor, numbers: OrderReference, *, now: datetime) -> Order:
    """The order, which has the numbers now as far as it had none: a number is never replaced.

    Raises ``OrderUnknown``, ``OrderNumberConflict``.

    Standard: HL7 v2.5.1 4.5.1.1 (NA)
    """
    authorize(actor, Action.ORDER_WRITE)
    return _with_numbers(tx, actor, lock_order(tx, numbers), numbers, now=now)


def part_from(
    tx: Tx, actor: Actor, order_key: int, parent: OrderReference, *, now: datetime
) -> None:
    """Note that an order is one of those that another one was parted into.

    Raises ``OrderUnknown``, ``OrderNumberConflict``.

    Standard: HL7 v2.5.1 4.5.1.1 (PA, CH), 4.5.1.8
    """
    authorize(actor, Action.ORDER_WRITE)
    of = lock_order(tx, parent)
    if of.order_key == order_key:
        raise OrderNumberConflict("an order is not its own parent")
    store.set_relations(tx, order_key, parent_key=of.order_key)
    entry = audit_entry(actor, "order.part", of.accession_number, {"order_key": order_key})
    audit.record(tx, entry, now=now)


def find_exam(tx: Tx, actor: Actor, reference: OrderReference) -> Exam:
    """The exam that the numbers mean, its order locked. Raises ``OrderUnknown``, the conflicts."""
    authorize(actor, Action.ORDER_WRITE)
    order = lock_order(tx, reference)
    return Exam(order, tuple(store.procedures_of(tx, order.order_key)))


def _with_numbers(
    tx: Tx, actor: Actor, order: Order, numbers: OrderReference, *, now: datetime
) -> Order:
    columns: dict[str, Any] = {}
    for kind in ("placer", "filler"):
        own = getattr(order, f"{kind}_order_number")
        source = order if own else numbers
        for name in (f"{kind}_order_number", f"{kind}_namespace"):
            columns[name] = getattr(source, name)
    added = [name for name, value in columns.items() if value != getattr(order, name)]
    if not added:
        return order
    try:
        store.set_numbers(tx, order.order_key, columns, now)
    except UniqueViolation as taken:
        raise OrderNumberConflict("another order has this number") from taken
    entry = audit_entry(actor, "order.number", order.accession_number, {"changed": added})
    audit.record(tx, entry, now=now)
    return lock_order(tx, OrderReference(accession_number=order.accession_number))
