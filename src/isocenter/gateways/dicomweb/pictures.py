"""Frames of a stored instance: where their bytes are, as arrays, and as they are shown.

A frame is one range read where admission found the frames, and where the header alone tells (native
images). Otherwise the whole file is looked through once and what was found is remembered.
"""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.service.description import unpack_frame_ranges
from isocenter.gateways.dicomweb.errors import NothingThere
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece, read_range
from isocenter.imaging.codecs import Decoded, decode_frame
from isocenter.imaging.frames import PixelFormat, extract_frame, pixel_format
from isocenter.infra.blobs import BlobStore, mapped
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import HeaderScan, scan_header
from isocenter.standards.dicom.part10_elements import Buffer
from isocenter.standards.dicom.part10_frames import FrameRange, each_frame_range
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet

_ELEMENT_HEADER_BYTES: Final = 12  # of the pixel data, which tells its VR and undefined length
_REMEMBERED_INSTANCES_MAX: Final = 16
_RANGE: Final = struct.Struct("<QQLB")


@dataclass(frozen=True, slots=True)
class Picture:
    """An instance's header, and how its frames are to be read."""

    location: InstanceLocation
    header: DataSet
    pixels: PixelFormat


class FrameIndex:
    """Finds frames, and remembers those that took the whole file to find. One per process."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._found: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def pieces(self, location: InstanceLocation, numbers: Sequence[int]) -> list[Piece]:
        """The stored bytes of the frames, in the order of ``numbers`` (from 1).

        Raises:
            NothingThere: there is no such frame, or frames cannot be told apart.
        """
        if location.frame_ranges is not None:
            ranges = unpack_frame_ranges(location.frame_ranges)
            _check(numbers, len(ranges))
            wanted = [ranges[each - 1] for each in numbers]
            if any(sum(each) > location.size_bytes for each in wanted):
                raise NothingThere("the file ends before the frame does")
            return [BlobRange(location.blob_key, *each) for each in wanted]
        try:
            return self._others(location, numbers)
        except RemoteProtocolError as error:
            raise NothingThere(f"the frames cannot be told apart: {error}") from error

    def count(self, location: InstanceLocation) -> int:
        """How many frames there are; raises ``NothingThere`` where that cannot be told."""
        if location.frame_ranges is not None:
            return len(location.frame_ranges) // struct.calcsize("<QQ")
        try:
            inflated, packed = self._index(location)
        except RemoteProtocolError as error:
            raise NothingThere(f"the frames cannot be told apart: {error}") from error
        del inflated
        return len(packed) // _RANGE.size

    def _others(self, location: InstanceLocation, numbers: Sequence[int]) -> list[Piece]:
        inflated, packed = self._index(location)
        _check(numbers, len(packed) // _RANGE.size)
        pieces: list[Piece] = []
        for number in numbers:
            frame = FrameRange(*_RANGE.unpack_from(packed, (number - 1) * _RANGE.size))
            plain = frame.fragments == 1 and frame.first_bit == 0
            where = BlobRange(location.blob_key, frame.offset, frame.length)
            if inflated is not None:
                data = inflated[frame.offset : frame.offset + frame.length]
                pieces.append(extract_frame(data, frame))
            elif plain:
                pieces.append(where)
            else:
                data = b"".join(read_range(self._blobs, where))
                pieces.append(extract_frame(data, frame))
        return pieces

    def _index(self, location: InstanceLocation) -> tuple[bytes | None, bytes]:
        """The inflated data set if it is deflated, and the packed frame ranges."""
        with self._lock:
            packed = self._found.get(location.blob_key)
            if packed is not None:
                self._found.move_to_end(location.blob_key)
                return None, packed
        scan, data = self._scan(location)
        size = location.size_bytes if scan.inflated is None else None
        growing = bytearray()
        for each in each_frame_range(data, scan, size_bytes=size):
            growing += _RANGE.pack(*each)
        packed = bytes(growing)
        if scan.inflated is None:
            with self._lock:
                self._found[location.blob_key] = packed
                while len(self._found) > _REMEMBERED_INSTANCES_MAX:
                    self._found.popitem(last=False)
        return scan.inflated, packed

    def _scan(self, location: InstanceLocation) -> tuple[HeaderScan, Buffer]:
        """The header and as much of the data as the frames' places are read from."""
        if location.pixel_data_offset is not None:
            head = read_head(self._blobs, location)
            scan = _scan(head, location)
            if scan.pixel_data is not None and scan.pixel_data.length is not None:
                return scan, head
        whole = mapped(self._blobs, location.blob_key)
        scan = _scan(whole, location)
        return scan, whole if scan.inflated is None else scan.inflated


def _check(numbers: Sequence[int], count: int) -> None:
    if not all(0 < number <= count for number in numbers):
        raise NothingThere(f"the instance has {count} frames")


def read_head(blobs: BlobStore, location: InstanceLocation) -> bytes:
    """The file up to the value of its pixel data; all of it where there is none."""
    end = location.pixel_data_offset
    head_bytes = None if end is None else min(end + _ELEMENT_HEADER_BYTES, location.size_bytes)
    return blobs.read(location.blob_key, 0, head_bytes)


def open_picture(blobs: BlobStore, location: InstanceLocation) -> Picture:
    """The instance, ready for its frames to be decoded.

    Raises:
        NothingThere: it has no pixel data that could be shown.
    """
    head = read_head(blobs, location)
    try:
        scan = _scan(head, location)
        if scan.pixel_data is None:
            raise NothingThere("the instance has no pixel data")
        header = decode_dataset(head, location.transfer_syntax_uid, start=location.dataset_offset)
        pixels = pixel_format(
            header,
            location.transfer_syntax_uid,
            pixel_data_tag=scan.pixel_data.tag,
            pixel_data_vr=scan.pixel_data.vr,
        )
    except RemoteProtocolError as error:
        raise NothingThere(f"the pixel data cannot be read: {error}") from error
    return Picture(location, header, pixels)


def decoded_frame(blobs: BlobStore, index: FrameIndex, picture: Picture, number: int) -> Decoded:
    """The stored values of frame ``number`` (from 1).

    Raises:
        NothingThere: there is no such frame, or it cannot be decoded.
    """
    try:
        return decode_frame(frame_bytes(blobs, index, picture, number), picture.pixels)
    except RemoteProtocolError as error:
        raise NothingThere(f"frame {number} cannot be decoded: {error}") from error


def frame_bytes(blobs: BlobStore, index: FrameIndex, picture: Picture, number: int) -> bytes:
    """Frame ``number`` (from 1) as it is stored; raises ``NothingThere``."""
    (piece,) = index.pieces(picture.location, [number])
    return b"".join(read_range(blobs, piece)) if isinstance(piece, BlobRange) else piece


def _scan(data: Buffer, location: InstanceLocation) -> HeaderScan:
    return scan_header(
        data,
        frozenset[int](),
        transfer_syntax_uid=location.transfer_syntax_uid,
        start=location.dataset_offset,
    )
