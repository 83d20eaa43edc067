"""Registering patients, merging and unmerging them, and finding them.

Facts stay with the record that the message named, also when that record is merged into another: so
undoing a merge gives back exactly what was there. Matching patients that no identifier connects is
not done here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import _store as store
from isocenter.domain.identity.events import (
    IdentifierDisputed,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    PatientUpdated,
)
from isocenter.domain.identity.model import (
    Merge,
    MergeUnknown,
    Patient,
    PatientFacts,
    PatientIdentifier,
    PatientUnidentified,
    PatientUnknown,
    Registered,
    Revision,
    SelfMerge,
    distinct,
    not_from_the_future,
    revised,
    survivors,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys

_ATTEMPTS_MAX = 5
_UNSAID: Mapping[str, Any] = {
    "person_name": None,
    "birth_date": None,
    "sex": None,
    "address": None,
    "phone": None,
}


def register(tx: Tx, actor: Actor, facts: PatientFacts, *, now: datetime) -> Registered:
    """Create the patient, or update it where the facts are newer than what is known.

    The first identifier names the record. When it is new but another one is known, the facts belong
    to that patient, unless that patient already has another number of the first one's authority.
    Raises ``PatientUnidentified``. The patient's row is locked afterwards.
    """
    return register_all(tx, [(actor, facts)], now=now)[0]


def register_all(
    tx: Tx, requests: Sequence[tuple[Actor, PatientFacts]], *, now: datetime
) -> list[Registered]:
    """As ``register`` for each of the requests, in two statements when all is new.

    No two requests share an identifier. What one of them raises concerns all.
    """
    wanted = [_wanted(actor, facts, now) for actor, facts in requests]
    done: dict[int, Registered] = {}
    for _ in range(_ATTEMPTS_MAX):
        waiting = [position for position in range(len(wanted)) if position not in done]
        if not waiting:
            return [done[position] for position in range(len(wanted))]
        _register_round(tx, wanted, waiting, done, now=now)
        # What is not done: somebody registered the same patient a moment ago, whose row is visible
        # now; or another request changed the patient, who is read anew.
    if len(done) < len(wanted):
        raise PatientUnknown("the patient's identifiers change hands too quickly")
    return [done[position] for position in range(len(wanted))]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A registration to be done."""

    actor: Actor
    facts: PatientFacts
    identifiers: tuple[PatientIdentifier, ...]
    asserted_at: datetime


def _wanted(actor: Actor, facts: PatientFacts, now: datetime) -> _Wanted:
    authorize(actor, Action.PATIENT_WRITE)
    identifiers = distinct(facts.identifiers)
    if not identifiers:
        raise PatientUnidentified("a patient needs at least one identifier")
    return _Wanted(actor, facts, identifiers, not_from_the_future(facts.asserted_at, now))


def _register_round(
    tx: Tx,
    wanted: Sequence[_Wanted],
    waiting: Sequence[int],
    done: dict[int, Registered],
    *,
    now: datetime,
) -> None:
    found: dict[int, list[store.IdentifiedRow]] = {position: [] for position in waiting}
    for row in store.lock_by_identifiers(tx, [wanted[each].identifiers for each in waiting]):
        found[waiting[row.position]].append(row)
    concerned: set[int] = set()
    fresh: list[int] = []
    for position, rows in found.items():
        each = wanted[position]
        row = _named(rows, each.identifiers)
        keys = {known.patient_key for known in rows}
        if row is None:
            fresh.append(position)
        elif concerned.isdisjoint(keys):
            concerned |= keys
            outcome = _update(tx, row, each, now=now)
            disputed = _claim(tx, row, rows, each.identifiers)
            done[position] = _told(tx, each, outcome, disputed, now=now)
    for position, outcome in _create(tx, wanted, fresh, now=now).items():
        owners = sorted({each.patient_key for each in found[position]})
        done[position] = _told(tx, wanted[position], outcome, (0, owners), now=now)


def _named(
    rows: Sequence[store.IdentifiedRow], identifiers: Sequence[PatientIdentifier]
) -> store.IdentifiedRow | None:
    by_identifier = {(each.assigning_authority, each.value): each for each in rows}
    for position, each in enumerate(identifiers):
        row = by_identifier.get((each.assigning_authority, each.value))
        if row is not None and (position == 0 or not row.holds_another):
            return row
    return None


def _create(
    tx: Tx, wanted: Sequence[_Wanted], fresh: Sequence[int], *, now: datetime
) -> dict[int, Registered]:
    """Position -> outcome, of those whose first identifier was free."""
    if not fresh:
        return {}
    said = [(wanted[position], wanted[position].facts.said()) for position in fresh]
    firsts = [revised(_UNSAID, {}, values, each.asserted_at) for each, values in said]
    rows = [
        (each.identifiers, _columns(first, each.asserted_at, now))
        for (each, _), first in zip(said, firsts, strict=True)
    ]
    outcomes: dict[int, Registered] = {}
    for row in store.insert_patients(tx, rows):
        changed = (*sorted(firsts[row.position].values), "identifiers")
        outcomes[fresh[row.position]] = Registered(
            row.patient_key, row.patient_key, created=True, changed=changed
        )
    return outcomes


def _update(tx: Tx, row: store.IdentifiedRow, wanted: _Wanted, *, now: datetime) -> Registered:
    known = {name: getattr(row, name) for name in _UNSAID}
    # An empty date is stored as null, so "there is none" said again is no change.
    said = {
        name: None if name == "birth_date" and value == "" else value
        for name, value in wanted.facts.said().items()
    }
    after = revised(known, row.said_at, said, wanted.asserted_at)
    if after.newer:
        columns = _columns(after, wanted.asserted_at, now, known=known)
        store.update_patient(tx, row.patient_key, columns)
    return Registered(
        row.patient_key,
        row.survivor_key or row.patient_key,
        created=False,
        changed=tuple(sorted(after.values)),
    )


def _columns(
    revision: Revision,
    asserted_at: datetime,
    now: datetime,
    *,
    known: Mapping[str, Any] = _UNSAID,
) -> dict[str, Any]:
    values = {**known, **revision.values}
    name = values["person_name"] or ""
    return {
        **values,
        "birth_date": values["birth_date"] or None,
        "name_normalised": person_name_key(name),
        "name_phonetic": " ".join(phonetic_keys(name)),
        "said_at": revision.said_at,
        "asserted_at": asserted_at,
        "now": now,
    }


def _claim(
    tx: Tx,
    row: store.IdentifiedRow,
    rows: Sequence[store.IdentifiedRow],
    identifiers: Sequence[PatientIdentifier],
) -> tuple[int, list[int]]:
    """How many identifiers the patient gained, and the other persons who own some of them."""
    current = row.survivor_key or row.patient_key
    owners = {
        each.patient_key for each in rows if (each.survivor_key or each.patient_key) != current
    }
    known = {(each.assigning_authority, each.value) for each in rows}
    fresh = [each for each in identifiers if (each.assigning_authority, each.value) not in known]
    gained = store.add_identifiers(tx, row.patient_key, fresh) if fresh else 0
    return gained, sorted(owners)


def _told(
    tx: Tx, wanted: _Wanted, outcome: Registered, claim: tuple[int, list[int]], *, now: datetime
) -> Registered:
    gained, owner_keys = claim
    changed = (*outcome.changed, "identifiers") if gained else outcome.changed
    if owner_keys:
        disputed = IdentifierDisputed(outcome.patient_key, owner_keys)
        outbox.append(tx, disputed, now=now)
    if not changed:
        return outcome
    if outcome.created:
        outbox.append(tx, PatientRegistered(outcome.patient_key), now=now)
    else:
        outbox.append(tx, PatientUpdated(outcome.patient_key, list(changed)), now=now)
    verb = "patient.register" if outcome.created else "patient.update"
    detail = {"changed": list(changed)}
    audit.record(tx, _entry(wanted.actor, verb, wanted.identifiers[0], detail), now=now)
    return Registered(outcome.patient_key, outcome.current_key, outcome.created, changed)


def _entry(
    actor: Actor, verb: str, identifier: PatientIdentifier, detail: Mapping[str, Any]
) -> AuditEntry:
    return AuditEntry(
        action=verb,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="patient",
        object_id=identifier.value,
        patient_id=identifier.value,
        detail={"assigning_authority": identifier.assigning_authority, **detail},
    )


def merge(
    tx: Tx,
    actor: Actor,
    survivor: PatientFacts,
    prior: Sequence[PatientIdentifier],
    *,
    now: datetime,
) -> Registered:
    """Let the prior identifiers stand for the survivor from now on.

    Saying it again changes nothing. An identifier that is unknown is kept, so that whatever comes
    under it later is the survivor's. A pair merged the other way before survives as the newer of
    the two messages says. Raises ``SelfMerge``, ``PatientUnidentified``.

    Standard: IHE RAD TF-2 4.12, HL7 v2.5.1 3.3.40 (A40)
    """
    authorize(actor, Action.PATIENT_WRITE)
    own = distinct(survivor.identifiers)
    priors = distinct(prior)
    if not own or not priors:
        raise PatientUnidentified("a merge names the patient that remains and the prior one")
    named = {(each.assigning_authority, each.value) for each in own}
    if any((each.assigning_authority, each.value) in named for each in priors):
        raise SelfMerge("the prior patient is the same as the one that remains")
    store.lock_merges(tx)
    store.lock_connected(tx, (*own, *priors))
    outcome = register(tx, actor, survivor, now=now)
    asserted_at = not_from_the_future(survivor.asserted_at, now)
    moved: list[int] = []
    for each in priors:
        moved += _merge_one(tx, actor, outcome.patient_key, each, asserted_at, now=now)
    current = store.current_key(tx, outcome.patient_key) or outcome.patient_key
    changed = (*outcome.changed, "merges") if moved else outcome.changed
    return Registered(outcome.patient_key, current, outcome.created, changed)


def _merge_one(
    tx: Tx,
    actor: Actor,
    survivor_key: int,
    prior: PatientIdentifier,
    asserted_at: datetime,
    *,
    now: datetime,
) -> list[int]:
    rows = store.lock_by_identifiers(tx, [(prior,)])
    if rows:
        prior_key = rows[0].patient_key
    else:
        unsaid = PatientFacts((prior,), asserted_at)
        prior_key = register(tx, actor, unsaid, now=now).patient_key
    if prior_key == survivor_key:  # one record that has both numbers
        return []
    store.upsert_merge(tx, survivor_key, prior_key, asserted_at, actor=actor.name, now=now)
    moved = _settle(tx, survivor_key, now=now)
    if moved:
        current = store.current_key(tx, prior_key) or prior_key
        outbox.append(tx, PatientMerged(current, prior_key, moved), now=now)
        audit.record(tx, _entry(actor, "patient.merge", prior, {"moved": len(moved)}), now=now)
    return moved


def _settle(tx: Tx, patient_key: int, *, now: datetime) -> list[int]:
    """Point everybody connected with the patient to whom the merges lead now."""
    merges = store.merges_connected(tx, patient_key)
    leads_to = survivors(merges)
    concerned = {each.prior_key for each in merges} | {each.survivor_key for each in merges}
    return sorted(store.set_survivors(tx, {key: leads_to.get(key) for key in concerned}, now))


def unmerge(tx: Tx, actor: Actor, merge_key: int, *, now: datetime) -> None:
    """Undo one merge: everything is as if it had never been said. Raises ``MergeUnknown``."""
    authorize(actor, Action.STUDY_RECONCILE)
    store.lock_merges(tx)
    undone = store.merge_by_key(tx, merge_key)
    if undone is None or store.undo_merge(tx, merge_key, now) is None:
        raise MergeUnknown("there is no such merge to undo")
    moved = _settle(tx, undone.survivor_key, now=now)
    event = PatientUnmerged(undone.survivor_key, undone.prior_key, moved)
    outbox.append(tx, event, now=now)
    shown = store.identifiers_by_patient(tx, [undone.prior_key])
    prior = PatientIdentifier(shown[0] if shown else str(undone.prior_key))
    audit.record(tx, _entry(actor, "patient.unmerge", prior, {"merge_key": merge_key}), now=now)


def merges(tx: Tx, actor: Actor, patient_key: int) -> list[Merge]:
    """Every merge connected with a patient, undone ones included, oldest first."""
    authorize(actor, Action.PATIENT_READ)
    return store.merges_connected(tx, patient_key)


def find(tx: Tx, value: str, *, assigning_authority: str | None = None) -> Patient | None:
    """The patient that an identifier leads to, merges followed.

    With ``assigning_authority`` None any authority's identifier counts, and the answer is None
    unless all that have this value are the same person. For other stages: it audits nothing.
    """
    keys = store.current_keys_of(tx, value, assigning_authority)
    return patient(tx, keys[0]) if len(keys) == 1 else None


def patient(tx: Tx, patient_key: int) -> Patient:
    """The patient that stands for a row, merges followed. Raises ``PatientUnknown``.

    For other stages: it audits nothing.
    """
    row = store.current_patient(tx, patient_key)
    if row is None:
        raise PatientUnknown("there is no such patient")
    sorted_out: dict[bool, list[PatientIdentifier]] = {True: [], False: []}
    for each in row.identifiers:
        sorted_out[each["own"]].append(
            PatientIdentifier(each["value"], each["assigning_authority"], each["type_code"])
        )
    return Patient(
        patient_key=row.patient_key,
        identifiers=tuple(sorted_out[True]),
        alias_identifiers=tuple(sorted_out[False]),
        person_name=row.person_name,
        birth_date=row.birth_date,
        sex=row.sex,
        address=row.address,
        phone=row.phone,
    )


def same_person(tx: Tx, patient_key: int, other_key: int) -> bool:
    """Whether two patient rows stand for one person."""
    if patient_key == other_key:
        return True
    return store.current_key(tx, patient_key) == store.current_key(tx, other_key)
