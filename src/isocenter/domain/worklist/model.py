"""Entries of the modality worklist and performed procedure steps as pure data and rules.

A scheduled step is what a modality was asked to do, a performed one what it says that it did. Which
of the first is meant by the second, and what follows for it, is decided here from the facts alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from isocenter.domain.scheduling.model import StepStatus
from isocenter.errors import IsocenterError, Kind

# Discontinued because the wrong entry had been taken (PS3.16 CID 9300).
_WRONG_WORKLIST_ENTRY = ("110514", "DCM")


@dataclass(frozen=True, slots=True)
class Entry:
    """One scheduled procedure step as the scanners were told of it.

    Attributes:
        withdrawn_at: since when it is no longer offered; None: it is.
        queried_by: AE titles that were given it, in the order of their first query.
    """

    step_key: int
    accession_number: str
    published_at: datetime
    withdrawn_at: datetime | None
    first_queried_at: datetime | None
    last_queried_at: datetime | None
    query_count: int
    queried_by: list[str]


class PerformedStatus(StrEnum):
    """Where a performed procedure step is. The last two are final.

    Standard: PS3.3 C.4.14 (0040,0252)
    """

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class PerformedStepExists(IsocenterError):
    """A performed procedure step with this SOP Instance UID was created before."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PerformedStepUnknown(IsocenterError):
    """No performed procedure step has this SOP Instance UID."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class PerformedStepFinal(IsocenterError):
    """The performed procedure step is completed or discontinued and may no longer be updated."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class NothingDiscontinued(IsocenterError):
    """No step of the exam was discontinued by its modality and waits for a decision."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class FixedAttributesChanged(IsocenterError):
    """Attributes were set to another value that are fixed when a performed step is created."""

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, tags: Sequence[int]) -> None:
        super().__init__("attributes that are fixed at creation cannot be changed")
        self.tags = tuple(tags)


class FinalAttributesMissing(IsocenterError):
    """The performed procedure step cannot end: what the final state needs was never said."""

    kind: ClassVar[Kind] = Kind.INCORRECT

    def __init__(self, tags: Sequence[int]) -> None:
        super().__init__("the final state needs attributes that have no value")
        self.tags = tuple(tags)


@dataclass(frozen=True, slots=True)
class Reason:
    """A coded reason. The empty string stands for what was not said."""

    code: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ScheduledReference:
    """What a modality says that it was doing. The empty string stands for what it does not say.

    Standard: PS3.3 C.4.13 Scheduled Step Attributes Sequence (0040,0270)
    """

    study_instance_uid: str
    accession_number: str = ""
    requested_procedure_id: str = ""
    scheduled_procedure_step_id: str = ""


@dataclass(frozen=True, slots=True)
class PerformedSeries:
    """A series that a modality says it made, with all its objects, images or not."""

    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStart:
    """What a modality says when it begins.

    Attributes:
        attributes: all of it, in the DICOM JSON model.
    """

    sop_instance_uid: str
    performed_procedure_step_id: str
    performed_station_ae_title: str
    modality: str
    patient_id: str | None
    patient_name: str | None
    started_at: datetime
    references: tuple[ScheduledReference, ...]
    series: tuple[PerformedSeries, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUpdate:
    """What a modality says later. None stands for what it says nothing of.

    Attributes:
        attributes: all of it, in the DICOM JSON model; each replaces what was said before.
        series: replaces all series that were said before.
    """

    status: PerformedStatus | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    series: tuple[PerformedSeries, ...] | None = None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """One performed procedure step as it is kept.

    Attributes:
        peer: name of the peer that created it.
    """

    performed_key: int
    sop_instance_uid: str
    status: str
    performed_procedure_step_id: str
    performed_station_ae_title: str
    modality: str
    patient_id: str | None
    patient_name: str | None
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason_code: str | None
    discontinuation_reason_scheme: str | None
    discontinuation_reason_meaning: str | None
    attributes: dict[str, Any]
    peer: str
    received_at: datetime
    updated_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether nothing may be said of it any more."""
        return self.status != PerformedStatus.IN_PROGRESS


def is_wrong_entry(status: str, reason_code: str | None, reason_scheme: str | None) -> bool:
    """Whether a step was discontinued because somebody else's worklist entry had been taken.

    Standard: PS3.16 CID 9300 (110514, DCM)
    """
    return (
        status == PerformedStatus.DISCONTINUED
        and (reason_code, reason_scheme) == _WRONG_WORKLIST_ENTRY
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStep:
    """A scheduled step of an exam by all that a modality may name it by."""

    step_key: int
    study_instance_uid: str
    accession_number: str
    requested_procedure_id: str
    scheduled_procedure_step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """One reference of a performed step, with how far that is.

    Attributes:
        is_set_aside: a person had the exam booked again after it was discontinued.
    """

    performed_key: int
    status: str
    discontinuation_reason_code: str | None
    discontinuation_reason_scheme: str | None
    is_set_aside: bool
    study_instance_uid: str
    accession_number: str
    requested_procedure_id: str
    scheduled_procedure_step_id: str

    @property
    def is_wrong_entry(self) -> bool:
        """Whether the modality took this back."""
        return is_wrong_entry(
            self.status, self.discontinuation_reason_code, self.discontinuation_reason_scheme
        )


def steps_meant(reference: Performed, steps: Sequence[NamedStep]) -> list[NamedStep]:
    """The scheduled steps, of those of one exam, that a reference means; none when it means others.

    The Study Instance UID comes from the worklist and nobody types it: it names the procedure. An
    accession number may be typed, so that it counts only with an ID that nobody types.
    """
    found = [e for e in steps if e.study_instance_uid == reference.study_instance_uid]
    if found:
        named = [e for e in found if _same_step_id(e, reference)]
        return named or found
    return [
        each
        for each in steps
        if _normalised(each.accession_number) == _normalised(reference.accession_number) != ""
        and _same_step_id(each, reference)
        and each.requested_procedure_id == reference.requested_procedure_id
    ]


def _same_step_id(step: NamedStep, reference: Performed) -> bool:
    said = reference.scheduled_procedure_step_id
    return said != "" and said == step.scheduled_procedure_step_id


def _normalised(accession_number: str) -> str:
    return accession_number.strip(" ").upper()


class SaysOfStep(Protocol):
    """What somebody who performs a scheduled step says of it."""

    @property
    def status(self) -> str:
        """In the words of performed procedure steps."""
        ...

    @property
    def is_wrong_entry(self) -> bool:
        """Whether it was taken back."""
        ...

    @property
    def is_set_aside(self) -> bool:
        """Whether a person had the exam booked again after it was discontinued."""
        ...


def status_of(performed: Iterable[SaysOfStep]) -> StepStatus | None:
    """What those that perform a scheduled step say of it together; None: nothing.

    While one is in progress the step is, also when another was completed before; when all have
    ended, one that was completed counts more than others that were discontinued. One that took the
    wrong entry says nothing of it; where all that is left was set aside, the step is SCHEDULED.

    Standard: IHE RAD TF-2 4.6.4, 4.7.4 (append case, discontinued case)
    """
    told = [each for each in performed if not each.is_wrong_entry]
    statuses = {each.status for each in told if not each.is_set_aside}
    if PerformedStatus.IN_PROGRESS in statuses:
        return StepStatus.STARTED
    if PerformedStatus.COMPLETED in statuses:
        return StepStatus.COMPLETED
    if statuses:
        return StepStatus.DISCONTINUED
    return StepStatus.SCHEDULED if told else None
