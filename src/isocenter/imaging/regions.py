"""Which pixels lie inside an outline.

Outlines are columns and rows from 0 at the outer corner of the first pixel, as in structured
reports: the centre of the first pixel is (0.5, 0.5). A pixel belongs to a region when its centre
does.

Standard: PS3.3 C.18.6.1.1
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Outline = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PaintedRectangle:
    """The pixels that belong to a region, as the bits of the rectangle that holds them.

    Attributes:
        left: column of its first pixel, from 0.
        top: row of its first pixel, from 0.
        columns: of the rectangle.
        rows: of the rectangle.
        bits: row by row without gaps, the first pixel in the lowest bit.
    """

    left: int
    top: int
    columns: int
    rows: int
    bits: bytes


def inside_polygon(outline: Outline, rows: int, columns: int) -> Mask:
    """The pixels whose centres lie in the polygon, shape (rows, columns); even-odd at crossings.

    The last corner is joined to the first one.
    """
    mask = np.zeros((rows, columns), dtype=np.bool_)
    corners = np.asarray(outline, dtype=np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return mask
    x0, y0 = corners[:, 0], corners[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    centres = np.arange(columns) + 0.5
    first = max(0, int(np.floor(y0.min() - 0.5)))
    for row in range(first, min(rows, int(np.ceil(y0.max() + 0.5)))):
        level = row + 0.5
        crossing = (y0 <= level) != (y1 <= level)
        if not crossing.any():
            continue
        share = (level - y0[crossing]) / (y1[crossing] - y0[crossing])
        at = np.sort(x0[crossing] + share * (x1[crossing] - x0[crossing]))
        mask[row] = np.searchsorted(at, centres, side="left") % 2 == 1
    return mask


def inside_ellipse(axes: Outline, rows: int, columns: int) -> Mask:
    """The pixels whose centres lie in the ellipse, shape (rows, columns).

    Args:
        axes: the two ends of the major axis, then those of the minor axis.
        rows: of the image.
        columns: of the image.
    """
    ends = np.asarray(axes, dtype=np.float64)
    centre = ends.mean(axis=0)
    one, other = (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2
    if not one.any() or not other.any():
        return np.zeros((rows, columns), dtype=np.bool_)
    y, x = np.mgrid[:rows, :columns] + 0.5
    along = ((x - centre[0]) * one[0] + (y - centre[1]) * one[1]) / (one @ one)
    across = ((x - centre[0]) * other[0] + (y - centre[1]) * other[1]) / (other @ other)
    inside: Mask = along**2 + across**2 <= 1.0
    return inside


def inside_rectangle(painted: PaintedRectangle, rows: int, columns: int) -> Mask:
    """The painted pixels, shape (rows, columns); those outside of the image are left out."""
    mask = np.zeros((rows, columns), dtype=np.bool_)
    count = painted.rows * painted.columns
    bits = np.frombuffer(painted.bits, dtype=np.uint8)
    if bits.size * 8 < count:
        return mask
    inside = np.unpackbits(bits, bitorder="little")[:count].astype(np.bool_)
    width, height = columns - painted.left, rows - painted.top
    part = inside.reshape(painted.rows, painted.columns)[: max(0, height), : max(0, width)]
    down, across = part.shape
    mask[painted.top : painted.top + down, painted.left : painted.left + across] = part
    return mask


def packed(masks: Iterable[Mask]) -> bytes:
    """One bit for each pixel of all masks, without gaps between them, padded to an even length.

    Standard: PS3.5 8.1.1, PS3.3 C.7.6.16.1.1 (bits of a frame follow those of the frame before)
    """
    content = bytearray()
    rest = np.zeros(0, dtype=np.bool_)  # of the frame before: less than a byte
    for mask in masks:
        bits = np.concatenate((rest, mask.ravel()))
        whole = bits.size - bits.size % 8
        content += np.packbits(bits[:whole], bitorder="little").tobytes()
        rest = bits[whole:]
    content += np.packbits(rest, bitorder="little").tobytes()
    return bytes(content) + b"\0" * (len(content) % 2)


def counted(bits: bytes, frame_pixels: int, frames: int) -> list[int]:
    """How many pixels are set in each frame of what ``packed`` made of masks of one size."""
    values = np.frombuffer(bits, np.uint8)
    found: list[int] = []
    for number in range(frames):
        start = number * frame_pixels
        first, last = start // 8, -(-(start + frame_pixels) // 8)
        unpacked = np.unpackbits(values[first:last], bitorder="little")
        offset = start - first * 8
        found.append(int(np.count_nonzero(unpacked[offset : offset + frame_pixels])))
    return found
