"""Putting an order on hold, so that no scanner is offered it, and releasing it."""

from dataclasses import replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity.model import microseconds, not_from_the_future
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderHeld, OrderReleased
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

_ENDED = CLOSED | {OrderState.COMPLETED}


def hold(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> tuple[Exam, bool]:
    """Keep an order that is not begun from being done; gives whether that changed anything.

    The newest instruction holds: one that was given before the last one changes nothing.
    Raises ``OrderUnknown``, ``StateForbids``.

    Standard: HL7 v2.5.1 4.5.1.1 (HD)
    """
    return _settle(tx, actor, reference, OrderVerb.HOLD, reason, now=now)


def release(
    tx: Tx, actor: Actor, reference: OrderReference, *, now: datetime, reason: str = ""
) -> tuple[Exam, bool]:
    """Let an order be done that was on hold; as ``hold``.

    Standard: HL7 v2.5.1 4.5.1.1 (RL)
    """
    return _settle(tx, actor, reference, OrderVerb.RELEASE, reason, now=now)


def _settle(
    tx: Tx,
    actor: Actor,
    reference: OrderReference,
    verb: OrderVerb,
    reason: str,
    *,
    now: datetime,
) -> tuple[Exam, bool]:
    authorize(actor, Action.ORDER_WRITE)
    order = lock_order(tx, reference)
    procedures = tuple(store.procedures_of(tx, order.order_key))
    moment = microseconds(not_from_the_future(reference.asserted_at or now, now))
    overtaken = moment < order.said_at.get("hold", moment)
    if OrderState(order.state) in _ENDED:
        # What was said before the order ended may arrive after that.
        overtaken = overtaken or moment < _ended_at(order.said_at, order.state_changed_at)
    if overtaken:
        return Exam(order, procedures), False
    state = after(OrderState(order.state), verb)
    store.set_hold(tx, order.order_key, state, reason=reason or None, said_at=moment, now=now)
    if state == order.state:
        return Exam(order, procedures), False
    number = order.accession_number
    said_by = asserting_peer(actor)
    held = OrderHeld(order.order_key, number, reason, said_by)
    event = held if verb is OrderVerb.HOLD else OrderReleased(order.order_key, number, said_by)
    outbox.append(tx, event, now=now)
    detail = {"reason": reason} if reason else {}
    audit.record(tx, audit_entry(actor, f"order.{verb.value}", number, detail), now=now)
    return Exam(replace(order, state=state), procedures), True


def _ended_at(said_at: dict[str, int], state_changed_at: datetime) -> int:
    return said_at.get("state", microseconds(state_changed_at))
