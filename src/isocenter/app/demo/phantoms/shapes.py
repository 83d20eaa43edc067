"""A plane of a body, smooth noise over it, and the soft-edged shapes that make up anatomy.

A plane holds the coordinates of one axial slice; a shape is its coverage from 0 (outside) to 1
(inside) with an edge about a pixel wide, so that borders show partial volume as scanned ones do.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
Window = tuple[slice, slice]

_BEND_MAX_MM = 12.0


@dataclass(frozen=True)
class Plane:
    """One axial slice.

    Attributes:
        x_mm: positions of the columns, ascending to the patient's left.
        y_mm: positions of the rows, ascending to the back.
        z_mm: height of the slice.
    """

    x_mm: Field
    y_mm: Field
    z_mm: float

    @classmethod
    def centred(cls, *, size: int, pixel_mm: float, z_mm: float) -> "Plane":
        """A square plane of ``size`` pixels around the body's axis."""
        axis = ((np.arange(size) - (size - 1) / 2) * pixel_mm).astype(np.float32)
        return cls(axis, axis, z_mm)

    @cached_property
    def x(self) -> Field:
        """Column positions as a row vector for broadcasting."""
        return self.x_mm[None, :]

    @cached_property
    def y(self) -> Field:
        """Row positions as a column vector for broadcasting."""
        return self.y_mm[:, None]

    @property
    def pixel_mm(self) -> float:
        """Distance between columns."""
        return float(self.x_mm[1] - self.x_mm[0])

    def full(self, value: float) -> Field:
        """An image of this plane filled with one value."""
        return np.full((len(self.y_mm), len(self.x_mm)), value, np.float32)

    def shifted(self, dx: Field | float, dy: Field | float, dz: float = 0.0) -> "Warped":
        """This plane with its coordinates displaced, so that shapes on it bend."""
        x = np.broadcast_to(self.x + dx, (len(self.y_mm), len(self.x_mm))).astype(np.float32)
        y = np.broadcast_to(self.y + dy, x.shape).astype(np.float32)
        return Warped(x, y, self.z_mm + dz, self)

    @cached_property
    def flat(self) -> "Warped":
        """This plane without any displacement."""
        return self.shifted(0.0, 0.0)


@dataclass(frozen=True)
class Warped:
    """Coordinates of every pixel of a slice, after bending."""

    x: Field
    y: Field
    z: float
    plane: Plane

    @property
    def pixel_mm(self) -> float:
        """Distance between columns."""
        return self.plane.pixel_mm

    def window(self, low_mm: tuple[float, float], high_mm: tuple[float, float]) -> "Window":
        """The rows and columns within a rectangle of (x, y), and as far around as bending goes."""
        rows, columns = (
            slice(
                int(np.searchsorted(axis, low - _BEND_MAX_MM)),
                int(np.searchsorted(axis, high + _BEND_MAX_MM)),
            )
            for axis, low, high in (
                (self.plane.y_mm, low_mm[1], high_mm[1]),
                (self.plane.x_mm, low_mm[0], high_mm[0]),
            )
        )
        return rows, columns


@dataclass(frozen=True)
class Patch:
    """Coverage of a shape in the part of a plane where it is; 0 everywhere else."""

    window: Window
    coverage: Field

    def __mul__(self, other: "Patch | Field | NDArray[np.bool] | float") -> "Patch":
        """The shape where the other is too: another shape, a coverage of the plane, a factor."""
        if isinstance(other, Patch):
            return self._within(other)
        if isinstance(other, np.ndarray):
            return Patch(self.window, self.coverage * other[self.window])
        return Patch(self.window, self.coverage * np.float32(other))

    def _within(self, other: "Patch") -> "Patch":
        common = tuple(
            slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
            for a, b in zip(self.window, other.window, strict=True)
        )
        ours, theirs = (
            each.coverage[
                tuple(
                    slice(part.start - own.start, part.stop - own.start)
                    for part, own in zip(common, each.window, strict=True)
                )
            ]
            for each in (self, other)
        )
        return Patch((common[0], common[1]), ours * theirs)


class Noise:
    """Smooth, repeatable noise in space: mean 0, variance about 1.

    Features are about ``cell_mm`` wide.
    """

    _LATTICE = 48  # nodes per axis; the pattern repeats after that many cells

    def __init__(self, seed: int, cell_mm: float) -> None:
        generator = np.random.default_rng(seed)
        self._nodes = generator.standard_normal((self._LATTICE,) * 3).astype(np.float32)
        self._cell_mm = cell_mm

    def over(self, plane: Plane) -> Field:
        """The noise at each pixel of a plane."""
        along_z = self._weights(np.array([plane.z_mm], np.float32))
        sheet = np.tensordot(along_z, self._nodes, axes=(1, 0))[0]
        image = self._weights(plane.y_mm) @ sheet @ self._weights(plane.x_mm).T
        return (image * np.float32(1.9)).astype(np.float32)

    def _weights(self, positions_mm: Field) -> Field:
        """Interpolation weights, positions by lattice nodes: a cubic B-spline."""
        place = positions_mm / self._cell_mm + 1000.0 * self._LATTICE
        node = np.floor(place).astype(np.int64)
        t = (place - node).astype(np.float32)
        spline = (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )
        weights = np.zeros((len(positions_mm), self._LATTICE), np.float32)
        rows = np.arange(len(positions_mm))
        for offset, weight in enumerate(spline, start=-1):
            weights[rows, (node + offset) % self._LATTICE] += weight
        return weights


def ellipsoid(
    on: Warped,
    centre_mm: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
    *,
    turn_deg: float = 0.0,
    edge_mm: float | None = None,
) -> Patch:
    """Coverage of an ellipsoid, turned about the body's axis."""
    dz = (on.z - centre_mm[2]) / radii_mm[2]
    if abs(dz) >= 1.15:
        return Patch((slice(0, 0), slice(0, 0)), on.x[:0, :0])
    edge = edge_mm or on.pixel_mm
    reach = max(radii_mm[0], radii_mm[1]) * (1 + edge / min(radii_mm[0], radii_mm[1]))
    window = on.window(
        (centre_mm[0] - reach, centre_mm[1] - reach), (centre_mm[0] + reach, centre_mm[1] + reach)
    )
    x, y = on.x[window] - centre_mm[0], on.y[window] - centre_mm[1]
    if turn_deg:
        c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        x, y = x * c + y * s, y * c - x * s
    r = np.sqrt((x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + dz * dz)
    return Patch(window, covered((1.0 - r) * min(radii_mm[0], radii_mm[1]), edge))


def tube(
    on: Warped,
    start_mm: tuple[float, float],
    end_mm: tuple[float, float],
    radius_mm: float,
    *,
    edge_mm: float | None = None,
) -> Patch:
    """Coverage of a bar with round ends between two points of the slice."""
    ax, ay = start_mm
    bx, by = end_mm[0] - ax, end_mm[1] - ay
    edge = edge_mm or on.pixel_mm
    reach = radius_mm + edge
    window = on.window(
        (min(ax, end_mm[0]) - reach, min(ay, end_mm[1]) - reach),
        (max(ax, end_mm[0]) + reach, max(ay, end_mm[1]) + reach),
    )
    x, y = on.x[window] - ax, on.y[window] - ay
    t = np.clip((x * bx + y * by) / max(bx * bx + by * by, 1e-6), 0.0, 1.0)
    return Patch(window, covered(radius_mm - np.hypot(x - t * bx, y - t * by), edge))


def covered(depth_mm: Field, edge_mm: float) -> Field:
    """Coverage from the depth below a surface (negative outside), over an edge of a given width."""
    return np.clip(depth_mm / np.float32(edge_mm) + np.float32(0.5), 0, 1).astype(np.float32)


def paint(image: Field, coverage: Field | Patch, value: Field | float) -> None:
    """Lay a value over an image where a shape covers it."""
    if isinstance(coverage, Patch):
        part = image[coverage.window]
        over = value[coverage.window] if isinstance(value, np.ndarray) else np.float32(value)
        part += coverage.coverage * (over - part)
    else:
        image += coverage * (value - image)


def grain(seed: int, shape: tuple[int, int], *, blur: int = 1) -> Field:
    """Detector noise of unit variance, correlated over about ``blur`` pixels."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    for _ in range(blur):
        noise = (
            noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))
        ) / 4
    return (noise / noise.std()).astype(np.float32)
