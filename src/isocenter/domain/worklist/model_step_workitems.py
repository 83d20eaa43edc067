"""Workitems that stand for scheduled procedure steps, as pure data and rules.

A modality may take what it is to do from a pull worklist instead of the modality worklist. Each
step of an order then has one workitem that is open. While nobody claims it, it follows the step;
whoever claims it says what becomes of the step, as with a performed procedure step.

What the order says is put where PS3.4 Table CC.2.5-3 has a place for it. That table has none for
some of what a modality worklist tells: those are in the comments on the step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from isocenter.domain.scheduling.model import WAITING, Step, StepStatus
from isocenter.domain.worklist.model import PerformedStatus
from isocenter.domain.worklist.model_workitems import Workitem
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.values import DataSet, Element
from isocenter.standards.dicom.values_fitted import code_items, data_set_of
from isocenter.standards.dicom.values_temporal import format_date_time

WORKLIST_LABEL: Final = "Examinations"
"""Worklist Label of workitems that stand for steps."""
_DESIGNATOR: Final = "99ISOCENTER"
_EXAMINATION: Final = {"value": "EXAMINATION", "scheme": _DESIGNATOR, "meaning": "Examination"}
_UNKNOWN_STATION: Final = {
    "value": "UNKNOWN",
    "scheme": _DESIGNATOR,
    "meaning": "Unknown station",
}
_PRIORITIES: Final[Mapping[str | None, str]] = {"STAT": "HIGH", "HIGH": "HIGH", "LOW": "LOW"}
# PS3.16 CID 29, of the modalities that orders are about; of another its code is its meaning.
_MODALITIES: Final[Mapping[str, str]] = {
    "BMD": "Bone Mineral Densitometry",
    "CR": "Computed Radiography",
    "CT": "Computed Tomography",
    "DX": "Digital Radiography",
    "ES": "Endoscopy",
    "IO": "Intra-oral Radiography",
    "MG": "Mammography",
    "MR": "Magnetic Resonance",
    "NM": "Nuclear Medicine",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-Ray",
    "RF": "Radiofluoroscopy",
    "US": "Ultrasound",
    "XA": "X-Ray Angiography",
}
# PS3.16 CID 9300
_WRONG_ENTRY: Final = ("110514", "DCM")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFacts:
    """What is known of one scheduled step, its procedure, order and patient.

    Attributes:
        held: its order is not to be done until it is released.
        state_reason: why its order is cancelled, discontinued or held.
    """

    step_key: int
    held: bool
    state_reason: str | None
    modality: str
    station_ae_titles: list[str]
    station_name: str | None
    start_at: datetime
    step_description: str | None
    pre_medication: str | None
    requested_contrast_agent: str | None
    protocol_codes: list[dict[str, str]]
    requested_procedure_id: str
    study_instance_uid: str
    code_value: str | None
    code_scheme: str | None
    code_meaning: str | None
    procedure_description: str | None
    accession_number: str
    accession_issuer: str
    placer_order_number: str | None
    filler_order_number: str | None
    priority: str | None
    requesting_physician: str | None
    referring_physician_name: str | None
    clinical_information: str | None
    reason_for_study: str | None
    patient_state: str | None
    admission_id: str | None
    special_needs: str | None
    allergies: str | None
    pregnancy_status: int | None
    ordered_on: date
    patient_id: str | None
    issuer_of_patient_id: str | None
    person_name: str | None
    birth_date: date | None
    sex: str | None

    @property
    def description(self) -> str:
        """What is to be done, in words."""
        coded = next((each["meaning"] for each in self.protocol_codes if each.get("meaning")), None)
        said = (self.step_description, coded, self.procedure_description, self.code_meaning)
        return next((each for each in said if each), self.code_value or self.modality or "OT")

    @property
    def workitem_codes(self) -> list[dict[str, str]]:
        """What is to be done, as one code: of the protocol, or else of the procedure.

        Standard: PS3.4 Table CC.2.5-3 (0040,4018): only a single item
        """
        return self.protocol_codes[:1] or self.procedure_codes

    @property
    def procedure_codes(self) -> list[dict[str, str]]:
        """The Requested Procedure Code Sequence."""
        if not self.code_value:
            return []
        scheme, meaning = self.code_scheme or "", self.code_meaning or ""
        return [{"value": self.code_value, "scheme": scheme, "meaning": meaning}]


@dataclass(frozen=True, slots=True)
class Performance:
    """What a modality said with a performed procedure step of a scheduled one.

    Attributes:
        attributes: all of it, in the DICOM JSON model.
    """

    step_key: int
    performed_station_ae_title: str
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason_code: str | None
    discontinuation_reason_scheme: str | None
    discontinuation_reason_meaning: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimedWorkitem:
    """What whoever claimed the workitem of a step says of that step.

    Attributes:
        is_set_aside: a person had the exam booked again after it was canceled.
    """

    step_key: int
    state: str
    is_set_aside: bool

    @property
    def status(self) -> PerformedStatus:
        """The same in the words of performed procedure steps."""
        return _SAID[State(self.state)]

    @property
    def is_wrong_entry(self) -> bool:
        """Never: one that was claimed by mistake is no longer said to have been claimed."""
        return False


_SAID: Final[Mapping[State, PerformedStatus]] = {
    State.SCHEDULED: PerformedStatus.IN_PROGRESS,
    State.IN_PROGRESS: PerformedStatus.IN_PROGRESS,
    State.COMPLETED: PerformedStatus.COMPLETED,
    State.CANCELED: PerformedStatus.DISCONTINUED,
}


class Move(StrEnum):
    """What has to be done to a step's workitem, so that it says what the step is."""

    CREATE = "create"
    REVISE = "revise"
    BEGIN = "begin"
    COMPLETE = "complete"
    CANCEL = "cancel"


def moves(step: Step, newest: Workitem | None, *, held: bool) -> tuple[Move, ...]:
    """What has to be done, in this order, to the newest workitem of a step.

    One that was claimed is its performer's affair until it ends, and what that said of the step
    counts until a person sets it aside.
    """
    if newest is not None and newest.claimed_by is not None and newest.set_aside_at is None:
        return ()
    state = None if newest is None else State(newest.state)
    is_open = state is not None and not state.is_final
    if step.status in WAITING and not step.closed and not held:
        if not is_open:
            return (Move.CREATE,)
        # What has begun cannot wait again: the step has another workitem from now on.
        return (Move.REVISE,) if state is State.SCHEDULED else (Move.CANCEL, Move.CREATE)
    if step.status == StepStatus.STARTED:
        begun = {None: (Move.CREATE, Move.BEGIN), State.CANCELED: (Move.CREATE, Move.BEGIN)}
        return (Move.BEGIN,) if state is State.SCHEDULED else begun.get(state, ())
    if not is_open:
        return ()
    if step.status == StepStatus.COMPLETED:
        complete = (Move.COMPLETE,)
        return (Move.BEGIN, *complete) if state is State.SCHEDULED else complete
    return (Move.CANCEL,)


def attributes_of(facts: ScheduledFacts) -> DataSet:
    """What the workitem of a step says while it is SCHEDULED.

    Standard: PS3.4 Table CC.2.5-3
    """
    step = data_set_of({
        ups.PRIORITY: _PRIORITIES.get(facts.priority, "MEDIUM"),
        ups.LABEL: facts.description,
        ups.WORKLIST_LABEL: WORKLIST_LABEL,
        ups.START: format_date_time(facts.start_at.astimezone(UTC)),
        ups.INPUT_READINESS: "READY",  # an examination needs no input
        ups.STATE: State.SCHEDULED.value,
        ups.STUDY_INSTANCE_UID: facts.study_instance_uid,
        ups.PATIENT_NAME: facts.person_name,
        ups.PATIENT_ID: facts.patient_id,
        0x00100021: facts.issuer_of_patient_id,
        ups.PATIENT_BIRTH_DATE: facts.birth_date,
        0x00100040: facts.sex,
        0x00102000: facts.clinical_information,
        0x00102110: facts.allergies,
        0x001021C0: facts.pregnancy_status,
        0x00380010: facts.admission_id,
        0x00380050: facts.special_needs,
        0x00380500: facts.patient_state,
        0x00400400: "\r\n".join(_comments(facts)),
    })
    step[0x00404018] = code_items(facts.workitem_codes)
    step[ups.STATION_NAMES] = code_items(
        _station(title, facts.station_name) for title in facts.station_ae_titles if title
    )
    step[0x00404026] = code_items(_modality(facts.modality) if facts.modality else ())
    step[0x0040A370] = Element("SQ", (_request(facts),))
    return step.sorted()


def _comments(facts: ScheduledFacts) -> Iterable[str]:
    if facts.pre_medication:
        yield f"Pre-medication: {facts.pre_medication}"
    if facts.requested_contrast_agent:
        yield f"Contrast agent: {facts.requested_contrast_agent}"


def _station(ae_title: str, name: str | None = None) -> dict[str, str]:
    return {"value": ae_title, "scheme": _DESIGNATOR, "meaning": name or ae_title}


def _modality(modality: str) -> list[dict[str, str]]:
    meaning = _MODALITIES.get(modality, modality)
    return [{"value": modality, "scheme": "DCM", "meaning": meaning}]


def _request(facts: ScheduledFacts) -> DataSet:
    """The one item of the Referenced Request Sequence."""
    request = data_set_of({
        0x00080050: facts.accession_number,
        0x00080051: None,  # Issuer of Accession Number Sequence, type 2
        0x00080090: facts.referring_physician_name,
        ups.STUDY_INSTANCE_UID: facts.study_instance_uid,
        0x00321032: facts.requesting_physician,
        0x00321060: facts.procedure_description or facts.code_meaning or facts.description,
        0x00321064: None,  # Requested Procedure Code Sequence, type 2
        0x00400026: None,  # Order Placer Identifier Sequence, type 2
        0x00400027: None,  # Order Filler Identifier Sequence, type 2
        0x00401001: facts.requested_procedure_id,
        0x00401002: facts.reason_for_study,
        0x00402004: facts.ordered_on,
        0x00402016: facts.placer_order_number,
        0x00402017: facts.filler_order_number,
    })
    request[0x00321064] = code_items(facts.procedure_codes)
    if facts.accession_issuer:
        request.put(0x00080051, data_set_of({0x00400031: facts.accession_issuer}))
    return request.sorted()


def with_performance(
    step: DataSet,
    facts: ScheduledFacts,
    performance: Performance | None,
    *,
    begun_at: datetime,
    ended_at: datetime,
    made: Element,
) -> DataSet:
    """A workitem's attributes with what its final state COMPLETED needs.

    Args:
        step: its attributes.
        facts: what was to be done.
        performance: what its modality said; None: nothing.
        begun_at: when it began, if its modality did not say.
        ended_at: when it ended, if its modality did not say.
        made: the Output Information Sequence.

    Standard: PS3.4 Table CC.2.5-3 (0074,1216)
    """
    titles = [performance.performed_station_ae_title] if performance else []
    titles = [each for each in titles if each] or facts.station_ae_titles[:1]
    if performance is not None:
        begun_at, ended_at = performance.started_at, performance.ended_at or ended_at
    performed = DataSet()
    performed[0x00404028] = code_items(list(map(_station, titles)) or [_UNKNOWN_STATION])
    performed[0x00404019] = code_items(facts.workitem_codes or [_EXAMINATION])
    performed.put(0x00404050, format_date_time(begun_at.astimezone(UTC)))
    performed.put(0x00404051, format_date_time(max(begun_at, ended_at).astimezone(UTC)))
    performed[ups.OUTPUT_INFORMATION] = made
    after = DataSet(step)
    after.put(ups.PERFORMED_PROCEDURE, performed.sorted())
    return after


def cancellation(reason: str | None, performance: Performance | None) -> DataSet:
    """Why a workitem is canceled: in the words of the order, with the code of the modality."""
    said = data_set_of({ups.CANCELLATION_REASON: reason}) if reason else DataSet()
    code = ups.unspecified_reason()
    if performance is not None and performance.discontinuation_reason_code:
        code = code_items([
            {
                "value": performance.discontinuation_reason_code,
                "scheme": performance.discontinuation_reason_scheme or "",
                "meaning": performance.discontinuation_reason_meaning or "",
            }
        ]).values[0]
    said[ups.DISCONTINUATION_REASON] = Element("SQ", (code,))
    return said


def was_wrong_entry(step: DataSet) -> bool:
    """Whether a workitem was canceled because somebody else's had been claimed.

    Standard: PS3.16 CID 9300 (110514, DCM)
    """
    reason = step.item(ups.PROGRESS_INFORMATION).item(ups.DISCONTINUATION_REASON)
    return (reason.text(0x00080100), reason.text(0x00080102)) == _WRONG_ENTRY
