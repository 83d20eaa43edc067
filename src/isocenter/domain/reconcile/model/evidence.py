"""What is known of a study and of the orders that it may belong to, and what is decided of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from isocenter.domain.reconcile.model.cases import CaseKind, Finding


class Method(StrEnum):
    """How a study was found to belong to its order."""

    STUDY_INSTANCE_UID = "study_instance_uid"
    ACCESSION_NUMBER_AND_PATIENT = "accession_number_and_patient"
    PERFORMED_STEP = "performed_step"  # the modality said for which order it made the images
    RULE = "rule"  # people decided so again and again, and made it a rule
    PERSON = "person"


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
        station_ae_titles: of the applications that sent the images.
        received_at: when the first image came.
        description: of the study, and its series' descriptions and protocols.
        body_parts: examined, as the images say it.
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
    issuer_of_accession_number: str | None = None
    modalities: frozenset[str] = frozenset()
    station_ae_titles: frozenset[str] = frozenset()
    study_date: date | None = None
    received_at: datetime | None = None
    description: str = ""
    body_parts: frozenset[str] = frozenset()
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
        procedure: the names of its procedures and protocols.
        given_to: AE titles of the stations that found it on their worklist.
        other_names: by which the patient was or is known besides: maiden and former names, and the
            names of records that were merged into it.
        performed: a performed procedure step of this study names the order (MPPS).
        has_images: some study is linked to it.
    """

    order_key: int
    accession_number: str
    study_instance_uids: frozenset[str]
    cancelled: bool
    identifiers: frozenset[tuple[str, str]]
    person_name: str | None = None
    other_names: frozenset[str] = frozenset()
    birth_date: date | None = None
    state: str = ""
    patient_key: int = 0
    accession_issuer: str = ""
    modalities: frozenset[str] = frozenset()
    station_ae_titles: frozenset[str] = frozenset()
    scheduled_at: datetime | None = None
    procedure: str = ""
    given_to: frozenset[str] = frozenset()
    performed: bool = False
    has_images: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What people decided again and again, made a rule.

    Attributes:
        station_ae_title: the rule is about images that this application sends.
        terms: names of the terms of a score that must speak for an order.
    """

    rule_key: int
    station_ae_title: str
    terms: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", frozenset(self.terms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision about a study may depend on.

    Attributes:
        orders: those with the study's UID or accession number, and the one a person chose.
        chosen_by_person: key of the order that a person matched the study with.
        prefixes: what this site puts before accession numbers or leaves away.
        rules: those that are switched on.
        rejected: keys of orders that a person said it does not belong to.
    """

    study: StudyEvidence
    orders: Sequence[OrderEvidence]
    chosen_by_person: int | None = None
    rejected: Collection[int] = ()
    prefixes: Collection[str] = ()
    rules: Sequence[Rule] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """The study belongs to this order, and why."""

    order_key: int
    accession_number: str
    method: Method
    reason: str
    rule_key: int | None = None


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
    rule_key: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", Method(self.method))
