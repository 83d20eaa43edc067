"""Whether images and order speak of the same patient."""

from datetime import date
from enum import StrEnum
from typing import Final

from isocenter.domain.reconcile.model.evidence import OrderEvidence, StudyEvidence
from isocenter.standards.dicom.matching import words

# How departments name somebody whom they do not know yet (the first words of the name).
_PLACEHOLDERS: Final = frozenset({
    "anonymous", "doe", "emergency", "inconnu", "inconnue", "nn", "noname", "onbekend", "trauma",
    "unbekannt", "unidentified", "unknown", "xxx",
})  # fmt: skip


class Agreement(StrEnum):
    """Whether images and order speak of the same patient."""

    SAME = "same"
    UNCERTAIN = "uncertain"
    DIFFERENT = "different"


def compare_patient(study: StudyEvidence, order: OrderEvidence) -> tuple[Agreement, str]:
    """Whether both speak of the same patient, and the grounds as a clause for a sentence."""
    identifier = identifier_agrees(study, order)
    name = name_agrees(study, order)
    birth = same_date(study.patient_birth_date, order.birth_date)
    if identifier is True:
        if name is False and birth is False:
            return Agreement.DIFFERENT, "the patient ID agrees, but name and birth date both differ"
        notes = [
            text for differs, text in ((name, "name"), (birth, "birth date")) if differs is False
        ]
        suffix = f"; the {notes[0]} differs" if notes else ""
        return Agreement.SAME, f"the patient ID agrees{suffix}"
    if identifier is None:
        if name is True and birth is True:
            return Agreement.SAME, "name and birth date agree; the images carry no patient ID"
        if name is False or birth is False:
            return Agreement.DIFFERENT, "name or birth date differs; the images carry no patient ID"
        return Agreement.UNCERTAIN, "the images say too little about the patient"
    unknown = (
        f"patient ID {_shown_identifier(study)} in the images is not known for the order's patient"
    )
    if name is True and birth is True:
        return Agreement.UNCERTAIN, f"{unknown}, although name and birth date agree"
    return Agreement.DIFFERENT, unknown


def _shown_identifier(study: StudyEvidence) -> str:
    issuer = f" of {study.issuer_of_patient_id}" if study.issuer_of_patient_id else ""
    return f"{study.patient_id}{issuer}"


def identifier_agrees(study: StudyEvidence, order: OrderEvidence) -> bool | None:
    """Whether the patient ID is one of the patient's, merges done; None: the images say none."""
    value = (study.patient_id or "").strip()
    if not value:
        return None
    issuer = (study.issuer_of_patient_id or "").strip().casefold()
    for authority, known in order.identifiers:
        if known == value and (not issuer or not authority or authority.casefold() == issuer):
            return True
    return False


def same_date(one: date | None, other: date | None) -> bool | None:
    """Whether both are the same day; None when one is not known."""
    return None if one is None or other is None else one == other


def names_agree(one: str | None, other: str | None) -> bool | None:
    """Same words, whatever their order, case and accents; further words on one side do no harm."""
    first, second = (set(words((name or "").split("=", 1)[0])) for name in (one, other))
    if not first or not second:
        return None
    shorter, longer = sorted((first, second), key=len)
    return shorter <= longer and (len(shorter) > 1 or shorter == longer)


def name_agrees(study: StudyEvidence, order: OrderEvidence) -> bool | None:
    """As ``names_agree``, by the patient's name or one by which they were known."""
    if agrees_by_other_name(study, order):
        return True
    return names_agree(study.patient_name, order.person_name)


def agrees_by_other_name(study: StudyEvidence, order: OrderEvidence) -> bool:
    """Whether the images give a former name of the patient, or another one, and not the present."""
    if names_agree(study.patient_name, order.person_name) is True:
        return False
    return any(names_agree(study.patient_name, each) is True for each in order.other_names)


def is_unidentified(study: StudyEvidence) -> bool:
    """Whether the images are of somebody whom nobody knew: no patient ID, or a name like John Doe.

    Standard: IHE RAD TF-1 4.4 (unidentified patient)
    """
    said = words((study.patient_name or "").split("=", 1)[0])
    return not (study.patient_id or "").strip() or not _PLACEHOLDERS.isdisjoint(said)
