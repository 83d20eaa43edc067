"""Identifiers that change hands: one moved to another patient, or replaced by a new one.

Orders and images stay with the record that they were made for: an identifier is a name, and moving
it moves no care. A record that gives away its only identifier is merged instead, so that nothing is
left that nobody can name.
"""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store as store
from isocenter.domain.identity import _store_graph as graph
from isocenter.domain.identity.auditing import entry
from isocenter.domain.identity.events import (
    IdentifierMoved,
    IdentifierReplaced,
    PatientUpdated,
)
from isocenter.domain.identity.model import (
    ChangeUnknown,
    IdentifierChange,
    IdentifierTaken,
    IdentifierUnknown,
    PatientFacts,
    PatientIdentifier,
    Registered,
    SelfMerge,
    not_from_the_future,
)
from isocenter.domain.identity.service.merging import merge
from isocenter.domain.identity.service.registering import register
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_REPLACED = "patient.identifier_replaced"


def move_identifier(
    tx: Tx, actor: Actor, target: PatientFacts, moved: PatientIdentifier, *, now: datetime
) -> Registered:
    """Let an identifier name the target patient from now on; repeating it changes nothing.

    Raises ``SelfMerge`` when the target is named by that identifier, ``PatientUnidentified``.

    Standard: HL7 v2.5.1 3.3.43 (A43)
    """
    authorize(actor, Action.PATIENT_WRITE)
    named = {(each.assigning_authority, each.value) for each in target.identifiers}
    if (moved.assigning_authority, moved.value) in named:
        raise SelfMerge("the identifier names the patient that it is to be moved to")
    store.lock_merges(tx)
    owner = _owner(tx, moved)
    if owner is None:  # never heard of: it is the target's from now on
        own = (*target.identifiers, moved)
        return register(tx, actor, target.named_by(own), now=now)
    if len(graph.identifiers_of(tx, owner)) == 1:
        return merge(tx, actor, target, [moved], now=now)
    outcome = register(tx, actor, target, now=now)
    if outcome.patient_key == owner:
        return outcome
    asserted_at = not_from_the_future(target.asserted_at, now)
    _change(tx, actor, moved, (owner, outcome.patient_key), (asserted_at, now))
    changed = (*outcome.changed, "identifiers")
    return Registered(outcome.patient_key, outcome.current_key, outcome.created, changed)


def replace_identifier(
    tx: Tx, actor: Actor, patient: PatientFacts, former: PatientIdentifier, *, now: datetime
) -> Registered:
    """Let the patient's first identifier take the place of a former one, which stays an alias.

    Repeating it changes nothing. Raises ``IdentifierTaken`` when the new one is another patient's:
    that would be a merge; ``IdentifierUnknown``, ``SelfMerge``.

    Standard: HL7 v2.5.1 3.3.47 (A47), 3.3.46 (A46)
    """
    authorize(actor, Action.PATIENT_WRITE)
    new = patient.identifiers[0]
    if (new.assigning_authority, new.value) == (former.assigning_authority, former.value):
        raise SelfMerge("the new identifier is the same as the one that it replaces")
    store.lock_merges(tx)
    owner = _owner(tx, former)
    if owner is None:
        raise IdentifierUnknown("no patient has the identifier that is to be replaced")
    holder = _owner(tx, new)
    if holder not in {None, owner}:
        raise IdentifierTaken("the new identifier belongs to another patient")
    if holder is None:
        store.add_identifiers(tx, owner, [new])
    outcome = register(tx, actor, patient.named_by((new,)), now=now)
    if not graph.is_retired(tx, former):
        asserted_at = not_from_the_future(patient.asserted_at, now)
        _change(tx, actor, former, (owner, owner), (asserted_at, now))
        changed = (*outcome.changed, "identifiers")
        return Registered(outcome.patient_key, outcome.current_key, outcome.created, changed)
    return outcome


def undo_identifier_change(tx: Tx, actor: Actor, change_key: int, *, now: datetime) -> None:
    """Give an identifier back to whom it was taken from. Raises ``ChangeUnknown``.

    A change that a later one of the same identifier stands on cannot be undone before that one.
    """
    authorize(actor, Action.PATIENT_WRITE)
    store.lock_merges(tx)
    change = graph.undo_change(tx, change_key, now)
    if change is None:
        raise ChangeUnknown("there is no such change to undo, or a later one stands on it")
    identifier = PatientIdentifier(change.value, change.assigning_authority)
    if change.from_key == change.to_key:
        graph.set_retired(tx, identifier, None)
    else:
        graph.set_owner(tx, identifier, change.from_key)
    _tell(
        tx, actor, "patient.identifier_restored", identifier, (change.to_key, change.from_key), now
    )


def identifier_changes(tx: Tx, actor: Actor, patient_key: int) -> list[IdentifierChange]:
    """What became of the identifiers of a patient, undone changes included, oldest first."""
    authorize(actor, Action.PATIENT_READ)
    return graph.changes_of(tx, patient_key)


def _owner(tx: Tx, identifier: PatientIdentifier) -> int | None:
    rows = store.lock_by_identifiers(tx, [(identifier,)])
    return rows[0].patient_key if rows else None


def _change(
    tx: Tx,
    actor: Actor,
    identifier: PatientIdentifier,
    keys: tuple[int, int],
    times: tuple[datetime, datetime],
) -> None:
    source, target = keys
    graph.insert_change(tx, identifier, keys, times, actor=actor.name)
    if source == target:
        graph.set_retired(tx, identifier, times[1])
        verb = _REPLACED
    else:
        graph.set_owner(tx, identifier, target)
        verb = "patient.identifier_moved"
    _tell(tx, actor, verb, identifier, keys, times[1])


def _tell(
    tx: Tx,
    actor: Actor,
    verb: str,
    identifier: PatientIdentifier,
    keys: tuple[int, int],
    now: datetime,
) -> None:
    said_by, authority = asserting_peer(actor), identifier.assigning_authority
    for key in sorted(set(keys)):
        outbox.append(tx, PatientUpdated(key, ["identifiers"], said_by), now=now)
    if keys[0] != keys[1]:
        moved = IdentifierMoved(keys[1], keys[0], identifier.value, authority, said_by)
        outbox.append(tx, moved, now=now)
    elif verb == _REPLACED:
        replaced = IdentifierReplaced(keys[0], identifier.value, authority, said_by)
        outbox.append(tx, replaced, now=now)
    detail = {"from": keys[0], "to": keys[1]}
    audit.record(tx, entry(actor, verb, identifier, detail), now=now)
