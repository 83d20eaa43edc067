"""ER7 messages: a lazy reader.

``parse`` decodes the character set and finds the segments; fields, repetitions, components and
escapes are looked at when asked for. Tolerated, and flagged: a byte order mark, ``<LF>`` and
``<CR><LF>`` segment ends, line breaks inside a value, wrong or unknown character sets, NUL. What is
flagged stays readable in the raw bytes.

Positions count from 1, as the standard does: ``PID-3`` is ``segment.get(3)``.

Standard: HL7 v2.5.1 chapter 2.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import charsets
from isocenter.standards.hl7v2.escapes import Syntax, unescape

UTF_8_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
NULL: Final = '""'
_HEADERS: Final = frozenset({"MSH", "FHS", "BHS"})
_LINE_END: Final = re.compile(rb"[\r\n]")
_PATH: Final = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<occurrence>\d+)\])?-(?P<field>\d+)(?:\[(?P<repetition>\d+)\])?"
    r"(?:\.(?P<component>\d+)(?:\.(?P<subcomponent>\d+))?)?"
)


class Flaw(StrEnum):
    """What a message got wrong without losing its meaning."""

    BYTE_ORDER_MARK = "byte_order_mark"
    SEGMENT_END = "segment_end"  # <LF> or <CR><LF> where <CR> belongs
    LINE_BREAK_IN_VALUE = (
        "line_break_in_value"  # a line that is no segment was joined to the one before it
    )
    NUL = "nul"
    CHARSET_ASSUMED = charsets.CharsetFlaw.ASSUMED.value
    CHARSET_WRONG = charsets.CharsetFlaw.WRONG.value
    CHARSET_UNKNOWN = charsets.CharsetFlaw.UNKNOWN.value


class Composite:
    """One repetition of a field: components and subcomponents, decoded on demand."""

    __slots__ = ("_components", "raw", "syntax")

    def __init__(self, raw: str, syntax: Syntax) -> None:
        self.raw = raw
        self.syntax = syntax
        self._components: list[str] | None = None

    def __bool__(self) -> bool:
        return self.raw not in {"", NULL}

    def get(self, component: int = 1, subcomponent: int = 1) -> str | None:
        """Return one value: None if not valued, empty if explicitly null (``""``)."""
        parts, syntax = self._components, self.syntax
        if parts is None:
            parts = self._components = self.components()
        raw = parts[component - 1] if 0 < component <= len(parts) else ""
        if not raw:
            return "" if self.raw == NULL else None
        if subcomponent == 1 and raw.isalnum():  # no delimiter is a letter or a digit
            return raw
        if subcomponent != 1 or syntax.subcomponent in raw:
            raw = _pick(raw, syntax.subcomponent, subcomponent)
        if raw == NULL or (not raw and self.raw == NULL):
            return ""
        return unescape(raw, syntax) if raw else None

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """Return one value, empty if not valued or null, without surrounding blanks."""
        value = self.get(component, subcomponent)
        return value.strip() if value else ""

    def components(self) -> list[str]:
        """Return the raw components."""
        return self.raw.split(self.syntax.component) if self.syntax.component else [self.raw]


class Segment:
    """One segment: ``raw`` is its text without the segment end, ``name`` its identifier."""

    __slots__ = ("_fields", "_shift", "name", "raw", "syntax")

    def __init__(self, raw: str, syntax: Syntax) -> None:
        self.raw = raw
        self.syntax = syntax
        self.name = raw[:3]
        self._fields: list[str] | None = None
        # The field separator itself is MSH-1, so MSH-2 is what follows the first separator.
        self._shift = 1 if self.name in _HEADERS else 0

    def __repr__(self) -> str:
        return f"Segment({self.name})"

    def raw_field(self, number: int) -> str:
        """Return field ``number`` as it stands in the message."""
        fields = self._fields
        if fields is None:
            fields = self._fields = self.raw.split(self.syntax.field)
        index = number - self._shift
        if index == 0 and self._shift:
            return self.syntax.field
        return fields[index] if index < len(fields) else ""

    def field_count(self) -> int:
        """Return the number of the last field that is present."""
        return self.raw.count(self.syntax.field) + self._shift

    def field(self, number: int, *, repetition: int = 1) -> Composite:
        """Return one repetition of a field; an empty one when it is not there."""
        raw = self.raw_field(number)
        if not (self._shift and number <= 2):
            raw = _pick(raw, self.syntax.repetition, repetition)
        return Composite(raw, self.syntax)

    def fields(self, number: int) -> list[Composite]:
        """Return all repetitions of a field that are valued, in order; null counts as a value."""
        raw, separator = self.raw_field(number), self.syntax.repetition
        parts = raw.split(separator) if separator else [raw]
        return [Composite(part, self.syntax) for part in parts if part]

    def get(
        self, number: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 1
    ) -> str | None:
        """Return one value: None if not valued, empty if explicitly null (``""``)."""
        raw = self.raw_field(number)
        if not raw:
            return None
        if component == subcomponent == repetition == 1 and raw.isalnum():
            return raw
        if self._shift and number <= 2:
            return raw
        if repetition != 1 or self.syntax.repetition in raw:
            raw = _pick(raw, self.syntax.repetition, repetition)
        return Composite(raw, self.syntax).get(component, subcomponent)

    def text(
        self, number: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 1
    ) -> str:
        """Return one value, empty if not valued or null, without surrounding blanks."""
        value = self.get(number, component, subcomponent, repetition=repetition)
        return value.strip() if value else ""

    def is_null(self, number: int) -> bool:
        """Return whether the sender asks to delete the field's value (``""``)."""
        return self.raw_field(number) == NULL


class Message:
    """One message. ``raw`` holds the bytes as received; ``flaws`` what was tolerated in them."""

    __slots__ = ("flaws", "raw", "segments", "syntax")

    def __init__(
        self, raw: bytes, segments: Sequence[Segment], syntax: Syntax, flaws: tuple[Flaw, ...]
    ) -> None:
        self.raw = raw
        self.segments = segments
        self.syntax = syntax
        self.flaws = flaws

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """Return the first segment of that name, None when there is none."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None

    def every(self, name: str) -> list[Segment]:
        """Return all segments of that name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def groups(self, start: str) -> Iterator[list[Segment]]:
        """Yield the runs of segments that begin with a segment named ``start``."""
        group: list[Segment] = []
        for segment in self.segments:
            if segment.name == start:
                if group:
                    yield group
                group = [segment]
            elif group:
                group.append(segment)
        if group:
            yield group

    def get(self, path: str) -> str | None:
        """Return the value at a path such as ``PID-3[1].4`` or ``OBX[2]-5.1.2``.

        None if not valued, empty if explicitly null (``""``).

        Raises:
            ValueError: the path cannot be read.
        """
        place = _place(path)
        matching = self.every(place.segment)
        if not 1 <= place.occurrence <= len(matching):
            return None
        segment = matching[place.occurrence - 1]
        return segment.get(
            place.field, place.component, place.subcomponent, repetition=place.repetition
        )

    def text(self, path: str) -> str:
        """Return the value at a path, empty if not valued or null, without surrounding blanks."""
        return (self.get(path) or "").strip()


class Place(NamedTuple):
    """Where a value stands in a message."""

    segment: str
    occurrence: int
    field: int
    repetition: int
    component: int
    subcomponent: int


def parse(data: bytes, *, default_charset: str | None = None) -> Message:
    """Return the message in ``data``.

    Args:
        data: one message, MLLP framing removed.
        default_charset: what a blank MSH-18 means to this peer, as a name of table 0211; None:
            UTF-8 if the bytes are that, else ISO 8859-1.

    Raises:
        RemoteProtocolError: it does not begin with an MSH segment (or FHS, BHS) that has its
        delimiters.

    Standard: HL7 v2.5.1 2.6.
    """
    body, flaws = _without_mark(data)
    names, default = _charset_names(body), default_charset
    if flaws and default is None:
        default = charsets.UTF_8
    text, codec, charset_flaw = charsets.decode(body, names, default_name=default)
    if charset_flaw:
        flaws.append(Flaw(charset_flaw.value))
    if "\x00" in text:
        text = text.replace("\x00", "")
        flaws.append(Flaw.NUL)
    syntax = _syntax(text, codec)
    if "\n" in text:
        text = text.replace("\r\n", "\r").replace("\n", "\r")
        flaws.append(Flaw.SEGMENT_END)
    segments = _segments(text, syntax, flaws)
    return Message(data, segments, syntax, tuple(flaws))


def body_digest(data: bytes) -> bytes:
    """Return the SHA-256 of a message without MSH-7 and MSH-10: equal when it is sent again."""
    body, _ = _without_mark(data)
    end = _line_end(body)
    header, digest = body[:end], hashlib.sha256()
    if separator := header[3:4]:
        fields = header.split(separator)
        for index in (6, 9):
            if index < len(fields):
                fields[index] = b""
        header = separator.join(fields)
    digest.update(header)
    digest.update(memoryview(body)[end:])
    return digest.digest()


def _pick(raw: str, separator: str, position: int) -> str:
    if not separator or separator not in raw:
        return raw if position == 1 else ""
    parts = raw.split(separator, position)
    return parts[position - 1] if 0 < position <= len(parts) else ""


@lru_cache(maxsize=512)
def _place(path: str) -> Place:
    match = _PATH.fullmatch(path)
    if match is None:
        msg = f"not a path into an HL7 message: {path!r}"
        raise ValueError(msg)
    return Place(
        match["segment"],
        int(match["occurrence"] or 1),
        int(match["field"]),
        int(match["repetition"] or 1),
        int(match["component"] or 1),
        int(match["subcomponent"] or 1),
    )


def _without_mark(data: bytes) -> tuple[bytes, list[Flaw]]:
    flaws: list[Flaw] = []
    if data.startswith(UTF_8_BYTE_ORDER_MARK):
        data = data[len(UTF_8_BYTE_ORDER_MARK) :]
        flaws.append(Flaw.BYTE_ORDER_MARK)
    return data.lstrip(b"\r\n \t"), flaws


def _line_end(body: bytes) -> int:
    match = _LINE_END.search(body)
    return match.start() if match else len(body)


def _charset_names(body: bytes) -> list[str]:
    """Read MSH-18 before decoding: MSH is ASCII that far in every set that fits into MLLP."""
    fields = body[: _line_end(body)].split(body[3:4] or b"|")
    if len(fields) <= 17:
        return []
    separators = fields[1].decode("latin-1")
    repetition = separators[1:2] or "~"
    return [name.strip() for name in fields[17].decode("latin-1").split(repetition)]


def _syntax(text: str, codec: str) -> Syntax:
    if text[:3] not in _HEADERS or len(text) < 5:
        msg = "the message does not begin with an MSH segment"
        raise RemoteProtocolError(msg)
    field = text[3]
    characters = re.split(rf"[\r\n{re.escape(field)}]", text[4:16], maxsplit=1)[0]
    delimiters = field + characters
    if (
        not characters
        or len(set(delimiters)) != len(delimiters)
        or any(c.isalnum() for c in delimiters)
    ):
        msg = "MSH-1 and MSH-2 do not hold usable delimiters"
        raise RemoteProtocolError(msg)
    return _make_syntax(field, characters, codec)


@lru_cache(maxsize=64)
def _make_syntax(field: str, characters: str, codec: str) -> Syntax:
    component, repetition, escape, subcomponent, truncation, *_ = (*characters, "", "", "", "", "")
    return Syntax(
        field,
        component,
        repetition,
        escape,
        subcomponent,
        truncation,
        codec,
        charsets.hex_decoder(codec),
    )


def _segments(text: str, syntax: Syntax, flaws: list[Flaw]) -> list[Segment]:
    separator = syntax.field
    rows: list[str] = []
    continued: list[str] = []
    for line in text.split("\r"):
        name = line[:3]
        # A segment identifier is three capitals or digits, then the separator or nothing at all.
        if (
            line[3:4] in {separator, ""}
            and len(name) == 3
            and name.isalnum()
            and name == name.upper()
        ):
            if continued:
                _continue(rows, continued, flaws)
            rows.append(line)
        elif line.strip():
            continued.append(line)
    if continued:
        _continue(rows, continued, flaws)
    return [Segment(row, syntax) for row in rows]


def _continue(rows: list[str], continued: list[str], flaws: list[Flaw]) -> None:
    rows[-1] = "\n".join((rows[-1], *continued))
    continued.clear()
    if Flaw.LINE_BREAK_IN_VALUE not in flaws:
        flaws.append(Flaw.LINE_BREAK_IN_VALUE)
