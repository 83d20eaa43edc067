"""What the archive says of packs: many small objects of a series in one blob of a store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An object, or a copy of one, that lies alone in its blob."""

    blob_key: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A blob, and the member of a pack that has the same bytes."""

    blob_key: str
    member_key: str


@dataclass(frozen=True, slots=True)
class PackTotals:
    """How many packs there are, of how many objects, and how much is left to do.

    Attributes:
        members: that were packed; those that are gone by now are counted until their pack goes.
        size_bytes: of the packs.
        series_due: series that are still to be looked at.
    """

    packs: int
    members: int
    size_bytes: int
    series_due: int
