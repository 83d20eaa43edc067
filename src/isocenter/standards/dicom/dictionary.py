"""The data dictionary: tag to VR, VM and keyword, and back.

The facts come from a generated table that is one string; it is split at the first question, not
at import. Private elements are not listed here: their VR is UN unless the encoding says otherwise.
"""

from functools import cache, lru_cache
from typing import Final, NamedTuple

from isocenter.standards.dicom.dictionary_table import ELEMENTS, REPEATERS

# Elements whose VR depends on other elements, and what implicit VR means without looking at those:
# Overlay Data, LUT Data and their like are OW in implicit VR little endian (PS3.5 A.1).
_IMPLICIT_CHOICE: Final = {"OB/OW": "OW", "US/SS": "US", "US/OW": "OW", "US/SS/OW": "OW"}


class Entry(NamedTuple):
    """What PS3.6 says of one element: VR alternatives, multiplicity, keyword."""

    vrs: tuple[str, ...]
    vm: str
    keyword: str


@cache
def _elements() -> dict[int, tuple[str, str, str]]:
    table: dict[int, tuple[str, str, str]] = {}
    for line in ELEMENTS.splitlines():
        tag, vr, vm, keyword = line.split(" ")
        table[int(tag, 16)] = (vr, vm, keyword)
    return table


@cache
def _tags() -> dict[str, int]:
    return {row[2]: tag for tag, row in _elements().items()}


@cache
def _repeaters() -> tuple[tuple[int, int, tuple[str, str, str]], ...]:
    rows: list[tuple[int, int, tuple[str, str, str]]] = []
    for line in REPEATERS.splitlines():
        mask, vr, vm, keyword = line.split(" ")
        care = int("".join("0" if digit == "x" else "F" for digit in mask), 16)
        rows.append((care, int(mask.replace("x", "0"), 16), (vr, vm, keyword)))
    return tuple(rows)


def _row(tag: int) -> tuple[str, str, str] | None:
    row = _elements().get(tag)
    if row is not None or tag >> 16 & 1:
        return row
    if tag & 0xFFFF == 0:
        return ("UL", "1", "")
    for care, value, row in _repeaters():
        if tag & care == value:
            return row
    return None


def entry(tag: int) -> Entry | None:
    """The dictionary's entry of ``tag``, or None for private and unknown elements.

    Standard: PS3.6 6
    """
    row = _row(tag)
    return None if row is None else Entry(tuple(row[0].split("/")), row[1], row[2])


def keyword_of(tag: int) -> str | None:
    """The keyword of ``tag``, or None for private and unknown elements.

    Standard: PS3.6 6
    """
    row = _row(tag)
    return (row[2] or None) if row else None


def tag_of(keyword: str) -> int:
    """The tag that has this keyword.

    Raises:
        KeyError: the dictionary has no such keyword.

    Standard: PS3.6 6
    """
    return _tags()[keyword]


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> str:
    """The VR that implicit VR encoding gives ``tag``; UN for what is not known.

    Where the dictionary offers alternatives this is the one that holds without looking at other
    elements.

    Standard: PS3.5 A.1, PS3.6 6
    """
    row = _row(tag)
    if row is None:
        # PS3.5 7.8.1: a private creator is LO; every other private element is unknown.
        return "LO" if is_private_creator(tag) else "UN"
    return _IMPLICIT_CHOICE.get(row[0], row[0])


def vr_is_ambiguous(tag: int) -> bool:
    """Whether the dictionary offers several VRs for ``tag``."""
    row = _row(tag)
    return row is not None and "/" in row[0]


def is_private(tag: int) -> bool:
    """Whether ``tag`` lies in an odd group.

    Standard: PS3.5 7.8
    """
    return bool(tag >> 16 & 1)


def is_private_creator(tag: int) -> bool:
    """Whether ``tag`` reserves a block of private elements.

    Standard: PS3.5 7.8.1
    """
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF
