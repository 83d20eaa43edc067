"""Imaging orders as pure data: what was asserted about them, and what may become of them.

The state machine is a table. The numbers that others know an order by are checked here; issuing the
ones that are missing is the service's part.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self

from isocenter.errors import IsocenterError, Kind

Priority = Literal["STAT", "HIGH", "ROUTINE", "MEDIUM", "LOW"]

SHORT_STRING_LENGTH_MAX = 16
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_UID_LENGTH_MAX = 64
_ISSUE_FORMAT = re.compile(r"(?P<prefix>[^%\\*?]*)%0?(?P<digits>\d+)d")


class OrderState(StrEnum):
    """Where an order, or one of its procedures, is."""

    PLACED = "placed"
    HELD = "held"  # not to be done until it is released
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCONTINUED = "discontinued"


class OrderVerb(StrEnum):
    """What is done to an order."""

    PLACE = "place"
    REVISE = "revise"
    CANCEL = "cancel"
    DISCONTINUE = "discontinue"
    CORRECT = "correct"  # what is said of it, also when it is done
    HOLD = "hold"
    RELEASE = "release"
    REPLACE = "replace"


CLOSED = frozenset({OrderState.CANCELLED, OrderState.DISCONTINUED})

# What is not in the table is refused. A state that leads to itself makes the verb a repetition.
_PLACED, _HELD = OrderState.PLACED, OrderState.HELD
_BEGUN, _DONE = OrderState.IN_PROGRESS, OrderState.COMPLETED
_CANCELLED, _STOPPED = OrderState.CANCELLED, OrderState.DISCONTINUED
TRANSITIONS: Mapping[tuple[OrderState, OrderVerb], OrderState] = {
    (_PLACED, OrderVerb.PLACE): _PLACED,
    (_PLACED, OrderVerb.REVISE): _PLACED,
    (_PLACED, OrderVerb.CORRECT): _PLACED,
    (_PLACED, OrderVerb.HOLD): _HELD,
    (_PLACED, OrderVerb.RELEASE): _PLACED,
    (_PLACED, OrderVerb.REPLACE): _CANCELLED,
    (_PLACED, OrderVerb.CANCEL): _CANCELLED,
    (_PLACED, OrderVerb.DISCONTINUE): _STOPPED,
    (_HELD, OrderVerb.PLACE): _HELD,
    (_HELD, OrderVerb.REVISE): _HELD,
    (_HELD, OrderVerb.CORRECT): _HELD,
    (_HELD, OrderVerb.HOLD): _HELD,
    (_HELD, OrderVerb.RELEASE): _PLACED,
    (_HELD, OrderVerb.REPLACE): _CANCELLED,
    (_HELD, OrderVerb.CANCEL): _CANCELLED,
    (_HELD, OrderVerb.DISCONTINUE): _STOPPED,
    (_BEGUN, OrderVerb.PLACE): _BEGUN,
    (_BEGUN, OrderVerb.REVISE): _BEGUN,
    (_BEGUN, OrderVerb.CORRECT): _BEGUN,
    (_BEGUN, OrderVerb.DISCONTINUE): _STOPPED,
    (_DONE, OrderVerb.PLACE): _DONE,
    (_DONE, OrderVerb.CORRECT): _DONE,
    (_CANCELLED, OrderVerb.REPLACE): _CANCELLED,
    (_CANCELLED, OrderVerb.CANCEL): _CANCELLED,
    (_CANCELLED, OrderVerb.DISCONTINUE): _CANCELLED,
    (_STOPPED, OrderVerb.REPLACE): _STOPPED,
    (_STOPPED, OrderVerb.CANCEL): _STOPPED,
    (_STOPPED, OrderVerb.DISCONTINUE): _STOPPED,
}


class OrderUnknown(IsocenterError):
    """No order has this number."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class OrderUnidentified(IsocenterError):
    """Neither a placer, a filler nor an accession number says which order is meant."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NumberUnusable(IsocenterError):
    """A number or UID cannot be handed on: it is too long or has characters DICOM forbids."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class StateForbids(IsocenterError):
    """The order is in a state in which this cannot be done any more."""

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, state: OrderState, verb: OrderVerb) -> None:
        super().__init__(f"the order is {state.value.replace('_', ' ')}: cannot {verb.value} it")
        self.state = state
        self.verb = verb


class AccessionConflict(IsocenterError):
    """The accession number belongs to another exam."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class OrderNumberConflict(IsocenterError):
    """The numbers given belong to different orders."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class OrderPatientConflict(IsocenterError):
    """The order belongs to another patient."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class StudyInstanceUidFixed(IsocenterError):
    """The procedure has another Study Instance UID, or another procedure has this one."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class BadAccessionFormat(IsocenterError):
    """The format of issued accession numbers cannot be used."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def after(state: OrderState, verb: OrderVerb) -> OrderState:
    """The state after ``verb``; raises ``StateForbids``."""
    following = TRANSITIONS.get((state, verb))
    if following is None:
        raise StateForbids(state, verb)
    return following


def order_state(procedures: Sequence[OrderState]) -> OrderState:
    """Where an order is whose procedures are there, unless it was cancelled or discontinued."""
    waiting, done = OrderState.PLACED, {OrderState.COMPLETED, *CLOSED}
    if procedures and all(each in done for each in procedures):
        return OrderState.COMPLETED if OrderState.COMPLETED in procedures else waiting
    if all(each == waiting or each in CLOSED for each in procedures):
        return waiting
    return OrderState.IN_PROGRESS


@dataclass(frozen=True, slots=True)
class AccessionFormat:
    """How issued accession numbers look: a prefix and a number of at least so many digits."""

    prefix: str = "I"
    digits: int = 8

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``I%08d``. Raises ``BadAccessionFormat``."""
        match = _ISSUE_FORMAT.fullmatch(text)
        if match is None or len(match["prefix"]) + int(match["digits"]) > SHORT_STRING_LENGTH_MAX:
            raise BadAccessionFormat(
                f"a format like I%08d, of at most {SHORT_STRING_LENGTH_MAX} characters in all"
            )
        return cls(match["prefix"], int(match["digits"]))


@dataclass(frozen=True, slots=True)
class Code:
    """A coded entry.

    Standard: PS3.3 8.8
    """

    value: str
    scheme: str
    meaning: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What a message says about one scheduled procedure step; None: it says nothing.

    Standard: PS3.3 C.4.10, HL7 v2.5.1 4.5 (IPC)
    """

    scheduled_procedure_step_id: str | None = None
    modality: str | None = None
    station_ae_titles: tuple[str, ...] | None = None
    station_name: str | None = None
    location: str | None = None
    start_at: datetime | None = None
    performing_physician_name: str | None = None
    description: str | None = None
    protocol_codes: tuple[Code, ...] | None = None
    pre_medication: str | None = None
    requested_contrast_agent: str | None = None


@dataclass(frozen=True, slots=True)
class ProcedureFacts:
    """What a message says about one requested procedure; None: it says nothing.

    Standard: PS3.3 C.4.11
    """

    requested_procedure_id: str | None = None
    study_instance_uid: str | None = None
    code: Code | None = None
    description: str | None = None
    laterality: str | None = None
    steps: tuple[StepFacts, ...] = ()

    def said(self) -> dict[str, Any]:
        """Column name -> value, of the columns that these facts say something about."""
        columns: dict[str, Any] = {
            "requested_procedure_id": self.requested_procedure_id or None,
            "study_instance_uid": self.study_instance_uid or None,
            "description": self.description,
            "laterality": self.laterality,
        }
        if self.code is not None:
            columns |= {
                "code_value": self.code.value,
                "code_scheme": self.code.scheme,
                "code_meaning": self.code.meaning,
            }
        return {name: value for name, value in columns.items() if value is not None}


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What a message says about an order; None: it says nothing, ``""``: it says there is none.

    Attributes:
        accession_number: taken as given; None or ``""``: one is issued.
        pregnancy_status: 1 not pregnant, 2 possibly, 3 definitely, 4 unknown.
        asserted_at: when the sender said so (not when it arrived).

    Standard: PS3.3 C.4.12, HL7 v2.5.1 4.5.1 (ORC), 4.5.3 (OBR)
    """

    asserted_at: datetime
    placer_order_number: str | None = None
    placer_namespace: str = ""
    filler_order_number: str | None = None
    filler_namespace: str = ""
    accession_number: str | None = None
    accession_issuer: str = ""
    priority: Priority | None = None
    ordering_provider_name: str | None = None
    referring_physician_name: str | None = None
    clinical_information: str | None = None
    reason_for_study: str | None = None
    danger_code: str | None = None
    admission_id: str | None = None
    patient_class: str | None = None
    location: str | None = None
    transport_arrangements: str | None = None
    special_needs: str | None = None
    allergies: str | None = None
    pregnancy_status: int | None = None
    patient_weight_kg: float | None = None
    patient_size_m: float | None = None
    ordered_at: datetime | None = None
    procedures: tuple[ProcedureFacts, ...] = ()

    def said(self) -> dict[str, Any]:
        """Column name -> value, of the columns that these facts say something about."""
        return {name: getattr(self, name) for name in DESCRIBED if getattr(self, name) is not None}

    def requested(self) -> tuple[ProcedureFacts, ...]:
        """Its requested procedures, each once; one of which nothing is known when none is said."""
        return joined(self.procedures) or (ProcedureFacts(),)

    def reference(self) -> "OrderReference":
        """The numbers that say which order is meant."""
        return OrderReference(
            placer_order_number=self.placer_order_number or None,
            placer_namespace=self.placer_namespace,
            filler_order_number=self.filler_order_number or None,
            filler_namespace=self.filler_namespace,
            accession_number=self.accession_number or None,
        )


DESCRIBED: tuple[str, ...] = (
    "priority",
    "ordering_provider_name",
    "referring_physician_name",
    "clinical_information",
    "reason_for_study",
    "danger_code",
    "admission_id",
    "patient_class",
    "location",
    "transport_arrangements",
    "special_needs",
    "allergies",
    "pregnancy_status",
    "patient_weight_kg",
    "patient_size_m",
    "ordered_at",
)
"""The columns of an order that describe it: of each the newest assertion holds."""


@dataclass(frozen=True, slots=True)
class OrderReference:
    """Which order is meant: by any of the numbers that are known.

    Attributes:
        asserted_at: when the sender said what is to be done with it; None: now.
    """

    placer_order_number: str | None = None
    placer_namespace: str = ""
    filler_order_number: str | None = None
    filler_namespace: str = ""
    accession_number: str | None = None
    asserted_at: datetime | None = None

    def is_empty(self) -> bool:
        """Whether no number is given."""
        return not (self.placer_order_number or self.filler_order_number or self.accession_number)


@dataclass(frozen=True, slots=True)
class Procedure:
    """One requested procedure."""

    procedure_key: int
    order_key: int
    requested_procedure_id: str
    study_instance_uid: str
    study_instance_uid_issued: bool
    code_value: str | None
    code_scheme: str | None
    code_meaning: str | None
    description: str | None
    laterality: str | None
    state: str
    said_at: dict[str, int]


@dataclass(frozen=True, slots=True)
class Order:
    """One imaging order, without its procedures.

    Attributes:
        patient_key: the patient row that the order named; merges are to be followed.
        parent_key: of the order that it was parted from.
        replaced_by_key: of the order that is done instead of it.
    """

    order_key: int
    placer_order_number: str | None
    placer_namespace: str
    filler_order_number: str | None
    filler_namespace: str
    accession_number: str
    accession_issuer: str
    patient_key: int
    state: str
    state_reason: str | None
    state_changed_at: datetime
    priority: str | None
    ordering_provider_name: str | None
    referring_physician_name: str | None
    clinical_information: str | None
    reason_for_study: str | None
    danger_code: str | None
    admission_id: str | None
    patient_class: str | None
    location: str | None
    transport_arrangements: str | None
    special_needs: str | None
    allergies: str | None
    pregnancy_status: int | None
    patient_weight_kg: float | None
    patient_size_m: float | None
    ordered_at: datetime | None
    source_peer: str
    placed_at: datetime
    asserted_at: datetime
    said_at: dict[str, int]
    updated_at: datetime
    parent_key: int | None
    replaced_by_key: int | None


@dataclass(frozen=True, slots=True)
class Exam:
    """What one accession number stands for: the order and its procedures."""

    order: Order
    procedures: tuple[Procedure, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """What placing or revising an order came to.

    Attributes:
        procedure_keys: of each procedure of the facts, in their order.
        step_facts: what the facts say of each procedure's steps, in the same order.
        changed: names of what changed; empty for a repetition.
        closed: the order is cancelled, discontinued or done: nothing may be booked or moved.
    """

    order_key: int
    accession_number: str
    study_instance_uids: tuple[str, ...]
    procedure_keys: tuple[int, ...]
    step_facts: tuple[tuple[StepFacts, ...], ...]
    created: bool
    changed: tuple[str, ...]
    closed: bool


def check_facts(facts: OrderFacts) -> None:
    """Raise ``OrderUnidentified`` or ``NumberUnusable`` when an order cannot be made of them."""
    if facts.reference().is_empty():
        raise OrderUnidentified("an order needs a placer, filler or accession number")
    _check_short_string(facts.accession_number, "accession number")
    for procedure in facts.procedures:
        _check_short_string(procedure.requested_procedure_id, "requested procedure ID")
        uid = procedure.study_instance_uid
        if uid and not (len(uid) <= _UID_LENGTH_MAX and _UID.fullmatch(uid)):
            raise NumberUnusable("the Study Instance UID is not a UID")
        for step in procedure.steps:
            _check_short_string(step.scheduled_procedure_step_id, "procedure step ID")
            for title in step.station_ae_titles or ():
                _check_short_string(title, "station AE title")


def _check_short_string(value: str | None, what: str) -> None:
    # PS3.5 6.2, SH and AE: at most 16 characters, no backslash (it parts values), no controls.
    # A wildcard in a number would make every query for it a query for more.
    if value and (
        len(value) > SHORT_STRING_LENGTH_MAX
        or not value.isprintable()
        or "\\" in value
        or value != value.strip()
    ):
        raise NumberUnusable(
            f"the {what} is longer than {SHORT_STRING_LENGTH_MAX} characters "
            "or has characters that DICOM does not allow"
        )


def joined(procedures: Sequence[ProcedureFacts]) -> tuple[ProcedureFacts, ...]:
    """The procedures with those of one Study Instance UID or one ID joined: their steps added up.

    A message repeats a requested procedure for each of its protocol codes.

    Standard: IHE RAD TF-2 4.4.4.1.2
    """
    found: list[ProcedureFacts] = []
    for each in procedures:
        for position, known in enumerate(found):
            if _same_procedure(each, known):
                found[position] = replace(
                    known,
                    requested_procedure_id=known.requested_procedure_id
                    or each.requested_procedure_id,
                    study_instance_uid=known.study_instance_uid or each.study_instance_uid,
                    steps=known.steps + each.steps,
                )
                break
        else:
            found.append(each)
    return tuple(found)


def _same_procedure(one: ProcedureFacts, other: ProcedureFacts) -> bool:
    if one.study_instance_uid and other.study_instance_uid:
        return one.study_instance_uid == other.study_instance_uid
    return bool(one.requested_procedure_id) and (
        one.requested_procedure_id == other.requested_procedure_id
    )


def paired(
    procedures: Sequence[ProcedureFacts], known: Sequence[Procedure], *, in_order: bool = True
) -> tuple[Procedure | None, ...]:
    """The known procedure that each of the facts is about; None: it is a new one.

    By ID first, then by Study Instance UID, then by code. What is left over is paired in order,
    unless both sides have an ID that a message gave them: then they are different procedures.
    Without ``in_order`` what is left over is new.
    """
    left = list(known)
    found: list[Procedure | None] = [None] * len(procedures)

    def take(position: int, fitting: Sequence[Procedure]) -> None:
        if found[position] is None and fitting:
            found[position] = fitting[0]
            left.remove(fitting[0])

    for position, facts in enumerate(procedures):
        wanted = facts.requested_procedure_id
        take(position, [each for each in left if wanted == each.requested_procedure_id])
    for position, facts in enumerate(procedures):
        uid = facts.study_instance_uid
        take(position, [each for each in left if uid == each.study_instance_uid])
    for position, facts in enumerate(procedures):
        if facts.code is not None:
            code = (facts.code.value, facts.code.scheme)
            alike = [each for each in left if code == (each.code_value, each.code_scheme)]
            take(position, [each for each in alike if _may_be(facts, each)])
    for position, facts in enumerate(procedures if in_order else ()):
        take(position, [each for each in left if _may_be(facts, each)])
    return tuple(found)


def _may_be(facts: ProcedureFacts, known: Procedure) -> bool:
    id_was_said = "requested_procedure_id" in known.said_at
    uid_was_said = not known.study_instance_uid_issued
    return not (facts.requested_procedure_id and id_was_said) and not (
        facts.study_instance_uid and uid_was_said and facts.requested_procedure_id
    )
