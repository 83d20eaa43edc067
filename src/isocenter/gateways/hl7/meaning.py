"""What a message means to us, said in our own words, and which of its fields says what.

Nothing here is a second reading of HL7: the intent that the interface would carry out is told as it
is, and which field says what is found out by leaving the field away and reading again.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any, Final

from isocenter.domain.peers.model import Hl7Peer, sender
from isocenter.domain.peers.model_meaning import Influence, Meaning, changes
from isocenter.errors import IsocenterError
from isocenter.gateways.hl7.apply import Intent, ReceiveOptions, intent_of
from isocenter.gateways.hl7.receive import in_character_set_of, mapped
from isocenter.gateways.hl7.refusal import answer_to
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import AckCode
from isocenter.standards.hl7v2.er7 import Message, Segment, parse

_NOT_MEANING: Final = frozenset({"actor"})
# A text without end, or a document, is not told whole.
_TEXT_LENGTH_MAX: Final = 400
_FIELDS_MAX: Final = 400


def meaning_of(
    data: bytes, sent_by: tuple[Hl7Peer, str], options: ReceiveOptions, *, now: datetime
) -> Meaning:
    """What a message of a peer, from an address, means, without looking at what is known."""
    peer, _ = sent_by
    try:
        message = in_character_set_of(peer, parse(data))
    except RemoteProtocolError as error:
        return Meaning(AckCode.AR.value, str(error), {})
    header = message.header
    if sender([peer], header.text(3), header.text(4)) is None:
        return Meaning(AckCode.AR.value, "Sending Application and/or Facility not recognized", {})
    return _read(message, sent_by, options, now)


def influences(
    data: bytes, sent_by: tuple[Hl7Peer, str], options: ReceiveOptions, *, now: datetime
) -> list[Influence]:
    """What each valued field of a message is for; those that say nothing to us are left out.

    Empty when the message cannot be read.
    """
    whole = meaning_of(data, sent_by, options, now=now)
    if whole.refusal:
        return []
    message = in_character_set_of(sent_by[0], parse(data))
    found: list[Influence] = []
    for place, index, number in _valued_fields(message):
        without = _read(_blanked(message, index, number), sent_by, options, now)
        if without.refusal:
            found.append(Influence(place, (), required=True))
        elif changed := tuple(each.path for each in changes(without, whole) if each.after):
            found.append(Influence(place, changed, required=False))
    return found


def _read(
    message: Message, sent_by: tuple[Hl7Peer, str], options: ReceiveOptions, now: datetime
) -> Meaning:
    message = mapped(sent_by[0], message)
    try:
        intent = intent_of(message, sent_by, options, now=now)
    except IsocenterError as error:
        code, problem = answer_to(error, has_ipc=message.first("IPC") is not None)
        return Meaning(code.value, problem.user_text or error.message, {})
    except RemoteProtocolError as error:
        return Meaning(AckCode.AE.value, str(error), {})
    return Meaning(AckCode.AA.value, "", facts_of(intent))


def facts_of(intent: Intent) -> dict[str, str]:
    """What an intent says, by path; what is not said is left out, what is erased is ``(none)``."""
    return dict(_told("", intent))


def _told(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if value is None or value == ():
        return
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            if each.name not in _NOT_MEANING:
                step = f"{path}.{each.name}" if path else each.name
                yield from _told(step, getattr(value, each.name))
    elif isinstance(value, (tuple, list)):
        for number, each in enumerate(value, 1):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _told(f"{path}[{number}]", each)
    elif isinstance(value, (datetime, date)):
        yield path, value.isoformat()
    else:
        text = str(value)  # pyright: ignore[reportUnknownArgumentType]
        yield path, text[:_TEXT_LENGTH_MAX] if text else "(none)"


def _valued_fields(message: Message) -> Iterator[tuple[str, int, int]]:
    """Place, index of the segment, and number of each valued field."""
    counts: dict[str, int] = {}
    told = 0
    for index, segment in enumerate(message.segments):
        turn = counts[segment.name] = counts.get(segment.name, 0) + 1
        name = segment.name if turn == 1 else f"{segment.name}[{turn}]"
        for number in range(3 if segment.name == "MSH" else 1, segment.field_count() + 1):
            if segment.raw_field(number):
                told += 1
                if told > _FIELDS_MAX:
                    return
                yield f"{name}-{number}", index, number


def _blanked(message: Message, index: int, number: int) -> Message:
    """The message without one of its fields."""
    segment = message.segments[index]
    parts = segment.raw.split(message.syntax.field)
    parts[number - (1 if segment.name == "MSH" else 0)] = ""
    segments = list(message.segments)
    segments[index] = Segment(message.syntax.field.join(parts), message.syntax)
    return Message(message.raw, segments, message.syntax, message.flaws)
