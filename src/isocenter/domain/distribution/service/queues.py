"""What people see of deliveries and do with them, of whatever kind these are."""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.distribution._store import queues as _store
from isocenter.domain.distribution.model import Delivery, Destination, Page
from isocenter.domain.distribution.service import reports, transfers
from isocenter.infra.db import Tx

_FIRST_PAGE = Page()


def deliveries(
    tx: Tx,
    viewer: Viewer,
    *,
    accession_number: str | None = None,
    state: str | None = None,
    study_instance_uid: str | None = None,
    page: Page = _FIRST_PAGE,
) -> list[Delivery]:
    """Deliveries, newest first."""
    viewer.require(Action.DELIVERY_READ)
    return _store.deliveries(
        tx,
        accession_number=accession_number,
        state=state,
        study_instance_uid=study_instance_uid,
        page=page,
    )


def destinations(tx: Tx, viewer: Viewer) -> list[Destination]:
    """All recipients by name, with the state of their lanes."""
    viewer.require(Action.DELIVERY_READ)
    return _store.destinations(tx)


def replay(tx: Tx, actor: Actor, delivery_key: int, *, now: datetime) -> None:
    """Have a finished delivery made anew.

    Raises ``UnknownDelivery``, ``DeliveryInProgress``, and ``Superseded`` for a report of which a
    newer version is on its way to that recipient or there: an old text must not arrive after it.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    if _store.is_transfer(tx, delivery_key):
        transfers.replay_transfer(tx, actor, delivery_key, now=now)
    else:
        reports.replay_report(tx, actor, delivery_key, now=now)
