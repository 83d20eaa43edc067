"""What the messages to one receiver say otherwise, field by field: data, never a program.

A map is TOML text. Each key names a place, each value says what stands there::

    "PID-18" = { copy = "PV1-19" }              # the account is the visit number there
    "MSH-6" = "RADIOLOGY"                       # always this
    "PV1-2" = { default = "O" }                 # where nothing else stands
    "ORU:OBR-24" = { codes = { CT = "CTSCAN" }, otherwise = "keep" }
    "OBX-16" = { empty = true }
    "ORU^R01:ZDS" = { empty = true }            # the whole segment is left out

A place is ``[TYPE[^EVENT]:]SEGMENT[[n]][-FIELD[.COMPONENT[.SUBCOMPONENT]]]``: without ``[n]`` every
segment of that name, of the type and event every message. Rules are done in their order, so a
later one sees what an earlier one wrote. A rule that finds no such segment does nothing: rules
change what is said, they add no segment.

Standard: HL7 v2.5.1 2.6, 2.7
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast

from isocenter.standards import LocalProtocolError
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, escape, unescape

RULES_MAX: Final = 100
CODES_MAX: Final = 500
TEXT_LENGTH_MAX: Final = 1000
MAP_LENGTH_MAX: Final = 64_000
_FIELD_MAX: Final = 200
_PART_MAX: Final = 50
_FIXED: Final = frozenset({("MSH", 1), ("MSH", 2), ("MSH", 10), ("MSH", 18)})
_PLACE: Final = re.compile(
    r"(?:(?P<type>[A-Z]{3})(?:\^(?P<event>[A-Z]\d\d))?:)?(?P<segment>[A-Z][A-Z0-9]{2})"
    r"(?:\[(?P<turn>[1-9]\d{0,3})\])?"
    r"(?:-(?P<field>[1-9]\d{0,2})(?:\.(?P<component>[1-9]\d?)(?:\.(?P<part>[1-9]\d?))?)?)?"
)
_KEEP, _EMPTY = "keep", "empty"
_FIELD, _COMPONENT = DEFAULT_SYNTAX.field, DEFAULT_SYNTAX.component
_REPETITION, _PART = DEFAULT_SYNTAX.repetition, DEFAULT_SYNTAX.subcomponent


class BadFieldMap(LocalProtocolError):
    """The text is no field map."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule applies. Zero: not said; ``component`` 0 is the whole field.

    Attributes:
        message_type: MSH-9.1; '' for every message. ``event`` is MSH-9.2.
        turn: which of the segments of that name; 0 for all.
    """

    message_type: str
    event: str
    segment: str
    turn: int
    field: int
    component: int
    part: int

    def is_of(self, kind: tuple[str, str]) -> bool:
        """Whether it is about messages of this type and event."""
        return self.message_type in {"", kind[0]} and self.event in {"", kind[1]}


@dataclass(frozen=True, slots=True)
class Rule:
    """One change. Exactly one of ``text``, ``default``, ``source`` and ``codes``, or none: empty.

    Attributes:
        codes: what stands there, to what shall.
        otherwise: for what is not in ``codes``: ``keep``, ``empty``, or the text itself.
    """

    place: Place
    text: str | None = None
    default: str | None = None
    source: Place | None = None
    codes: Mapping[str, str] | None = field(default=None, hash=False)
    otherwise: str = _KEEP


@lru_cache(maxsize=256)
def parse_map(text: str) -> tuple[Rule, ...]:
    """The rules of a map, in their order. Raises ``BadFieldMap``, which says what is wrong."""
    if len(text) > MAP_LENGTH_MAX:
        raise BadFieldMap(f"a field map has at most {MAP_LENGTH_MAX} characters")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFieldMap(f"the field map is no TOML: {error}") from error
    if len(table) > RULES_MAX:
        raise BadFieldMap(f"a field map has at most {RULES_MAX} rules")
    return tuple(_rule(place, said) for place, said in table.items())


def apply_map(rules: Sequence[Rule], segments: Sequence[str]) -> list[str]:
    """The segments of a message, MSH first, in the usual delimiters, as the rules have them."""
    kind = [*_split(segments[0]), *[""] * 9][9].split(_COMPONENT)
    about = (kind[0], kind[1] if len(kind) > 1 else "")
    lines: list[str] = list(segments)
    for rule in rules:
        if rule.place.is_of(about):
            lines = _applied(rule, lines)
    return lines


def _rule(key: str, said: Any) -> Rule:
    place = _place(key)
    if isinstance(said, str):
        return _checked(Rule(place, text=said), key)
    if not isinstance(said, dict):
        raise BadFieldMap(f"{key}: a text, or a table that says what stands there")
    table = cast("dict[str, Any]", said)
    unknown = sorted(set(table) - {"text", "default", "copy", "codes", "otherwise", "empty"})
    if unknown:
        raise BadFieldMap(f"{key}: there is no {', '.join(unknown)}")
    ways = [each for each in ("text", "default", "copy", "codes", "empty") if each in table]
    if len(ways) != 1 or ("otherwise" in table and "codes" not in table):
        raise BadFieldMap(f"{key}: one of text, default, copy, codes and empty")
    if "empty" in table and table["empty"] is not True:
        raise BadFieldMap(f"{key}: empty is true")
    texts = [table[each] for each in ("text", "default", "copy", "otherwise") if each in table]
    codes: dict[str, str] | None = None
    if "codes" in table:
        if not isinstance(table["codes"], dict):
            raise BadFieldMap(f"{key}: codes is a table")
        codes = cast("dict[str, str]", table["codes"])
        if len(codes) > CODES_MAX:
            raise BadFieldMap(f"{key}: at most {CODES_MAX} codes")
        texts += codes.values()
    if not all(isinstance(each, str) for each in texts):
        raise BadFieldMap(f"{key}: what stands there is a text")
    return _checked(
        Rule(
            place,
            text=table.get("text"),
            default=table.get("default"),
            source=_place(table["copy"]) if "copy" in table else None,
            codes=codes,
            otherwise=table.get("otherwise", _KEEP),
        ),
        key,
    )


def _checked(rule: Rule, key: str) -> Rule:
    place = rule.place
    is_empty = rule == Rule(place)
    if not place.field and not is_empty:
        raise BadFieldMap(f"{key}: a whole segment can only be empty")
    # Without these nobody could read or answer the message.
    if (place.segment, place.field) in _FIXED or (place.segment == "MSH" and not place.field):
        raise BadFieldMap(f"{key}: that is not for a map to say")
    if rule.source is not None and not rule.source.field:
        raise BadFieldMap(f"{key}: a field is copied, not a segment")
    texts = [rule.text or "", rule.default or "", rule.otherwise, *(rule.codes or {}).values()]
    if any(len(each) > TEXT_LENGTH_MAX for each in texts):
        raise BadFieldMap(f"{key}: a text has at most {TEXT_LENGTH_MAX} characters")
    return rule


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise BadFieldMap(f"{text}: a place is written as PID-18, ORU:OBX[2]-5 or PID-3.4.2")
    numbers = [int(match[name] or 0) for name in ("turn", "field", "component", "part")]
    if numbers[1] > _FIELD_MAX or max(numbers[2:]) > _PART_MAX:
        raise BadFieldMap(f"{text}: there are no such fields")
    return Place(match["type"] or "", match["event"] or "", match["segment"], *numbers)


def _applied(rule: Rule, lines: Sequence[str]) -> list[str]:
    after: list[str] = []
    turn = 0
    for line in lines:
        if line[:3] != rule.place.segment:
            after.append(line)
            continue
        turn += 1
        if rule.place.turn not in {0, turn}:
            after.append(line)
        elif rule.place.field:
            after.append(_changed(rule, line, lines))
    return after


def _changed(rule: Rule, line: str, lines: Sequence[str]) -> str:
    place, fields = rule.place, _split(line)
    fields += [""] * (place.field + 1 - len(fields))
    if rule.source is not None:
        copied = _copied(rule.source, line, lines)
        fields[place.field] = _with(fields[place.field], place, lambda _: copied)
    else:
        fields[place.field] = _with(fields[place.field], place, lambda value: _said(rule, value))
    while not fields[-1]:
        fields.pop()
    return _joined(fields)


def _said(rule: Rule, before: str) -> str:
    """What stands there after the rule, escaped."""
    if rule.text is not None:
        return escape(rule.text)
    if rule.default is not None:
        return before or escape(rule.default)
    if rule.codes is None:
        return ""
    # Each repetition by its first component, which is where codes stand.
    return _REPETITION.join(_coded(rule, each) for each in before.split(_REPETITION))


def _coded(rule: Rule, value: str) -> str:
    first, separator, rest = value.partition(_COMPONENT)
    mapped = (rule.codes or {}).get(unescape(first))
    if mapped is not None:
        return escape(mapped) + separator + rest
    if rule.otherwise == _KEEP or not value:
        return value
    return "" if rule.otherwise == _EMPTY else escape(rule.otherwise)


def _copied(source: Place, line: str, lines: Sequence[str]) -> str:
    """The source's value: of the same segment, or of the first (or n-th) one of that name."""
    if line[:3] == source.segment and not source.turn:
        return _value(_split(line), source)
    named = [each for each in lines if each[:3] == source.segment]
    turn = source.turn or 1
    return _value(_split(named[turn - 1]), source) if len(named) >= turn else ""


def _value(fields: Sequence[str], place: Place) -> str:
    """The field, or of its first repetition the component or subcomponent, as it is written."""
    text = fields[place.field] if len(fields) > place.field else ""
    if not place.component:
        return text
    text = _nth(text.split(_REPETITION)[0], _COMPONENT, place.component)
    return _nth(text, _PART, place.part) if place.part else text


def _nth(text: str, separator: str, number: int) -> str:
    parts = text.split(separator)
    return parts[number - 1] if len(parts) >= number else ""


def _with(text: str, place: Place, change: Callable[[str], str]) -> str:
    """The field with its value in that place changed, in every repetition."""
    if not place.component:
        return change(text)
    return _REPETITION.join(_in_repetition(each, place, change) for each in text.split(_REPETITION))


def _in_repetition(text: str, place: Place, change: Callable[[str], str]) -> str:
    value = _nth(text, _COMPONENT, place.component)
    if place.part:
        value = _put(value, _PART, place.part, change(_nth(value, _PART, place.part)))
    else:
        value = change(value)
    return _put(text, _COMPONENT, place.component, value)


def _put(text: str, separator: str, number: int, new: str) -> str:
    parts = text.split(separator)
    parts += [""] * (number - len(parts))
    parts[number - 1] = new
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return separator.join(parts)


def _split(line: str) -> list[str]:
    """The segment's name and its fields by number; MSH-1 is the separator itself."""
    parts = line.split(_FIELD)
    return [parts[0], _FIELD, *parts[1:]] if parts[0] == "MSH" else parts


def _joined(fields: Sequence[str]) -> str:
    if fields[0] == "MSH":
        return _FIELD.join(("MSH", *fields[2:]))
    return _FIELD.join(fields)
