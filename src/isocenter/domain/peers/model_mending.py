"""What may be done about a message that was refused, from what its sender was told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import ErrorCode, parse_ack

Step = Literal["again", "edit", "interface"]


@dataclass(frozen=True, slots=True)
class Mend:
    """What probably helps.

    Attributes:
        text: for a person, in a sentence or two.
        step: what to do here: process it again, edit it, or change the interface.
    """

    text: str
    step: Step


_MENDS: Final[Mapping[int, Mend]] = {
    ErrorCode.SEGMENT_SEQUENCE_ERROR: Mend(
        "A segment is missing or out of place. Add it by editing the message, and have the sender "
        "mend it at the source.",
        "edit",
    ),
    ErrorCode.REQUIRED_FIELD_MISSING: Mend(
        "A field is empty that we cannot do without: see ERR-2 in the acknowledgement. Fill it in "
        "by editing the message.",
        "edit",
    ),
    ErrorCode.DATA_TYPE_ERROR: Mend(
        "A value cannot be read, as a date that is none: see ERR-2 in the acknowledgement.", "edit"
    ),
    ErrorCode.TABLE_VALUE_NOT_FOUND: Mend(
        "We do not know a code that it uses, or the sender's name in MSH-3 and MSH-4. When the "
        "sender is right, change the interface and process the message again.",
        "interface",
    ),
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE: Mend(
        "The interface does not accept messages of this kind. Allow them there, then process this "
        "one again.",
        "interface",
    ),
    ErrorCode.UNSUPPORTED_EVENT_CODE: Mend(
        "Its event means nothing here. Nothing is lost unless the sender relies on it: have it "
        "send another one.",
        "edit",
    ),
    ErrorCode.UNKNOWN_KEY_IDENTIFIER: Mend(
        "It names an order or a patient that was not known. When that has come since, process the "
        "message again.",
        "again",
    ),
    ErrorCode.DUPLICATE_KEY_IDENTIFIER: Mend(
        "A number in it belongs to another patient, order or study. Look at that one before you "
        "edit the message.",
        "edit",
    ),
    ErrorCode.APPLICATION_RECORD_LOCKED: Mend(
        "Somebody else was at work on the same. Process it again.", "again"
    ),
    ErrorCode.APPLICATION_INTERNAL_ERROR: Mend(
        "We could not take it then; it says nothing about the message. Process it again.", "again"
    ),
}


def mend_of(acknowledgement: bytes | None) -> Mend | None:
    """What probably helps, from the answer to a message; None when nothing is known."""
    if not acknowledgement:
        return None
    try:
        codes = parse_ack(acknowledgement).error_codes
    except RemoteProtocolError:
        return None
    return next((_MENDS[each] for each in codes if each in _MENDS), None)
