"""The lossless HTJ2K form of an image: the file that is kept beside the original.

Made a frame at a time, so that memory holds one frame whatever the size of the file; and every
frame is decoded again and compared before anybody relies on it. What is kept with loss already, and
what has no integer pixels, gets none.

Standard: PS3.5 A.4.11 (HTJ2K lossless, RPCL)
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, Final

import numpy as np

from isocenter.imaging.codecs import Decoded, can_decode, decode_frame
from isocenter.imaging.encoders import encode_frame
from isocenter.imaging.frames import PixelFormat, PixelsUnreadableError
from isocenter.imaging.transcode import (
    ENCAPSULATED_END,
    ImageFile,
    encapsulated_file_head,
    encapsulated_head,
    item_head,
    open_image,
    photometric_after,
)
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids

TRANSFER_SYNTAX_UID: Final = uids.HTJ2K_LOSSLESS_RPCL
_GAINS_NOTHING: Final = frozenset({uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL})
_IN_MEMORY_BYTES: Final = 16 << 20
_CHUNK_BYTES: Final = 1 << 20

Write = Callable[[bytes], object]
Ranges = list[tuple[int, int]]


class NoRendition(PixelsUnreadableError):
    """The image gets no rendition; the message says why."""


def write_rendition(
    data: bytes | memoryview, write: Write, *, after_frame: Callable[[], object]
) -> Ranges:
    """Offset and length of each frame in the file that ``write`` was given.

    Args:
        data: the original file.
        write: takes the next bytes; is not called when there is no rendition.
        after_frame: called behind each frame: here the caller may rest, or stop by raising.

    Raises:
        NoRendition: none can or need be made.
        RemoteProtocolError: the file breaks the encoding rules.
    """
    image = open_image(data)
    pixels = _suitable(image)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
        first, sizes = _encode_all(image, pixels, spool, after_frame)
        head = encapsulated_file_head(image, first, TRANSFER_SYNTAX_UID)
        padded = [size + size % 2 for size in sizes]
        head += encapsulated_head(padded)
        write(head)
        spool.seek(0)
        ranges: Ranges = []
        at = len(head)
        for size, whole in zip(sizes, padded, strict=True):
            item = item_head(whole)
            write(item)
            ranges.append((at + len(item), size))
            at += len(item) + whole
            for chunk in _chunks(spool, whole):
                write(chunk)
        write(ENCAPSULATED_END)
    return ranges


def _suitable(image: ImageFile) -> PixelFormat:
    syntax = image.meta.transfer_syntax_uid
    if image.pixels is None:
        raise NoRendition("has no pixel data")
    if syntax in _GAINS_NOTHING:
        raise NoRendition("is HTJ2K already")
    if uids.transfer_syntax(syntax).may_lose_detail:
        raise NoRendition("is kept with loss: decoded it would be larger and not better")
    if not can_decode(syntax):
        raise NoRendition(f"{uids.name_of(syntax)} is not decoded")
    return image.pixels


def _encode_all(
    image: ImageFile, pixels: PixelFormat, spool: IO[bytes], after_frame: Callable[[], object]
) -> tuple[Decoded, list[int]]:
    """The first frame, and the size of each encoded one; their bytes are in ``spool``, padded."""
    first: Decoded | None = None
    sizes: list[int] = []
    for frame in image.frames():
        decoded = decode_frame(frame, pixels, keep_ybr=True)
        encoded = encode_frame(decoded, pixels, TRANSFER_SYNTAX_UID)
        _check(encoded, decoded, pixels)
        spool.write(encoded + b"\0" * (len(encoded) % 2))
        sizes.append(len(encoded))
        first = first or decoded
        after_frame()
    if first is None:
        raise NoRendition("has no frames that can be told apart")
    return first, sizes


def _check(encoded: bytes, decoded: Decoded, pixels: PixelFormat) -> None:
    """Raise unless the encoded frame leads back to the same values."""
    as_encoded = replace(
        pixels,
        transfer_syntax_uid=TRANSFER_SYNTAX_UID,
        photometric_interpretation=photometric_after(decoded, TRANSFER_SYNTAX_UID),
        planar=False,
        high_bit=pixels.bits_stored - 1,
    )
    again = decode_frame(encoded, as_encoded, keep_ybr=True)
    same = again.photometric_interpretation == decoded.photometric_interpretation
    if not same or not np.array_equal(again.pixels, decoded.pixels):
        raise NoRendition("HTJ2K does not hold its values")


def _chunks(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    while size_bytes:
        chunk = file.read(min(size_bytes, _CHUNK_BYTES))
        if not chunk:
            raise RemoteProtocolError("the encoded frames end early")
        size_bytes -= len(chunk)
        yield chunk
