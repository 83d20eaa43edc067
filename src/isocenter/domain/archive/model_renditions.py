"""What the archive says of renditions: the lossless HTJ2K form of an instance, beside it."""

from dataclasses import dataclass
from typing import Final

# Goes before the file in its blob: so nobody who looks through a store takes it for an original.
# It begins like everything that is only made from images, see ``service.rebuilding``.
MARK: Final = b"{isocenter rendition 1}".ljust(32)


@dataclass(frozen=True, slots=True)
class Unrendered:
    """An instance that has no rendition of its bytes, and nobody found out why it cannot."""

    instance_key: int
    blob_key: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRendition:
    """What became of an instance's rendition.

    Attributes:
        source_sha256: of the original that it was made of.
        blob_key: None when there is none, and ``obstacle`` says why.
        frame_ranges: pairs of offset and length in the blob, 64 bit little endian each.
    """

    instance_key: int
    source_sha256: bytes
    blob_key: str | None = None
    size_bytes: int = 0
    sha256: bytes | None = None
    frame_ranges: bytes | None = None
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """Where the rendition of an instance is.

    Attributes:
        size_bytes: of the blob, with the mark before the file.
        sha256: of the blob.
        frame_ranges: pairs of offset and length in the blob, 64 bit little endian each.
    """

    instance_key: int
    sop_instance_uid: str
    blob_key: str
    size_bytes: int
    sha256: bytes
    frame_ranges: bytes


@dataclass(frozen=True, slots=True)
class RenditionTotals:
    """How many there are, how much room they take, and how much is left to do.

    Attributes:
        impossible: instances of which none can or need be made.
        series_due: series that are still to be looked at.
    """

    renditions: int
    size_bytes: int
    impossible: int
    series_due: int
