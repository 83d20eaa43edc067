"""HL7 data types to plain values: dates and times, identifiers, names, codes, people, addresses.

Readers take one repetition of a field (``Composite``) and never fail: what cannot be read is empty
or None.

Standard: HL7 v2.5.1 chapter 2.A.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Final

from isocenter.standards.hl7v2.er7 import Composite

_DTM: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?)?)?)?)?(?P<offset>[+-]\d{4})?"
)


class Precision(StrEnum):
    """The smallest part that a date and time states."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"
    FRACTION = "fraction"


_DTM_LENGTH_MAX: Final = 26
_FINEST_FIRST: Final = tuple(reversed(Precision))


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time with what was really said about it.

    Attributes:
        value: aware; parts that were not stated are at their lowest.
        precision: the smallest part that was stated.
        has_offset: whether the offset from UTC was stated rather than assumed.
    """

    value: datetime
    precision: Precision
    has_offset: bool

    @property
    def date(self) -> date:
        """The calendar date as stated, in its own offset."""
        return self.value.date()


def parse_dtm(text: str, default_zone: tzinfo) -> Moment | None:
    """Return a TS or DTM value, None if it is none.

    Args:
        text: ``YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]``.
        default_zone: where the sender's clock stands when no offset is stated.

    Standard: HL7 v2.5.1 2.A.22.
    """
    text = text.strip()
    return _moment(text, default_zone) if 0 < len(text) <= _DTM_LENGTH_MAX else None


@lru_cache(maxsize=256)  # a message says the same moment in several places
def _moment(text: str, default_zone: tzinfo) -> Moment | None:
    match = _DTM.fullmatch(text)
    if match is None or not text.isascii():
        return None
    parts = match.groupdict()
    offset = parts["offset"]
    try:
        zone = _offset(offset) if offset else default_zone
        value = datetime(
            int(parts["year"]),
            int(parts["month"] or 1),
            int(parts["day"] or 1),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            int((parts["fraction"] or "0").ljust(6, "0")),
            tzinfo=zone,
        )
        value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    precision = next(level for level in _FINEST_FIRST if parts[level.value] is not None)
    return Moment(value, precision, offset is not None)


def format_dtm(value: datetime) -> str:
    """Return an aware time as DTM to the second, with its offset.

    Standard: HL7 v2.5.1 2.A.22.
    """
    # strftime does not pad years below 1000 everywhere.
    return f"{value.year:04d}{value.strftime('%m%d%H%M%S%z')[:15]}"


@dataclass(frozen=True, slots=True)
class AssigningAuthority:
    """HD: a namespace, and the universal id that names it everywhere."""

    namespace_id: str = ""
    universal_id: str = ""
    universal_id_type: str = ""

    def __bool__(self) -> bool:
        return bool(self.namespace_id or self.universal_id)


@dataclass(frozen=True, slots=True)
class Identifier:
    """CX: an identifier and who assigned it. Standard: HL7 v2.5.1 2.A.14."""

    value: str
    authority: AssigningAuthority = AssigningAuthority()
    type_code: str = ""


@dataclass(frozen=True, slots=True)
class EntityIdentifier:
    """EI: an order number or UID and its assigning application. Standard: HL7 v2.5.1 2.A.28."""

    value: str
    authority: AssigningAuthority = AssigningAuthority()


@dataclass(frozen=True, slots=True)
class Code:
    """CE, CWE: a code with its meaning and system. Standard: HL7 v2.5.1 2.A.11, 2.A.13."""

    value: str
    meaning: str = ""
    scheme: str = ""

    def __bool__(self) -> bool:
        return bool(self.value or self.meaning)


@dataclass(frozen=True, slots=True)
class Person:
    """XCN: an identified person; ``name`` is a DICOM PN. Standard: HL7 v2.5.1 2.A.88."""

    identifier: str
    name: str

    def __bool__(self) -> bool:
        return bool(self.identifier or self.name)


@dataclass(frozen=True, slots=True)
class Address:
    """XAD: a postal address. Standard: HL7 v2.5.1 2.A.86."""

    street: str = ""
    other: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


def hd(composite: Composite, component: int) -> AssigningAuthority:
    """Return the HD in a component whose parts are subcomponents."""
    return AssigningAuthority(
        composite.text(component, 1), composite.text(component, 2), composite.text(component, 3)
    )


def cx(composite: Composite) -> Identifier:
    """Return a CX value."""
    return Identifier(composite.text(1), hd(composite, 4), composite.text(5))


def ei(composite: Composite) -> EntityIdentifier:
    """Return an EI value: its authority is in components 2 to 4."""
    return EntityIdentifier(
        composite.text(1),
        AssigningAuthority(composite.text(2), composite.text(3), composite.text(4)),
    )


def ce(composite: Composite) -> Code:
    """Return the first triplet of a CE or CWE value, the alternate one if the first is empty."""
    first = Code(composite.text(1), composite.text(2), composite.text(3))
    return first or Code(composite.text(4), composite.text(5), composite.text(6))


def ce_alternate(composite: Composite) -> Code:
    """Return the alternate triplet (components 4 to 6) of a CE or CWE value."""
    return Code(composite.text(4), composite.text(5), composite.text(6))


def xcn(composite: Composite) -> Person:
    """Return an XCN value; before 2.5 the same places were called CN."""
    return Person(composite.text(1), _person_name(composite, first=2))


def xpn(repetitions: Sequence[Composite]) -> str:
    """Return a patient's name as a DICOM Person Name with its ideographic and phonetic groups.

    The legal name (type L) counts, else the first; XPN-8 says in which script a repetition is
    written.

    Standard: HL7 v2.5.1 2.A.89; DICOM PS3.5 6.2.1.2.
    """
    valued = [repetition for repetition in repetitions if repetition]
    if not valued:
        return ""
    kind = next((r.text(7) for r in valued if r.text(7) == "L"), valued[0].text(7))
    same_kind = [repetition for repetition in valued if repetition.text(7) == kind]
    groups = ["", "", ""]
    for repetition in same_kind:
        group = {"I": 1, "P": 2}.get(repetition.text(8), 0)
        groups[group] = groups[group] or _person_name(repetition, first=1)
    return "=".join(groups).rstrip("=")


def xad(composite: Composite) -> Address:
    """Return an XAD value."""
    return Address(*(composite.text(component) for component in (1, 2, 3, 4, 5, 6)))


def xpn_of(person_name: str) -> tuple[str, ...]:
    """Return the components of an XPN for the alphabetic group of a DICOM Person Name."""
    alphabetic = person_name.split("=", 1)[0]
    family, given, middle, prefix, suffix = [*alphabetic.split("^"), "", "", "", "", ""][:5]
    return (family, given, middle, suffix, prefix)


def _person_name(composite: Composite, *, first: int) -> str:
    """The six name parts start at ``first``; DICOM wants the prefix before the suffix."""
    family, given, middle, suffix, prefix, degree = (
        _without_delimiters(composite.text(component)) for component in range(first, first + 6)
    )
    return "^".join((
        family,
        given,
        middle,
        prefix,
        " ".join(filter(None, (suffix, degree))),
    )).rstrip("^")


def _without_delimiters(text: str) -> str:
    """PS3.5 6.2: PN reserves caret, equals and backslash, and has no control characters."""
    if text.isalpha() or not text:
        return text
    return " ".join(re.sub(r"[\^=\\\x00-\x1f]", " ", text).split())


def _offset(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
