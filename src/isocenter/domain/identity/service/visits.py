"""Visits: recorded as the registration tells them, moved to another patient, given another number.

A visit says where a patient is now and where the results go; radiology begins and ends none.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import _store_visits as store
from isocenter.domain.identity.events import VisitMoved, VisitRenumbered
from isocenter.domain.identity.model import not_from_the_future
from isocenter.domain.identity.model_visits import Visit, VisitFacts, VisitNumber
from isocenter.domain.identity.service.finding import same_person
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def record_visits(
    tx: Tx, requests: Sequence[tuple[Actor, int, VisitFacts]], *, now: datetime
) -> None:
    """Write what is said of visits of (actor, patient key, facts) each: one statement for all.

    The patients are registered and locked; no two requests are about one visit.

    Standard: HL7 v2.5.1 3.3.1 to 3.3.33
    """
    for actor, _, _ in requests:
        authorize(actor, Action.PATIENT_WRITE)
    if not requests:
        return
    rows = [
        {
            **facts.said(),
            "assigning_authority": facts.number.assigning_authority,
            "visit_number": facts.number.value,
            "patient_key": patient_key,
            "source_peer": actor.name,
            "said_at": facts.said_at(),
            "asserted_at": not_from_the_future(facts.asserted_at, now),
        }
        for actor, patient_key, facts in requests
    ]
    told = set(store.record_visits(tx, rows, now))
    for actor, _, facts in requests:
        if facts.number.value in told:
            changed = sorted(facts.said())
            audit.record(tx, visit_entry(actor, "visit.record", facts.number, changed), now=now)


def move_visit(
    tx: Tx,
    actor: Actor,
    keys: tuple[int, int],
    facts: VisitFacts,
    *,
    now: datetime,
) -> bool:
    """Let a visit be of another patient than (from, to) it was said to be; gives whether it is new.

    The orders of the visit follow. Moving it again changes nothing.

    Standard: HL7 v2.5.1 3.3.44 (A44), 3.3.45 (A45)
    """
    authorize(actor, Action.PATIENT_WRITE)
    former_key, patient_key = keys
    known = store.lock_visits(tx, [facts.number])
    record_visits(tx, [(actor, patient_key, facts)], now=now)
    moved = not known or not same_person(tx, known[0].patient_key, patient_key)
    if moved:
        event = VisitMoved(facts.number.value, former_key, patient_key, asserting_peer(actor))
        outbox.append(tx, event, now=now)
        audit.record(tx, visit_entry(actor, "visit.move", facts.number, ["patient"]), now=now)
    return moved


def renumber_visit(
    tx: Tx,
    actor: Actor,
    patient_key: int,
    former: VisitNumber,
    facts: VisitFacts,
    *,
    now: datetime,
) -> bool:
    """Let a visit be known by another number, or be one with the visit that has it.

    The orders of the visit follow. Gives whether it is new; saying it again changes nothing.

    Standard: HL7 v2.5.1 3.3.41 (A41), 3.3.42 (A42), 3.3.49 (A49), 3.3.50 (A50)
    """
    authorize(actor, Action.PATIENT_WRITE)
    if former == facts.number:
        return False
    known = {
        VisitNumber(each.visit_number, each.assigning_authority): each
        for each in store.lock_visits(tx, [former, facts.number])
    }
    prior, standing = known.get(former), known.get(facts.number)
    if prior is not None and standing is None:
        store.renumber_visit(tx, prior.visit_key, facts.number, now)
    elif prior is not None:
        store.delete_visit(tx, prior.visit_key)
    record_visits(tx, [(actor, patient_key, facts)], now=now)
    if prior is None and standing is not None:
        return False
    event = VisitRenumbered(former.value, facts.number.value, patient_key)
    outbox.append(tx, event, now=now)
    audit.record(tx, visit_entry(actor, "visit.renumber", former, [facts.number.value]), now=now)
    return True


def visits_of(tx: Tx, patient_key: int) -> list[Visit]:
    """The visits of a person, newest first. For other stages: it audits nothing."""
    return store.visits_of(tx, patient_key)


def visit_entry(by: Actor, verb: str, number: VisitNumber, changed: Sequence[str]) -> AuditEntry:
    """What the audit record says of something that was done to a visit."""
    return AuditEntry(
        action=verb,
        actor=by.name,
        actor_kind=by.kind,
        source=by.source,
        object_type="visit",
        object_id=number.value,
        detail={"changed": list(changed)},
    )
