"""What to do with an outbound message after what came back: one table.

It is the only place that knows. What came back is named first (``outcome_of``); then the table says
what happens to the message, to its connection, and to what waits behind it (``decide``).

Standard: HL7 v2.5.1 2.9.2, 2.9.3 and table 0357; the choice between retry and a person is ours.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isocenter.standards.hl7v2.ack import Ack, AckCode, ErrorCode


class Outcome(StrEnum):
    """What came back for one transmission, or for none."""

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
    DUPLICATE = "duplicate"  # MSA-2 names a message that was answered on this connection before
    OUT_OF_STEP = "out_of_step"  # it expects a sequence number that we cannot go back or on to
    LATE = "late"  # it came when nothing was awaited, and says nothing that is known


class Action(StrEnum):
    """What happens to the message."""

    DELIVERED = "delivered"
    RETRY = "retry"  # same bytes, same MSH-10, after a back-off
    PARK = "park"  # until a person replays or skips it
    WAIT_ON = "wait_on"  # the answer is nobody's: whoever awaits one goes on waiting


class Held(StrEnum):
    """What is not sent meanwhile."""

    NOTHING = "nothing"
    LANE = "lane"  # what is about the same patient, or exam
    DESTINATION = "destination"  # all of it


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to the message, its connection, and what waits behind it.

    Attributes:
        action: what happens to the message.
        held: what waits: for the next attempt, or for a person when the message is parked.
        close_connection: an answer that is still under way would be taken for the next message's.
        pauses: every message would fare the same: the destination needs a person.
    """

    action: Action
    held: Held = Held.NOTHING
    close_connection: bool = False
    pauses: bool = False


DECISIONS: Final = {
    Outcome.ACCEPTED: Decision(Action.DELIVERED),
    Outcome.ERROR: Decision(Action.PARK, Held.LANE),
    Outcome.REJECTED_FOR_GOOD: Decision(Action.PARK, Held.DESTINATION, pauses=True),
    Outcome.REJECTED: Decision(Action.RETRY, Held.LANE),
    Outcome.NOT_SENT: Decision(Action.RETRY, Held.DESTINATION, close_connection=True),
    Outcome.NO_ANSWER: Decision(Action.RETRY, Held.DESTINATION, close_connection=True),
    Outcome.WRONG_ANSWER: Decision(Action.RETRY, Held.LANE, close_connection=True),
    Outcome.OUT_OF_STEP: Decision(
        Action.RETRY, Held.DESTINATION, close_connection=True, pauses=True
    ),
    Outcome.DUPLICATE: Decision(Action.WAIT_ON),
    Outcome.LATE: Decision(Action.WAIT_ON, close_connection=True),
}

_PERMANENT: Final = frozenset({
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
    ErrorCode.UNSUPPORTED_EVENT_CODE,
    ErrorCode.UNSUPPORTED_PROCESSING_ID,
    ErrorCode.UNSUPPORTED_VERSION_ID,
})
_ACCEPTS: Final = frozenset({AckCode.AA, AckCode.CA})
_ERRORS: Final = frozenset({AckCode.AE, AckCode.CE})


def outcome_of(ack: Ack, *, sent_control_id: str | None, answered: Container[str] = ()) -> Outcome:
    """Return what an acknowledgement means.

    Args:
        ack: the acknowledgement.
        sent_control_id: MSH-10 of the message whose answer is awaited; None: none is.
        answered: MSH-10 of the messages that were answered on this connection before.
    """
    if sent_control_id is None or ack.control_id != sent_control_id:
        if ack.control_id in answered:
            return Outcome.DUPLICATE
        return Outcome.LATE if sent_control_id is None else Outcome.WRONG_ANSWER
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
