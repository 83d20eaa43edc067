"""One axial slice of a chest in Hounsfield units: wall, ribs, spine, lungs, heart, liver.

The same slices, summed from front to back, make the chest radiograph.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isocenter.app.demo.phantoms.shapes import (
    Field,
    Noise,
    Plane,
    Warped,
    covered,
    ellipsoid,
    paint,
    tube,
)

TOP_MM, BOTTOM_MM = 150.0, -135.0

_AIR, _LUNG, _FAT, _MUSCLE, _SOFT, _BLOOD = -1000.0, -865.0, -100.0, 58.0, 42.0, 190.0
_CORTICAL, _MARROW, _CARTILAGE, _LIVER = 900.0, 210.0, 110.0, 105.0
_RIB_SPACING_MM, _RIB_HALF_HEIGHT_MM, _WALL_MM = 25.0, 6.5, 9.0


@dataclass(frozen=True)
class Segment:
    """A straight piece of a vessel between two points in millimetres."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float


@dataclass(frozen=True)
class Chest:
    """One person's chest.

    Attributes:
        seed: gives every person vessels and asymmetries of their own.
        finding: "none", "nodule" (right upper lobe), "pneumonia" (left lower lobe) or
            "effusion" (right).
    """

    seed: int
    finding: str = "none"

    @cached_property
    def _bend(self) -> tuple[Noise, Noise]:
        return Noise(self.seed, 70.0), Noise(self.seed + 1, 70.0)

    @cached_property
    def _texture(self) -> Noise:
        return Noise(self.seed + 2, 6.0)

    @cached_property
    def _layers(self) -> Noise:
        return Noise(self.seed + 3, 16.0)

    @cached_property
    def _vessels(self) -> list[Segment]:
        generator = np.random.default_rng(self.seed + 4)
        tree: list[Segment] = []
        for side in (-1.0, 1.0):
            for z in (28.0, 8.0, -14.0):
                hilum = (side * 30.0, 12.0, z)
                for _ in range(5):
                    way = generator.standard_normal(3) * (0.8, 0.9, 0.9) + (side * 0.9, 0, z / 30)
                    _grow(tree, generator, hilum, way / np.linalg.norm(way), 4.6)
        return tree

    def draw(self, plane: Plane) -> Field:
        """The slice in Hounsfield units, without noise of the detector."""
        sway_x, sway_y = (noise.over(plane) for noise in self._bend)
        on = plane.shifted(sway_x * 3.0, sway_y * 2.5)
        image = plane.full(_AIR)
        cage = _depth_in_cage(on)
        self._wall(image, plane, on, cage)
        lungs = self._lungs(image, plane, on, cage)
        _mediastinum(image, on)
        self._draw_vessels(image, plane, lungs)
        self._below_diaphragm(image, plane, on, cage)
        self._finding(image, on, cage)
        _spine(image, on, self._texture.over(plane))
        return image

    def _wall(self, image: Field, plane: Plane, on: Warped, cage: Field) -> None:
        layers, texture = self._layers.over(plane), self._texture.over(plane)
        skin = _depth_below_skin(on)
        paint(image, covered(skin, plane.pixel_mm), 30)
        paint(image, covered(skin - 2, 1.5), _FAT + 12 * texture)
        paint(image, covered(skin - 15 - 3 * layers, 3.0), _MUSCLE)
        seams = 0.6 * covered(0.05 - np.abs(layers), 0.15) * covered(-cage - 4, 3.0)
        paint(image, seams * covered(skin - 12, 3.0), _FAT)
        _blades(image, on)
        around = np.arctan2(np.abs(on.x), on.y)  # 0 at the spine, pi at the sternum
        fall = 78 * np.sin(around / 2) ** 2 - 9 * np.sin(around) ** 2
        place = (on.z + fall) / _RIB_SPACING_MM
        away = np.abs(place - np.round(place)) * _RIB_SPACING_MM
        wall = _WALL_MM / 2 - np.abs(cage + _WALL_MM / 2)
        bounds = (np.round(place) > -4.5) * (np.round(place) < 6.5)
        depth = np.minimum(_RIB_HALF_HEIGHT_MM - away, wall) * 1.0
        rib = covered(depth, 1.2) * bounds
        bony = covered(2.45 - around, 0.06)
        paint(image, rib, _CARTILAGE + bony * (_CORTICAL - _CARTILAGE))
        paint(image, covered(depth - 1.7, 1.2) * bounds * bony, _MARROW + 40 * texture)
        paint(image, covered(cage, 1.0), _SOFT)
        if -60 < on.z < 95:
            front = -_cage_depth_mm(on.z) - 4
            sternum = tube(on, (-13, front), (13, front), 6.5, edge_mm=1.0)
            paint(image, sternum, _CORTICAL * 0.6)
            inner = tube(on, (-13, front), (13, front), 4.8, edge_mm=1.0)
            paint(image, inner, _MARROW * 0.7)

    def _lungs(self, image: Field, plane: Plane, on: Warped, cage: Field) -> Field:
        inner = covered(cage - 2.5, plane.pixel_mm) * covered(on.z - _diaphragm(on), 3.0)
        middle = _mediastinal_half_width(on)
        apart = covered(np.abs(on.x) - middle, 2.0)
        lungs = inner * apart
        dependent = 0.35 * on.y + 14 * self._layers.over(plane) + 22 * self._texture.over(plane)
        paint(image, inner * (1 - apart), _FAT + 70)
        paint(image, lungs, _LUNG + dependent)
        fissure = np.abs(on.y - 8 + 0.75 * on.z + 6 * self._bend[0].over(plane))
        paint(image, lungs * covered(0.45 - fissure, 1.4), _LUNG + 230)
        return lungs

    def _draw_vessels(self, image: Field, plane: Plane, lungs: Field) -> None:
        for piece in self._vessels:
            (ax, ay, az), (bx, by, bz) = piece.start, piece.end
            reach = piece.radius + 1.5
            if not min(az, bz) - reach < plane.z_mm < max(az, bz) + reach:
                continue
            rows = _window(plane.y_mm, ay, by, reach)
            columns = _window(plane.x_mm, ax, bx, reach)
            x, y = plane.x[:, columns] - ax, plane.y[rows] - ay
            z = plane.z_mm - az
            dx, dy, dz = bx - ax, by - ay, bz - az
            t = np.clip((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz), 0, 1)
            away = np.sqrt((x - t * dx) ** 2 + (y - t * dy) ** 2 + (z - t * dz) ** 2)
            part = image[rows, columns]
            paint(
                part,
                covered(piece.radius - away, plane.pixel_mm) * lungs[rows, columns],
                _BLOOD * 0.5,
            )

    def _below_diaphragm(self, image: Field, plane: Plane, on: Warped, cage: Field) -> None:
        if on.z > 20:
            return
        below = covered(_diaphragm(on) - on.z, 3.0) * covered(cage - 2, 1.5)
        belly = plane.full(_FAT + 5)
        texture = self._texture.over(plane)
        liver = ellipsoid(on, (-52, -6, -95), (95, 84, 95), edge_mm=1.5)
        paint(belly, liver, _LIVER + 4 * texture)
        stomach = ellipsoid(on, (55, -12, -95), (48, 48, 62), edge_mm=1.5)
        paint(belly, stomach, 35 + 6 * texture)
        gas = ellipsoid(on, (55, -16, -92), (42, 42, 56), edge_mm=1.0) * covered(-30 - on.y, 1.0)
        paint(belly, gas, _AIR + 20)
        spleen = ellipsoid(on, (92, 38, -105), (26, 42, 52), turn_deg=-25, edge_mm=1.5)
        paint(belly, spleen, 118 + 4 * texture)
        for centre in ((-62, 20, -110), (-40, -10, -105), (-75, -25, -112)):
            paint(belly, ellipsoid(on, centre, (22, 4, 9), turn_deg=35) * liver, 165)
        paint(image, below, belly)

    def _finding(self, image: Field, on: Warped, cage: Field) -> None:
        if self.finding == "nodule":
            spiky = 14 + 2.0 * np.sin(np.arctan2(on.y - 8, on.x + 82) * 9)
            away = np.sqrt((on.x + 82) ** 2 + (on.y - 8) ** 2 + (on.z - 62) ** 2)
            paint(image, covered(spiky - away, 2.5), _SOFT)
        elif self.finding == "pneumonia":
            shape = ellipsoid(on, (80, 38, -18), (38, 34, 44), edge_mm=16.0)
            patch = shape * covered(cage - 3, 1.0) * covered(on.z - _diaphragm(on), 3.0)
            paint(image, patch * (image < -300) * 0.88, 30.0)
        elif self.finding == "effusion":
            level = 46 - 0.45 * (on.z + 60)
            fluid = covered(on.y - level, 2.0) * covered(cage - 2.5, 1.0) * covered(-on.x - 20, 3.0)
            paint(image, fluid * covered(on.z - _diaphragm(on), 3.0) * (on.z < 60), 12.0)


def _grow(
    tree: list[Segment],
    generator: np.random.Generator,
    start: tuple[float, float, float],
    way: Field,
    radius: float,
) -> None:
    """Add a branch and its twigs, thinner at each fork, to the tree."""
    if radius < 0.55:
        return
    length = 8.0 + radius * 4.2 * generator.uniform(0.8, 1.2)
    stop = np.asarray(start) + way * length
    end = (float(stop[0]), float(stop[1]), float(stop[2]))
    tree.append(Segment(start, end, radius))
    for shrink in (0.80, 0.66):
        turned = way + 0.42 * generator.standard_normal(3)
        _grow(tree, generator, end, turned / np.linalg.norm(turned), radius * shrink)


def _window(positions_mm: Field, start: float, end: float, reach: float) -> slice:
    low = int(np.searchsorted(positions_mm, min(start, end) - reach))
    return slice(low, int(np.searchsorted(positions_mm, max(start, end) + reach)) + 1)


def _cage_depth_mm(z: float) -> float:
    return 84.0 * (1 - 0.42 * max(0.0, (z - 10) / 140) ** 1.6)


def _depth_in_cage(on: Warped) -> Field:
    """Distance inside the pleura, negative outside: an ellipse that narrows to the apex."""
    width = 132.0 * (1 - 0.62 * max(0.0, (on.z + 5) / 155) ** 2.0)
    depth = _cage_depth_mm(on.z)
    x, y = np.abs(on.x) / width, on.y / depth
    r = (x**2.3 + np.abs(y) ** 2.3) ** (1 / 2.3)
    slope = np.hypot(x / width, y / depth) / np.maximum(r, 1e-3)
    behind = 20 * np.exp(-((on.x / 26) ** 2)) * covered(on.y - 20, 20.0)  # the spine stands in
    return ((1 - r) / np.maximum(slope, 1e-3) - behind).astype(np.float32)


def _depth_below_skin(on: Warped) -> Field:
    shoulders = 1 / (1 + math.exp(-(on.z - 88) / 14))
    width, depth = 168.0 + 32 * shoulders, 118.0 - 22 * max(0.0, (on.z - 90) / 60)
    x, y = np.abs(on.x) / width, np.abs(on.y - 8) / depth
    r = (x**2.6 + y**2.6) ** (1 / 2.6)
    return ((1 - r) * (width * x + depth * y) / np.maximum(x + y, 1e-3)).astype(np.float32)


def _diaphragm(on: Warped) -> Field:
    side = np.where(on.x < 0, 12.0, 0.0)
    dome = np.exp(-(((np.abs(on.x) - 62) / 58) ** 2) - ((on.y + 12) / 62) ** 2)
    return (-112 + side + 62 * dome).astype(np.float32)


def _mediastinal_half_width(on: Warped) -> Field:
    front = np.exp(-(((on.y + 62) / 34) ** 2))
    return (21 - 13 * front + 5 * np.sin(on.y / 15)).astype(np.float32)


def _mediastinum(image: Field, on: Warped) -> None:
    heart = ellipsoid(on, (18, -24, -42), (60, 47, 56), turn_deg=28, edge_mm=1.5)
    paint(image, heart, 95)
    for centre, radii, turn in (
        ((44, -18, -52), (25, 18, 34), 35),  # left ventricle
        ((8, -48, -44), (34, 17, 36), 12),  # right ventricle
        ((-28, -20, -30), (20, 22, 28), 0),  # right atrium
        ((8, 12, -18), (30, 16, 20), 0),  # left atrium
    ):
        paint(image, ellipsoid(on, centre, radii, turn_deg=turn, edge_mm=2.0), _BLOOD)
    z = on.z
    lean = 0.12 * (z - 30)
    for low, high, start, end, radius in (
        (-10, 58, (-12 + lean, -22), (-12 + lean, -22), 16.0),  # ascending aorta
        (-200, 62, (26, 40 - 0.05 * z), (26, 40 - 0.05 * z), 12.5),  # descending aorta
        (52, 74, (-8, -20), (24, 36), 12.5),  # arch
        (5, 120, (-29, -14), (-29, -14), 8.5),  # superior vena cava
        (8, 36, (20, -34), (22, -12), 13.5),  # pulmonary trunk
        (12, 30, (18, -8), (-38, 6), 10.0),  # right pulmonary artery
        (16, 34, (22, -12), (42, 18), 10.0),  # left pulmonary artery
        (74, 150, (-14, 0), (-14 - 0.15 * (z - 74), 0), 5.5),  # brachiocephalic
        (74, 150, (14, 6), (14 + 0.1 * (z - 74), 6), 4.5),  # carotid
    ):
        rounded = _rounded(radius, min(z - low, high - z))
        if rounded:
            paint(image, tube(on, start, end, rounded, edge_mm=1.2), _BLOOD)
    paint(image, ellipsoid(on, (8, 38, z), (7, 5, 10)), _SOFT)  # oesophagus
    apart = max(0.0, (38 - z) * 0.95)
    if z > 38:
        paint(image, ellipsoid(on, (0, 17, z), (11, 10.5, 10)), _SOFT)
        paint(image, ellipsoid(on, (0, 17, z), (8.8, 8.6, 10)), _AIR + 5)
    elif apart < 42:
        for side in (-1, 1):
            wide = 7.0 - apart * 0.07
            centre = (side * (5 + apart), 19 + 0.15 * apart, z)
            paint(image, ellipsoid(on, centre, (wide + 1.8, wide + 1.8, 10)), _SOFT)
            paint(image, ellipsoid(on, centre, (wide, wide, 10)), _AIR + 5)


def _rounded(radius: float, to_end: float) -> float:
    """Radius of a tube with a round end, at a distance before that end; 0 beyond it."""
    if to_end <= 0:
        return 0.0
    short = max(0.0, radius - to_end)
    return math.sqrt(radius * radius - short * short)


def _spine(image: Field, on: Warped, texture: Field) -> None:
    place = (on.z + 6) / _RIB_SPACING_MM
    in_disc = min(1.0, max(0.0, (abs(place - round(place)) * _RIB_SPACING_MM - 9.5) / 1.5 + 0.5))
    body = ellipsoid(on, (0, 66, on.z), (19, 16, 10), edge_mm=1.2)
    paint(image, ellipsoid(on, (0, 68, on.z), (27, 22, 10), edge_mm=4.0), _MUSCLE)
    paint(image, body, _CORTICAL * 0.75 * (1 - in_disc) + 85 * in_disc)
    core = ellipsoid(on, (0, 66, on.z), (17.2, 14.2, 10), edge_mm=1.2)
    paint(image, core, (_MARROW + 45 * texture) * (1 - in_disc) + 85 * in_disc)
    arch = 1 - 0.75 * in_disc
    paint(image, ellipsoid(on, (0, 89, on.z), (15, 13, 10)) * arch, _CORTICAL * 0.7)
    for side in (-1, 1):
        process = tube(on, (side * 12, 88), (side * 33, 97), 4.8, edge_mm=1.2)
        paint(image, process * arch, _CORTICAL * 0.6)
    paint(image, tube(on, (0, 96), (0, 117), 3.4) * (0.4 + 0.6 * arch), _CORTICAL * 0.6)
    paint(image, ellipsoid(on, (0, 88, on.z), (9.5, 8, 10)), 22)
    paint(image, ellipsoid(on, (0, 88, on.z), (5.5, 4.5, 10)), _SOFT)


def _blades(image: Field, on: Warped) -> None:
    """Shoulder blades and collar bones."""
    for side in (-1, 1):
        if -5 < on.z < 120:
            lean = 0.12 * (on.z - 60)
            narrow = min(1.0, (on.z + 5) / 70)  # the lower corner of the blade
            blade = tube(
                on,
                (side * (104 - 18 * narrow - lean), 92),
                (side * (106 + 36 * narrow - lean), 90 - 22 * narrow),
                3.6,
                edge_mm=1.2,
            )
            paint(image, blade, _CORTICAL * 0.7)
            muscle = tube(
                on, (side * (88 - lean), 101), (side * (146 - lean), 78), 8.0 * narrow, edge_mm=3.0
            )
            paint(image, muscle * (image < _MUSCLE), _MUSCLE)
        rise = 104 + 0.13 * np.abs(on.x)
        bow = -58 + 0.32 * np.abs(on.x) - 12 * np.sin(np.abs(on.x) / 26)
        away = np.hypot(on.z - rise, on.y - bow)
        length = covered(np.abs(on.x) - 14, 3.0) * covered(150 - np.abs(on.x), 3.0)
        paint(image, covered(6.2 - away, 1.2) * length, _CORTICAL)
        paint(image, covered(4.2 - away, 1.2) * length, _MARROW)
