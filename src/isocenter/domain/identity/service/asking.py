"""Who somebody may be, for whoever asks: by number first, then by everything that is known."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import _store_matching as store
from isocenter.domain.identity.model import Patient, PatientIdentifier
from isocenter.domain.identity.model_matching import Assessment, Person
from isocenter.domain.identity.model_numbers import NumberLevel, identified, number_level
from isocenter.domain.identity.service.finding import patients
from isocenter.domain.identity.service.matching import assessed, compared
from isocenter.infra.db import Tx

CANDIDATES_MAX: Final = 10
_HOLDERS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may be the person that was looked for; the best one comes first."""

    patient: Patient
    assessment: Assessment


def candidates(
    tx: Tx,
    actor: Actor,
    person: Person,
    *,
    trusted_authorities: Collection[str] = (),
    limit: int = CANDIDATES_MAX,
    now: datetime,
) -> list[Candidate]:
    """Who may be this person, each surviving patient once.

    Whoever has a number of the person from a trusted issuer comes first: that is a rule. Then
    come those who agree in what is known, best first; whoever agrees less than two people do by
    chance is left out, unless the number is the same.

    Args:
        tx: the caller commits it.
        actor: who asks; the audit has it.
        person: what is known.
        trusted_authorities: issuers whose numbers name one patient each; empty: every issuer of
            whom numbers are known here.
        limit: most candidates.
        now: the moment.
    """
    authorize(actor, Action.PATIENT_READ)
    found = dict(compared(tx, person))
    levels = _holders(tx, person, frozenset(trusted_authorities))
    if levels:
        missing = sorted(levels.keys() - found.keys())
        found |= assessed(tx, person, missing)
        found |= {key: identified(found[key], level) for key, level in levels.items()}
    best = sorted(
        (each for each in found.items() if each[1].weight > 0 or each[0] in levels),
        key=lambda each: (not each[1].rule, -each[1].weight, each[0]),
    )
    entry = AuditEntry(
        action="patient.match",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="patient",
        object_id="",
        detail={"found": len(best)},
    )
    audit.record(tx, entry, now=now)
    shown = patients(tx, [key for key, _ in best[:limit]])
    return [Candidate(shown[key], each) for key, each in best[:limit]]


def _holders(tx: Tx, person: Person, trusted: frozenset[str]) -> dict[int, NumberLevel]:
    """Surviving row -> how it has a number of the person, the strongest way."""
    asked = [each for each in person.identifiers if each.value]
    if not asked:
        return {}
    if not trusted:
        named = sorted({each.assigning_authority for each in asked} - {""})
        trusted = frozenset(store.known_authorities(tx, named))
    order = list(NumberLevel)
    found: dict[int, NumberLevel] = {}
    for row in store.holders(tx, sorted({each.value for each in asked}), limit=_HOLDERS_MAX):
        held = PatientIdentifier(row.value, row.assigning_authority)
        levels = [number_level(each, held, trusted) for each in asked]
        known = [each for each in (*levels, found.get(row.current_key)) if each is not None]
        if known:
            found[row.current_key] = min(known, key=order.index)
    return found
