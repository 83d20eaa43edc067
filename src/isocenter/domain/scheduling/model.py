"""Scheduled procedure steps as pure data: what may become of them, and which facts are about which.

What a message says about a step (``StepFacts``) is part of what it says about an order and is
defined there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from isocenter.domain.orders.model import StepFacts
from isocenter.errors import IsocenterError, Kind


class StepStatus(StrEnum):
    """Where a step is.

    Standard: PS3.3 C.4.10 (0040,0020); IHE RAD TF-2 4.13
    """

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELLED = "CANCELLED"


# From which states a step goes on to another one. What is not here stays where it is.
_WAITING = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY})
SOURCES: Mapping[StepStatus, frozenset[StepStatus]] = {
    StepStatus.ARRIVED: frozenset({StepStatus.SCHEDULED}),
    StepStatus.READY: frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED}),
    StepStatus.STARTED: _WAITING,
    StepStatus.COMPLETED: _WAITING | {StepStatus.STARTED},
    StepStatus.CANCELLED: _WAITING,
    StepStatus.DISCONTINUED: _WAITING | {StepStatus.STARTED},
}
OPEN = _WAITING | {StepStatus.STARTED}


class ExamUnknown(IsocenterError):
    """No exam has this accession number, or it has no steps."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class StepUnknown(IsocenterError):
    """There is no such step."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class StepNotMovable(IsocenterError):
    """The step is begun, done or cancelled."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """What an order message came to.

    Attributes:
        created: False when the order was known.
        changed: names of what changed, of the order and its steps; empty for a repetition.
    """

    order_key: int
    accession_number: str
    study_instance_uids: tuple[str, ...]
    created: bool
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosedOrder:
    """An order that was cancelled or discontinued. ``changed`` is False for a repetition."""

    order_key: int
    accession_number: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One scheduled procedure step. ``start_at`` is when it is to begin."""

    step_key: int
    procedure_key: int
    accession_number: str
    scheduled_procedure_step_id: str
    modality: str
    station_ae_titles: list[str]
    station_name: str | None
    location: str | None
    start_at: datetime
    performing_physician_name: str | None
    description: str | None
    pre_medication: str | None
    requested_contrast_agent: str | None
    protocol_codes: list[dict[str, str]]
    status: str
    status_changed_at: datetime
    said_at: dict[str, int]
    booked_at: datetime
    updated_at: datetime


COLUMNS: tuple[str, ...] = (
    "scheduled_procedure_step_id",
    "modality",
    "station_ae_titles",
    "station_name",
    "location",
    "start_at",
    "performing_physician_name",
    "description",
    "pre_medication",
    "requested_contrast_agent",
    "protocol_codes",
)


def said_of(facts: StepFacts) -> dict[str, Any]:
    """Column name -> value, of the columns that the facts say something about."""
    columns: dict[str, Any] = {name: getattr(facts, name) for name in COLUMNS}
    columns["scheduled_procedure_step_id"] = facts.scheduled_procedure_step_id or None
    if facts.modality is not None:  # a code string: upper case, as scanners ask for it
        columns["modality"] = facts.modality.strip().upper()
    if facts.station_ae_titles is not None:
        columns["station_ae_titles"] = [each for each in facts.station_ae_titles if each]
    if facts.protocol_codes is not None:
        columns["protocol_codes"] = [asdict(each) for each in facts.protocol_codes]
    return {name: value for name, value in columns.items() if value is not None}


def paired(steps: Sequence[StepFacts], known: Sequence[Step]) -> tuple[Step | None, ...]:
    """The known step that each of the facts of one procedure is about; None: it is a new one.

    By ID first; what is left over is paired in order, unless both sides have an ID that a message
    gave them: then they are different steps.
    """
    left = list(known)
    found: list[Step | None] = [None] * len(steps)
    for position, facts in enumerate(steps):
        wanted = facts.scheduled_procedure_step_id
        for each in left:
            if wanted and each.scheduled_procedure_step_id == wanted:
                found[position] = each
                left.remove(each)
                break
    for position, facts in enumerate(steps):
        fitting = [
            each
            for each in left
            if not facts.scheduled_procedure_step_id
            or "scheduled_procedure_step_id" not in each.said_at
        ]
        if found[position] is None and fitting:
            found[position] = fitting[0]
            left.remove(fitting[0])
    return tuple(found)
