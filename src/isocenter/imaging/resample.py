"""A volume on an even, upright grid, of slices that have none: a tilted gantry, uneven gaps.

Slices stay in their own planes: the grid has their rows, columns, pixel spacing and normal. Within
a plane a slice is moved to where the others are (two neighbouring pixels each way), between planes
the two neighbouring slices are mixed: trilinear interpolation. What is not between slices is not
invented. Slices are read one after the other; no more than two are held.

What this does not do: slices of several orientations or matrices, repeated positions (time points,
echoes), colour.

Standard: PS3.3 C.7.6.2.1.1 (where pixels are)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from isocenter.errors import IsocenterError, Kind
from isocenter.imaging.frames import Pixels

Vector = npt.NDArray[np.float64]

SLICES_MIN: Final = 3
_COSINE: Final = 1e-3  # of a direction
_SAME_PLACE_MM: Final = 0.01
_TILT_MM: Final = 0.1  # sideways from the first slice to the last
# Gaps that differ by less are the rounding of positions.
_UNEVEN_MM: Final = 0.1
_UNEVEN_SHARE: Final = 0.02
# One slice that is missing is between its neighbours; of several in a row nothing is known.
_GAP_RATIO_MAX: Final = 2.5
_MORE_SLICES_MAX: Final = 4  # times as many as there are
_ROUNDING: Final = 1e-5  # of a pixel, or of a gap


class CannotResampleError(IsocenterError):
    """The slices are no volume, not even a skewed or uneven one."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slice lies in the patient.

    Attributes:
        position_mm: the centre of its first pixel (x, y, z).
        row: the direction in which columns are counted.
        column: the direction in which rows are counted.
        spacing_mm: between rows, between columns.
    """

    position_mm: tuple[float, float, float]
    row: tuple[float, float, float]
    column: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The even grid: slice ``k`` begins ``k * gap_mm`` along the normal from ``origin_mm``."""

    origin_mm: Vector
    normal: Vector
    gap_mm: float
    rows: int
    columns: int
    slices: int

    def position_mm(self, index: int) -> Vector:
        """The centre of the first pixel of slice ``index``."""
        return self.origin_mm + self.normal * (self.gap_mm * index)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to make the volume.

    Attributes:
        order: the given slices by their depth.
        depths_mm: of the slices in that order, from the first.
        shifts: in that order, how many rows and columns of the grid each slice lies further on.
        reasons: what is mended, in words.
    """

    grid: Grid
    order: tuple[int, ...]
    depths_mm: Vector
    shifts: npt.NDArray[np.float64]
    reasons: tuple[str, ...]


def plan(places: Sequence[Place]) -> Plan:
    """The grid for the slices, and where each lies in it.

    Raises:
        CannotResampleError: they are too few, not parallel, of several sizes, at the same place, or
            too far from each other.
    """
    first = _alike(places)
    row, column = np.array(first.row), np.array(first.column)
    normal = np.cross(row, column)
    positions = np.array([each.position_mm for each in places])
    depths = positions @ normal
    order = np.argsort(depths, kind="stable")
    depths = depths[order] - depths[order[0]]
    gap, count, uneven = _spacing(depths)
    # In-plane places in pixels: rows along the column direction, columns along the row direction.
    inplane = np.stack(
        [positions @ column / first.spacing_mm[0], positions @ row / first.spacing_mm[1]], axis=1
    )[order]
    shifts, tilt = _shifts(inplane, depths, first)
    # The grid ends with the last row of the slice that lies farthest on, as dcm2niix has it.
    extra = np.ceil(np.ptp(shifts, axis=0) - _ROUNDING).astype(int)
    shifts = shifts - shifts.max(axis=0) + extra
    least = inplane[0] - shifts[0]
    origin = (
        column * least[0] * first.spacing_mm[0]
        + row * least[1] * first.spacing_mm[1]
        + normal * (positions[order[0]] @ normal)
    )
    grid = Grid(
        origin, normal, gap, first.rows + int(extra[0]), first.columns + int(extra[1]), count
    )
    reasons = tuple(each for each in (tilt, uneven) if each)
    return Plan(grid, tuple(int(each) for each in order), depths, shifts, reasons)


def _alike(places: Sequence[Place]) -> Place:
    """The first of slices that are parallel and of one size."""
    if len(places) < SLICES_MIN:
        raise CannotResampleError(f"a volume needs at least {SLICES_MIN} slices")
    first = places[0]
    lengths = [np.linalg.norm(first.row), np.linalg.norm(first.column)]
    if max(abs(each - 1) for each in lengths) > _COSINE or min(first.spacing_mm) <= 0:
        raise CannotResampleError("the slices do not state how they lie")
    for each in places:
        if (each.rows, each.columns) != (first.rows, first.columns) or not np.allclose(
            each.spacing_mm, first.spacing_mm, rtol=1e-3
        ):
            raise CannotResampleError("the slices differ in matrix or pixel spacing")
        if not np.allclose([each.row, each.column], [first.row, first.column], atol=_COSINE):
            raise CannotResampleError("the slices are oriented differently")
    return first


def _spacing(depths: Vector) -> tuple[float, int, str]:
    """The gap of the grid, its number of slices, and what was uneven about theirs."""
    gaps = np.diff(depths)
    if gaps.min() < _SAME_PLACE_MM:
        raise CannotResampleError("several images share a position")
    usual, mean = float(np.median(gaps)), float(gaps.mean())
    if gaps.max() > _GAP_RATIO_MAX * usual:
        raise CannotResampleError("several slices in a row are missing")
    off = np.abs(depths - mean * np.arange(depths.size)).max()
    if off <= _UNEVEN_MM + _UNEVEN_SHARE * mean:
        return mean, depths.size, ""
    gap = max(float(gaps.min()), float(depths[-1]) / (_MORE_SLICES_MAX * depths.size))
    count = int(np.floor(depths[-1] / gap + _ROUNDING)) + 1
    words = f"slices {_millimetres(gaps.min())} to {_millimetres(gaps.max())} apart are evened out"
    return gap, count, f"{words} to {_millimetres(gap)}"


def _shifts(
    inplane: npt.NDArray[np.float64], depths: Vector, first: Place
) -> tuple[npt.NDArray[np.float64], str]:
    """How far each slice lies aside of the first, and the tilt in words; nothing below a limit."""
    aside = inplane - inplane[0]
    millimetres = np.linalg.norm(aside * np.array(first.spacing_mm), axis=1)
    if millimetres.max() <= _TILT_MM:
        return np.zeros_like(aside), ""
    degrees = np.degrees(np.arctan2(millimetres[-1], depths[-1]))
    return aside, f"a tilt of {degrees:.1f} degrees is taken out"


def _millimetres(value: float) -> str:
    return f"{float(value):.2f}".rstrip("0").rstrip(".") + " mm"


def resample(made: Plan, read: Callable[[int], Pixels], *, outside: float) -> Iterator[Pixels]:
    """The slices of the grid, each of the dtype that was read: whole numbers are rounded.

    Args:
        made: what ``plan`` found.
        read: the pixels of a given slice, by its number among the places; each is read once.
        outside: the value of pixels that no slice covers.
    """
    grid, last = made.grid, len(made.order) - 1
    held: dict[int, Pixels] = {}
    for index in range(grid.slices):
        depth = min(grid.gap_mm * index, float(made.depths_mm[-1]))
        above = int(np.searchsorted(made.depths_mm, depth - _ROUNDING * grid.gap_mm))
        above = min(max(above, 0), last)
        below = max(above - 1, 0)
        weight = _weight(made, depth, below, above)
        wanted = {above} if weight == 1.0 else {below, above}
        held = {each: held[each] for each in held if each in wanted}
        for each in sorted(wanted - held.keys()):
            held[each] = _placed(read(made.order[each]), made, each)
        yield _mixed(held, below, above, weight, outside)


def _weight(made: Plan, depth: float, below: int, above: int) -> float:
    """The share of the upper of two slices at a depth; of one that is there it is all."""
    span = float(made.depths_mm[above] - made.depths_mm[below])
    if span == 0.0:
        return 1.0
    share = (depth - float(made.depths_mm[below])) / span
    # An even stack is used as it is: its rounded positions are no reason to blur it.
    near = made.grid.slices == len(made.order) and abs(share - round(share)) < 0.25
    share = float(round(share)) if near else share
    return 1.0 if share > 1 - _ROUNDING else share


def _placed(pixels: Pixels, made: Plan, number: int) -> Pixels:
    """The slice on the rows and columns of the grid; not a number where it does not reach."""
    exact = np.float32 if pixels.dtype.itemsize <= np.dtype(np.int16).itemsize else np.float64
    by_rows, by_columns = (float(each) for each in made.shifts[number])
    moved = _along(pixels.astype(exact), by_rows, made.grid.rows)
    return _along(moved.T, by_columns, made.grid.columns).T


def _along(pixels: Pixels, shift: float, count: int) -> Pixels:
    """Rows moved on by ``shift`` of them, each from the two that it falls between."""
    last = pixels.shape[0] - 1
    if shift == 0 and count == last + 1:
        return pixels
    source = np.arange(count) - shift
    inside = (source >= -_ROUNDING) & (source <= last + _ROUNDING)
    low = np.clip(np.floor(source + _ROUNDING).astype(int), 0, last)
    high = np.minimum(low + 1, last)
    part = np.clip(source - low, 0.0, 1.0)[:, np.newaxis].astype(pixels.dtype)
    moved = pixels[low] * (1 - part) + pixels[high] * part
    moved[~inside] = np.nan
    return moved


def _mixed(
    held: dict[int, Pixels], below: int, above: int, weight: float, outside: float
) -> Pixels:
    upper = held[above]
    mixed = upper if weight == 1.0 else held[below] * (1 - weight) + upper * weight
    return np.where(np.isnan(mixed), outside, mixed)


def as_stored(values: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """The values as they are stored: rounded and kept within the range where they are whole."""
    if dtype.kind not in "iu":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
