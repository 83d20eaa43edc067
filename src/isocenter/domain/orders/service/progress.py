"""Moving an order on as its steps are done."""

from collections.abc import Mapping
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderCompleted, OrderReopened, OrderStarted
from isocenter.domain.orders.model import CLOSED, Exam, OrderState, order_state
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_PROGRESS_EVENTS: Mapping[
    OrderState, type[OrderStarted] | type[OrderCompleted] | type[OrderReopened]
] = {
    OrderState.PLACED: OrderReopened,
    OrderState.IN_PROGRESS: OrderStarted,
    OrderState.COMPLETED: OrderCompleted,
}


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
    if target is OrderState.PLACED and order.state == OrderState.HELD:
        return  # what waits stays on hold; what is begun is no longer
    if target != order.state:
        store.set_order_state(tx, order.order_key, target, reason=None, said_at=None, now=now)
        event = _PROGRESS_EVENTS[target]
        outbox.append(tx, event(order.order_key, order.accession_number), now=now)
