"""What to do with an outbound message after what came back: one table.

Standard: HL7 v2.5.1 2.9.2, 2.9.3 and table 0357; the choice between retry and a person is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isocenter.standards.hl7v2.ack import Ack, AckCode, ErrorCode


class Outcome(StrEnum):
    """What came back for one transmission."""

    ACCEPTED = "accepted"  # AA or CA
    ERROR = "error"  # AE or CE
    REJECTED_FOR_GOOD = (
        "rejected_for_good"  # AR or CR that names a fault of configuration (200 to 203)
    )
    REJECTED = "rejected"  # AR or CR otherwise
    NOT_SENT = "not_sent"  # no connection
    NO_ANSWER = "no_answer"  # timeout, or the connection ended while waiting
    WRONG_ANSWER = (
        "wrong_answer"  # MSA-2 names another message, or the answer is no acknowledgement
    )


class Action(StrEnum):
    """What happens to the message."""

    DELIVERED = "delivered"
    RETRY = "retry"  # same bytes, same MSH-10, after a back-off
    PARK = "park"  # until a person replays it


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to the message and its connection.

    Attributes:
        action: what happens to the message.
        close_connection: an answer that is still under way would be taken for the next message's.
        configuration_fault: every message of this kind will fare the same: the destination needs a
            person.
    """

    action: Action
    close_connection: bool = False
    configuration_fault: bool = False


DECISIONS: Final = {
    Outcome.ACCEPTED: Decision(Action.DELIVERED),
    Outcome.ERROR: Decision(Action.PARK),
    Outcome.REJECTED_FOR_GOOD: Decision(Action.PARK, configuration_fault=True),
    Outcome.REJECTED: Decision(Action.RETRY),
    Outcome.NOT_SENT: Decision(Action.RETRY, close_connection=True),
    Outcome.NO_ANSWER: Decision(Action.RETRY, close_connection=True),
    Outcome.WRONG_ANSWER: Decision(Action.RETRY, close_connection=True),
}

_PERMANENT: Final = frozenset({
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
    ErrorCode.UNSUPPORTED_EVENT_CODE,
    ErrorCode.UNSUPPORTED_PROCESSING_ID,
    ErrorCode.UNSUPPORTED_VERSION_ID,
})
_ACCEPTS: Final = frozenset({AckCode.AA, AckCode.CA})
_ERRORS: Final = frozenset({AckCode.AE, AckCode.CE})


def outcome_of(ack: Ack, *, sent_control_id: str) -> Outcome:
    """Return what an acknowledgement means for the message with MSH-10 ``sent_control_id``."""
    if ack.control_id != sent_control_id:
        return Outcome.WRONG_ANSWER
    if ack.code in _ACCEPTS:
        return Outcome.ACCEPTED
    if ack.code in _ERRORS:
        return Outcome.ERROR
    return Outcome.REJECTED_FOR_GOOD if _is_permanent(ack.error_codes) else Outcome.REJECTED


def decide(outcome: Outcome) -> Decision:
    """Return what to do after ``outcome``."""
    return DECISIONS[outcome]


def _is_permanent(codes: Sequence[int]) -> bool:
    return any(code in _PERMANENT for code in codes)
