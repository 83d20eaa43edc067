"""Moving pictures as MP4 with AV1 video, which browsers play.

The encoder is libaom as Pillow brings it (BSD licences, no patent fees): it writes sequences of
pictures as AVIF, which is the same container as MP4 and holds the same AV1 samples. What differs is
how the file announces itself, and that is rewritten here without moving a byte.

Standard: ISO/IEC 14496-12 (boxes), AV1 Codec ISO Media File Format Binding 1.2, PS3.18 8.7.3.3.3
"""

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from PIL import Image, features

from isocenter.imaging.frames import PixelsUnreadableError
from isocenter.imaging.render import EightBit

_SPEED: Final = 10  # 0 to 10: as fast as it can, for somebody waits
_FRAME_TIME_MS_MIN: Final = 10
_CONTAINERS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"})
_BRANDS: Final = (b"isom", b"iso6", b"iso8", b"av01", b"mp41", b"mp42")
_HEAD: Final = struct.Struct(">L4s")


def can_encode_video() -> bool:
    """Whether this installation's Pillow has the encoder; its wheels do."""
    return bool(features.check("avif"))


def encode_mp4(images: Iterable[EightBit], *, frame_time_ms: float, quality: int) -> bytes:
    """An MP4 file that shows two or more images of one size one after the other.

    Args:
        images: grey or RGB.
        frame_time_ms: how long each is shown; no less than 10.
        quality: 1 to 100.

    Raises:
        PixelsUnreadableError: there are fewer than two images, or they cannot be encoded.
    """
    first, *others = [Image.fromarray(each).convert("RGB") for each in images]
    if not others:
        raise PixelsUnreadableError("a video has two frames or more")
    out = io.BytesIO()
    try:
        first.save(
            out,
            "AVIF",
            save_all=True,
            append_images=others,
            duration=max(_FRAME_TIME_MS_MIN, round(frame_time_ms)),
            quality=quality,
            subsampling="4:2:0",
            speed=_SPEED,
            max_threads=1,
        )
    except (ValueError, OSError) as error:
        raise PixelsUnreadableError("the frames cannot be encoded as video") from error
    return as_mp4(out.getvalue())


def as_mp4(sequence: bytes) -> bytes:
    """A sequence of AVIF pictures as the MP4 video that it could be.

    Raises:
        PixelsUnreadableError: it is no such sequence.
    """
    made = bytearray(sequence)
    announced = 0
    for kind, start, end in _boxes(sequence, 0, len(sequence)):
        match kind:
            case b"ftyp":
                made[start:end] = _file_type(end - start)
            case b"meta":  # describes the first picture as a still one
                made[start - 4 : start] = b"free"
            case b"hdlr" if sequence[start + 8 : start + 12] == b"pict":
                made[start + 8 : start + 12] = b"vide"
                announced += 1
            case b"elst":  # flag 1 is AVIF's way of saying: for ever
                made[start + 3] = 0
            case _:
                pass
    if announced != 1:
        raise PixelsUnreadableError("the encoder gave no sequence of pictures")
    return bytes(made)


def _file_type(size_bytes: int) -> bytes:
    room = size_bytes // 4 - 2  # beside the major brand and its version
    if room < len(_BRANDS):
        raise PixelsUnreadableError("the encoder gave no sequence of pictures")
    brands = [*_BRANDS, *[_BRANDS[0]] * (room - len(_BRANDS))]
    return b"".join([_BRANDS[0], b"\0\0\2\0", *brands])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind and content of each box, those inside of containers included.

    Standard: ISO/IEC 14496-12 4.2
    """
    while start + _HEAD.size <= end:
        size, kind = _HEAD.unpack_from(data, start)
        if not _HEAD.size <= size <= end - start:
            raise PixelsUnreadableError("the encoder gave no sequence of pictures")
        inside = start + _HEAD.size
        yield kind, inside, start + size
        if kind in _CONTAINERS:
            yield from _boxes(data, inside, start + size)
        start += size
