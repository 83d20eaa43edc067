"""What the archive wants to know of an object's bytes: indexed text, and where its pixels are.

Every way in (C-STORE, STOW-RS, import) describes an object here, so that one object is indexed the
same whichever way it came.

Standard: PS3.10 7, PS3.5 7
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from isocenter.domain.archive.model import (
    INDEXED_TAGS,
    SOP_CLASS_UID,
    NotAnInstance,
    ReceivedInstance,
)
from isocenter.infra.blobs import BlobStore, StoredBlob, mapped
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION, Note, read_note
from isocenter.standards.dicom.part10 import FileMeta, HeaderScan, parse_file_meta, scan_header
from isocenter.standards.dicom.part10_elements import Buffer, TruncatedError
from isocenter.standards.dicom.part10_frames import frame_bits, frame_ranges
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading
from isocenter.standards.dicom.values import decode_dataset

# The index of a film of hours would be megabytes in a row of the database; readers then find
# frames anew.
_INDEXED_FRAMES_MAX: Final = 4096
_FIRST_READ_BYTES: Final = 1 << 16
# Names of about a hundred thousand instances, twice.
_DOCUMENT_BYTES_MAX: Final = 1 << 25
_NUMBER_OF_FRAMES: Final = 0x0028_0008
_BINARY_NUMBERS: Final = frozenset({"US", "SS", "UL", "SL"})


@dataclass(frozen=True, slots=True)
class ObjectHeader:
    """The indexed attributes of an object, and where its pixels are.

    Attributes:
        attributes: decoded text by tag.
        pixel_data_offset: of the Pixel Data element in the file; None without one or deflated.
        pixel_data_end: where the native pixels end in the file; None for all others.
        frame_ranges: pairs of offset and length in the file, 64 bit little endian each; None when
            the frames are not plain ranges, or ``needs_frame_index``.
        needs_frame_index: the frames are encapsulated: ``index_frames`` finds them in the whole
            file.
    """

    attributes: Mapping[int, str]
    pixel_data_offset: int | None
    pixel_data_end: int | None
    frame_ranges: bytes | None
    needs_frame_index: bool


def read_header(
    data: Buffer,
    transfer_syntax_uid: str,
    *,
    dataset_offset: int,
    reading: TextReading = AS_DECLARED,
) -> ObjectHeader:
    """The header of an object.

    Args:
        data: the first bytes of the data set.
        transfer_syntax_uid: of the data set.
        dataset_offset: where the data set begins in the file.
        reading: how its text is read.

    Raises:
        TruncatedError: the header is longer than ``data``, or the object is cut short.
        RemoteProtocolError: this is no data set.
    """
    scan = scan_header(data, INDEXED_TAGS, transfer_syntax_uid=transfer_syntax_uid)
    scan = replace(scan, reading=reading)
    attributes = {tag: _text(scan, tag) for tag in scan.elements if tag in INDEXED_TAGS}
    pixel_data = scan.pixel_data
    if pixel_data is None or scan.inflated is not None:
        return ObjectHeader(attributes, None, None, None, needs_frame_index=False)
    length = pixel_data.length
    end = None if length is None else dataset_offset + pixel_data.offset + length
    return ObjectHeader(
        attributes,
        pixel_data_offset=dataset_offset + scan.header_end,
        pixel_data_end=end,
        frame_ranges=None if end is None else _native_ranges(scan, dataset_offset),
        needs_frame_index=end is None,
    )


def _text(scan: HeaderScan, tag: int) -> str:
    if scan.elements[tag].vr in _BINARY_NUMBERS:
        number = scan.number(tag)
        return "" if number is None else str(number)
    return scan.text(tag)


def index_frames(data: Buffer, transfer_syntax_uid: str, *, dataset_offset: int) -> bytes | None:
    """Frame ranges of an encapsulated object from its whole file; None if not plain ranges."""
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


def unpack_frame_ranges(packed: bytes) -> list[tuple[int, int]]:
    """Offset and length of each frame in the file, from ``ObjectHeader.frame_ranges``."""
    return list(struct.iter_unpack("<QQ", packed))


def describe_file(
    store: BlobStore,
    blob: StoredBlob,
    *,
    calling_ae_title: str,
    received_at: datetime,
    reading: TextReading = AS_DECLARED,
) -> ReceivedInstance:
    """A stored Part 10 file, ready to be admitted.

    Raises:
        NotAnInstance: it is no DICOM file, or damaged; the message says how.

    Standard: PS3.10 7.1
    """
    try:
        meta, header = _read_file(store, blob, reading)
    except RemoteProtocolError as error:
        raise NotAnInstance(str(error)) from error
    frames = header.frame_ranges
    if header.needs_frame_index:
        frames = index_frames(
            mapped(store, blob.key), meta.transfer_syntax_uid, dataset_offset=meta.dataset_offset
        )
    return ReceivedInstance(
        blob_key=blob.key,
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        dataset_offset=meta.dataset_offset,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        calling_ae_title=calling_ae_title,
        received_at=received_at,
        attributes=header.attributes,
        pixel_data_offset=header.pixel_data_offset,
        frame_ranges=frames,
        note=read_note_of(store, blob, meta.transfer_syntax_uid, dataset_offset=meta.dataset_offset)
        if header.attributes.get(SOP_CLASS_UID) == KEY_OBJECT_SELECTION
        else None,
    )


def read_note_of(
    store: BlobStore, blob: StoredBlob, transfer_syntax_uid: str, *, dataset_offset: int
) -> Note | None:
    """What a stored Key Object Selection document rejects; None when it is about something else.

    Raises ``NotAnInstance`` when it is too large: a note of which only a part were done is worse
    than one that comes back to its sender.
    """
    if blob.size_bytes > _DOCUMENT_BYTES_MAX:
        raise NotAnInstance("the key object selection is too large to be read")
    try:
        return read_note(
            decode_dataset(store.read(blob.key), transfer_syntax_uid, start=dataset_offset)
        )
    except RemoteProtocolError:
        return None  # nobody can tell what it means; it is kept as it is


def _read_file(
    store: BlobStore, blob: StoredBlob, reading: TextReading
) -> tuple[FileMeta, ObjectHeader]:
    """Meta information and header, from the first part of the file where that is enough."""
    length = min(_FIRST_READ_BYTES, blob.size_bytes)
    while True:
        data = memoryview(store.read(blob.key, 0, length))
        try:
            meta = parse_file_meta(data)
            header = read_header(
                data[meta.dataset_offset :],
                meta.transfer_syntax_uid,
                dataset_offset=meta.dataset_offset,
                reading=reading,
            )
        except TruncatedError:
            if length >= blob.size_bytes:
                raise
            length = min(16 * length, blob.size_bytes)
            continue
        return meta, header


def _native_ranges(scan: HeaderScan, dataset_offset: int) -> bytes | None:
    pixel_data = scan.pixel_data
    frames = scan.number(_NUMBER_OF_FRAMES) or 1
    try:
        bits = frame_bits(scan)
    except RemoteProtocolError:
        return None
    size = bits // 8
    if frames == 1 and not scan.encoding.little_endian:
        size += size % 2  # 8 bit pixels in big endian words have the last one after the padding
    if pixel_data is None or bits % 8 or not 0 < frames <= _INDEXED_FRAMES_MAX:
        return None
    if size * frames > (pixel_data.length or 0):
        return None
    first = dataset_offset + pixel_data.offset
    return _packed([(first + number * size, size) for number in range(frames)])


def _packed(ranges: list[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<QQ", offset, length) for offset, length in ranges)
