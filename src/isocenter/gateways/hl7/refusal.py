"""Why a message is refused, and how a refusal reads in MSA-1 and ERR: one table.

Standard: HL7 v2.5.1 2.9.2, 2.15.5, table 0357.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isocenter.domain.identity.model import (
    IdentifierTaken,
    IdentifierUnknown,
    InverseMerge,
    LinkUnknown,
    PatientUnidentified,
    SelfLink,
    SelfMerge,
)
from isocenter.domain.orders.model import (
    AccessionConflict,
    NumberUnusable,
    OrderNumberConflict,
    OrderPatientConflict,
    OrderUnidentified,
    OrderUnknown,
    StateForbids,
    StudyInstanceUidFixed,
)
from isocenter.domain.peers.service import OutOfSequence
from isocenter.domain.reporting.model_external import ResultGoesBack
from isocenter.domain.scheduling.model_appointments import (
    AppointmentUnidentified,
    AppointmentUnknown,
)
from isocenter.errors import IsocenterError, Kind
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode, Problem


class MessageRefused(IsocenterError):
    """The message is not applied; ``code`` and ``problem`` go back to the sender."""

    kind = Kind.INCORRECT

    def __init__(self, code: AckCode, problem: Problem) -> None:
        super().__init__(problem.user_text)
        self.code = code
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Answer:
    """How one sort of failure is answered.

    Attributes:
        code: AE: a person must change something; AR: the same message may fare better later, or the
            interface is set up wrongly (200 to 203).
        error: ERR-3.
        location: ERR-2; empty when the fault is in no field.
    """

    code: AckCode
    error: ErrorCode
    location: str = ""


# HL7 v2.5.1 2.9.2.2: a failure that has nothing to do with the message itself (we are down) is AR,
# and the sender may try the same message again later; AE would have a person look at it.
BY_KIND: Final[Mapping[Kind, Answer]] = {
    Kind.INCORRECT: Answer(AckCode.AE, ErrorCode.DATA_TYPE_ERROR),
    Kind.NOT_FOUND: Answer(AckCode.AE, ErrorCode.UNKNOWN_KEY_IDENTIFIER),
    Kind.CONFLICT: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER),
    Kind.FORBIDDEN: Answer(AckCode.AR, ErrorCode.UNSUPPORTED_MESSAGE_TYPE, "MSH^1^9"),
    Kind.UNSUPPORTED: Answer(AckCode.AR, ErrorCode.UNSUPPORTED_EVENT_CODE, "MSH^1^9^1^2"),
    Kind.BUSY: Answer(AckCode.AR, ErrorCode.APPLICATION_INTERNAL_ERROR),
    Kind.UNAVAILABLE: Answer(AckCode.AR, ErrorCode.APPLICATION_INTERNAL_ERROR),
    Kind.FAULT: Answer(AckCode.AE, ErrorCode.APPLICATION_INTERNAL_ERROR),
}

# Where in the message the fault is, for the situations that have a field of their own.
BY_SITUATION: Final[Mapping[type[IsocenterError], Answer]] = {
    PatientUnidentified: Answer(AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "PID^1^3"),
    SelfMerge: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "MRG^1^1"),
    InverseMerge: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "MRG^1^1"),
    SelfLink: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "PID^2^3"),
    LinkUnknown: Answer(AckCode.AE, ErrorCode.UNKNOWN_KEY_IDENTIFIER, "PID^2^3"),
    IdentifierUnknown: Answer(AckCode.AE, ErrorCode.UNKNOWN_KEY_IDENTIFIER, "MRG^1^1"),
    IdentifierTaken: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "PID^1^3"),
    AppointmentUnidentified: Answer(AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "SCH^1^2"),
    AppointmentUnknown: Answer(AckCode.AE, ErrorCode.UNKNOWN_KEY_IDENTIFIER, "SCH^1^2"),
    ResultGoesBack: Answer(AckCode.AE, ErrorCode.TABLE_VALUE_NOT_FOUND, "OBR^1^25"),
    OutOfSequence: Answer(AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "MSH^1^13"),
    OrderUnidentified: Answer(AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "ORC^1^2"),
    OrderUnknown: Answer(AckCode.AE, ErrorCode.UNKNOWN_KEY_IDENTIFIER, "ORC^1^2"),
    OrderNumberConflict: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "ORC^1^2"),
    OrderPatientConflict: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "PID^1^3"),
    StateForbids: Answer(AckCode.AE, ErrorCode.TABLE_VALUE_NOT_FOUND, "ORC^1^1"),
    AccessionConflict: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "OBR^1^18"),
    NumberUnusable: Answer(AckCode.AE, ErrorCode.DATA_TYPE_ERROR, "OBR^1"),
    StudyInstanceUidFixed: Answer(AckCode.AE, ErrorCode.DUPLICATE_KEY_IDENTIFIER, "ZDS^1^1"),
}
# OMI^O23 has the same facts in other segments.
_IN_IPC: Final = {"OBR^1^18": "IPC^1^1", "ZDS^1^1": "IPC^1^3"}


def refused(code: AckCode, error: ErrorCode, location: str, text: str) -> MessageRefused:
    """Return the refusal to raise."""
    return MessageRefused(code, Problem(error, location, text))


def answer_to(error: IsocenterError, *, has_ipc: bool = False) -> tuple[AckCode, Problem]:
    """Return MSA-1 and the ERR segment for ``error``."""
    if isinstance(error, MessageRefused):
        return error.code, error.problem
    found = BY_SITUATION.get(type(error)) or BY_KIND[error.kind]
    location = _IN_IPC.get(found.location, found.location) if has_ipc else found.location
    return found.code, Problem(found.error, location, error.message)
