"""What conditions mean: a plain implementation over data sets, for tests to hold SQL against.

Slow and simple; searches of the product run in the database.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

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
    SequenceMatch,
    SingleValue,
    TimeRange,
    Universal,
    Wildcard,
    person_name_key,
    phonetic_key,
    words,
)
from isocenter.standards.dicom.values_model import DataSet
from isocenter.standards.dicom.values_temporal import (
    combine,
    parse_date,
    parse_date_time,
    parse_time,
)

_Ordered = TypeVar("_Ordered")
_NUMERIC_VRS = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})


def matches(conditions: Iterable[Condition], dataset: DataSet) -> bool:
    """Whether ``dataset`` fulfils every condition.

    Of an attribute with several values any may match. An absent or empty attribute matches only
    universal and empty value conditions. A moment without zone counts as UTC.

    Standard: PS3.4 C.2.2.2
    """
    return all(_holds(condition, dataset) for condition in conditions)


def _holds(condition: Condition, dataset: DataSet) -> bool:
    match condition:
        case Universal():
            return True
        case EmptyValue(tag):
            return not any(text.strip() for text in dataset.texts(tag)) and not dataset.sequence(
                tag
            )
        case AnyOf(_, options):
            return any(_holds(option, dataset) for option in options)
        case SequenceMatch(tag, inner):
            return any(matches(inner, item) for item in dataset.sequence(tag))
        case CombinedDateTimeRange():
            return _combined(condition, dataset)
        case _:
            return any(_value_holds(condition, text) for text in dataset.texts(condition.tag))


def _value_holds(condition: Condition, text: str) -> bool:
    match condition:
        case SingleValue(_, vr, value):
            return _equal(vr, value, text)
        case Wildcard(_, _, pattern):
            return wildcard_matches(pattern, text)
        case ListOfUid(_, uids):
            return text in uids
        case PersonName():
            return _name_matches(condition, text)
        case FuzzyName(_, asked):
            return _fuzzy_matches(asked, text)
        case _:
            return _in_range(condition, text)


def _in_range(condition: Condition, text: str) -> bool:
    match condition:
        case DateRange(_, first, last):
            return _within(parse_date(text), first, last, lambda one, two: one <= two)
        case TimeRange(_, from_time, to_time):
            span = parse_time(text)
            at = span.earliest if span else None
            return _within(at, from_time, to_time, lambda one, two: one <= two)
        case DateTimeRange(_, earliest, latest):
            moments = parse_date_time(text)
            moment = moments.earliest if moments else None
            return _within(moment, earliest, latest, lambda one, two: _utc(one) <= _utc(two))
        case _:
            return False


def _within(
    value: _Ordered | None,
    first: _Ordered | None,
    last: _Ordered | None,
    not_after: Callable[[_Ordered, _Ordered], bool],
) -> bool:
    if value is None:
        return False
    return (first is None or not_after(first, value)) and (last is None or not_after(value, last))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _combined(condition: CombinedDateTimeRange, dataset: DataSet) -> bool:
    moment = combine(dataset.text(condition.date_tag), dataset.text(condition.time_tag))
    return _within(moment, condition.earliest, condition.latest, lambda one, two: one <= two)


def _equal(vr: str, value: str, text: str) -> bool:
    if vr not in _NUMERIC_VRS:
        return value == text.strip()
    try:
        return Decimal(value) == Decimal(text.strip())
    except InvalidOperation:
        return False


def wildcard_matches(pattern: str, text: str) -> bool:
    """Whether ``text`` fits a pattern of * and ?.

    Standard: PS3.4 C.2.2.2.4
    """
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _name_matches(condition: PersonName, text: str) -> bool:
    groups = person_name_key(text).split("=")
    if condition.any_group:
        return any(wildcard_matches(condition.groups[0], group) for group in groups if group)
    padded = [*groups, "", "", ""]
    return all(
        not pattern or wildcard_matches(pattern, group)
        for pattern, group in zip(condition.groups, padded, strict=False)
    )


def _fuzzy_matches(asked: tuple[str, ...], text: str) -> bool:
    known = words(text)
    return all(
        any(word.startswith(part) or phonetic_key(word) == phonetic_key(part) for word in known)
        for part in asked
    )
