"""Cancelling an order that is not begun, discontinuing one, and doing another one instead."""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity.model import microseconds, not_from_the_future
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderCancelled, OrderDiscontinued
from isocenter.domain.orders.model import (
    CLOSED,
    Exam,
    OrderReference,
    OrderState,
    OrderVerb,
    after,
)
from isocenter.domain.orders.service.finding import audit_entry, lock_order
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_REPLACED = "replaced by another order"
_FINISHED = frozenset({OrderState.COMPLETED, *CLOSED})


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


def replace(
    tx: Tx,
    actor: Actor,
    reference: OrderReference,
    replacement_key: int,
    *,
    now: datetime,
) -> Exam:
    """Withdraw an order that is not begun, because another one is done instead of it.

    Raises ``OrderUnknown``, ``StateForbids``. Replacing again changes nothing.

    Standard: HL7 v2.5.1 4.5.1.1 (RP, RO)
    """
    authorize(actor, Action.ORDER_WRITE)
    exam = _close(tx, actor, reference, OrderVerb.REPLACE, _REPLACED, now=now)
    if exam.order.order_key != replacement_key:
        store.set_relations(tx, exam.order.order_key, replaced_by_key=replacement_key)
    return exam


def _close(
    tx: Tx,
    actor: Actor,
    reference: OrderReference,
    verb: OrderVerb,
    reason: str,
    *,
    now: datetime,
) -> Exam:
    order = lock_order(tx, reference)
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
    about = (order.order_key, order.accession_number, uids, order.patient_key)
    outbox.append(tx, event(*about, reason, asserting_peer(actor)), now=now)
    detail = {"reason": reason} if reason else {}
    entry = audit_entry(actor, f"order.{verb.value}", order.accession_number, detail)
    audit.record(tx, entry, now=now)
    return Exam(order, tuple(store.procedures_of(tx, order.order_key)))
