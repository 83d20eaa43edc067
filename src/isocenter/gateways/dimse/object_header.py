"""What the archive wants to know of a received object, from the first bytes of its data set.

Standard: PS3.10 7, PS3.5 7
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isocenter.domain.archive.model import INDEXED_TAGS
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import HeaderScan, scan_header
from isocenter.standards.dicom.part10_frames import frame_bits, frame_ranges

# The index of a film of hours would be megabytes in a row of the database; readers then find
# frames anew.
_INDEXED_FRAMES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class ObjectHeader:
    """The indexed attributes of an object, and where its pixels are.

    Attributes:
        attributes: decoded text by tag.
        pixel_data_offset: of the Pixel Data element in the file; ``None`` without one or deflated.
        frame_ranges: pairs of offset and length in the file, 64 bit little endian each; ``None``
            when the
            frames are not plain ranges, or ``needs_frame_index``.
        needs_frame_index: the frames are encapsulated: ``index_frames`` finds them in the whole
            file.
    """

    attributes: Mapping[int, str]
    pixel_data_offset: int | None
    frame_ranges: bytes | None
    needs_frame_index: bool


def read_header(
    data: bytes | bytearray | memoryview, transfer_syntax_uid: str, *, dataset_offset: int
) -> ObjectHeader:
    """The header of an object.

    Args:
        data: the first bytes of the data set.
        transfer_syntax_uid: of the data set.
        dataset_offset: where the data set begins in the file.

    Raises:
        TruncatedError: the header is longer than ``data``, or the object is cut short.
        RemoteProtocolError: this is no data set.
    """
    scan = scan_header(data, INDEXED_TAGS, transfer_syntax_uid=transfer_syntax_uid)
    attributes = {tag: scan.text(tag) for tag in scan.elements if tag in INDEXED_TAGS}
    pixel_data = scan.pixel_data
    if pixel_data is None or scan.inflated is not None:
        return ObjectHeader(attributes, None, None, needs_frame_index=False)
    native = pixel_data.length is not None
    return ObjectHeader(
        attributes,
        pixel_data_offset=dataset_offset + scan.header_end,
        frame_ranges=_native_ranges(scan, dataset_offset) if native else None,
        needs_frame_index=not native,
    )


def index_frames(data: bytes, transfer_syntax_uid: str, *, dataset_offset: int) -> bytes | None:
    """Frame ranges of an encapsulated object from its whole file; ``None`` if not plain ranges."""
    try:
        scan = scan_header(
            data, frozenset[int](), transfer_syntax_uid=transfer_syntax_uid, start=dataset_offset
        )
        ranges = frame_ranges(data, scan)
    except RemoteProtocolError:
        # The object is kept as it is; whoever wants to see it is told what is wrong with it.
        return None
    if not ranges or len(ranges) > _INDEXED_FRAMES_MAX:
        return None
    if any(each.fragments != 1 or each.first_bit for each in ranges):
        return None
    return _packed([(each.offset, each.length) for each in ranges])


def _native_ranges(scan: HeaderScan, dataset_offset: int) -> bytes | None:
    pixel_data = scan.pixel_data
    frames = scan.number(0x00280008) or 1
    try:
        bits = frame_bits(scan)
    except RemoteProtocolError:
        return None
    size = bits // 8
    if pixel_data is None or bits % 8 or not 0 < frames <= _INDEXED_FRAMES_MAX:
        return None
    if size * frames > (pixel_data.length or 0):
        return None
    first = dataset_offset + pixel_data.offset
    return _packed([(first + number * size, size) for number in range(frames)])


def _packed(ranges: list[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<QQ", offset, length) for offset, length in ranges)
