"""What the messages to or from one peer say otherwise, field by field: data, never a program.

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
change what is said, they add no segment. What is copied into a group (of an order, a charge, a
resource) is that group's own, where groups have it.

Standard: HL7 v2.5.1 2.6, 2.7
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast

from isocenter.standards import LocalProtocolError
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, Syntax, escape, unescape

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
# Of MSH of what comes in: the rest says who speaks to whom, and how it is answered.
_READ_OTHERWISE: Final = frozenset({7, 9, 11, 12, 17, 19, 20, 21})
# Where the groups of a message begin: by the first of these that it has.
_GROUPS: Final = ("ORC", "OBR", "FT1", "RGS")


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


@lru_cache(maxsize=256)
def parse_received_map(text: str) -> tuple[Rule, ...]:
    """As ``parse_map``, of messages that we receive: who sent what to whom is not for it to say."""
    rules = parse_map(text)
    for rule in rules:
        if rule.place.segment == "MSH" and rule.place.field not in _READ_OTHERWISE:
            raise BadFieldMap(f"MSH-{rule.place.field}: that is not for a map of what comes in")
    return rules


def apply_map(
    rules: Sequence[Rule], segments: Sequence[str], syntax: Syntax = DEFAULT_SYNTAX
) -> list[str]:
    """The segments of a message, MSH first, in its delimiters, as the rules have them."""
    kind = [*_split(segments[0], syntax), *[""] * 9][9]
    about = (_nth(kind, syntax.component, 1), _nth(kind, syntax.component, 2))
    lines: list[str] = list(segments)
    for rule in rules:
        if rule.place.is_of(about):
            lines = _applied(rule, lines, syntax)
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


def _applied(rule: Rule, lines: Sequence[str], syntax: Syntax) -> list[str]:
    after: list[str] = []
    turn = 0
    for index, line in enumerate(lines):
        if line[:3] != rule.place.segment:
            after.append(line)
            continue
        turn += 1
        if rule.place.turn not in {0, turn}:
            after.append(line)
        elif rule.place.field:
            after.append(_changed(rule, lines, index, syntax))
    return after


def _changed(rule: Rule, lines: Sequence[str], index: int, syntax: Syntax) -> str:
    place, fields = rule.place, _split(lines[index], syntax)
    fields += [""] * (place.field + 1 - len(fields))
    copied = "" if rule.source is None else _copied(rule.source, lines, index, syntax)

    def said(before: str) -> str:
        return _said(rule, before, syntax) if rule.source is None else copied

    fields[place.field] = _with(fields[place.field], place, said, syntax)
    while not fields[-1]:
        fields.pop()
    return _joined(fields, syntax)


def _said(rule: Rule, before: str, syntax: Syntax) -> str:
    """What stands there after the rule, escaped."""
    if rule.text is not None:
        return escape(rule.text, syntax)
    if rule.default is not None:
        return before or escape(rule.default, syntax)
    if rule.codes is None:
        return ""
    # Each repetition by its first component, which is where codes stand.
    mark = syntax.repetition
    return mark.join(_coded(rule, each, syntax) for each in _parts(before, mark))


def _coded(rule: Rule, value: str, syntax: Syntax) -> str:
    first, *rest = _parts(value, syntax.component)
    mapped = (rule.codes or {}).get(unescape(first, syntax))
    if mapped is not None:
        return syntax.component.join((escape(mapped, syntax), *rest))
    if rule.otherwise == _KEEP or not value:
        return value
    return "" if rule.otherwise == _EMPTY else escape(rule.otherwise, syntax)


def _copied(source: Place, lines: Sequence[str], index: int, syntax: Syntax) -> str:
    """The source's value: of the same segment, or of the first (or n-th) one of that name.

    What stands in the groups of a message is looked for in the group of the segment itself.
    """
    if lines[index][:3] == source.segment and not source.turn:
        return _value(_split(lines[index], syntax), source, syntax)
    named = [number for number, each in enumerate(lines) if each[:3] == source.segment]
    if not source.turn:
        named = _beside(named, lines, index)
    turn = source.turn or 1
    return (
        _value(_split(lines[named[turn - 1]], syntax), source, syntax) if len(named) >= turn else ""
    )


def _beside(named: Sequence[int], lines: Sequence[str], index: int) -> Sequence[int]:
    """Which of the segments are in the group of the one at ``index``; all where they are in none.

    An order is never told by what is said of another one.
    """
    names = [each[:3] for each in lines]
    start = next((each for each in _GROUPS if each in names), "")
    begins = [number for number, name in enumerate(names) if name == start]
    if not begins or index < begins[0] or not any(each >= begins[0] for each in named):
        return named
    begin = max(each for each in begins if each <= index)
    end = next((each for each in begins if each > index), len(lines))
    return [each for each in named if begin <= each < end]


def _value(fields: Sequence[str], place: Place, syntax: Syntax) -> str:
    """The field, or of its first repetition the component or subcomponent, as it is written."""
    text = fields[place.field] if len(fields) > place.field else ""
    if not place.component:
        return text
    text = _nth(_parts(text, syntax.repetition)[0], syntax.component, place.component)
    return _nth(text, syntax.subcomponent, place.part) if place.part else text


def _parts(text: str, separator: str) -> list[str]:
    """The parts of a text; it is one where the message has no such separator."""
    return text.split(separator) if separator else [text]


def _nth(text: str, separator: str, number: int) -> str:
    parts = _parts(text, separator)
    return parts[number - 1] if len(parts) >= number else ""


def _with(text: str, place: Place, change: Callable[[str], str], syntax: Syntax) -> str:
    """The field with its value in that place changed, in every repetition."""
    if not place.component:
        return change(text)
    parts = _parts(text, syntax.repetition)
    return syntax.repetition.join(_in_repetition(each, place, change, syntax) for each in parts)


def _in_repetition(text: str, place: Place, change: Callable[[str], str], syntax: Syntax) -> str:
    value = _nth(text, syntax.component, place.component)
    if place.part:
        new = change(_nth(value, syntax.subcomponent, place.part))
        value = _put(value, syntax.subcomponent, place.part, new)
    else:
        value = change(value)
    return _put(text, syntax.component, place.component, value)


def _put(text: str, separator: str, number: int, new: str) -> str:
    parts = _parts(text, separator)
    if not separator and number > 1:
        return text  # the message cannot say it
    parts += [""] * (number - len(parts))
    parts[number - 1] = new
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return separator.join(parts)


def _split(line: str, syntax: Syntax) -> list[str]:
    """The segment's name and its fields by number; MSH-1 is the separator itself."""
    parts = line.split(syntax.field)
    return [parts[0], syntax.field, *parts[1:]] if parts[0] == "MSH" else parts


def _joined(fields: Sequence[str], syntax: Syntax) -> str:
    if fields[0] == "MSH":
        return syntax.field.join(("MSH", *fields[2:]))
    return syntax.field.join(fields)
