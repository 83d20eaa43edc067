"""Scheduled procedure steps as pure data: what may become of them, and which facts are about which.

What a message says about a step (``StepFacts``) is part of what it says about an order and is
defined there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from isocenter.domain.orders.model import OrderState, StepFacts
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


WAITING = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY})
OPEN = WAITING | {StepStatus.STARTED}
# How far a step is; what is said of it never takes it back, except by the modality itself.
_RANKS: Mapping[str | None, int] = {
    None: 0,
    StepStatus.SCHEDULED: 0,
    StepStatus.ARRIVED: 1,
    StepStatus.READY: 2,
    StepStatus.STARTED: 3,
    StepStatus.COMPLETED: 4,
}


_TOLD = frozenset({StepStatus.STARTED, StepStatus.COMPLETED, StepStatus.DISCONTINUED})


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
class OrderOutcome:
    """An order that was closed, held or released. ``changed`` is False for a repetition."""

    order_key: int
    accession_number: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One scheduled procedure step. ``start_at`` is when it is to begin.

    Attributes:
        status: where it is now, which follows from the next four: see ``settled``.
        waiting_status: SCHEDULED, ARRIVED or READY, as people and messages say.
        imaged_status: STARTED or COMPLETED, as images let suppose.
        performed_status: STARTED, COMPLETED or DISCONTINUED, as its modality says; SCHEDULED
            when it was discontinued and is booked again.
        closed: its order was cancelled or discontinued before it was done.
    """

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
    waiting_status: str
    imaged_status: str | None
    performed_status: str | None
    closed: bool
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


def further(known: str | None, said: StepStatus) -> StepStatus:
    """The status that is further on."""
    return said if known is None or _RANKS[said] > _RANKS[known] else StepStatus(known)


def settled(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of an exam with the status that follows from all that is known of each.

    What a modality says goes before what images let suppose: they may be quiet because the next
    series takes long. That holds for every step of a procedure of which a modality tells one.

    Standard: IHE RAD TF-2 4.6, 4.7
    """
    told = {each.procedure_key for each in steps if each.performed_status is not None}
    return tuple(
        each
        if each.closed
        else replace(
            each,
            status=(each.performed_status if each.performed_status in _TOLD else None)
            or (None if each.procedure_key in told else each.imaged_status)
            or each.waiting_status,
        )
        for each in steps
    )


def procedure_states(steps: Iterable[Step]) -> dict[int, OrderState]:
    """Where the procedures of the steps are, by key; those are left out whose steps are all closed.

    A step that its modality discontinued is no end: somebody books it again or cancels the order.
    """
    statuses: dict[int, set[str]] = {}
    for each in steps:
        if not each.closed:
            statuses.setdefault(each.procedure_key, set()).add(each.status)
    states: dict[int, OrderState] = {}
    for procedure_key, found in statuses.items():
        if found <= WAITING:
            states[procedure_key] = OrderState.PLACED
        elif StepStatus.COMPLETED in found <= {StepStatus.COMPLETED, StepStatus.DISCONTINUED}:
            states[procedure_key] = OrderState.COMPLETED
        else:
            states[procedure_key] = OrderState.IN_PROGRESS
    return states


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
