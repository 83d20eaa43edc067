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
        return Warped(x, y, self.z_mm + dz, self.pixel_mm)

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
    pixel_mm: float


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
) -> Field:
    """Coverage of an ellipsoid, turned about the body's axis."""
    dz = (on.z - centre_mm[2]) / radii_mm[2]
    if abs(dz) >= 1.15:
        return np.zeros_like(on.x)
    x, y = on.x - centre_mm[0], on.y - centre_mm[1]
    if turn_deg:
        c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        x, y = x * c + y * s, y * c - x * s
    r = np.sqrt((x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + dz * dz)
    return covered((1.0 - r) * min(radii_mm[0], radii_mm[1]), edge_mm or on.pixel_mm)


def tube(
    on: Warped,
    start_mm: tuple[float, float],
    end_mm: tuple[float, float],
    radius_mm: float,
    *,
    edge_mm: float | None = None,
) -> Field:
    """Coverage of a bar with round ends between two points of the slice."""
    ax, ay = start_mm
    bx, by = end_mm[0] - ax, end_mm[1] - ay
    t = ((on.x - ax) * bx + (on.y - ay) * by) / max(bx * bx + by * by, 1e-6)
    t = np.clip(t, 0.0, 1.0)
    away = np.hypot(on.x - ax - t * bx, on.y - ay - t * by)
    return covered(radius_mm - away, edge_mm or on.pixel_mm)


def covered(depth_mm: Field, edge_mm: float) -> Field:
    """Coverage from the depth below a surface (negative outside), over an edge of a given width."""
    return np.clip(depth_mm / np.float32(edge_mm) + np.float32(0.5), 0, 1).astype(np.float32)


def paint(image: Field, coverage: Field, value: Field | float) -> None:
    """Lay a value over an image where a shape covers it."""
    image += coverage * (value - image)


def grain(seed: int, shape: tuple[int, int], *, blur: int = 1) -> Field:
    """Detector noise of unit variance, correlated over about ``blur`` pixels."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    for _ in range(blur):
        noise = (
            noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))
        ) / 4
    return (noise / noise.std()).astype(np.float32)
