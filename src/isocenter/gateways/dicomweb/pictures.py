"""One frame of a stored instance as an array and as it is shown: ranges of blobs into `imaging`."""

from dataclasses import dataclass

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.service.description import unpack_frame_ranges
from isocenter.gateways.dicomweb.context import NothingThere
from isocenter.imaging.codecs import Decoded, decode_frame
from isocenter.imaging.frames import PixelFormat, extract_frame, pixel_format
from isocenter.infra.blobs import BlobStore
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import HeaderScan, scan_header
from isocenter.standards.dicom.part10_frames import FrameRange, frame_ranges
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet

_ELEMENT_HEADER_BYTES = 12  # of the pixel data, which tells its VR and that its length is undefined


@dataclass(frozen=True, slots=True)
class Picture:
    """An instance's header, and how its frames are to be read."""

    location: InstanceLocation
    header: DataSet
    pixels: PixelFormat


def open_picture(blobs: BlobStore, location: InstanceLocation) -> Picture:
    """The instance, ready for its frames to be read.

    Raises:
        NothingThere: it has no pixel data that could be shown.
    """
    end = location.pixel_data_offset
    head_bytes = None if end is None else min(end + _ELEMENT_HEADER_BYTES, location.size_bytes)
    head = blobs.read(location.blob_key, 0, head_bytes)
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


def stored_frame(blobs: BlobStore, location: InstanceLocation, number: int) -> bytes:
    """The bytes of frame ``number`` (from 1) as they are stored: one range read where possible.

    Raises:
        NothingThere: there is no such frame, or frames cannot be told apart.
    """
    if location.frame_ranges is not None:
        indexed = unpack_frame_ranges(location.frame_ranges)
        if not 0 < number <= len(indexed):
            raise NothingThere(f"the instance has {len(indexed)} frames")
        return blobs.read(location.blob_key, *indexed[number - 1])
    file = blobs.read(location.blob_key)
    try:
        scan = _scan(file, location)
        data = scan.inflated or file
        ranges = frame_ranges(data, scan)
        if not 0 < number <= len(ranges):
            raise NothingThere(f"the instance has {len(ranges)} frames")
        return _frame(data, ranges[number - 1])
    except RemoteProtocolError as error:
        raise NothingThere(f"the frames cannot be told apart: {error}") from error


def decoded_frame(blobs: BlobStore, picture: Picture, number: int) -> Decoded:
    """The stored values of frame ``number`` (from 1).

    Raises:
        NothingThere: there is no such frame, or it cannot be decoded.
    """
    frame = stored_frame(blobs, picture.location, number)
    try:
        return decode_frame(frame, picture.pixels)
    except RemoteProtocolError as error:
        raise NothingThere(f"frame {number} cannot be decoded: {error}") from error


def _scan(data: bytes, location: InstanceLocation) -> HeaderScan:
    return scan_header(
        data,
        frozenset[int](),
        transfer_syntax_uid=location.transfer_syntax_uid,
        start=location.dataset_offset,
    )


def _frame(data: bytes, frame: FrameRange) -> bytes:
    return extract_frame(data[frame.offset : frame.offset + frame.length], frame)
