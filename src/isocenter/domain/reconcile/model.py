"""The rules by which a study finds its order: a pure decision over all that is known at the moment.

A decision looks only at facts, never at the order in which they came or at what was decided before,
except for what a person said. So the same facts always end in the same state.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Final

from isocenter.domain.archive.model_corrections import Corrections
from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.matching import person_name_key, words


class Method(StrEnum):
    """How a study was found to belong to its order."""

    STUDY_INSTANCE_UID = "study_instance_uid"
    ACCESSION_NUMBER_AND_PATIENT = "accession_number_and_patient"
    PERSON = "person"


class CaseKind(StrEnum):
    """Why a study needs a person."""

    UNMATCHED = "unmatched"  # no order fits
    AMBIGUOUS = "ambiguous"  # several orders fit
    PATIENT_MISMATCH = "patient_mismatch"  # an order fits, its patient does not
    CONFLICTING_INSTANCE = "conflicting_instance"  # other bytes under a known SOP Instance UID
    INCONSISTENT_STUDY = "inconsistent_study"  # the study's own images contradict each other
    ORDER_CANCELLED = "order_cancelled"  # the images belong to an order that was cancelled
    WRONG_WORKLIST_ENTRY = "wrong_worklist_entry"  # the modality took somebody else's entry


# These end when a person has seen them; the others only when the study has found its order.
DISMISSIBLE: Final = frozenset({
    CaseKind.CONFLICTING_INSTANCE,
    CaseKind.INCONSISTENT_STUDY,
    CaseKind.ORDER_CANCELLED,
})


class UnknownCase(IsocenterError):
    """No open case has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotDismissible(IsocenterError):
    """The case ends by matching the study with an order, not by looking away."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class NoSuchOrder(IsocenterError):
    """No order has this accession number."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotLinked(IsocenterError):
    """The study is linked to no order, so there is no match to undo."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person must look at.

    Attributes:
        fingerprint: changes when a dismissed finding must be shown again.
        reason: one sentence that a person at the front desk understands.
    """

    kind: CaseKind
    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongEntry:
    """A modality says that it took the wrong worklist entry for a study.

    Attributes:
        sop_instance_uid: of the performed procedure step that it discontinued for it.
        station_ae_title: of the modality.
        made_objects: it says that it made some before.
        is_all: no other performed step says that it made this study.
    """

    sop_instance_uid: str
    station_ae_title: str
    made_objects: bool
    is_all: bool

    def finding(self) -> Finding:
        """What a person must look at."""
        return Finding(
            CaseKind.WRONG_WORKLIST_ENTRY,
            self.sop_instance_uid,
            f"{self.station_ae_title} says that the wrong worklist entry was taken:"
            " these images may be of another patient.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvidence:
    """What the images say.

    Attributes:
        disagreements: attribute name to the other values that some of the images gave.
        conflicting_sop_instance_uids: instances of which different bytes were received.
    """

    study_instance_uid: str
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: date | None = None
    patient_sex: str | None = None
    accession_number: str | None = None
    referring_physician_name: str | None = None
    disagreements: Mapping[str, Sequence[str]]
    conflicting_sop_instance_uids: Collection[str] = ()
    wrong_entry: WrongEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvidence:
    """What an order says, its patient resolved through all merges.

    Attributes:
        identifiers: (assigning authority, value) of the patient and of all who were merged into
            it; the authority is '' when unknown.
        cancelled: cancelled or discontinued.
    """

    order_key: int
    accession_number: str
    study_instance_uids: frozenset[str]
    cancelled: bool
    identifiers: frozenset[tuple[str, str]]
    person_name: str | None = None
    birth_date: date | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision about a study may depend on.

    Attributes:
        orders: those with the study's UID or accession number, and the one a person chose.
        chosen_by_person: key of the order that a person matched the study with.
        rejected: keys of orders that a person said it does not belong to.
    """

    study: StudyEvidence
    orders: Sequence[OrderEvidence]
    chosen_by_person: int | None = None
    rejected: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """The study belongs to this order, and why."""

    order_key: int
    accession_number: str
    method: Method
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evidence says: a link or none, and what a person must look at."""

    link: Link | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLink:
    """A link as it is kept."""

    study_instance_uid: str
    accession_number: str
    order_key: int
    method: Method
    reason: str
    linked_at: datetime
    linked_by: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", Method(self.method))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An open or resolved case."""

    case_key: int
    study_instance_uid: str
    kind: CaseKind
    state: str
    fingerprint: str
    reason: str
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", CaseKind(self.kind))


class Agreement(StrEnum):
    """Whether images and order speak of the same patient."""

    SAME = "same"
    UNCERTAIN = "uncertain"
    DIFFERENT = "different"


def normalised_accession_number(value: str | None) -> str:
    """The form in which accession numbers are compared: no surrounding blanks, upper case.

    Modalities pad, and technologists type what the wristband says in the case they like.
    """
    return (value or "").strip(" ").upper()


def compare_patient(study: StudyEvidence, order: OrderEvidence) -> tuple[Agreement, str]:
    """Whether both speak of the same patient, and the grounds as a clause for a sentence."""
    identifier = _identifier_agrees(study, order)
    name = _names_agree(study.patient_name, order.person_name)
    birth = _equal(study.patient_birth_date, order.birth_date)
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


def _identifier_agrees(study: StudyEvidence, order: OrderEvidence) -> bool | None:
    value = (study.patient_id or "").strip()
    if not value:
        return None
    issuer = (study.issuer_of_patient_id or "").strip().casefold()
    for authority, known in order.identifiers:
        if known == value and (not issuer or not authority or authority.casefold() == issuer):
            return True
    return False


def _equal(one: date | None, other: date | None) -> bool | None:
    return None if one is None or other is None else one == other


def _names_agree(one: str | None, other: str | None) -> bool | None:
    """Same words, whatever their order, case and accents; further words on one side do no harm."""
    first, second = (set(words((name or "").split("=", 1)[0])) for name in (one, other))
    if not first or not second:
        return None
    shorter, longer = sorted((first, second), key=len)
    return shorter <= longer and (len(shorter) > 1 or shorter == longer)


def decide(evidence: Evidence) -> Decision:
    """The link that the evidence supports, if any, and all that a person must look at."""
    link, findings = _choose(evidence)
    by_person = link is not None and link.method is Method.PERSON
    if link is not None:
        order = next(each for each in evidence.orders if each.order_key == link.order_key)
        if order.cancelled:
            findings.append(
                Finding(
                    CaseKind.ORDER_CANCELLED,
                    f"order/{order.order_key}",
                    f"Images came for order {order.accession_number}, which was cancelled.",
                )
            )
    mistaken = evidence.study.wrong_entry
    if mistaken and mistaken.made_objects and not mistaken.is_all and not by_person:
        findings.append(mistaken.finding())
    return Decision(link, (*findings, *_findings_within(evidence.study)))


def _choose(evidence: Evidence) -> tuple[Link | None, list[Finding]]:
    for order in evidence.orders:
        if order.order_key == evidence.chosen_by_person:
            return Link(
                order.order_key, order.accession_number, Method.PERSON, "matched by a person"
            ), []
    study = evidence.study
    if study.wrong_entry and study.wrong_entry.is_all:
        return None, [study.wrong_entry.finding()]
    open_orders = [each for each in evidence.orders if each.order_key not in evidence.rejected]
    doubts: list[tuple[OrderEvidence, str]] = []
    for order in open_orders:
        if study.study_instance_uid in order.study_instance_uids:
            agreement, grounds = compare_patient(study, order)
            if agreement is not Agreement.DIFFERENT:
                return Link(
                    order.order_key,
                    order.accession_number,
                    Method.STUDY_INSTANCE_UID,
                    f"the order names this study; {grounds}",
                ), []
            doubts.append((order, grounds))
    accession = normalised_accession_number(study.accession_number)
    same_number = [
        each
        for each in open_orders
        if accession and normalised_accession_number(each.accession_number) == accession
    ]
    return _by_accession_number(evidence, same_number, doubts)


def _by_accession_number(
    evidence: Evidence,
    same_number: Sequence[OrderEvidence],
    doubts: list[tuple[OrderEvidence, str]],
) -> tuple[Link | None, list[Finding]]:
    study = evidence.study
    fitting: list[tuple[OrderEvidence, str]] = []
    for order in same_number:
        agreement, grounds = compare_patient(study, order)
        if agreement is Agreement.SAME:
            fitting.append((order, grounds))
        elif all(order is not each for each, _ in doubts):
            doubts.append((order, grounds))
    if len(fitting) > 1:  # a cancelled order gives way to the one that replaced it
        fitting = [each for each in fitting if not each[0].cancelled] or fitting
    if len(fitting) == 1:
        order, grounds = fitting[0]
        reason = f"the accession number agrees; {grounds}"
        return Link(
            order.order_key, order.accession_number, Method.ACCESSION_NUMBER_AND_PATIENT, reason
        ), []
    shown = (study.accession_number or "").strip()
    if fitting:
        text = f"{len(fitting)} orders of this patient have accession number {shown}."
        return None, [Finding(CaseKind.AMBIGUOUS, shown, text)]
    if doubts:
        order, grounds = doubts[0]
        text = f"Order {order.accession_number} fits, but {grounds}."
        return None, [Finding(CaseKind.PATIENT_MISMATCH, order.accession_number, text)]
    return None, [_unmatched(evidence, shown)]


def _unmatched(evidence: Evidence, accession_number: str) -> Finding:
    if any(each.order_key in evidence.rejected for each in evidence.orders):
        text = "A person undid the match of this study, and no other order fits."
    elif accession_number:
        text = f"No order has accession number {accession_number}, which the images carry."
    else:
        text = "The images carry no accession number, and no order names this study."
    return Finding(CaseKind.UNMATCHED, accession_number, text)


_SHOWN_NAMES: Final[Mapping[str, str]] = {
    "patient_id": "patient ID",
    "issuer_of_patient_id": "issuer of the patient ID",
    "patient_name": "patient name",
    "patient_birth_date": "birth date",
    "accession_number": "accession number",
}


def _findings_within(study: StudyEvidence) -> list[Finding]:
    findings: list[Finding] = []
    serious = {
        name: sorted(values)
        for name, values in study.disagreements.items()
        if name != "patient_name"
        or any(_names_agree(study.patient_name, each) is False for each in values)
    }
    if serious:
        names = ", ".join(_SHOWN_NAMES.get(name, name) for name in sorted(serious))
        findings.append(
            Finding(
                CaseKind.INCONSISTENT_STUDY,
                _fingerprint(repr(sorted(serious.items()))),
                f"Images of this study disagree about: {names}.",
            )
        )
    if study.conflicting_sop_instance_uids:
        count = len(set(study.conflicting_sop_instance_uids))
        what = "1 image" if count == 1 else f"{count} images"
        findings.append(
            Finding(
                CaseKind.CONFLICTING_INSTANCE,
                _fingerprint(repr(sorted(set(study.conflicting_sop_instance_uids)))),
                f"{what} came again with different content; both contents are kept.",
            )
        )
    return findings


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_TEXT_LENGTH_MAX: Final = 64  # PS3.5 6.2: LO, and each component group of a PN


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
            same_name = _names_agree(study.patient_name, name)
            same_birth = _equal(study.patient_birth_date, birth)
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
