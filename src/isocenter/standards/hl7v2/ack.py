"""Acknowledgements: which one is due, building it, reading it.

Original mode answers AA, AE or AR once the message has been processed. Enhanced mode (MSH-15 or
MSH-16 valued) answers CA, CE or CR once it is stored safely, and AA, AE or AR separately if MSH-16
asks.

Standard: HL7 v2.5.1 2.9.2, 2.9.3, 2.15.5 (ERR), 2.15.8 (MSA).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import charsets, sequence, writer
from isocenter.standards.hl7v2.er7 import Message, Segment, parse
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, Syntax


class AckCode(StrEnum):
    """MSA-1, table 0008."""

    AA = "AA"  # application accept
    AE = "AE"  # application error
    AR = "AR"  # application reject
    CA = "CA"  # commit accept
    CE = "CE"  # commit error
    CR = "CR"  # commit reject


class ErrorCode(IntEnum):
    """ERR-3, table 0357."""

    MESSAGE_ACCEPTED = 0
    SEGMENT_SEQUENCE_ERROR = 100
    REQUIRED_FIELD_MISSING = 101
    DATA_TYPE_ERROR = 102
    TABLE_VALUE_NOT_FOUND = 103
    VALUE_TOO_LONG = 104
    UNSUPPORTED_MESSAGE_TYPE = 200
    UNSUPPORTED_EVENT_CODE = 201
    UNSUPPORTED_PROCESSING_ID = 202
    UNSUPPORTED_VERSION_ID = 203
    UNKNOWN_KEY_IDENTIFIER = 204
    DUPLICATE_KEY_IDENTIFIER = 205
    APPLICATION_RECORD_LOCKED = 206
    APPLICATION_INTERNAL_ERROR = 207


ERROR_TEXT: Final = {
    ErrorCode.MESSAGE_ACCEPTED: "Message accepted",
    ErrorCode.SEGMENT_SEQUENCE_ERROR: "Segment sequence error",
    ErrorCode.REQUIRED_FIELD_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE_ERROR: "Data type error",
    ErrorCode.TABLE_VALUE_NOT_FOUND: "Table value not found",
    ErrorCode.VALUE_TOO_LONG: "Value too long",
    ErrorCode.UNSUPPORTED_MESSAGE_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_EVENT_CODE: "Unsupported event code",
    ErrorCode.UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION_ID: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY_IDENTIFIER: "Unknown key identifier",
    ErrorCode.DUPLICATE_KEY_IDENTIFIER: "Duplicate key identifier",
    ErrorCode.APPLICATION_RECORD_LOCKED: "Application record locked",
    ErrorCode.APPLICATION_INTERNAL_ERROR: "Application internal error",
}


class Condition(StrEnum):
    """When an acknowledgement is wanted: MSH-15 and MSH-16, table 0155."""

    ALWAYS = "AL"
    NEVER = "NE"
    ERROR = "ER"
    SUCCESS = "SU"


@dataclass(frozen=True, slots=True)
class Problem:
    """One ERR segment.

    Attributes:
        code: ERR-3.
        location: ERR-2 as ``PID^1^3^1^1`` (segment, occurrence, field, repetition, component);
            empty only when the fault is in no field.
        user_text: ERR-8, one line for the person who reads the sender's log. Holds no patient data.
        severity: ERR-4: E, W or I.
        application_code: ERR-5, of table 0119 with its text: what of an order could not be done.
    """

    code: ErrorCode
    location: str = ""
    user_text: str = ""
    severity: str = "E"
    application_code: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Origin:
    """What an acknowledgement takes from the message it answers: raw ER7 values."""

    sending: tuple[str, str] = ("", "")
    receiving: tuple[str, str] = ("", "")
    trigger: str = ""
    control_id: str = ""
    processing_id: str = "P"
    version: str = "2.5.1"
    accept: str = ""
    application: str = ""
    charset: str = ""
    syntax: Syntax = DEFAULT_SYNTAX

    @property
    def is_enhanced(self) -> bool:
        """Whether the sender asks for enhanced acknowledgements."""
        return bool(self.accept or self.application)


@dataclass(frozen=True, slots=True)
class Content:
    """What an acknowledgement holds beside MSA and ERR.

    Attributes:
        message_type: MSH-9 of it, as ORR, O02, ORR_O02; None: ACK.
        segments: results of ``writer.segment`` in the sender's delimiters.
        expected_sequence_number: MSA-4.
        accept: MSH-15, of an acknowledgement that is sent as a message of its own.
    """

    message_type: tuple[str, str, str] | None = None
    segments: tuple[str, ...] = ()
    expected_sequence_number: int | None = None
    accept: str = ""


_NOTHING_MORE: Final = Content()


def origin_of(message: Message) -> Origin:
    """Return what an acknowledgement of ``message`` needs."""
    header = message.header
    return Origin(
        sending=(header.raw_field(3), header.raw_field(4)),
        receiving=(header.raw_field(5), header.raw_field(6)),
        trigger=header.text(9, 2),
        control_id=header.raw_field(10),
        processing_id=header.raw_field(11) or "P",
        version=header.raw_field(12) or "2.5.1",
        accept=header.text(15).upper(),
        application=header.text(16).upper(),
        charset=header.text(18),
        syntax=message.syntax,
    )


def read_origin(head: bytes) -> Origin:
    """Return what can be read of the MSH segment at the start of ``head``, else defaults.

    For messages that are not parsed: too large, or broken after the header.
    """
    line = head.replace(b"\n", b"\r").lstrip(b"\xef\xbb\xbf\r \t").split(b"\r", 1)[0]
    try:
        return origin_of(parse(line))
    except RemoteProtocolError:
        return Origin()


def is_wanted(condition: str, *, succeeded: bool, blank_means: bool = False) -> bool:
    """Return whether table 0155 asks for an acknowledgement; unknown values count as AL.

    Standard: HL7 v2.5.1 2.9.3, table 0155.
    """
    if not condition:
        return blank_means
    return {
        Condition.NEVER: False,
        Condition.ERROR: not succeeded,
        Condition.SUCCESS: succeeded,
    }.get(Condition(condition) if condition in set(Condition) else Condition.ALWAYS, True)


def build_ack(
    origin: Origin,
    code: AckCode,
    *,
    control_id: str,
    timestamp: str,
    problems: Sequence[Problem] = (),
    content: Content = _NOTHING_MORE,
) -> bytes:
    """Return an ACK message that answers ``origin``, in the sender's own delimiters.

    Args:
        origin: what is answered.
        code: MSA-1.
        control_id: MSH-10 of the acknowledgement itself, new for each.
        timestamp: MSH-7, a DTM value.
        problems: become ERR segments (one ERR-1 before version 2.5), and the text of the first one
            MSA-3, which people read although it is deprecated.
        content: makes it another message than ACK.

    Standard: HL7 v2.5.1 2.9.2, 2.13.1.
    """
    syntax = origin.syntax
    copy = writer.Verbatim
    header: dict[int, writer.Field] = {
        3: copy(origin.receiving[0]),
        4: copy(origin.receiving[1]),
        5: copy(origin.sending[0]),
        6: copy(origin.sending[1]),
        7: timestamp,
        9: _message_type(origin, content),
        10: control_id,
        11: copy(origin.processing_id),
        12: copy(origin.version),
        # The acknowledgement of an acknowledgement is never acknowledged by an application.
        15: content.accept or None,
        16: Condition.NEVER.value if content.accept else None,
    }
    text = (problems[0].user_text or ERROR_TEXT[problems[0].code]) if problems else ""
    expected = content.expected_sequence_number
    msa: dict[int, writer.Field] = {
        1: code.value,
        2: copy(origin.control_id),
        3: text,
        4: None if expected is None else str(expected),
    }
    segments = [writer.segment("MSA", msa, syntax)]
    if _version(origin) >= (2, 5):
        segments += [_err(problem, syntax) for problem in problems]
    elif problems:
        old = [_err_1(problem) for problem in problems]
        segments.append(writer.segment("ERR", {1: old}, syntax))
    segments += content.segments
    return writer.message(header, segments, charset=origin.charset or charsets.UTF_8, syntax=syntax)


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement as received.

    Attributes:
        code: MSA-1.
        control_id: MSA-2: which message it answers.
        text: MSA-3 or the first ERR-8, for a person.
        error_codes: ERR-3 (or ERR-1) codes that are numbers.
        sent_id: MSH-10 of the acknowledgement.
        expected: MSA-4, the sequence number that is expected; None when it says none.
    """

    code: AckCode
    control_id: str
    text: str = ""
    error_codes: tuple[int, ...] = ()
    sent_id: str = ""
    expected: int | None = None


def parse_ack(data: bytes) -> Ack:
    """Return the acknowledgement in ``data``: any message with an MSA segment (ACK, ORR, ORA).

    Raises:
        RemoteProtocolError: it is no message, has no MSA, or MSA-1 is not of table 0008.

    Standard: HL7 v2.5.1 2.15.8.
    """
    message = parse(data)
    msa = message.first("MSA")
    if msa is None or msa.text(1).upper() not in set(AckCode):
        msg = "the answer is not an acknowledgement"
        raise RemoteProtocolError(msg)
    errors = message.every("ERR")
    codes = [code for err in errors for code in _error_codes(err)]
    text = msa.text(3) or next((err.text(8) for err in errors if err.text(8)), "")
    return Ack(
        AckCode(msa.text(1).upper()),
        msa.text(2),
        text,
        tuple(codes),
        message.header.text(10),
        sequence.stated(msa.text(4)),
    )


def _error_codes(err: Segment) -> list[int]:
    texts = [err.text(3), *(field.text(4) for field in err.fields(1))]
    return [int(text) for text in texts if text.isascii() and text.isdigit()]


def _version(origin: Origin) -> tuple[int, ...]:
    number = origin.version.split(origin.syntax.component or "^", 1)[0].strip()
    parts = number.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        return (2, 5, 1)
    return tuple(int(part) for part in parts)


def _message_type(origin: Origin, content: Content) -> writer.Repetition:
    # MSH-9.2 came with 2.2 and MSH-9.3 with 2.3.1.
    if content.message_type is not None:
        return content.message_type[: 2 if _version(origin) < (2, 3, 1) else 3]
    if not origin.trigger or _version(origin) < (2, 3):
        return "ACK"
    if _version(origin) < (2, 3, 1):
        return ("ACK", origin.trigger)
    return ("ACK", origin.trigger, "ACK")


def _err(problem: Problem, syntax: Syntax) -> str:
    location = tuple(problem.location.split("^")) if problem.location else None
    return writer.segment(
        "ERR",
        {
            2: location,
            3: (str(problem.code.value), ERROR_TEXT[problem.code], "HL70357"),
            4: problem.severity,
            5: (*problem.application_code, "HL70119") if problem.application_code[0] else None,
            8: problem.user_text,
        },
        syntax,
    )


def _err_1(problem: Problem) -> writer.Repetition:
    """ERR-1 of 2.1 to 2.4: segment, sequence, field, code as a coded element."""
    place = [*problem.location.split("^"), "", "", ""][:3]
    return (*place, (str(problem.code.value), ERROR_TEXT[problem.code], "HL70357"))
