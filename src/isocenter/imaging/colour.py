"""Colour spaces: luminance and chrominance to RGB, palettes to RGB.

ICC profiles are not applied.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from isocenter.imaging.frames import Pixels
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.values import DataSet

# PS3.3 C.7.6.3.1.2: rows give R, G, B from Y, Cb - half, Cr - half.
_FULL: Final = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_PARTIAL: Final = np.array(
    [[1.1644, 0, 1.5960], [1.1644, -0.3917, -0.8130], [1.1644, 2.0173, 0]], np.float32
)
_ENTRIES_MAX: Final = 65536


class PaletteUnreadableError(RemoteProtocolError):
    """The palette's descriptor or data contradict each other."""


@dataclass(frozen=True, slots=True)
class Palette:
    """A palette: stored value less ``first`` is the index of an entry.

    Attributes:
        entries: (n, 3) uint8.
    """

    first: int
    entries: npt.NDArray[np.uint8]


def ybr_full_to_rgb(array: Pixels) -> Pixels:
    """RGB of YBR_FULL pixels (…, 3), same unsigned dtype.

    Standard: PS3.3 C.7.6.3.1.2
    """
    limit = float(np.iinfo(array.dtype).max)
    half = (limit + 1) / 2
    values = array.astype(np.float32)
    values[..., 1:] -= half
    return np.clip(np.rint(values @ _FULL.T), 0, limit).astype(array.dtype)


def ybr_partial_to_rgb(array: Pixels) -> Pixels:
    """RGB of YBR_PARTIAL pixels (…, 3) with luminance from 16, same unsigned dtype.

    Standard: PS3.3 C.7.6.3.1.2
    """
    limit = float(np.iinfo(array.dtype).max)
    unit = (limit + 1) / 256
    values = array.astype(np.float32) - np.array([16, 128, 128], np.float32) * unit
    return np.clip(np.rint(values @ _PARTIAL.T), 0, limit).astype(array.dtype)


def palette_of(header: DataSet) -> Palette | None:
    """The palette of an image, None when it has none.

    Raises:
        PaletteUnreadableError: it cannot be made out.

    Standard: PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2
    """
    descriptor = header.decimals(0x00281101)
    if len(descriptor) != 3:
        return None
    count = int(descriptor[0]) % _ENTRIES_MAX or _ENTRIES_MAX
    bits = int(descriptor[2])
    planes: list[npt.NDArray[np.uint8]] = []
    for number in range(3):
        raw = header.octets(0x00281201 + number)
        if raw:
            plane = _entries(raw, count, bits)
        else:
            plane = _to_bytes(_expand_segments(header.octets(0x00281221 + number), bits), bits)
        if plane.size < count:
            raise PaletteUnreadableError("a palette has fewer entries than its descriptor says")
        planes.append(plane[:count])
    return Palette(int(descriptor[1]), np.stack(planes, axis=1))


def _entries(raw: bytes, count: int, bits: int) -> npt.NDArray[np.uint8]:
    if bits <= 8 and len(raw) < 2 * count:
        return np.frombuffer(raw, np.uint8)
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")
    # Some writers keep 8 bit entries in 16 bit words: of those the low byte counts.
    return words.astype(np.uint8) if bits <= 8 else _to_bytes(words, bits)


def _to_bytes(words: npt.NDArray[np.uint16], bits: int) -> npt.NDArray[np.uint8]:
    return words.astype(np.uint8) if bits <= 8 else (words >> 8).astype(np.uint8)


def _expand_segments(raw: bytes, bits: int) -> npt.NDArray[np.uint16]:
    """The entries of a segmented palette.

    Standard: PS3.3 C.7.9.2
    """
    if bits <= 8:
        codes = [int(v) for v in np.frombuffer(raw, np.uint8)]
    else:
        codes = [int(v) for v in np.frombuffer(raw[: len(raw) // 2 * 2], "<u2")]
    out: list[int] = []
    try:
        _expand(codes, 0, len(codes), bits, out)
    except (IndexError, RecursionError) as error:
        raise PaletteUnreadableError("a segmented palette is cut off") from error
    return np.array(out, np.uint16)


def _expand(codes: list[int], position: int, end: int, bits: int, out: list[int]) -> int:
    while position < end:
        position = _segment(codes, position, bits, out)
    return position


def _segment(codes: list[int], position: int, bits: int, out: list[int]) -> int:
    opcode, length = codes[position], codes[position + 1]
    if len(out) > _ENTRIES_MAX:
        raise PaletteUnreadableError("a segmented palette has too many entries")
    if opcode == 0:
        out.extend(codes[position + 2 : position + 2 + length])
        return position + 2 + length
    if opcode == 1:
        # A ramp from the last entry to the given one, which it includes.
        last, goal = out[-1], codes[position + 2]
        out.extend(last + round((goal - last) * step / length) for step in range(1, length + 1))
        return position + 3
    if opcode == 2:
        width = 4 if bits <= 8 else 2
        unit = 256 if bits <= 8 else 65536
        at = sum(codes[position + 2 + i] * unit**i for i in range(width))
        at = at if bits <= 8 else at // 2
        for _ in range(length):
            if codes[at] == 2:
                raise PaletteUnreadableError("an indirect palette segment names another")
            at = _segment(codes, at, bits, out)
        return position + 2 + width
    raise PaletteUnreadableError(f"{opcode} is no kind of palette segment")


def apply_palette(array: Pixels, palette: Palette) -> npt.NDArray[np.uint8]:
    """RGB (rows, columns, 3) of palette indices; values outside take the nearest entry.

    Standard: PS3.3 C.7.6.3.1.5
    """
    index = np.clip(array.astype(np.int64) - palette.first, 0, len(palette.entries) - 1)
    return palette.entries[index]
