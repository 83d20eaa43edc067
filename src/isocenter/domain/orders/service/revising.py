"""Bringing a known order up to date: of each column the newest assertion holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import microseconds, not_from_the_future, revised
from isocenter.domain.orders import _store as store
from isocenter.domain.orders.events import OrderRevised
from isocenter.domain.orders.model import (
    CLOSED,
    DESCRIBED,
    AccessionConflict,
    Order,
    OrderFacts,
    OrderPatientConflict,
    OrderState,
    OrderVerb,
    Placement,
    Procedure,
    ProcedureFacts,
    StudyInstanceUidFixed,
    after,
    paired,
)
from isocenter.domain.orders.service.finding import audit_entry, shares_number
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import ids, outbox
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """An order to be placed, revised or corrected."""

    actor: Actor
    patient_key: int
    facts: OrderFacts
    verb: OrderVerb = OrderVerb.PLACE


_NUMBERS = ("placer", "filler")
PROCEDURE_COLUMNS = (
    "requested_procedure_id",
    "study_instance_uid",
    "code_value",
    "code_scheme",
    "code_meaning",
    "description",
    "laterality",
)


def revise(tx: Tx, order: Order, request: PlacementRequest, *, now: datetime) -> Placement:
    """Bring a locked order up to date.

    Raises ``AccessionConflict``, ``OrderPatientConflict``, ``StudyInstanceUidFixed``,
    ``StateForbids``.
    """
    facts, verb = request.facts, request.verb
    if not identity.same_person(tx, order.patient_key, request.patient_key):
        if not shares_number(order, facts):
            raise AccessionConflict("the accession number belongs to another patient's exam")
        raise OrderPatientConflict("the order belongs to another patient")
    asserted_at = not_from_the_future(facts.asserted_at, now)
    closed, done = OrderState(order.state) in CLOSED, order.state == OrderState.COMPLETED
    # What was said before the order was closed may arrive after that; a new instruction may not.
    ended = microseconds(order.state_changed_at) if done else 0
    is_new = microseconds(asserted_at) > order.said_at.get("state", ended)
    if not (closed or done) or is_new:
        after(OrderState(order.state), verb)
    changed = _revise_order(tx, order, facts, asserted_at, now=now)
    # What was done stays as it was done: a correction is of what was said of the order.
    described = done and verb is OrderVerb.CORRECT
    keys = () if described else _revise_procedures(tx, order, facts, asserted_at, changed)
    uids = [each.study_instance_uid for each in store.procedures_of(tx, order.order_key)]
    number = order.accession_number
    if changed:
        said_by = asserting_peer(request.actor)
        event = OrderRevised(order.order_key, number, uids, order.patient_key, changed, said_by)
        outbox.append(tx, event, now=now)
        audit.record(
            tx, audit_entry(request.actor, "order.revise", number, {"changed": changed}), now=now
        )
    return Placement(
        order_key=order.order_key,
        accession_number=number,
        study_instance_uids=tuple(uids),
        procedure_keys=keys,
        step_facts=() if described else tuple(each.steps for each in facts.requested()),
        created=False,
        changed=tuple(changed),
        closed=closed or described,
    )


def _revise_order(
    tx: Tx, order: Order, facts: OrderFacts, asserted_at: datetime, *, now: datetime
) -> list[str]:
    """Write the order's columns where the facts are newer; gives the names of what changed."""
    current = {name: getattr(order, name) for name in DESCRIBED}
    said = facts.said()
    if said.get("priority") == "":
        said["priority"] = None
    revision = revised(current, order.said_at, said, asserted_at)
    # A number is never taken away and never replaced: others know the order by it.
    numbers: dict[str, Any] = {
        "placer_order_number": order.placer_order_number,
        "placer_namespace": order.placer_namespace,
        "filler_order_number": order.filler_order_number,
        "filler_namespace": order.filler_namespace,
        "accession_issuer": order.accession_issuer or facts.accession_issuer,
    }
    for kind in _NUMBERS:
        number = getattr(facts, f"{kind}_order_number")
        if number and not numbers[f"{kind}_order_number"]:
            numbers[f"{kind}_order_number"] = number
            numbers[f"{kind}_namespace"] = getattr(facts, f"{kind}_namespace")
    added = [name for name, value in numbers.items() if value != getattr(order, name)]
    if revision.newer or added:
        columns = {
            **numbers,
            **current,
            **revision.values,
            "asserted_at": asserted_at,
            "said_at": revision.said_at,
            "now": now,
        }
        store.update_order(tx, order.order_key, columns)
    return sorted([*added, *revision.values])


def _revise_procedures(
    tx: Tx, order: Order, facts: OrderFacts, asserted_at: datetime, changed: list[str]
) -> tuple[int, ...]:
    """Update and add procedures; gives the key of each of the facts', and adds to ``changed``."""
    procedures = facts.requested()
    # An order with a number of its own that shares the exam adds procedures, it replaces none.
    guest = bool(facts.placer_order_number) and order.placer_order_number is not None
    in_order = not guest or shares_number(order, facts)
    pairs = paired(procedures, store.procedures_of(tx, order.order_key), in_order=in_order)
    names: set[str] = set()
    for each, known in zip(procedures, pairs, strict=True):
        if known is not None:
            names |= _revise_procedure(tx, known, each, asserted_at)
    fresh = [each for each, known in zip(procedures, pairs, strict=True) if known is None]
    added: list[Procedure] = []
    if fresh:
        added = store.add_procedures(tx, order.order_key, new_procedures(fresh, asserted_at))
        if OrderState(order.state) in CLOSED:
            keys = [each.procedure_key for each in added]
            store.set_procedure_states(tx, keys, order.state)
        names.add("procedures")
    changed += sorted(names)
    following = iter(added)
    return tuple((known or next(following)).procedure_key for known in pairs)


def _revise_procedure(
    tx: Tx, known: Procedure, facts: ProcedureFacts, asserted_at: datetime
) -> set[str]:
    said = facts.said()
    _keep_uid(known, said)
    current = {name: getattr(known, name) for name in PROCEDURE_COLUMNS}
    revision = revised(current, known.said_at, said, asserted_at)
    if revision.newer:
        columns = {
            **current,
            **revision.values,
            "study_instance_uid_issued": known.study_instance_uid_issued
            and "study_instance_uid" not in said,
            "said_at": revision.said_at,
        }
        store.update_procedure(tx, known.procedure_key, columns)
    return set(revision.values)


def _keep_uid(known: Procedure, said: Mapping[str, Any]) -> None:
    """Raise ``StudyInstanceUidFixed`` when another UID is said than the one that is in use."""
    uid = said.get("study_instance_uid")
    in_use = not known.study_instance_uid_issued or known.state != OrderState.PLACED
    if uid is not None and uid != known.study_instance_uid and in_use:
        raise StudyInstanceUidFixed("the procedure has another Study Instance UID already")


def new_procedures(
    procedures: Sequence[ProcedureFacts], asserted_at: datetime
) -> list[dict[str, Any]]:
    """The columns of new procedures, with a Study Instance UID where none is said."""
    rows: list[dict[str, Any]] = []
    for position, each in enumerate(procedures):
        first = revised(dict.fromkeys(PROCEDURE_COLUMNS), {}, each.said(), asserted_at)
        rows.append({
            "position": position,
            **dict.fromkeys(PROCEDURE_COLUMNS),
            **first.values,
            "study_instance_uid": each.study_instance_uid or ids.new_uid(),
            "study_instance_uid_issued": not each.study_instance_uid,
            "said_at": first.said_at,
        })
    return rows
