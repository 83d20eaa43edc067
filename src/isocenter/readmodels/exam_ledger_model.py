"""What the exam ledger answers with: an exam, its hops and what belongs to it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.monitoring.model import Expectations
from isocenter.domain.monitoring.model import Hop as HopName
from isocenter.readmodels.exam_ledger_facts import ExamFacts
from isocenter.readmodels.exam_ledger_hops import ExamState, Hop, hops_of, needs_person, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStudy:
    """A study of an exam. ``method`` is how it was matched; None: it names the order, no more."""

    study_instance_uid: str
    study_description: str | None
    modalities: list[str]
    number_of_series: int
    number_of_instances: int
    first_received_at: datetime
    completed_at: datetime | None
    method: str | None
    link_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPerformedStep:
    """What a modality says that it did.

    Attributes:
        discontinuation_reason: in the modality's words.
        expected: objects that it says it made; ``received`` of them are here.
    """

    sop_instance_uid: str
    performed_procedure_step_id: str
    status: str
    performed_station_ae_title: str
    modality: str
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason: str | None
    expected: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """An exam's report."""

    report_id: str
    state: str
    version: int
    created_by: str
    updated_at: datetime
    signed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDelivery:
    """A message, or images of a study, on the way to a recipient.

    Attributes:
        kind: of an HL7 message, or ``images``, ``availability`` or ``rejection``.
        occasion: why a message is sent that is no report.
        commitment: of images whose storage commitment was asked for.
    """

    delivery_key: int
    kind: str
    occasion: str
    recipient: str
    version: int | None
    study_instance_uid: str | None
    instances: int | None
    instances_sent: int | None
    commitment: str | None
    state: str
    attempts: int
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamLedger:
    """One exam.

    Attributes:
        study_instance_uid: '' for an order; else the study that no order claims.
        needs_person_reason: why nobody but a person can bring it on.
        stuck_at: the first hop that is late or failed.
        last_at: when the newest hop happened.
        studies, performed_steps, reports, deliveries: filled for a single exam, empty in lists.
    """

    accession_number: str
    study_instance_uid: str
    state: ExamState
    patient_id: str | None
    patient_name: str | None
    procedure: str | None
    modality: str | None
    priority: str | None
    scheduled_at: datetime | None
    needs_person_reason: str | None
    hops: tuple[Hop, ...]
    studies: tuple[LedgerStudy, ...] = ()
    performed_steps: tuple[LedgerPerformedStep, ...] = ()
    reports: tuple[LedgerReport, ...] = ()
    deliveries: tuple[LedgerDelivery, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Whether nobody but a person can bring the exam on."""
        return self.needs_person_reason is not None

    @property
    def stuck_at(self) -> Hop | None:
        """The first hop that is late or failed."""
        return next((each for each in self.hops if each.late), None)

    @property
    def late(self) -> bool:
        """Whether a hop is late or failed."""
        return self.stuck_at is not None

    @property
    def has_images(self) -> bool:
        """Whether an image has arrived."""
        return any(each.name is HopName.IMAGES_RECEIVED and each.at for each in self.hops)

    @property
    def last_at(self) -> datetime | None:
        """When the newest hop happened."""
        return max((each.at for each in self.hops if each.at is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamQuery:
    """Which exams to list, newest first. None does not restrict.

    Attributes:
        text: beginning of an accession number, a patient ID or a patient name.
        after: where the page before ended.
    """

    accession_number: str | None = None
    patient_id: str | None = None
    state: str | None = None
    text: str | None = None
    limit: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ExamPage:
    """A page of exams; ``after`` asks for the next one, and is None on the last."""

    exams: list[ExamLedger]
    after: str | None


def ledger_of(
    facts: ExamFacts, now: datetime, expectations: Expectations, **details: Any
) -> ExamLedger:
    """The exam that the facts make, seen at ``now``; ``details`` are fields of ``ExamLedger``."""
    return ExamLedger(
        accession_number=facts.accession_number,
        study_instance_uid=facts.study_instance_uid,
        state=state_of(facts),
        patient_id=facts.patient_id,
        patient_name=facts.patient_name,
        procedure=facts.procedure,
        modality=facts.modality,
        priority=facts.priority,
        scheduled_at=facts.start_at,
        needs_person_reason=needs_person(facts),
        hops=hops_of(facts, now=now, expectations=expectations),
        **details,
    )
