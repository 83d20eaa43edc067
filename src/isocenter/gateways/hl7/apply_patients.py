"""What an ADT message asks for, done patient by patient.

Standard: HL7 v2.5.1 chapter 3; IHE RAD TF-2 4.1, 4.12.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import Registered
from isocenter.gateways.hl7.translate_adt import AdtEffect, PatientChange
from isocenter.infra.db import Tx


def apply_patients(
    tx: Tx,
    actor: Actor,
    changes: Sequence[PatientChange],
    *,
    accept_inverse: bool,
    now: datetime,
) -> list[str]:
    """Do what each of the changes says, in their order; one line for each, without patient data.

    Raises what the services raise.
    """
    return [
        f"{change.event.title}: {_apply(tx, actor, change, accept_inverse, now=now)}"
        for change in changes
    ]


def what_came_of(done: Registered) -> str:
    """One line about a patient that was registered or updated."""
    return "created" if done.created else ", ".join(done.changed) or "nothing changed"


def record_visits(
    tx: Tx,
    changes: Sequence[tuple[Actor, PatientChange]],
    registered: Sequence[Registered],
    *,
    now: datetime,
) -> None:
    """Record the visits of changes whose patients were registered."""
    requests = [
        (actor, patient.patient_key, change.visit)
        for (actor, change), patient in zip(changes, registered, strict=True)
        if change.visit is not None
    ]
    identity.record_visits(tx, requests, now=now)


def _apply(
    tx: Tx, actor: Actor, change: PatientChange, accept_inverse: bool, *, now: datetime
) -> str:
    facts, prior = change.patient, change.prior
    match change.event.effect:
        case AdtEffect.MERGE:
            done = identity.merge(tx, actor, facts, prior, accept_inverse=accept_inverse, now=now)
            return ", ".join(
                filter(None, (what_came_of(done), _account(tx, actor, change, done, now)))
            )
        case AdtEffect.LINK | AdtEffect.UNLINK:
            return _linked(tx, actor, change, now=now)
        case AdtEffect.MOVE_IDENTIFIER:
            return _each([
                identity.move_identifier(tx, actor, facts, each, now=now) for each in prior
            ])
        case AdtEffect.CHANGE_IDENTIFIER:
            return _each([
                identity.replace_identifier(tx, actor, facts, each, now=now) for each in prior
            ])
        case AdtEffect.MOVE_VISIT | AdtEffect.RENUMBER_VISIT:
            return _visit(tx, actor, change, now=now)
        case AdtEffect.REGISTER | AdtEffect.VISIT | AdtEffect.SWAP:
            done = identity.register(tx, actor, facts, now=now)
            record_visits(tx, [(actor, change)], [done], now=now)
            return what_came_of(done)


def _account(tx: Tx, actor: Actor, change: PatientChange, done: Registered, now: datetime) -> str:
    """Let the account that a merge names be known by the number that remains."""
    visit, former = change.visit, change.former_visit
    if visit is None or former is None:
        return ""
    merged = (done, change.prior)
    return "visit" if identity.merge_account(tx, actor, merged, former, visit, now=now) else ""


def _each(done: Sequence[Registered]) -> str:
    return ", ".join(dict.fromkeys(map(what_came_of, done)))


def _linked(tx: Tx, actor: Actor, change: PatientChange, *, now: datetime) -> str:
    if change.other is None:
        return "nothing changed"
    if change.event.effect is AdtEffect.LINK:
        identity.link_named(tx, actor, [change.patient, change.other], now=now)
        return "linked"
    one, other = change.patient.identifiers, change.other.identifiers
    identity.unlink_named(tx, actor, one, other, now=now)
    return "unlinked"


def _visit(tx: Tx, actor: Actor, change: PatientChange, *, now: datetime) -> str:
    visit, former = change.visit, change.former_visit
    done = identity.register(tx, actor, change.patient, now=now)
    if visit is None or former is None:
        return what_came_of(done)
    changed = former != visit.number and identity.renumber_visit(
        tx, actor, done.patient_key, former, visit, now=now
    )
    if change.event.effect is AdtEffect.MOVE_VISIT:
        first = change.prior[0]
        source = identity.find(tx, first.value, assigning_authority=first.assigning_authority)
        if source is not None:
            keys = (source.patient_key, done.patient_key)
            changed = identity.move_visit(tx, actor, keys, visit, now=now) or changed
    return "visit" if changed else what_came_of(done)
