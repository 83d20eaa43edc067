"""What pages and API tell of patients' identity, put on record together with telling it."""

from dataclasses import dataclass
from datetime import date

from isocenter.domain.access.model import Viewer
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import (
    IdentifierChange,
    Link,
    Merge,
    PairUnknown,
    Patient,
)
from isocenter.domain.identity.model_matching import Person
from isocenter.gateways.web.onrecord import Look
from isocenter.infra.db import Tx
from isocenter.readmodels import identity_deliveries, patient_pairs, patient_search
from isocenter.readmodels.identity_deliveries import IdentityDelivery
from isocenter.readmodels.patient_pairs import Pair, TouchedExam
from isocenter.readmodels.patient_search import PatientQuery
from isocenter.standards.dicom.matching import fold

FOUND_MAX = 25


@dataclass(frozen=True, slots=True)
class FoundPatient:
    """A patient that was searched for; ``like``: how its name is like what was typed, or ""."""

    patient: Patient
    like: str


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair, and the exams that deciding on it touches."""

    pair: Pair
    exams: list[TouchedExam]


@dataclass(frozen=True, slots=True)
class PatientView:
    """A patient with everything that made it the patient that it is.

    Attributes:
        names: the number that each record in it is called by.
        told: what recipients were told of its records, and whether they have it.
    """

    patient: Patient
    merges: list[Merge]
    links: list[Link]
    changes: list[IdentifierChange]
    exams: list[TouchedExam]
    names: dict[int, str]
    told: list[IdentityDelivery]

    def told_of_merge(self, merge: Merge) -> list[IdentityDelivery]:
        """Who was told of a merge, or of its undoing."""
        return [
            each
            for each in self.told
            if each.occasion in {"A40", "A37"}
            and each.patient_key == merge.prior_key
            and each.queued_at >= merge.merged_at
        ]

    def told_of_link(self, link: Link) -> list[IdentityDelivery]:
        """Who was told of a link, or of its undoing."""
        return [
            each
            for each in self.told
            if each.occasion in {"A24", "A37"}
            and (each.patient_key, each.other_key) == (link.one_key, link.other_key)
        ]

    def told_of_change(self, change: IdentifierChange) -> list[IdentityDelivery]:
        """Who was told that an identifier changed hands, or was replaced."""
        occasion = "A47" if change.from_key == change.to_key else "A43"
        keys = {change.from_key, change.to_key}
        return [
            each
            for each in self.told
            if each.occasion == occasion
            and {each.patient_key, each.other_key} == keys
            and each.queued_at >= change.changed_at
        ]


def questions(
    tx: Tx, viewer: Viewer, limit: int, decided_max: int, *, look: Look
) -> tuple[list[Pair], list[Pair]]:
    """Open questions, and what was decided lately."""
    look.readings.note(tx, viewer.actor, ("patient.review", "patient", ""), now=look.now)
    return (
        patient_pairs.open_pairs(tx, viewer, limit=limit),
        patient_pairs.decided_pairs(tx, viewer, limit=decided_max),
    )


def opened_pair(tx: Tx, viewer: Viewer, pair_key: int, *, look: Look) -> PairView:
    """One pair. Raises ``PairUnknown``."""
    found = patient_pairs.pair(tx, viewer, pair_key)
    if found is None:
        raise PairUnknown("there is no such pair of records")
    what = ("patient.review", "patient", str(pair_key))
    shown = next(iter(found.one["identifiers"]), None)
    look.readings.note(tx, viewer.actor, what, patient_id=shown, now=look.now)
    keys = [found.one["patient_key"], found.other["patient_key"]]
    return PairView(found, patient_pairs.touched_exams(tx, viewer, keys))


def opened_patient(tx: Tx, viewer: Viewer, patient_key: int, *, look: Look) -> PatientView:
    """One patient, merges followed. Raises ``PatientUnknown``."""
    patient = identity.patient(tx, patient_key)
    value = patient.identifiers[0].value if patient.identifiers else ""
    what = ("patient.open", "patient", value)
    look.readings.note(tx, viewer.actor, what, patient_id=value or None, now=look.now)
    key, actor = patient.patient_key, viewer.actor
    merges, links = identity.merges(tx, actor, key), identity.links(tx, actor, key)
    changes = identity.identifier_changes(tx, actor, key)
    keys = {key}
    keys |= {each.survivor_key for each in merges} | {each.prior_key for each in merges}
    keys |= {each.one_key for each in links} | {each.other_key for each in links}
    keys |= {each.from_key for each in changes} | {each.to_key for each in changes}
    return PatientView(
        patient=patient,
        merges=merges,
        links=links,
        changes=changes,
        names=patient_pairs.record_names(tx, viewer, sorted(keys)),
        told=identity_deliveries.about(tx, viewer, sorted(keys)),
        exams=patient_pairs.touched_exams(tx, viewer, [key]),
    )


def found_patients(
    tx: Tx, viewer: Viewer, text: str, birth_date: date | None, *, look: Look
) -> list[FoundPatient]:
    """Patients by number, else by name and birth date, however they are spelt; best first."""
    numbered = patient_search.patients(tx, viewer, PatientQuery(identifier=text, limit=FOUND_MAX))
    family, _, given = text.partition(" ") if "," not in text else text.partition(",")
    spelt = f"{family.strip(', ')}^{given.strip()}" if given.strip() else text
    named = PatientQuery(
        family=fold(family.strip(", ")) or None,
        given=fold(given) or None,
        whole_family=False,
        whole_given=False,
        birth_date=birth_date,
        limit=FOUND_MAX,
    )
    exact = numbered or patient_search.patients(tx, viewer, named)
    person = Person(names=(spelt,), birth_date=birth_date)
    alike = identity.candidates(tx, viewer.actor, person, limit=FOUND_MAX, now=look.now)
    fitting = exact[:FOUND_MAX]
    found = [FoundPatient(identity.patient(tx, key), "") for key in fitting]
    for each in alike:
        if each.patient.patient_key not in fitting:
            levels = [f"{ground.field}: {ground.level}" for ground in each.assessment.grounds]
            found.append(FoundPatient(each.patient, ", ".join(levels)))
    return found[:FOUND_MAX]
