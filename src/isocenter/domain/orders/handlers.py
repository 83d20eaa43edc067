"""Orders follow the visits that they belong to."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.identity.events import VisitMoved, VisitRenumbered
from isocenter.domain.orders import service
from isocenter.infra.db import Tx

_ACTOR = Actor.system("orders")


def on_visit_moved(tx: Tx, event: VisitMoved, *, now: datetime) -> None:
    """Let the orders of the visit be of the patient that the visit is of now."""
    keys = (event.former_key, event.patient_key)
    service.follow_visit(tx, _ACTOR, event.visit_number, keys, now=now)


def on_visit_renumbered(tx: Tx, event: VisitRenumbered, *, now: datetime) -> None:
    """Let the orders of the visit name its new number."""
    numbers = (event.former_number, event.visit_number)
    service.rename_visit(tx, _ACTOR, numbers, event.patient_key, now=now)
