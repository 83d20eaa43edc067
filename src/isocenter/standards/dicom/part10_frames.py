"""Where each frame's bytes are: native, or encapsulated with any of the three ways to index it.

With this index stored at admission a frame is one range read. The bytes are not looked into, except
for the marker that begins a compressed frame when nothing else tells frames apart.
"""

import itertools
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.part10 import HeaderScan, PixelData
from isocenter.standards.dicom.part10_elements import (
    ITEM,
    SEQUENCE_DELIMITATION,
    Buffer,
    TruncatedError,
)

FRAMES_MAX: Final = 1_000_000
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
_VIDEO: Final = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))
_ITEM_HEADER: Final = struct.Struct("<HHL")
_ITEM_HEADER_BYTES: Final = 8
_EXTENDED_OFFSETS: Final = 0x7FE00001
# First bytes of a frame: JPEG SOI; JPEG 2000 SOC, JP2 signature; JPEG XL codestream, container.
_FRAME_STARTS: Final = (
    b"\xff\xd8",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x0cjP",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL",
)


class FramesUnclearError(RemoteProtocolError):
    """The pixel data cannot be divided into the number of frames that the image declares."""


class FrameRange(NamedTuple):
    """One frame's bytes.

    Attributes:
        offset: of the first byte, from where the scan's offsets count.
        length: in bytes.
        fragments: 1: the range is the frame itself. More: the range begins at the first fragment's
            item header and ``join_fragments`` makes the frame of it.
        first_bit: of 1 bit native images, where in the first byte the frame begins (0 to 7, from
            the least significant).
    """

    offset: int
    length: int
    fragments: int = 1
    first_bit: int = 0


def frame_ranges(
    data: Buffer, scan: HeaderScan, *, size_bytes: int | None = None
) -> list[FrameRange]:
    """The byte ranges that ``each_frame_range`` gives, at once."""
    return list(each_frame_range(data, scan, size_bytes=size_bytes))


def each_frame_range(
    data: Buffer, scan: HeaderScan, *, size_bytes: int | None = None
) -> Iterator[FrameRange]:
    """The byte range of each frame, in order; none without pixel data and for video streams.

    One after the other: there may be half a million of them.

    Args:
        data: what was scanned, whole; for a deflated data set ``scan.inflated``.
        scan: its header.
        size_bytes: of the whole, where ``data`` is only the header of native pixel data.

    Raises:
        TruncatedError: the pixel data ends early.
        FramesUnclearError: the number of frames cannot be made out.
        RemoteProtocolError: image attributes are missing or absurd.

    Standard: PS3.5 8, A.4; PS3.3 C.7.6.3.1.8
    """
    pixel_data = scan.pixel_data
    if pixel_data is None or scan.transfer_syntax_uid.startswith(_VIDEO):
        return
    frames = scan.number(0x00280008)
    frames = 1 if frames is None else frames
    if not 0 < frames <= FRAMES_MAX:
        raise RemoteProtocolError(f"Number of Frames is {frames}")
    if pixel_data.length is None:
        yield from _encapsulated(data, scan, pixel_data, frames)
        return
    size = len(data) if size_bytes is None else size_bytes
    yield from _native(size, scan, pixel_data, frames)


def _native(
    size: int, scan: HeaderScan, pixel_data: PixelData, frames: int
) -> Iterator[FrameRange]:
    bits = frame_bits(scan)
    length = pixel_data.length or 0
    needed = (bits * frames + 7) // 8
    if needed > length:
        raise FramesUnclearError(f"{frames} frames need {needed} bytes of pixel data, not {length}")
    if pixel_data.offset + needed > size:
        raise TruncatedError("the pixel data ends early")
    if frames == 1:
        # With its padding: 8 bit pixels in big endian words have the last pixel after it.
        yield FrameRange(pixel_data.offset, min(length, needed + needed % 2))
        return
    for number in range(frames):
        first, last = bits * number, bits * (number + 1)
        start = first // 8
        yield FrameRange(pixel_data.offset + start, (last + 7) // 8 - start, first_bit=first % 8)


def frame_bits(scan: HeaderScan) -> int:
    """Bits that one native frame takes.

    Raises:
        RemoteProtocolError: an attribute that decides it is missing or zero.

    Standard: PS3.5 8.1.1, 8.2; PS3.3 C.7.6.3.1.2
    """
    rows, columns = scan.number(0x00280010), scan.number(0x00280011)
    samples = scan.number(0x00280002) or 1
    allocated = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}.get(
        scan.pixel_data.tag if scan.pixel_data else 0, scan.number(0x00280100)
    )
    if not rows or not columns or not allocated:
        raise RemoteProtocolError("Rows, Columns or Bits Allocated is missing or zero")
    if samples == 3 and scan.text(0x00280004) == "YBR_FULL_422":
        # Each two pixels share their colour: four samples in place of six.
        samples = 2
    return rows * columns * samples * allocated


def _encapsulated(
    data: Buffer, scan: HeaderScan, pixel_data: PixelData, frames: int
) -> list[FrameRange]:
    (table_start, table_end), *fragments = _fragments(data, pixel_data.offset)
    if not fragments:
        raise FramesUnclearError("the pixel data has no fragments")
    if len(fragments) == frames:
        return [FrameRange(start, end - start) for start, end in fragments]
    if frames == 1:
        return [_range_of(fragments)]
    if len(fragments) < frames:
        raise FramesUnclearError(f"{len(fragments)} fragments cannot hold {frames} frames")
    # An item header lies before each fragment; both tables point at those headers, counted from
    # the first byte after the basic offset table's item (PS3.5 A.4).
    starts = {start - _ITEM_HEADER_BYTES - table_end: i for i, (start, _) in enumerate(fragments)}
    for offsets in (_extended_offsets(scan), _basic_offsets(data, table_start, table_end)):
        firsts = [starts.get(offset, -1) for offset in offsets]
        if len(firsts) == frames and firsts[0] == 0 and _ascending(firsts):
            return _group(fragments, firsts)
    return _group_by_marker(data, scan, fragments, frames)


def _fragments(data: Buffer, offset: int) -> list[tuple[int, int]]:
    """Value range of each item, the basic offset table first."""
    found: list[tuple[int, int]] = []
    end = len(data)
    while offset + _ITEM_HEADER_BYTES <= end:
        group, element, length = _ITEM_HEADER.unpack_from(data, offset)
        tag = group << 16 | element
        offset += _ITEM_HEADER_BYTES
        if tag == SEQUENCE_DELIMITATION:
            break
        if tag != ITEM:
            raise RemoteProtocolError(f"({group:04X},{element:04X}) stands between fragments")
        if offset + length > end:
            raise TruncatedError("the pixel data ends early")
        found.append((offset, offset + length))
        offset += length
    if not found:
        raise TruncatedError("the pixel data has no items")
    # Some writers leave out the delimiter at the end of the file: every fragment is there.
    return found


def _ascending(firsts: list[int]) -> bool:
    return all(one < two for one, two in itertools.pairwise(firsts))


def _extended_offsets(scan: HeaderScan) -> list[int]:
    raw = scan.raw(_EXTENDED_OFFSETS) or b""
    return list(struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8]))


def _basic_offsets(data: Buffer, start: int, end: int) -> list[int]:
    count = (end - start) // 4
    return list(struct.unpack_from(f"<{count}L", data, start))


def _group(fragments: list[tuple[int, int]], firsts: list[int]) -> list[FrameRange]:
    ends = [*firsts[1:], len(fragments)]
    return [_range_of(fragments[a:b]) for a, b in zip(firsts, ends, strict=True)]


def _group_by_marker(
    data: Buffer, scan: HeaderScan, fragments: list[tuple[int, int]], frames: int
) -> list[FrameRange]:
    if scan.transfer_syntax_uid != uids.RLE_LOSSLESS:
        firsts = [
            i
            for i, (start, end) in enumerate(fragments)
            if bytes(data[start : min(end, start + 8)]).startswith(_FRAME_STARTS)
        ]
        if len(firsts) == frames and firsts[0] == 0:
            return _group(fragments, firsts)
    raise FramesUnclearError(f"{len(fragments)} fragments do not show where {frames} frames begin")


def _range_of(fragments: list[tuple[int, int]]) -> FrameRange:
    if len(fragments) == 1:
        start, end = fragments[0]
        return FrameRange(start, end - start)
    start = fragments[0][0] - _ITEM_HEADER_BYTES
    return FrameRange(start, fragments[-1][1] - start, len(fragments))


def join_fragments(data: Buffer) -> bytes:
    """The frame inside a range that holds several fragments with their item headers.

    Raises:
        RemoteProtocolError: the bytes are not whole items.

    Standard: PS3.5 A.4
    """
    return b"".join(bytes(data[start:end]) for start, end in _fragments(data, 0))
