"""Segments and fields as plain text, for all who play other systems.

Written apart from the product's own HL7 code, so that a fault there is not made twice.
"""

from collections.abc import Mapping
from datetime import datetime


def field_of(text: str, name: str, number: int) -> str:
    """One field of the first such segment, empty when absent."""
    for line in text.replace("\n", "\r").split("\r"):
        parts = line.split("|")
        if parts[0] == name:
            index = number - 1 if name == "MSH" else number
            return parts[index] if index < len(parts) else ""
    return ""


def segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment with these fields."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def message(*segments: str) -> str:
    """Segments as a message."""
    return "".join(f"{each}\r" for each in segments)


def moment(at: datetime) -> str:
    """A time with its zone, to the millisecond: what follows is said later."""
    return f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}{at:%z}"
