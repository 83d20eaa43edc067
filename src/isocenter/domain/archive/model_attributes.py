"""Attributes that an administrator has indexed: what they are, and their values in an object.

Values are read from an object's DICOM JSON. Sequences and bulk data are not indexed, nor values
that are longer than anybody types.

Standard: PS3.18 10.6 (what a server matches beyond the required attributes), PS3.5 7.8 (private)
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, cast

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys
from isocenter.standards.dicom.values_temporal import parse_date, parse_date_time, parse_time

AttributeLevel = Literal["study", "series", "instance"]
Model = Mapping[str, Any]

ATTRIBUTES_MAX: Final = 100
VALUES_MAX: Final = 64
VALUE_CHARACTERS_MAX: Final = 1024
_CREATOR_CHARACTERS_MAX: Final = 64
_NUMBERS: Final = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"})
_TEXTS: Final = frozenset({
    "AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT", "DA", "TM", "DT",
    "IS", "DS",
})  # fmt: skip
_PACKED: Final[Mapping[str, str]] = {
    "US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
}  # fmt: skip
_VRS: Final = _TEXTS | frozenset(_PACKED)
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_HEX_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_BLOCKS: Final = range(0x10, 0x100)


class AttributeRefused(IsocenterError):
    """The attribute cannot be indexed; the message says why."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class AttributeKnown(IsocenterError):
    """The attribute is indexed already."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class UnknownAttribute(IsocenterError):
    """No indexed attribute has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NoReindex(IsocenterError):
    """There is no re-indexing of which this could be done."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class AttributeState(StrEnum):
    """Whether searches know the attribute."""

    BUILDING = "building"  # what is stored has not all been read yet: searches pass it over
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttribute:
    """An attribute that is to be indexed.

    Attributes:
        tag: of a private one without its block: (0009,xx02) is 0x00090002.
        name: keyword, or how people call a private one.
        level: of whom it is an attribute.
    """

    tag: int
    private_creator: str
    name: str
    vr: str
    level: AttributeLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedAttribute(NewAttribute):
    """An attribute that is indexed."""

    attribute_key: int
    state: AttributeState
    added_at: datetime
    added_by: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", AttributeState(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedValue:
    """One value as the index holds it: as it is returned, and as it is compared."""

    value: str
    matched: str | None = None
    phonetic: str | None = None
    number: Decimal | None = None
    day: date | None = None
    time_of_day: time | None = None
    moment: datetime | None = None


class ReindexState(StrEnum):
    """How a reading of everything that is stored stands."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindex:
    """A reading of everything that is stored, for attributes that were added."""

    reindex_key: int
    state: ReindexState
    started_at: datetime
    started_by: str
    ended_at: datetime | None
    ended_by: str | None
    after_key: int
    series_total: int
    series: int
    instances: int
    errors: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", ReindexState(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexError:
    """What could not be indexed, and why.

    Attributes:
        sop_instance_uid: empty when it is about the whole series.
        attribute: its name; empty when it is about the whole object.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    attribute: str
    detail: str


class NotIndexable(ValueError):
    """A value that the index cannot hold; the text says why."""


def new_attribute(
    written: str,
    *,
    private_creator: str = "",
    vr: str = "",
    level: str = "",
    default_level_of: Callable[[int], str],
) -> NewAttribute:
    """The attribute that somebody names.

    Args:
        written: a keyword or eight hexadecimal digits; the block of a private tag does not matter.
        private_creator: of a private attribute, and only of these.
        vr: of a private attribute; else the dictionary's.
        level: study, series or instance; empty: where the standard has it.
        default_level_of: where the standard has an attribute; is not asked of private ones.

    Raises:
        AttributeRefused: there is no such attribute, or it cannot be indexed.
    """
    tag = _tag(written)
    private = tag >> 16 & 1 == 1
    if private != bool(private_creator):
        raise AttributeRefused("a private attribute is named with its creator, and no other is")
    if private:
        tag &= 0xFFFF_00FF
        if len(private_creator) > _CREATOR_CHARACTERS_MAX:
            raise AttributeRefused("a private creator has at most 64 characters")
    if not private and vr and vr != dictionary.vr_of(tag):
        raise AttributeRefused(f"its VR is {dictionary.vr_of(tag)}")
    vr = vr or dictionary.vr_of(tag)
    if vr not in _VRS:
        raise AttributeRefused(
            f"attributes of the VR {vr} are not indexed; say which VR it has"
            if private
            else f"attributes of the VR {vr} are not indexed"
        )
    if tag >> 16 in {0x0000, 0x0002, 0x0004, 0x7FE0}:
        raise AttributeRefused("attributes of this group are not indexed")
    chosen = level or ("instance" if private else default_level_of(tag))
    if chosen not in {"study", "series", "instance"}:
        raise AttributeRefused("the level is study, series or instance")
    name = dictionary.keyword_of(tag) or f"{tag >> 16:04X}xx{tag & 0xFF:02X} of {private_creator}"
    return NewAttribute(
        tag=tag,
        private_creator=private_creator,
        name=name,
        vr=vr,
        level=cast("AttributeLevel", chosen),
    )


def _tag(written: str) -> int:
    text = written.strip().replace(",", "").strip("()")
    if _HEX_TAG.fullmatch(text):
        tag = int(text, 16)
        if tag >> 16 & 1 or dictionary.entry(tag) is not None:
            return tag
    try:
        return dictionary.tag_of(text)
    except KeyError as error:
        shown = f"{written[:64]!r}"
        raise AttributeRefused(
            f"{shown} is neither a keyword nor the tag of an attribute"
        ) from error


def values_in(model: Model, attribute: NewAttribute) -> list[IndexedValue]:
    """The attribute's values in an object, as the index holds them; none when it has none.

    Raises:
        NotIndexable: a value has not the form of its VR, or is too large.
    """
    element = model.get(_key(model, attribute), {})
    if "BulkDataURI" in element:
        raise NotIndexable("the value is too large")
    if "InlineBinary" in element:
        texts = _unpacked(str(element["InlineBinary"]), attribute.vr)
    else:
        texts = [_text(each) for each in cast("Sequence[Any]", element.get("Value", ()))]
    texts = [each for each in texts if each]
    if len(texts) > VALUES_MAX:
        raise NotIndexable(f"there are more than {VALUES_MAX} values")
    return [_indexed(each, attribute.vr) for each in texts]


def _key(model: Model, attribute: NewAttribute) -> str:
    """The key of the attribute in this object, where a private one may be in any block."""
    if not attribute.private_creator:
        return f"{attribute.tag:08X}"
    group, element = attribute.tag >> 16, attribute.tag & 0xFF
    for block in _BLOCKS:
        values = model.get(f"{group:04X}00{block:02X}", {}).get("Value", [None])
        if values and str(values[0] or "").strip() == attribute.private_creator:
            return f"{group:04X}{block:02X}{element:02X}"
    return ""


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        groups = cast("Mapping[str, Any]", value)
        return "=".join(str(groups.get(name) or "") for name in _GROUPS).rstrip("=").strip()
    return "" if value is None else str(value).strip()


def _unpacked(encoded: str, vr: str) -> list[str]:
    """The values of what was kept as UN, little endian.

    Standard: PS3.5 6.2.2, Note 4
    """
    try:
        data = base64.b64decode(encoded, validate=True)
        if vr in _PACKED:
            return [str(each) for (each,) in struct.iter_unpack("<" + _PACKED[vr], data)]
        text = data.decode("ascii")
    except (binascii.Error, struct.error, UnicodeDecodeError) as error:
        raise NotIndexable(f"the value cannot be read as {vr}") from error
    return [each.strip(" \0") for each in text.split("\\")]


def _indexed(text: str, vr: str) -> IndexedValue:
    if len(text) > VALUE_CHARACTERS_MAX or "\0" in text:
        raise NotIndexable(f"the value has more than {VALUE_CHARACTERS_MAX} characters")
    if vr == "PN":
        phonetic = " ".join(phonetic_keys(text))
        return IndexedValue(value=text, matched=person_name_key(text), phonetic=phonetic)
    if vr in _NUMBERS:
        return IndexedValue(value=text, number=_number(text))
    if vr == "DA":
        day = parse_date(text)
        if day is None:
            raise NotIndexable("the value is no date")
        return IndexedValue(value=text, day=day)
    if vr == "TM":
        span = parse_time(text)
        if span is None:
            raise NotIndexable("the value is no time")
        return IndexedValue(value=text, time_of_day=span.earliest)
    if vr == "DT":
        moments = parse_date_time(text)
        if moments is None:
            raise NotIndexable("the value is no date and time")
        at = moments.earliest
        return IndexedValue(value=text, moment=at if at.tzinfo else at.replace(tzinfo=UTC))
    return IndexedValue(value=text, matched=text)


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 400:
        raise NotIndexable("the value is no number")
    return number


@dataclass(frozen=True, slots=True)
class SeriesValues:
    """What an attribute is in a series: ``(sop_instance_uid, values)``, at its level.

    Of study and series attributes there is one entry: of the first instance that has any value.
    """

    attribute: IndexedAttribute
    found: Sequence[tuple[str, Sequence[IndexedValue]]]


def series_values(
    models: Sequence[Model], attribute: IndexedAttribute
) -> tuple[SeriesValues, list[tuple[str, str]]]:
    """The attribute in a series' instances, and SOP Instance UID and reason of what failed."""
    found: list[tuple[str, Sequence[IndexedValue]]] = []
    failed: list[tuple[str, str]] = []
    for uid, model in _by_uid(models):
        try:
            values = values_in(model, attribute)
        except NotIndexable as error:
            failed.append((uid, str(error)))
            continue
        if values:
            found.append((uid, values))
            if attribute.level != "instance":
                break
    return SeriesValues(attribute, found), failed


def _by_uid(models: Sequence[Model]) -> Iterator[tuple[str, Model]]:
    for model in models:
        values = model.get("00080018", {}).get("Value", [""])
        yield (str(values[0]) if values else ""), model
