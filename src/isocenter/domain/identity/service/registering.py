"""Registering patients: what somebody says about a person, kept with the record that it names.

Facts stay with the record that the message named, also when that record is merged into another: so
undoing a merge gives back exactly what was there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store as store
from isocenter.domain.identity.auditing import entry
from isocenter.domain.identity.events import (
    IdentifierDisputed,
    PatientRegistered,
    PatientUpdated,
)
from isocenter.domain.identity.model import (
    COLUMNS,
    PatientFacts,
    PatientIdentifier,
    PatientUnidentified,
    PatientUnknown,
    Registered,
    Revision,
    distinct,
    not_from_the_future,
    revised,
)
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys

_ATTEMPTS_MAX: Final = 5
_UNSAID: Final[Mapping[str, Any]] = dict.fromkeys(COLUMNS)


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
        changed = (*_changed(firsts[row.position], _UNSAID), "identifiers")
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
        changed=_changed(after, known),
    )


def _changed(revision: Revision, known: Mapping[str, Any]) -> tuple[str, ...]:
    """What is news: not that somebody is nothing special whom nobody ever called special."""
    return tuple(
        name
        for name, value in sorted(revision.values.items())
        if known[name] is not None or value not in (False, [])
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
    said_by = asserting_peer(wanted.actor)
    if outcome.created:
        outbox.append(tx, PatientRegistered(outcome.patient_key, said_by), now=now)
    else:
        updated = PatientUpdated(outcome.patient_key, list(changed), said_by)
        outbox.append(tx, updated, now=now)
    verb = "patient.register" if outcome.created else "patient.update"
    detail = {"changed": list(changed)}
    audit.record(tx, entry(wanted.actor, verb, wanted.identifiers[0], detail), now=now)
    return Registered(outcome.patient_key, outcome.current_key, outcome.created, changed)
