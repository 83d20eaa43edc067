"""An order that comes after its appointment takes place then."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.orders.events import OrderPlaced
from isocenter.domain.scheduling import service
from isocenter.infra.db import Tx

_ACTOR = Actor.system("scheduling")


def on_order_placed(tx: Tx, event: OrderPlaced, *, now: datetime) -> None:
    """Let the order be of the appointments that name it."""
    on_orders_placed(tx, [event], now=now)


def on_orders_placed(tx: Tx, events: Sequence[OrderPlaced], *, now: datetime) -> None:
    """As ``on_order_placed`` for several orders."""
    exams = sorted({each.accession_number for each in events})
    service.bind_orders(tx, _ACTOR, exams, now=now)
