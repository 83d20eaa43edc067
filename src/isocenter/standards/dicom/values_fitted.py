"""Values that come from elsewhere, made to fit their attributes before they are encoded.

A text that is too long for its VR is cut rather than sent, because one bad value would have the
whole data set refused.

Standard: PS3.5 6.2
"""

from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Final

from isocenter.standards.dicom.dictionary import vr_of
from isocenter.standards.dicom.values import DataSet, Element
from isocenter.standards.dicom.values_temporal import format_date, format_time

# PS3.5 6.2: the most characters that a value of a VR has.
_LENGTHS_MAX: Final[Mapping[str, int]] = {
    "AE": 16,
    "CS": 16,
    "SH": 16,
    "LO": 64,
    "PN": 64,
    "UI": 64,
    "ST": 1024,
    "LT": 10240,
}
_TEXTS_OF_SEVERAL_LINES: Final = frozenset({"ST", "LT"})

_Value = str | int | DataSet


def code_items(codes: Iterable[Mapping[str, str]]) -> Element:
    """Items of a code sequence: of each code ``value``, ``scheme``, ``meaning`` and ``version``.

    Standard: PS3.3 Table 8.8-1a
    """
    items: list[DataSet] = []
    for each in codes:
        values: dict[int, str | int | date | time | None] = {
            0x00080100: each["value"],
            0x00080102: each["scheme"],
            0x00080104: each.get("meaning") or each["value"],
        }
        if each.get("version"):
            values[0x00080103] = each["version"]
        items.append(data_set_of(values))
    return Element("SQ", tuple(items))


def data_set_of(values: Mapping[int, str | int | date | time | None]) -> DataSet:
    """The attributes by tag, as far as they have a value; the others are there and empty."""
    found = DataSet()
    for tag, value in values.items():
        vr = vr_of(tag)
        found[tag] = Element(vr, _encodable(vr, value))
    return found


def _encodable(vr: str, value: str | int | date | time | None) -> tuple[_Value, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, date):
        return (format_date(value),)
    if isinstance(value, time):
        return (format_time(value),)
    if isinstance(value, int):
        return (value,)
    text = fitted(vr, value)
    return (text,) if text else ()


def fitted(vr: str, text: str) -> str:
    """``text`` as a value of ``vr`` may be: without controls and backslashes, not too long.

    Standard: PS3.5 6.2
    """
    kept = "\r\n\f\t" if vr in _TEXTS_OF_SEVERAL_LINES else ""
    clean = text
    if not text.isprintable():
        clean = "".join(each if each.isprintable() or each in kept else " " for each in text)
    if vr not in _TEXTS_OF_SEVERAL_LINES:
        clean = clean.replace("\\", "/")
    if vr == "CS":
        clean = clean.upper()
    length = _LENGTHS_MAX.get(vr)
    if vr == "PN":
        return "=".join(group[:length].strip() for group in clean.split("=")[:3])
    return clean[:length].strip()
