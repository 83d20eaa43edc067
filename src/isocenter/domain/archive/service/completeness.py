"""Whether a received file is all there: one that ends inside its pixel data is no image any more.

A header that ends early is refused when it is read; here it is about the value of the pixel data,
which nobody looks at on the way in. Frames that were found need no second look. Every way in asks
here, so that what one refuses no other takes.

Standard: PS3.5 7.1, A.4
"""

from typing import Final

from isocenter.domain.archive.model import NUMBER_OF_FRAMES, ReceivedInstance, text_of
from isocenter.infra.blobs import BlobStore, mapped
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import scan_header
from isocenter.standards.dicom.part10_elements import (
    EXPLICIT_LITTLE,
    SEQUENCE_DELIMITATION,
    TruncatedError,
    items,
)

# The Sequence Delimitation Item: the last bytes of encapsulated pixel data, and mostly of the file.
FRAGMENTS_END: Final = bytes.fromhex("feffdde000000000")
_ELEMENT_HEADER_BYTES: Final = 12


def is_cut(blobs: BlobStore, instance: ReceivedInstance) -> bool:
    """Whether the file ends before its pixel data does."""
    if instance.pixel_data_offset is None:
        return False
    end = min(instance.pixel_data_offset + _ELEMENT_HEADER_BYTES, instance.size_bytes)
    try:
        scan = scan_header(
            blobs.read(instance.blob_key, 0, end),
            frozenset[int](),
            transfer_syntax_uid=instance.transfer_syntax_uid,
            start=instance.dataset_offset,
        )
    except TruncatedError:
        return True
    if scan.pixel_data is None:
        return False
    if scan.pixel_data.length is not None:
        return scan.pixel_data.offset + scan.pixel_data.length > instance.size_bytes
    if instance.frame_ranges is not None:
        return False  # every fragment was found
    if blobs.read(instance.blob_key, instance.size_bytes - len(FRAGMENTS_END)) == FRAGMENTS_END:
        return False
    return _fragments_end_early(blobs, instance, scan.pixel_data.offset)


def _fragments_end_early(blobs: BlobStore, instance: ReceivedInstance, start: int) -> bool:
    data = mapped(blobs, instance.blob_key)
    fragments = -1  # the first item is the basic offset table
    try:
        for item in items(data, start, len(data), EXPLICIT_LITTLE):
            if item.tag == SEQUENCE_DELIMITATION:
                return False
            fragments += 1
    except TruncatedError:
        return True
    except RemoteProtocolError:
        return False  # another fault than the end of the file; it is kept for people to look at
    # Some writers leave out the delimiter; without it the fragments have to be enough.
    text = text_of(instance.attributes, NUMBER_OF_FRAMES) or "1"
    return fragments < (int(text) if text.isdecimal() else 1)
