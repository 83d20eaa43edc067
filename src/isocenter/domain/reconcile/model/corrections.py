"""What a study's images should say by what patient registry and order say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.reconcile.model.accession import normalised_accession_number
from isocenter.domain.reconcile.model.evidence import StudyEvidence
from isocenter.domain.reconcile.model.patient import names_agree, same_date
from isocenter.standards.dicom.matching import person_name_key

_TEXT_LENGTH_MAX: Final = 64  # PS3.5 6.2: LO, and each component group of a PN


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPatient:
    """Who the patient is now, all merges done.

    Attributes:
        patient_key: of the person, not of a record that was merged into it.
        patient_id: the one to show, with its issuer ('' when unknown).
        own_identifiers: (assigning authority, value) that are the person's without any merge.
        prior_person_name: of the record by which the person was found, as is the birth date.
    """

    patient_key: int
    patient_id: str | None
    issuer_of_patient_id: str
    own_identifiers: frozenset[tuple[str, str]]
    person_name: str | None
    birth_date: date | None
    sex: str | None
    prior_person_name: str | None = None
    prior_birth_date: date | None = None


@dataclass(frozen=True, slots=True)
class OrderData:
    """What the order that a study belongs to says of it."""

    accession_number: str
    referring_physician_name: str | None = None


def patient_of(
    study: StudyEvidence, candidates: Sequence[RegisteredPatient]
) -> RegisteredPatient | None:
    """The registered patient of a study that no order claims; None without certainty.

    Its patient ID must lead to one person, and name or birth date must be that person's, by what is
    known now or was before a merge: identifiers of other hospitals look like ours.
    """
    if len({each.patient_key for each in candidates}) != 1:
        return None
    for each in candidates:
        for name, birth in (
            (each.person_name, each.birth_date),
            (each.prior_person_name, each.prior_birth_date),
        ):
            same_name = names_agree(study.patient_name, name)
            same_birth = same_date(study.patient_birth_date, birth)
            if (same_name or same_birth) and not (same_name is False and same_birth is None):
                return each
    return None


def corrections(
    study: StudyEvidence, patient: RegisteredPatient | None, order: OrderData | None
) -> Corrections:
    """What the study's images should say by what patient registry and order say.

    Nothing is corrected into nothing: what is not known leaves what the images say. Spellings that
    mean the same (case, padding, accents) stay.
    """
    patient_id, issuer = _corrected_identifier(study, patient)
    return Corrections(
        patient_id=patient_id,
        issuer_of_patient_id=issuer,
        patient_name=_corrected_name(study.patient_name, patient and patient.person_name),
        patient_birth_date=(
            patient.birth_date
            if patient and patient.birth_date and patient.birth_date != study.patient_birth_date
            else None
        ),
        patient_sex=(
            patient.sex
            if patient and patient.sex and patient.sex != (study.patient_sex or "").upper()
            else None
        ),
        accession_number=(
            order.accession_number
            if order
            and normalised_accession_number(order.accession_number)
            != normalised_accession_number(study.accession_number)
            else None
        ),
        referring_physician_name=_corrected_name(
            study.referring_physician_name, order and order.referring_physician_name
        ),
    )


def _corrected_identifier(
    study: StudyEvidence, patient: RegisteredPatient | None
) -> tuple[str | None, str | None]:
    """Patient ID and issuer, when the one in the images is not the person's own (any more)."""
    if patient is None or not patient.patient_id:
        return None, None
    value = (study.patient_id or "").strip()
    issuer = (study.issuer_of_patient_id or "").strip().casefold()
    for authority, known in patient.own_identifiers:
        if known == value and (not issuer or not authority or authority.casefold() == issuer):
            return None, None
    return _fitting(patient.patient_id), _fitting(patient.issuer_of_patient_id)


def _corrected_name(said: str | None, known: str | None) -> str | None:
    """``known``, unless each of its groups is said already."""
    if not known:
        return None
    wanted = person_name_key(known).split("=")
    have = person_name_key(said or "").split("=")
    have += [""] * (len(wanted) - len(have))
    if all(not group or group == other for group, other in zip(wanted, have, strict=False)):
        return None
    return "=".join(_fitting(group) for group in known.split("=")[:3])


def _fitting(text: str) -> str:
    """``text`` as a header can say it: one value, printable, not too long."""
    clean = "".join(each if each.isprintable() and each != "\\" else " " for each in text)
    return clean[:_TEXT_LENGTH_MAX].strip()
