r"""Conditions from what peers ask: C-FIND identifiers and QIDO-RS query parameters.

A key that cannot be understood is refused with its tag rather than ignored: a search that drops a
constraint answers with other people's studies. Levels and required keys are not judged here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.matching import (
    AnyOf,
    CombinedDateTimeRange,
    Condition,
    DateRange,
    DateTimeRange,
    EmptyValue,
    FuzzyName,
    ListOfUid,
    PersonName,
    Query,
    SequenceMatch,
    SingleValue,
    TimeRange,
    Universal,
    Wildcard,
    person_name_key,
    words,
)
from isocenter.standards.dicom.values_model import DataSet, Element
from isocenter.standards.dicom.values_temporal import parse_date, parse_date_time, parse_time

# Elements of an identifier that steer the query and are no keys (PS3.4 C.4.1.1.3).
NOT_KEYS: Final = frozenset({0x00080005, 0x00080052, 0x00080201})
# Dates and times that belong together as one moment.
DATE_TIME_PAIRS: Final[Mapping[int, int]] = {
    0x00080020: 0x00080030,  # Study
    0x00080021: 0x00080031,  # Series
    0x00080022: 0x00080032,  # Acquisition
    0x00080023: 0x00080033,  # Content
    0x00080012: 0x00080013,  # Instance Creation
    0x00400002: 0x00400003,  # Scheduled Procedure Step Start
    0x00400244: 0x00400245,  # Performed Procedure Step Start
    0x00400250: 0x00400251,  # Performed Procedure Step End
}
# PS3.4 C.2.2.2.4: where * and ? are wildcards and not characters.
_WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_EMPTY_VALUE: Final = '""'
_SCHEDULED_PROCEDURE_STEP_SEQUENCE: Final = 0x00400100
_HEX_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER_DIGITS_MAX: Final = 9
_PATH_DEPTH_MAX: Final = 8
_VALUES_MAX: Final = 10_000


class UnmatchableKeyError(RemoteProtocolError):
    """A key's value is not of the form that its VR has in a search.

    Attributes:
        tag: the key.
    """

    def __init__(self, tag: int, reason: str) -> None:
        keyword = dictionary.keyword_of(tag) or ""
        super().__init__(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}: {reason}".strip())
        self.tag = tag


class UnknownParameterError(RemoteProtocolError):
    """A query parameter is neither an attribute nor one that PS3.18 defines, or has no sense.

    Attributes:
        parameter: its name.
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"query parameter {parameter[:64]!r}: {reason}")
        self.parameter = parameter


def parse_identifier(
    identifier: DataSet, *, fuzzy: bool = False, combined_date_time: bool = False
) -> Query:
    """The search that a C-FIND identifier asks for.

    Args:
        identifier: as received; nested return keys stay there for the answer to mirror.
        fuzzy: fuzzy semantic matching of names was negotiated.
        combined_date_time: combined date-time matching was negotiated. Scheduled procedure step
            dates and times are always combined.

    Raises:
        UnmatchableKeyError: a date, time or number key has no such form.

    Standard: PS3.4 C.2.2.2, K.2.2.1.2, K.6.1.2.2
    """
    conditions = _conditions(identifier, fuzzy=fuzzy, combined=combined_date_time)
    return Query(conditions, frozenset(identifier) - NOT_KEYS, fuzzy=fuzzy)


def _conditions(identifier: DataSet, *, fuzzy: bool, combined: bool) -> tuple[Condition, ...]:
    found: dict[int, Condition] = {}
    for tag, element in sorted(identifier.items()):
        if tag in NOT_KEYS:
            continue
        condition = _condition(tag, element, fuzzy=fuzzy, combined=combined)
        if not isinstance(condition, Universal):
            found[tag] = condition
    return tuple(_combine(found) if combined else found.values())


def _condition(tag: int, element: Element, *, fuzzy: bool, combined: bool) -> Condition:
    if element.vr == "SQ":
        item = next((v for v in element.values if isinstance(v, DataSet)), DataSet())
        inside = combined or tag == _SCHEDULED_PROCEDURE_STEP_SEQUENCE
        conditions = _conditions(item, fuzzy=fuzzy, combined=inside)
        return SequenceMatch(tag, conditions) if conditions else Universal(tag)
    vr = dictionary.vr_of(tag) if element.vr == "UN" else element.vr
    return _of_values(tag, vr, list(_texts(element)), fuzzy=fuzzy)


def _texts(element: Element) -> Iterator[str]:
    """The values of a key; of one whose VR nobody tells (UN), what its bytes say as text."""
    for value in element.values:
        if isinstance(value, bytes):
            if element.vr == "UN":
                yield from value.decode("ascii", "replace").split("\\")
        elif isinstance(value, str | int | float):
            yield str(value)


def _of_values(tag: int, vr: str, values: Sequence[str], *, fuzzy: bool) -> Condition:
    """The condition that one or several values of a key make."""
    values = [value.strip(" \0") for value in values]
    values = [value for value in values if value]
    if len(values) > _VALUES_MAX:
        raise UnmatchableKeyError(tag, f"more than {_VALUES_MAX} values")
    if not values:
        return Universal(tag)
    if vr == "UI" and _EMPTY_VALUE not in values:
        # "*" is no UID; clients send it meaning "any".
        if "*" in values:
            return Universal(tag)
        return ListOfUid(tag, tuple(values)) if len(values) > 1 else SingleValue(tag, vr, values[0])
    options = [_of_value(tag, vr, value, fuzzy=fuzzy) for value in values]
    if len(options) == 1:
        return options[0]
    if any(isinstance(option, Universal) for option in options):
        return Universal(tag)
    return AnyOf(tag, tuple(options))


def _of_value(tag: int, vr: str, value: str, *, fuzzy: bool) -> Condition:
    if value == _EMPTY_VALUE:
        return EmptyValue(tag)
    if vr in _WILDCARD_VRS and not value.strip("*"):
        return Universal(tag)
    match vr:
        case "DA":
            return _date_range(tag, value)
        case "TM":
            return _time_range(tag, value)
        case "DT":
            return _date_time_range(tag, value)
        case "PN":
            return _name(tag, value, fuzzy)
        case "IS" | "DS" | "US" | "SS" | "UL" | "SL" | "UV" | "SV" | "FL" | "FD":
            return _number(tag, vr, value)
        case _:
            if vr in _WILDCARD_VRS and ("*" in value or "?" in value):
                return Wildcard(tag, vr, value)
            return SingleValue(tag, vr, value)


def with_vr(condition: Condition, vr: str) -> Condition:
    """The same condition on an attribute of which it is known now that it has this VR.

    For private attributes, whose VR no dictionary tells. Raises ``UnmatchableKeyError``.
    """
    match condition:
        case SingleValue(tag, known, value) if known != vr:
            return _of_value(tag, vr, value, fuzzy=False)
        case Wildcard(tag, known, pattern) if known != vr:
            return _of_value(tag, vr, pattern, fuzzy=False)
        case AnyOf(tag, options):
            return AnyOf(tag, tuple(with_vr(each, vr) for each in options))
        case _:
            return condition


def _number(tag: int, vr: str, value: str) -> Condition:
    if not re.fullmatch(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", value):
        raise UnmatchableKeyError(tag, "no number")
    return SingleValue(tag, vr, value)


def _name(tag: int, value: str, fuzzy: bool) -> Condition:
    if fuzzy:
        asked = words(value)
        return FuzzyName(tag, asked) if asked else Universal(tag)
    key = person_name_key(value)
    if "=" in value:
        groups = tuple(key.split("="))[:3]
        return PersonName(tag, groups, any_group=False) if any(groups) else Universal(tag)
    return PersonName(tag, (key,), any_group=True) if key else Universal(tag)


def _date_range(tag: int, value: str) -> DateRange:
    exact = parse_date(value)
    if exact is not None:
        return DateRange(tag, exact, exact)
    first, dash, last = value.partition("-")
    earliest, latest = parse_date(first), parse_date(last)
    whole = (earliest is not None or not first.strip()) and (latest is not None or not last.strip())
    if not dash or not whole or earliest is latest is None:
        raise UnmatchableKeyError(tag, "no date or range of dates")
    return DateRange(tag, earliest, latest)


def _time_range(tag: int, value: str) -> TimeRange:
    first, dash, last = value.partition("-")
    early, late = parse_time(first), parse_time(last)
    if not dash and early is not None:
        return TimeRange(tag, early.earliest, early.latest)
    whole = (early is not None or not first.strip()) and (late is not None or not last.strip())
    if not dash or not whole or early is late is None:
        raise UnmatchableKeyError(tag, "no time or range of times")
    return TimeRange(tag, early.earliest if early else None, late.latest if late else None)


def _date_time_range(tag: int, value: str) -> DateTimeRange:
    exact = parse_date_time(value)
    if exact is not None:
        return DateTimeRange(tag, exact.earliest, exact.latest)
    # A hyphen may part the range or begin an offset: take the one that leaves sense on both sides.
    for hyphen in (match.start() for match in re.finditer("-", value[:64])):
        first, last = value[:hyphen].strip(), value[hyphen + 1 :].strip()
        early, late = parse_date_time(first), parse_date_time(last)
        if (early or not first) and (late or not last) and (early or late):
            earliest = early.earliest if early else None
            return DateTimeRange(tag, earliest, late.latest if late else None)
    raise UnmatchableKeyError(tag, "no date time or range of them")


def _combine(found: Mapping[int, Condition]) -> list[Condition]:
    """Put each date range and the range of its time together.

    Standard: PS3.4 C.2.2.2.5.4
    """
    rest = dict(found)
    for date_tag, time_tag in DATE_TIME_PAIRS.items():
        days, times = rest.get(date_tag), rest.get(time_tag)
        if isinstance(days, DateRange) and isinstance(times, TimeRange):
            del rest[time_tag]
            rest[date_tag] = CombinedDateTimeRange(
                date_tag,
                time_tag,
                _moment(days.earliest, times.earliest or time.min),
                _moment(days.latest, times.latest or time.max),
            )
    return list(rest.values())


def _moment(day: date | None, at: time) -> datetime | None:
    return None if day is None else datetime.combine(day, at)


@dataclass(slots=True)
class _Asked:
    """What the query parameters add up to while they are read."""

    keys: DataSet = field(default_factory=DataSet)
    returned: set[int] = field(default_factory=set[int])
    all_fields: bool = False
    fuzzy: bool = False
    limit: int | None = None
    offset: int = 0


def parse_params(
    params: Iterable[tuple[str, str]], *, ignored: frozenset[str] = frozenset()
) -> Query:
    r"""The search that QIDO-RS query parameters ask for.

    Attributes are named by keyword or eight hexadecimal digits, inside sequences by a path with
    dots. UIDs and coded strings may be several, parted by , or \ or by repeating the parameter.

    Args:
        params: names and values, already decoded from the URL.
        ignored: names of parameters that the caller handles itself.

    Raises:
        UnknownParameterError: a name is unknown, or limit, offset and the like have no sense.
        UnmatchableKeyError: a value has not the form that its VR has in a search.

    Standard: PS3.18 8.3.4, 10.6
    """
    asked = _Asked()
    for name, value in params:
        if name in ignored:
            continue
        _read_parameter(asked, name, value)
    conditions = _conditions(asked.keys, fuzzy=asked.fuzzy, combined=True)
    returned = frozenset(asked.keys) | asked.returned
    return Query(conditions, returned, asked.all_fields, asked.fuzzy, asked.limit, asked.offset)


def filter_identifier(pairs: Iterable[tuple[str, str]]) -> DataSet:
    """The identifier whose keys are these: names or paths of attributes, and values.

    Raises:
        UnknownParameterError: a name is unknown.
        UnmatchableKeyError: a value has not the form that its VR has in a search.

    Standard: PS3.18 8.3.4.1, 11.10.1.2
    """
    keys = DataSet()
    for name, value in pairs:
        _add_key(keys, parse_path(name), value)
    parse_identifier(keys)
    return keys


def _read_parameter(asked: _Asked, name: str, value: str) -> None:
    match name:
        case "limit":
            asked.limit = _count(name, value)
        case "offset":
            asked.offset = _count(name, value)
        case "fuzzymatching":
            asked.fuzzy = _flag(name, value)
        case "emptyvaluematching" | "multiplevaluematching":
            # Both are always on here; "false" is how a client says that it does not need them.
            _flag(name, value)
        case "includefield":
            for part in filter(None, value.split(",")):
                if part.strip() == "all":
                    asked.all_fields = True
                else:
                    asked.returned.add(parse_path(part)[0])
        case _:
            _add_key(asked.keys, parse_path(name), value)


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > _NUMBER_DIGITS_MAX:
        raise UnknownParameterError(name, "must be a whole number from 0")
    return int(value)


def _flag(name: str, value: str) -> bool:
    lowered = value.lower()
    if lowered not in {"true", "false"}:
        raise UnknownParameterError(name, "must be true or false")
    return lowered == "true"


def parse_path(name: str) -> list[int]:
    """The tags that a parameter names, from the outermost sequence inwards.

    Raises:
        UnknownParameterError: a part is neither a keyword nor eight hexadecimal digits.

    Standard: PS3.18 8.3.4.1
    """
    parts = name.strip().split(".")
    if len(parts) > _PATH_DEPTH_MAX:
        raise UnknownParameterError(name, "too many levels")
    tags: list[int] = []
    for part in parts:
        if _HEX_TAG.fullmatch(part):
            tags.append(int(part, 16))
            continue
        try:
            tags.append(dictionary.tag_of(part))
        except KeyError as error:
            raise UnknownParameterError(name, "no such attribute") from error
    return tags


def _add_key(keys: DataSet, path: list[int], value: str) -> None:
    for tag in path[:-1]:
        if dictionary.vr_of(tag) != "SQ":
            raise UnmatchableKeyError(tag, "no sequence")
        if not keys.sequence(tag):
            keys.put(tag, DataSet(), vr="SQ")
        keys = keys.item(tag)
    tag = path[-1]
    vr = dictionary.vr_of(tag)
    if vr == "SQ":
        if value:
            raise UnmatchableKeyError(tag, "a sequence has no value of its own")
        keys.put(tag, vr=vr)
        return
    separators = r"[,\\]" if vr in {"UI", "CS"} else r"\\"
    known = keys[tag].values if tag in keys else ()
    keys.put(tag, *known, *re.split(separators, value), vr=vr)
