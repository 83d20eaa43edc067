"""ER7 messages: writing. Only ``<CR>`` ends a segment, values are escaped, MSH-18 is true.

A segment is described by field positions as the standard counts them::

    segment("PID", {3: [("1234", "", "", "MAIN", "MR")], 5: ("Phantom", "Ada")})

``str`` is a simple value, a tuple holds components (a tuple inside it subcomponents), a list holds
repetitions, ``NULL`` asks the receiver to delete a value.

Standard: HL7 v2.5.1 chapter 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards import LocalProtocolError
from isocenter.standards.hl7v2 import charsets
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, Syntax, escape


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text that is already ER7: written unescaped, for values copied from a received message."""

    raw: str


NULL: Final = Verbatim('""')

Component = str | Verbatim | tuple[str, ...]
Repetition = str | Verbatim | tuple[Component, ...]
Field = Repetition | list[Repetition] | None


def segment(name: str, fields: Mapping[int, Field], syntax: Syntax = DEFAULT_SYNTAX) -> str:
    """Return one segment without its end. Empty fields at the end are left out.

    Raises:
        LocalProtocolError: the name is no segment identifier, or a position is below 1.
    """
    if len(name) != 3 or not name.isalnum() or any(number < 1 for number in fields):
        msg = f"not a segment: {name!r}"
        raise LocalProtocolError(msg)
    header = name in {"MSH", "FHS", "BHS"}
    last = max(fields, default=0)
    values = [_field(fields.get(number), syntax) for number in range(3 if header else 1, last + 1)]
    if header:
        values.insert(0, syntax.encoding_characters)
    while values and not values[-1]:
        values.pop()
    return syntax.field.join((name, *values))


def message(
    header: Mapping[int, Field],
    segments: Sequence[str],
    *,
    charset: str = charsets.UTF_8,
    syntax: Syntax = DEFAULT_SYNTAX,
) -> bytes:
    """Return a message: MSH from ``header`` (positions from 3), then ``segments``.

    Args:
        header: MSH fields. MSH-18 is set here: blank for plain ASCII, else the set that was really
            used.
        segments: results of ``segment``.
        charset: preferred set (table 0211) for what is not ASCII.
        syntax: delimiters.

    Standard: HL7 v2.5.1 2.6, 2.15.9.18.
    """
    plain = {number: value for number, value in header.items() if number != 18}
    return assembled([segment("MSH", plain, syntax), *segments], charset=charset, syntax=syntax)


def assembled(
    segments: Sequence[str], *, charset: str = charsets.UTF_8, syntax: Syntax = DEFAULT_SYNTAX
) -> bytes:
    """Return a message of segments, MSH first and with an empty MSH-18, which is set here.

    Standard: HL7 v2.5.1 2.6, 2.15.9.18.
    """
    text = "\r".join(segments) + "\r"
    data, label = charsets.encode(text, charset)
    if label:
        # MSH-1 is the separator itself, so that MSH-18 is the 18th part after the name.
        fields = segments[0].split(syntax.field)
        fields += [""] * (18 - len(fields))
        fields[17] = label
        text = "\r".join((syntax.field.join(fields), *segments[1:])) + "\r"
        data, _ = charsets.encode(text, label)
    return data


def stamped(data: bytes, fields: Mapping[int, str]) -> bytes:
    """Return the message with other values in its MSH, which begins ``data``; all else is as it is.

    Args:
        data: the message, its segments ended by ``<CR>``.
        fields: plain ASCII values without delimiters, by position from 3.
    """
    line, end, rest = data.partition(b"\r")
    parts = line.split(line[3:4])
    parts += [b""] * (max(fields) - len(parts))
    for number, value in fields.items():
        parts[number - 1] = value.encode("ascii")
    return line[3:4].join(parts) + end + rest


def _field(value: Field, syntax: Syntax) -> str:
    if value is None:
        return ""
    if isinstance(value, str | Verbatim | tuple):
        return _repetition(value, syntax)
    return syntax.repetition.join(_repetition(repetition, syntax) for repetition in value)


def _repetition(value: Repetition, syntax: Syntax) -> str:
    if isinstance(value, tuple):
        return _joined([_component(component, syntax) for component in value], syntax.component)
    return _component(value, syntax)


def _component(value: Component, syntax: Syntax) -> str:
    if isinstance(value, Verbatim):
        return value.raw
    if isinstance(value, tuple):
        return _joined([escape(part, syntax) for part in value], syntax.subcomponent)
    return escape(value, syntax)


def _joined(parts: list[str], separator: str) -> str:
    while parts and not parts[-1]:
        parts.pop()
    return separator.join(parts)
