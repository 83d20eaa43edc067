"""Projection radiographs: a chest summed from its slices, a hand from the thickness of its bones.

Bones come out bright (MONOCHROME2). The finishing is that of a digital detector: logarithm, local
contrast, quantum noise.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isocenter.app.demo.phantoms.chest import BOTTOM_MM, TOP_MM, Chest
from isocenter.app.demo.phantoms.shapes import (
    Field,
    Noise,
    Plane,
    Warped,
    Window,
    covered,
    grain,
)

_MAXIMUM = 4095  # twelve bits stored
_WATER_PER_MM = 0.02


def chest(subject: Chest, *, size: int = 1024) -> NDArray[np.uint16]:
    """A postero-anterior chest radiograph, uint16 of (size, size)."""
    x = np.arange(-200, 200, 1.3, dtype=np.float32)
    y = np.arange(-125, 136, 3.0, dtype=np.float32)
    heights = np.arange(TOP_MM, BOTTOM_MM, -2.0)
    rows = [_path_mm(subject, Plane(x, y, float(z)), 3.0) for z in heights]
    path = _enlarged(np.asarray(rows, np.float32), (size, size))
    return _finished(path, subject.seed, local=1.1, low=16.0, high=99.6)


def hand(seed: int, *, fractured: bool = False) -> NDArray[np.uint16]:
    """A dorso-palmar radiograph of a left hand, uint16 of (1536, 1152), 0.16 mm pixels."""
    pixel_mm, shape = 0.16, (1536, 1152)
    y = ((np.arange(shape[0]) - 1080) * pixel_mm).astype(np.float32)
    x = ((np.arange(shape[1]) - 576) * pixel_mm).astype(np.float32)
    plane = Plane(x, y, 0.0)
    sway = Noise(seed, 40.0).over(plane)
    on = plane.shifted(0.5 * sway, 0.4 * sway)
    path = np.zeros(shape, np.float32)
    flesh = np.zeros(shape, np.float32)
    trabeculae = (
        1 + 0.10 * Noise(seed + 1, 0.9).over(plane) + 0.10 * Noise(seed + 2, 2.0).over(plane)
    )
    for start, end, width, thick in _soft_parts():
        here = _around(on, start, end, width)
        away, _ = _along(_cut(on, here), start, end)
        part = 2 * thick * np.sqrt(np.clip(1 - (away / width) ** 2, 0, 1))
        flesh[here] = np.maximum(flesh[here], part)
    for start, end, middle, head in _bones(fractured=fractured):
        here = _around(on, start, end, head)
        path[here] += _bone_mm(_cut(on, here), start, end, (middle, head), trabeculae[here])
    for centre, radii in _CARPALS:
        r = np.sqrt(((on.x - centre[0]) / radii[0]) ** 2 + ((on.y - centre[1]) / radii[1]) ** 2)
        body = np.sqrt(np.clip(1 - r**3, 0, 1))
        path += 4.2 * body * trabeculae + 3.0 * covered(0.09 - np.abs(r - 0.93), 0.1)
    return _finished(flesh * 0.55 + path * 2.1, seed, local=0.7, low=0.5, high=99.8)


_CARPALS = (
    ((-14.5, 17.5), (6.2, 8.2)),  # scaphoid
    ((-2.5, 20.5), (6.6, 6.4)),  # lunate
    ((9.0, 18.5), (5.8, 5.8)),  # triquetrum
    ((12.0, 15.0), (3.6, 3.6)),  # pisiform
    ((-20.0, 8.0), (5.6, 5.2)),  # trapezium
    ((-11.5, 6.5), (4.4, 4.8)),  # trapezoid
    ((-2.5, 7.5), (5.8, 7.4)),  # capitate
    ((7.6, 8.0), (6.0, 6.6)),  # hamate
)
# Base of the metacarpal, degrees from straight up, lengths of metacarpal and phalanges.
_RAYS = (
    ((-24.0, 2.0), -42.0, (42.0, 29.0, 21.0)),
    ((-13.5, 0.0), -9.0, (62.0, 37.0, 22.5, 17.0)),
    ((-3.5, -1.0), -1.0, (60.0, 41.0, 27.0, 18.0)),
    ((5.0, 0.0), 6.0, (54.0, 38.0, 25.5, 18.0)),
    ((12.0, 2.0), 15.0, (49.0, 30.0, 18.0, 16.0)),
)

_Point = tuple[float, float]


def _bones(*, fractured: bool) -> Iterator[tuple[_Point, _Point, float, float]]:
    """Start, end, half-width of shaft and of heads of each long bone."""
    for ray, (base, degrees, lengths) in enumerate(_RAYS):
        x, y = base
        for index, length in enumerate(lengths):
            turn = math.radians(degrees * (1 - 0.12 * index))
            end = (x + length * math.sin(turn), y - length * math.cos(turn))
            middle = (4.0, 3.5, 2.9, 2.2)[index] * (0.92 if ray == len(_RAYS) - 1 else 1.0)
            head = middle * (1.62 if index < len(lengths) - 1 else 1.25)
            if fractured and ray == len(_RAYS) - 1 and index == 0:  # neck of the fifth metacarpal
                broken = (x + 0.72 * (end[0] - x), y + 0.72 * (end[1] - y))
                yield (x, y), broken, middle, middle * 1.3
                end = (end[0] - 4.5, end[1] + 3.0)
                yield (broken[0] - 1.2, broken[1] - 0.9), end, middle * 1.2, head
            else:
                yield (x, y), end, middle, head
            x, y = end[0] + 1.6 * math.sin(turn), end[1] - 1.6 * math.cos(turn)
    yield (-11.0, 29.0), (-8.0, 150.0), 7.2, 13.5  # radius
    yield (13.0, 31.0), (13.5, 150.0), 5.2, 7.4  # ulna


def _soft_parts() -> Iterator[tuple[_Point, _Point, float, float]]:
    for base, degrees, lengths in _RAYS:
        x, y = base
        for index, length in enumerate(lengths):
            turn = math.radians(degrees * (1 - 0.12 * index))
            reach = length + (5.0 if index == len(lengths) - 1 else 1.6)
            end = (x + reach * math.sin(turn), y - reach * math.cos(turn))
            yield (x, y), end, (13.5, 9.6, 8.6, 7.6)[index], (13.0, 8.5, 7.5, 6.5)[index]
            x, y = x + (length + 1.6) * math.sin(turn), y - (length + 1.6) * math.cos(turn)
    yield (-6.0, -28.0), (-4.0, 12.0), 32.0, 14.0  # palm
    yield (-20.0, -8.0), (-14.0, 14.0), 19.0, 15.0  # ball of the thumb
    yield (0.0, 15.0), (1.0, 90.0), 28.0, 20.0  # wrist


def _around(on: Warped, start: _Point, end: _Point, reach_mm: float) -> Window:
    """The rows and columns in which something may be that is so near a line."""
    (left, right), (top, bottom) = (sorted(each) for each in zip(start, end, strict=True))
    return on.window((left - reach_mm, top - reach_mm), (right + reach_mm, bottom + reach_mm))


def _cut(on: Warped, window: Window) -> Warped:
    return replace(on, x=on.x[window], y=on.y[window])


def _along(on: Warped, start: _Point, end: _Point) -> tuple[Field, Field]:
    """Distance from a line between two points, and the place along it from 0 to 1."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = ((on.x - start[0]) * dx + (on.y - start[1]) * dy) / (dx * dx + dy * dy)
    t = np.clip(t, 0, 1)
    return np.hypot(on.x - start[0] - t * dx, on.y - start[1] - t * dy), t


def _bone_mm(
    on: Warped, start: _Point, end: _Point, widths: tuple[float, float], trabeculae: Field
) -> Field:
    """Bone that a ray crosses: a hollow shaft with thick walls that flares into spongy heads."""
    middle, head = widths
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    inset = min(head * 0.8, length * 0.3)
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    near = (start[0] + ux * inset, start[1] + uy * inset)
    far = (end[0] - ux * inset, end[1] - uy * inset)
    away, t = _along(on, near, far)
    flare = np.abs(2 * t - 1) ** 3.5
    outer = middle + (head - middle) * flare
    wall = np.maximum(0.42, (1 - flare) * middle * 0.42)
    inner = outer - wall
    whole = np.sqrt(np.clip(outer**2 - away**2, 0, None))
    hollow = np.sqrt(np.clip(inner**2 - away**2, 0, None))
    spongy = 0.26 + 0.16 * flare
    return (2 * (whole - hollow) + 2 * hollow * spongy * trabeculae).astype(np.float32)


def _path_mm(subject: Chest, plane: Plane, depth_mm: float) -> Field:
    """Water-equivalent path of the rays through one slice, from front to back."""
    hounsfield = subject.draw(plane)
    density = np.clip((hounsfield + 1000) / 1000, 0, None)
    # Calcium takes more of a radiograph's softer beam than its CT number says.
    density += 1.0 * np.clip((hounsfield - 190) / 1000, 0, None)
    return (density.sum(axis=0) * depth_mm).astype(np.float32)


def _finished(
    path_mm: Field, seed: int, *, local: float, low: float, high: float
) -> NDArray[np.uint16]:
    """Twelve-bit image from path lengths: local contrast raised, noise added, ends clipped."""
    image = np.log(path_mm + 60.0)
    image += local * (image - _blurred(image, image.shape[0] // 24))
    quanta = np.exp(-_WATER_PER_MM * np.clip(path_mm, 0, 250) / 2)
    image += grain(seed + 9, (image.shape[0], image.shape[1]), blur=1) * 0.0022 / quanta
    bottom, top = (float(np.percentile(image, percent)) for percent in (low, high))
    return (np.clip((image - bottom) / (top - bottom), 0, 1) * _MAXIMUM).astype(np.uint16)


def _blurred(image: Field, radius: int) -> Field:
    """Mean over a square, twice: close to a Gaussian."""
    for axis in (0, 1, 0, 1):
        padding = [(radius + 1, radius) if each == axis else (0, 0) for each in (0, 1)]
        sums = np.cumsum(np.pad(image, padding, mode="edge"), axis=axis, dtype=np.float64)
        width = 2 * radius + 1
        apart = sums[width:] - sums[:-width] if axis == 0 else sums[:, width:] - sums[:, :-width]
        image = (apart / width).astype(np.float32)
    return image


def _enlarged(image: Field, shape: tuple[int, int]) -> Field:
    """The image on a finer grid, linear between the given samples, lightly smoothed."""
    for axis, size in enumerate(shape):
        samples: int = image.shape[axis]
        place: Field = np.linspace(0, samples - 1, size)
        low = np.minimum(place.astype(int), samples - 2)
        beyond = (place - low).astype(np.float32)
        part: Field = beyond[:, None] if axis == 0 else beyond[None, :]
        image = np.take(image, low, axis) * (1 - part) + np.take(image, low + 1, axis) * part
    return _blurred(image, 1)
