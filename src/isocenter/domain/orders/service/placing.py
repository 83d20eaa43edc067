"""Placing orders, several at a time: new ones are inserted, known ones brought up to date.

Order messages come in through ``scheduling``, which registers the patient first and books the steps
afterwards. Locks are taken in the order patient, order, step.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity.model import not_from_the_future, revised
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderPlaced
from isocenter.domain.orders.model import (
    DESCRIBED,
    AccessionConflict,
    AccessionFormat,
    OrderFacts,
    Placement,
    StudyInstanceUidFixed,
    check_facts,
)
from isocenter.domain.orders.service.finding import audit_entry, is_meant, the_order
from isocenter.domain.orders.service.revising import PlacementRequest, new_procedures, revise
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx, UniqueViolation

ACCESSION_FORMAT = AccessionFormat()
_ATTEMPTS_MAX = 100


def place(
    tx: Tx,
    actor: Actor,
    patient_key: int,
    facts: OrderFacts,
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> Placement:
    """Create the order, or bring a known one up to date where the facts are newer.

    The caller holds the lock of the patient's row. What is missing is issued: an accession number
    that no order has, a Study Instance UID for each procedure. Placing and revising are the same,
    so that a revision that overtakes its order is not lost. Raises ``AccessionConflict``,
    ``OrderNumberConflict``, ``OrderPatientConflict``, ``StudyInstanceUidFixed``, ``StateForbids``,
    ``NumberUnusable``, ``OrderUnidentified``.

    Standard: IHE RAD TF-2 4.2, 4.3, 4.4, 4.13
    """
    request = PlacementRequest(actor, patient_key, facts)
    return place_all(tx, [request], now=now, accession_format=accession_format)[0]


def place_all(
    tx: Tx,
    requests: Sequence[PlacementRequest],
    *,
    now: datetime,
    accession_format: AccessionFormat = ACCESSION_FORMAT,
) -> list[Placement]:
    """As ``place`` for each of the requests, in two statements when all orders are new.

    No two requests share a number of their orders. What one of them raises concerns all.
    """
    for each in requests:
        authorize(each.actor, Action.ORDER_WRITE)
        check_facts(each.facts)
    done: dict[int, Placement] = {}
    try:
        for _ in range(_ATTEMPTS_MAX):
            waiting = {p: each for p, each in enumerate(requests) if p not in done}
            if not waiting:
                break
            fresh = _revise_known(tx, waiting, done, now=now)
            _place_fresh(tx, fresh, done, accession_format, now=now)
            # What is not done: a number of it was taken a moment ago, and the order that took it is
            # visible now; another request changed its order, which is read anew; or the next
            # thousand numbers to issue were all taken by messages.
    except UniqueViolation as taken:
        raise StudyInstanceUidFixed(
            "another procedure has this Study Instance UID or requested procedure ID"
        ) from taken
    if len(done) < len(requests):
        raise AccessionConflict("no free accession number was found")
    return [done[position] for position in range(len(requests))]


def _revise_known(
    tx: Tx,
    waiting: Mapping[int, PlacementRequest],
    done: dict[int, Placement],
    *,
    now: datetime,
) -> dict[int, PlacementRequest]:
    """Revise each order that is known, once; gives the requests whose order is not."""
    locked = store.lock_orders(tx, [each.facts.reference() for each in waiting.values()])
    concerned: set[int] = set()
    fresh: dict[int, PlacementRequest] = {}
    for position, each in waiting.items():
        reference = each.facts.reference()
        known = the_order([e for e in locked if is_meant(e, reference)], reference)
        if known is None:
            fresh[position] = each
        elif known.order_key not in concerned:
            concerned.add(known.order_key)
            done[position] = revise(tx, known, each, now=now)
    return fresh


def _place_fresh(
    tx: Tx,
    fresh: Mapping[int, PlacementRequest],
    done: dict[int, Placement],
    accession_format: AccessionFormat,
    *,
    now: datetime,
) -> None:
    """Insert the orders, without those of which a number was taken a moment ago."""
    if not fresh:
        return
    positions, orders = list(fresh), [_new_order(each, now) for each in fresh.values()]
    inserted: dict[int, list[store.InsertedProcedure]] = {}
    for row in store.insert_orders(tx, orders, accession_format, now):
        inserted.setdefault(positions[row.position], []).append(row)
    for position, rows in inserted.items():
        done[position] = _placed(tx, fresh[position], rows, now=now)


def _new_order(
    request: PlacementRequest, now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of a new order, and those of its procedures."""
    facts = request.facts
    asserted_at = not_from_the_future(facts.asserted_at, now)
    columns = _new_columns(facts, asserted_at) | {
        "accession_number_said": facts.accession_number or None,
        "patient_key": request.patient_key,
        "source_peer": request.actor.name,
    }
    return columns, new_procedures(facts.requested(), asserted_at)


def _new_columns(facts: OrderFacts, asserted_at: datetime) -> dict[str, Any]:
    first = revised(dict.fromkeys(DESCRIBED), {}, facts.said(), asserted_at)
    return {
        "placer_order_number": facts.placer_order_number or None,
        "placer_namespace": facts.placer_namespace,
        "filler_order_number": facts.filler_order_number or None,
        "filler_namespace": facts.filler_namespace,
        "accession_issuer": facts.accession_issuer,
        **dict.fromkeys(DESCRIBED),
        **first.values,
        # The check on the column knows no "said to be none".
        "priority": facts.priority or None,
        "asserted_at": asserted_at,
        "said_at": first.said_at,
    }


def _placed(
    tx: Tx,
    request: PlacementRequest,
    rows: Sequence[store.InsertedProcedure],
    *,
    now: datetime,
) -> Placement:
    uids = [each.study_instance_uid for each in rows]
    order_key, number = rows[0].order_key, rows[0].accession_number
    said_by = asserting_peer(request.actor)
    event = OrderPlaced(order_key, number, uids, request.patient_key, said_by)
    outbox.append(tx, event, now=now)
    entry = audit_entry(request.actor, "order.place", number, {"procedures": len(uids)})
    audit.record(tx, entry, now=now)
    return Placement(
        order_key=order_key,
        accession_number=number,
        study_instance_uids=tuple(uids),
        procedure_keys=tuple(each.procedure_key for each in rows),
        step_facts=tuple(each.steps for each in request.facts.requested()),
        created=True,
        changed=("order",),
        closed=False,
    )
