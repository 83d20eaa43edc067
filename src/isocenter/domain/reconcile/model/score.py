"""How well an order fits a study: a number of points, and each term of it in words.

The points order the candidates that a person is shown, and their names are the terms of rules. No
sum of points links a study by itself: that needs something that identifies the order.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from isocenter.domain.reconcile.model.accession import NumberAgreement, compare_accession_numbers
from isocenter.domain.reconcile.model.evidence import OrderEvidence, StudyEvidence
from isocenter.domain.reconcile.model.patient import (
    agrees_by_other_name,
    identifier_agrees,
    names_agree,
    same_date,
)
from isocenter.standards.dicom.matching import words

# Words that say nothing about what was examined.
_EMPTY_WORDS: Final = frozenset({
    "and", "contrast", "exam", "left", "of", "right", "scan", "series", "std", "study", "the",
    "with", "without",
})  # fmt: skip
_NEAR, _SAME_SHIFT, _SAME_WEEK = timedelta(minutes=45), timedelta(hours=6), timedelta(days=7)


class TermName(StrEnum):
    """What is compared."""

    STUDY_INSTANCE_UID = "study_instance_uid"
    ACCESSION_NUMBER = "accession_number"
    PERFORMED_STEP = "performed_step"
    PATIENT_ID = "patient_id"
    PATIENT_NAME = "patient_name"
    BIRTH_DATE = "birth_date"
    MODALITY = "modality"
    STATION = "station"
    TIME = "time"
    PROCEDURE = "procedure"
    WORKLIST_QUERY = "worklist_query"
    STATE = "state"


class Verdict(StrEnum):
    """What a term says."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison: what it says, its points, and a clause that a person understands."""

    name: TermName
    verdict: Verdict
    points: int
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """All comparisons of a study with an order; ``points`` is their sum."""

    terms: tuple[Term, ...]

    @property
    def points(self) -> int:
        """The sum of the terms; more is better."""
        return sum(each.points for each in self.terms)

    @property
    def agreeing(self) -> frozenset[str]:
        """Names of the terms that speak for the order."""
        return frozenset(each.name.value for each in self.terms if each.verdict is Verdict.AGREES)

    @property
    def spoken(self) -> tuple[Term, ...]:
        """The terms that say something, those that weigh most first."""
        said = [each for each in self.terms if each.verdict is not Verdict.UNKNOWN]
        return tuple(sorted(said, key=lambda each: -abs(each.points)))


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order that a study may belong to, and what speaks for and against it."""

    order: OrderEvidence
    score: Score


# Points of a term when it agrees and when it differs: about ten times the logarithm (base 2) of
# how much likelier that is for the right order than for a wrong one of the same day.
_POINTS: Final = {
    TermName.STUDY_INSTANCE_UID: (60, 0),
    TermName.PERFORMED_STEP: (45, 0),
    TermName.PATIENT_ID: (30, -30),
    TermName.PATIENT_NAME: (20, -25),
    TermName.BIRTH_DATE: (15, -25),
    TermName.MODALITY: (8, -30),
    TermName.STATION: (8, -4),
    TermName.WORKLIST_QUERY: (8, 0),
}
# The more names somebody has, the likelier one of them is somebody else's.
_OTHER_NAME: Final = 14
_NUMBER: Final = {
    NumberAgreement.SAME: (Verdict.AGREES, 40, "same accession number"),
    NumberAgreement.SAME_IN_ANOTHER_FORM: (
        Verdict.AGREES,
        32,
        "same accession number but for zeros, prefix or separators",
    ),
    NumberAgreement.OTHER_ISSUER: (
        Verdict.DIFFERS,
        -10,
        "same accession number from another issuer",
    ),
    NumberAgreement.DIFFERENT: (Verdict.DIFFERS, -20, "another accession number"),
    NumberAgreement.UNKNOWN: (Verdict.UNKNOWN, 0, "the images carry no accession number"),
}


def score(study: StudyEvidence, order: OrderEvidence, *, prefixes: Collection[str] = ()) -> Score:
    """How well the order fits the study, term by term."""
    uid = study.study_instance_uid in order.study_instance_uids
    return Score((
        _term(TermName.STUDY_INSTANCE_UID, uid or None, "the order names this study", ""),
        _number(study, order, prefixes),
        _term(
            TermName.PERFORMED_STEP,
            order.performed or None,
            "the modality said that it made the images for this order",
            "",
        ),
        _term(
            TermName.PATIENT_ID,
            identifier_agrees(study, order),
            "same patient ID",
            "another patient ID",
        ),
        _name(study, order),
        _term(
            TermName.BIRTH_DATE,
            same_date(study.patient_birth_date, order.birth_date),
            "same birth date",
            "another birth date",
        ),
        *_circumstances(study, order),
        _state(order),
    ))


def ranked(
    study: StudyEvidence, orders: Sequence[OrderEvidence], *, prefixes: Collection[str] = ()
) -> list[Proposal]:
    """The orders with their scores, the best first; equal ones by their accession number."""
    found = [Proposal(each, score(study, each, prefixes=prefixes)) for each in orders]
    return sorted(found, key=lambda each: (-each.score.points, each.order.accession_number))


def _term(name: TermName, agrees: bool | None, yes: str, no: str) -> Term:
    if agrees is None:
        return Term(name, Verdict.UNKNOWN, 0, "")
    gain, loss = _POINTS[name]
    if agrees:
        return Term(name, Verdict.AGREES, gain, yes)
    return Term(name, Verdict.DIFFERS, loss, no)


def _name(study: StudyEvidence, order: OrderEvidence) -> Term:
    if agrees_by_other_name(study, order):
        return Term(TermName.PATIENT_NAME, Verdict.AGREES, _OTHER_NAME, "a former or other name")
    agrees = names_agree(study.patient_name, order.person_name)
    return _term(TermName.PATIENT_NAME, agrees, "same name", "another name")


def _number(study: StudyEvidence, order: OrderEvidence, prefixes: Collection[str]) -> Term:
    agreement = compare_accession_numbers(
        study.accession_number,
        order.accession_number,
        issuers=(study.issuer_of_accession_number, order.accession_issuer),
        prefixes=prefixes,
    )
    verdict, points, text = _NUMBER[agreement]
    return Term(TermName.ACCESSION_NUMBER, verdict, points, text)


def _circumstances(study: StudyEvidence, order: OrderEvidence) -> tuple[Term, ...]:
    modalities = study.modalities - {"SR", "PR", "KO", "OT", "SEG", "DOC"}
    same_modality = bool(modalities & order.modalities) if modalities and order.modalities else None
    stations = study.station_ae_titles
    same_station = (
        bool(stations & order.station_ae_titles) if stations and order.station_ae_titles else None
    )
    asked = bool(stations & order.given_to) or None
    return (
        _term(TermName.MODALITY, same_modality, "same modality", "another modality"),
        _term(TermName.STATION, same_station, "planned for this station", "for another station"),
        _time(study, order),
        _procedure(study, order),
        _term(TermName.WORKLIST_QUERY, asked, "this station had it on its worklist", ""),
    )


def _time(study: StudyEvidence, order: OrderEvidence) -> Term:
    if order.scheduled_at is None or study.received_at is None:
        return Term(TermName.TIME, Verdict.UNKNOWN, 0, "")
    apart = abs(study.received_at - order.scheduled_at)
    # Images of years ago that are imported today are as far from today's orders as they say. The
    # two dates may be of different zones: a day more or less is nothing.
    if study.study_date is not None:
        days = abs((study.study_date - order.scheduled_at.date()).days) - 1
        apart = max(apart, timedelta(days=days)) if days > 0 else apart
    for limit, points, text in (
        (_NEAR, 12, "within 45 minutes of the plan"),
        (_SAME_SHIFT, 8, "within hours of the plan"),
        (timedelta(days=1), 3, "within a day of the plan"),
    ):
        if apart <= limit:
            return Term(TermName.TIME, Verdict.AGREES, points, text)
    if apart <= _SAME_WEEK:
        return Term(TermName.TIME, Verdict.DIFFERS, -6, "days from the plan")
    return Term(TermName.TIME, Verdict.DIFFERS, -20, "more than a week from the plan")


def _procedure(study: StudyEvidence, order: OrderEvidence) -> Term:
    planned = _telling(order.procedure)
    done = _telling(" ".join((study.description, *study.body_parts)))
    if not planned or not done:
        return Term(TermName.PROCEDURE, Verdict.UNKNOWN, 0, "")
    if shared := sorted(planned & done):
        return Term(TermName.PROCEDURE, Verdict.AGREES, 8, f"both say {', '.join(shared[:3])}")
    return Term(TermName.PROCEDURE, Verdict.DIFFERS, -4, "another examination by its name")


def _telling(text: str) -> frozenset[str]:
    found = {each for part in words(text) for each in part.replace("_", "-").split("-")}
    return frozenset(each for each in found - _EMPTY_WORDS if len(each) > 2)


def _state(order: OrderEvidence) -> Term:
    if order.cancelled:
        return Term(TermName.STATE, Verdict.DIFFERS, -15, "the order was cancelled")
    if order.has_images:
        return Term(TermName.STATE, Verdict.DIFFERS, -12, "the order has images already")
    return Term(TermName.STATE, Verdict.AGREES, 4, "the order has no images yet")
