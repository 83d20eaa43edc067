"""One table of statuses: ours beside those of HL7 v2, DICOM and FHIR.

Everything that says or reads a status takes it from here. Our states are given as their plain
values, because what they mean for an exam is the stages' affair. Where a standard has no code for
what is true, the row lists what says the least untruth, and nothing is said rather than something
false: a preliminary result never goes out as a final one.

Standard: HL7 v2.5.1 tables 0038, 0085, 0119, 0123, 0278; PS3.3 C.4.10, C.4.14; FHIR R4.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ORDER_CONTROLS: Final = frozenset([
    "NW",
    "OK",
    "UA",
    "CA",
    "OC",
    "CR",
    "UC",
    "DC",
    "OD",
    "DR",
    "UD",
    "HD",
    "OH",
    "UH",
    "HR",
    "RL",
    "OE",
    "OR",
    "UR",
    "RP",
    "RU",
    "RO",
    "RQ",
    "UM",
    "PA",
    "CH",
    "XO",
    "XX",
    "UX",
    "XR",
    "DE",
    "RE",
    "RR",
    "SR",
    "SS",
    "SC",
    "SN",
    "NA",
    "CN",
    "LI",
    "UN",
    "AF",
    "FU",
    "OF",
    "RF",
    "DF",
    "MC",
    "UF",
    "OP",
    "PR",
    "PY",
    "CP",
])
"""Table 0119, ORC-1."""
ORDER_STATUSES: Final = frozenset(["A", "CA", "CM", "DC", "ER", "HD", "IP", "RP", "SC"])
"""Table 0038, ORC-5."""
RESULT_STATUSES: Final = frozenset("OISAPCRFXYZMN")
"""Table 0123, OBR-25."""
OBSERVATION_STATUSES: Final = frozenset("ABCDFINOPRSUVWX")
"""Table 0085, OBX-11."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order's state. Attributes: order_status: ORC-5; service_request: FHIR."""

    order_status: str
    service_request: str


ORDERS: Final[Mapping[str, OrderRow]] = {
    "placed": OrderRow("SC", "active"),
    "held": OrderRow("HD", "on-hold"),
    "in_progress": OrderRow("IP", "active"),
    "completed": OrderRow("CM", "completed"),
    "cancelled": OrderRow("CA", "revoked"),
    "discontinued": OrderRow("DC", "revoked"),
}


@dataclass(frozen=True, slots=True)
class StepRow:
    """A scheduled procedure step's status.

    Attributes:
        scheduled: DICOM (0040,0020).
        performed: DICOM (0040,0252) of the modality that brought it about; empty: none did.
        order_status: ORC-5 of an order whose steps are all so.
        appointment: FHIR Appointment.status.
    """

    scheduled: str
    performed: str
    order_status: str
    appointment: str


STEPS: Final[Mapping[str, StepRow]] = {
    "SCHEDULED": StepRow("SCHEDULED", "", "SC", "booked"),
    "ARRIVED": StepRow("ARRIVED", "", "SC", "arrived"),
    "READY": StepRow("READY", "", "SC", "checked-in"),
    "STARTED": StepRow("STARTED", "IN PROGRESS", "IP", "arrived"),
    "COMPLETED": StepRow("COMPLETED", "COMPLETED", "CM", "fulfilled"),
    "DISCONTINUED": StepRow("DISCONTINUED", "DISCONTINUED", "DC", "fulfilled"),
    # PS3.3 writes it with one l.
    "CANCELLED": StepRow("CANCELED", "", "CA", "cancelled"),
}


class Instruction(StrEnum):
    """What an order message asks for, as far as its answer goes."""

    PLACE = "place"
    REVISE = "revise"
    CORRECT = "correct"
    CANCEL = "cancel"
    DISCONTINUE = "discontinue"
    HOLD = "hold"
    RELEASE = "release"
    REPLACE = "replace"
    ASSIGN_NUMBERS = "assign numbers"
    TELL_STATUS = "tell status"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """ORC-1 of the answer to an instruction that was followed, and to one that was not."""

    followed: str
    refused: str


RESPONSES: Final[Mapping[Instruction, ResponseRow]] = {
    Instruction.PLACE: ResponseRow("OK", "UA"),
    Instruction.REVISE: ResponseRow("XR", "UX"),
    Instruction.CORRECT: ResponseRow("XR", "UX"),
    Instruction.CANCEL: ResponseRow("CR", "UC"),
    Instruction.DISCONTINUE: ResponseRow("DR", "UD"),
    Instruction.HOLD: ResponseRow("HR", "UH"),
    Instruction.RELEASE: ResponseRow("OR", "UR"),
    Instruction.REPLACE: ResponseRow("RQ", "UM"),
    Instruction.ASSIGN_NUMBERS: ResponseRow("NA", "UA"),
    Instruction.TELL_STATUS: ResponseRow("SR", "UA"),
    Instruction.NOTE: ResponseRow("OK", "UA"),
}
RESPONSE_TEXT: Final[Mapping[str, str]] = {
    "UA": "Unable to accept order/service",
    "UX": "Unable to change",
    "UC": "Unable to cancel",
    "UD": "Unable to discontinue",
    "UH": "Unable to put on hold",
    "UR": "Unable to release",
    "UM": "Unable to replace",
}


class Announcement(StrEnum):
    """What became of an order, as others are told without having asked."""

    SCHEDULED = "scheduled"
    CHANGED = "changed"
    STARTED = "started"
    COMPLETED = "completed"
    REOPENED = "reopened"
    HELD = "held"
    RELEASED = "released"
    CANCELLED = "cancelled"
    DISCONTINUED = "discontinued"


@dataclass(frozen=True, slots=True)
class AnnouncementRow:
    """How it is told.

    Attributes:
        placer: ORC-1 for who placed the order, or only wants to know where it is.
        performer: ORC-1 for who works with it (IHE RAD-4, RAD-13); '': that is not told there.
        order_status: ORC-5; '': that of the order's state.
        performer_status: ORC-5 for who works with it.
        result_status: OBR-25; '': none of table 0123 is true before 2.7.
    """

    placer: str
    performer: str
    order_status: str
    performer_status: str
    result_status: str


ANNOUNCEMENTS: Final[Mapping[Announcement, AnnouncementRow]] = {
    Announcement.SCHEDULED: AnnouncementRow("SC", "NW", "SC", "SC", "S"),
    Announcement.CHANGED: AnnouncementRow("XX", "XO", "", "", ""),
    Announcement.STARTED: AnnouncementRow("SC", "", "IP", "", "I"),
    # Table 0123 has N, "procedure completed, results pending", only since 2.7.
    Announcement.COMPLETED: AnnouncementRow("SC", "XO", "CM", "CM", ""),
    Announcement.REOPENED: AnnouncementRow("SC", "XO", "SC", "SC", "S"),
    Announcement.HELD: AnnouncementRow("OH", "", "HD", "", "O"),
    Announcement.RELEASED: AnnouncementRow("OE", "", "SC", "", "S"),
    Announcement.CANCELLED: AnnouncementRow("OC", "CA", "CA", "CA", "X"),
    # IHE RAD TF-2 4.13: a discontinued order counts as cancelled there.
    Announcement.DISCONTINUED: AnnouncementRow("OD", "DC", "DC", "CA", "X"),
}
"""Standard: HL7 v2.5.1 4.5.1.1, tables 0119, 0038, 0123; IHE RAD TF-2 4.3, 4.4, 4.13."""


class Result(StrEnum):
    """How far a result, a report or a single value, is."""

    REGISTERED = "registered"  # nothing to read yet
    PARTIAL = "partial"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"
    APPENDED = "appended"  # final, and something was added
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


_CORRECTIONS: Final = frozenset({
    Result.CORRECTED,
    Result.APPENDED,
    Result.CANCELLED,
    Result.ENTERED_IN_ERROR,
})
_RANKS: Final = {
    Result.REGISTERED: 0,
    Result.PARTIAL: 1,
    Result.PRELIMINARY: 2,
    Result.FINAL: 3,
}


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What is said of a result.

    Attributes:
        result_statuses: OBR-25, what is true first, then what says the least untruth to a receiver
            that does not take it.
        observation_status: OBX-11 of what is new in it.
        diagnostic_report: FHIR.
    """

    result_statuses: tuple[str, ...]
    observation_status: str
    diagnostic_report: str


RESULTS: Final[Mapping[Result, ResultRow]] = {
    Result.REGISTERED: ResultRow(("S", "I", "O"), "I", "registered"),
    Result.PARTIAL: ResultRow(("A", "R", "P"), "P", "partial"),
    Result.PRELIMINARY: ResultRow(("P", "R"), "P", "preliminary"),
    Result.FINAL: ResultRow(("F", "C"), "F", "final"),
    Result.CORRECTED: ResultRow(("C", "F"), "C", "corrected"),
    # There is no code for "final with an addendum": it is a correction of the first final.
    Result.APPENDED: ResultRow(("C", "F"), "C", "appended"),
    Result.CANCELLED: ResultRow(("X",), "X", "cancelled"),
    # W never stands in OBR-25: it is of table 0085 only.
    Result.ENTERED_IN_ERROR: ResultRow(("X", "C"), "W", "entered-in-error"),
}
RESULT_OF_OBR_25: Final[Mapping[str, Result]] = {
    "O": Result.REGISTERED,
    "I": Result.REGISTERED,
    "S": Result.REGISTERED,
    "N": Result.REGISTERED,
    "A": Result.PARTIAL,
    "R": Result.PRELIMINARY,
    "P": Result.PRELIMINARY,
    "M": Result.PRELIMINARY,
    "F": Result.FINAL,
    "C": Result.CORRECTED,
    "X": Result.CANCELLED,
}
"""Y and Z answer queries and say nothing of a result."""
RESULT_OF_OBX_11: Final[Mapping[str, Result]] = {
    "I": Result.REGISTERED,
    "N": Result.REGISTERED,
    "O": Result.REGISTERED,
    "S": Result.PARTIAL,
    "R": Result.PRELIMINARY,
    "P": Result.PRELIMINARY,
    "V": Result.PRELIMINARY,
    "F": Result.FINAL,
    # U: what was sent as preliminary is final now, and is not sent again.
    "U": Result.FINAL,
    "C": Result.CORRECTED,
    "A": Result.CORRECTED,
    "B": Result.APPENDED,
    "X": Result.CANCELLED,
    "D": Result.ENTERED_IN_ERROR,
    "W": Result.ENTERED_IN_ERROR,
}


def result_status(result: Result, taken: Set[str]) -> str | None:
    """Return OBR-25 for a receiver that takes these codes; None when none of them would be true."""
    return next((each for each in RESULTS[result].result_statuses if each in taken), None)


def may_follow(before: Result, after: Result) -> bool:
    """Whether a result may be ``after`` that was ``before``: backwards only by a correction."""
    if after in _CORRECTIONS or after is before:
        return True
    if before in _CORRECTIONS:
        return False
    return _RANKS[after] >= _RANKS[before]


# Table 0278 -> scheduling.appointment.status, and FHIR Appointment.status.
APPOINTMENTS: Final[Mapping[str, str]] = {
    "pending": "proposed",
    "booked": "booked",
    "arrived": "arrived",
    "started": "arrived",
    "complete": "fulfilled",
    "cancelled": "cancelled",
    "discontinued": "cancelled",
    "deleted": "entered-in-error",
    "noshow": "noshow",
}
APPOINTMENT_OF_SCH_25: Final[Mapping[str, str]] = {
    "PENDING": "pending",
    "WAITLIST": "pending",
    "BOOKED": "booked",
    "OVERBOOK": "booked",
    "ARRIVED": "arrived",
    "STARTED": "started",
    "COMPLETE": "complete",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
    "DC": "discontinued",
    "DELETED": "deleted",
    "NOSHOW": "noshow",
}
SCH_25_OF: Final[Mapping[str, str]] = {
    "pending": "Pending",
    "booked": "Booked",
    "arrived": "Arrived",
    "started": "Started",
    "complete": "Complete",
    "cancelled": "Cancelled",
    "discontinued": "Dc",
    "deleted": "Deleted",
    "noshow": "Noshow",
}
"""Table 0278 as it is written, for each of our states of an appointment."""
APPOINTMENT_ENDED: Final[Mapping[str, str]] = {
    "cancelled": "S15",
    "discontinued": "S16",
    "deleted": "S17",
    "noshow": "S26",
}
"""The trigger event that tells it. Standard: HL7 v2.5.1 10.3."""
