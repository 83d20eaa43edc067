"""What some instances hold in a format of its own: documents, models, videos.

Standard: PS3.18 8.7.4 (rendered media types); PS3.3 A.45, PS3.5 8.2.5 to 8.2.8
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece
from isocenter.infra.blobs import BlobStore, mapped
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import scan_header
from isocenter.standards.dicom.part10_elements import ITEM
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicomweb.media_types import MP4, MPEG

_ENCAPSULATED_DOCUMENT: Final = 0x0042_0011
_MIME_TYPE: Final = 0x0042_0012
_LENGTH: Final = 0x0042_0015
_DOCUMENT_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.104."
_MPEG_2: Final = ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101")
_MPEG_4: Final = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(102, 109))
_ITEM_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Content:
    """What is inside, as its own media type."""

    media_type: str
    pieces: Sequence[Piece]


def content_of(blobs: BlobStore, location: InstanceLocation) -> Content | None:
    """The document or video of an instance; None of all others, and of what cannot be read."""
    try:
        if location.sop_class_uid.startswith(_DOCUMENT_CLASSES):
            return _document(blobs, location)
        if location.transfer_syntax_uid in _MPEG_2 + _MPEG_4:
            return _video(blobs, location)
    except RemoteProtocolError:
        return None
    return None


def _document(blobs: BlobStore, location: InstanceLocation) -> Content | None:
    data = mapped(blobs, location.blob_key)
    dataset = decode_dataset(data, location.transfer_syntax_uid, start=location.dataset_offset)
    value = dataset.octets(_ENCAPSULATED_DOCUMENT)
    length = dataset.number(_LENGTH)
    if length is not None and 0 <= len(value) - length <= 1:
        value = value[:length]  # without the byte that makes the length even
    return Content(dataset.text(_MIME_TYPE) or "application/octet-stream", [value])


def _video(blobs: BlobStore, location: InstanceLocation) -> Content | None:
    """The stream of a video, whose fragments are cut anywhere.

    Standard: PS3.5 8.2.5, A.4.5
    """
    data = mapped(blobs, location.blob_key)
    scan = scan_header(
        data,
        frozenset[int](),
        transfer_syntax_uid=location.transfer_syntax_uid,
        start=location.dataset_offset,
    )
    if scan.pixel_data is None or scan.pixel_data.length is not None:
        return None
    edges = _fragments(data, scan.pixel_data.offset)
    pieces = [BlobRange(location.blob_key, start, length) for start, length in edges[1:]]
    kind = MPEG if location.transfer_syntax_uid in _MPEG_2 else MP4
    return Content(kind, pieces) if pieces else None


def _fragments(data: memoryview | bytes, at: int) -> list[tuple[int, int]]:
    """Start and length of each item's value, the offset table's included."""
    found: list[tuple[int, int]] = []
    while at + _ITEM_BYTES <= len(data):
        group, element = data[at] | data[at + 1] << 8, data[at + 2] | data[at + 3] << 8
        if group << 16 | element != ITEM:
            break
        length = int.from_bytes(data[at + 4 : at + _ITEM_BYTES], "little")
        found.append((at + _ITEM_BYTES, min(length, len(data) - at - _ITEM_BYTES)))
        at += _ITEM_BYTES + length
    return found
