"""What becomes of orders when their visit goes to another patient, or gets another number."""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderRevised
from isocenter.domain.orders.model import Order
from isocenter.domain.orders.service.finding import audit_entry
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def follow_visit(
    tx: Tx, actor: Actor, admission_id: str, keys: tuple[int, int], *, now: datetime
) -> list[str]:
    """Let the orders of a visit be of another patient, (from, to); gives their accession numbers.

    Doing it again changes nothing.
    """
    authorize(actor, Action.ORDER_WRITE)
    moved = store.move_orders(tx, admission_id, keys, now)
    _tell(tx, actor, moved, "patient_key", now=now)
    return [each.accession_number for each in moved]


def rename_visit(
    tx: Tx, actor: Actor, numbers: tuple[str, str], patient_key: int, *, now: datetime
) -> list[str]:
    """Let the orders of a patient's visit name its new number, (former, new); as above."""
    authorize(actor, Action.ORDER_WRITE)
    renamed = store.rename_admission(tx, numbers, patient_key, now)
    _tell(tx, actor, renamed, "admission_id", now=now)
    return [each.accession_number for each in renamed]


def _tell(tx: Tx, actor: Actor, orders: list[Order], changed: str, *, now: datetime) -> None:
    for each in orders:
        uids = [one.study_instance_uid for one in store.procedures_of(tx, each.order_key)]
        number = each.accession_number
        said_by = asserting_peer(actor)
        event = OrderRevised(each.order_key, number, uids, each.patient_key, [changed], said_by)
        outbox.append(tx, event, now=now)
        entry = audit_entry(actor, "order.revise", number, {"changed": [changed]})
        audit.record(tx, entry, now=now)
