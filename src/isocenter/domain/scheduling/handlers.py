"""An order that comes after its appointment takes place then."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.orders.events import OrderPlaced
from isocenter.domain.scheduling import service
from isocenter.infra.db import Tx

_ACTOR = Actor.system("scheduling")


def on_order_placed(tx: Tx, event: OrderPlaced, *, now: datetime) -> None:
    """Let the order be of the appointments that name it."""
    service.bind_order(tx, _ACTOR, event.accession_number, now=now)
