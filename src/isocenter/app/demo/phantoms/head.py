"""One axial slice of a head: scalp, skull, brain with sulci and ventricles, skull base and orbits.

What is drawn where is the same for every modality; the value of each tissue comes from a palette
(Hounsfield units for CT, signal for MR).
"""

from collections.abc import Mapping
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

Palette = Mapping[str, float]

_HALF_WIDTH_MM, _HALF_LENGTH_MM, _HEIGHT_MM = 76.0, 95.0, 88.0
_SCALP_MM, _SKULL_MM, _BRAIN_MM = 6.0, 12.5, 14.5  # depths below the skin where each begins or ends


@dataclass(frozen=True)
class Head:
    """One person's head.

    Attributes:
        seed: gives every person folds and asymmetries of their own.
        finding: "none", "subdural" (crescent along the left convexity), "infarct" (left middle
            cerebral artery) or "metastases".
    """

    seed: int
    finding: str = "none"

    @cached_property
    def _bend(self) -> tuple[Noise, Noise]:
        return Noise(self.seed, 55.0), Noise(self.seed + 1, 55.0)

    @cached_property
    def _folds(self) -> Noise:
        return Noise(self.seed + 2, 7.4)

    @cached_property
    def _texture(self) -> Noise:
        return Noise(self.seed + 3, 4.5)

    @cached_property
    def _texture_of_bone(self) -> Noise:
        return Noise(self.seed + 5, 14.0)

    @cached_property
    def _depth_of_folds(self) -> Noise:
        return Noise(self.seed + 4, 24.0)

    def draw(self, plane: Plane, palette: Palette) -> Field:
        """The slice in the palette's values, without noise of the detector."""
        sway_x, sway_y = (noise.over(plane) for noise in self._bend)
        on = plane.shifted(sway_x * 1.6, sway_y * 1.6)
        depth = _depth_below_skin(on)
        floor = _floor_of_skull(on) + 2.5 * self._texture_of_bone.over(plane)
        above_floor = covered(on.z - floor, 3.0)
        image = plane.full(palette["air"])
        self._cover(image, plane, depth, palette)
        inside = covered(depth - _BRAIN_MM + 1.5, plane.pixel_mm) * above_floor
        skull = covered(depth - _SCALP_MM, 1.0) * covered(_SKULL_MM - depth, 1.0)
        paint(image, skull * covered(on.z - floor + 6, 4.0), palette["cortical"])
        marrow = covered(depth - _SCALP_MM - 1.9, 1.0) * covered(_SKULL_MM - 1.9 - depth, 1.0)
        speckle = palette["diploe"] * (1 + 0.18 * self._texture.over(plane))
        paint(image, marrow * covered(on.z - floor + 6, 4.0), speckle)
        base = covered(3.0 - np.abs(on.z - floor), 2.0) * covered(depth - _SCALP_MM, 1.0)
        paint(image, base, palette["cortical"] * 0.8)
        brain = plane.full(palette["csf"])
        self._brain(brain, plane, on, depth, palette)
        paint(image, inside, brain)
        if plane.z_mm < -8:
            self._base_of_skull(image, plane, on, palette)
        return image

    def _cover(self, image: Field, plane: Plane, depth: Field, palette: Palette) -> None:
        texture = self._texture.over(plane)
        paint(image, covered(depth, plane.pixel_mm), palette["skin"])
        paint(image, covered(depth - 2.0, 1.5), palette["fat"])
        flesh = np.clip((10 - plane.z_mm) / 30, 0, 1) * covered(texture + 1.25, 1.2)
        temple = covered(np.abs(plane.x) - 45 + 0 * plane.y, 10.0) * covered(
            35 - np.abs(plane.y + 18) + 0 * plane.x, 10.0
        )
        paint(image, covered(depth - 3.5, 1.5) * np.maximum(flesh, temple), palette["muscle"])

    def _brain(
        self, image: Field, plane: Plane, on: Warped, depth: Field, palette: Palette
    ) -> None:
        under_cortex = depth - _BRAIN_MM
        folds = self._folds.over(plane)
        reach = 20 + 5 * self._depth_of_folds.over(plane)
        fade = np.clip(1 - under_cortex / reach, 0, 1)
        edge = 0.22
        sulcus = covered(0.17 * fade**0.7 - np.abs(folds), edge) * (fade > 0)
        cortex = np.maximum(
            covered(0.80 * fade**0.45 - np.abs(folds), 0.35) * (fade > 0),
            covered(3.2 - under_cortex, 1.5),
        )
        parenchyma = plane.full(palette["white"])
        paint(parenchyma, cortex, palette["grey"])
        self._deep(parenchyma, on, palette)
        paint(image, covered(under_cortex, plane.pixel_mm), parenchyma)
        paint(image, sulcus * covered(under_cortex + 1, 1.0), palette["csf"])
        self._fissures(image, on, under_cortex, palette)
        _ventricles(image, on, palette)
        if plane.z_mm < 0:
            self._posterior_fossa(image, on, palette)
        self._finding(image, on, under_cortex, palette)

    @staticmethod
    def _deep(image: Field, on: Warped, palette: Palette) -> None:
        for side in (-1, 1):
            for centre, radii, turn in (
                ((15, -26, 14), (5, 10, 10), 15),  # caudate head
                ((25, -7, 5), (7.5, 17, 12), 12),  # lentiform nucleus
                ((10.5, 11, 6), (8.5, 13, 11), -25),  # thalamus
            ):
                x, y, z = centre
                shape = ellipsoid(on, (side * x, y, z), radii, turn_deg=side * turn, edge_mm=2.0)
                paint(image, shape, palette["deep_grey"])
            insula = tube(on, (side * 37, -22), (side * 40, 14), 3.2, edge_mm=2.0)
            paint(image, insula * (abs(on.z - 6) < 16), palette["grey"])

    @staticmethod
    def _fissures(image: Field, on: Warped, under_cortex: Field, palette: Palette) -> None:
        midline = covered(1.6 - np.abs(on.x), 1.0)
        front_or_back = covered(np.abs(on.y - 3) - (38 if on.z < 34 else 0), 4.0)
        if on.z > -18:
            paint(image, midline * front_or_back, palette["csf"])
            falx = covered(0.7 - np.abs(on.x), 1.0) * front_or_back * (on.z > 0)
            paint(image, falx * covered(under_cortex + 3, 2.0), palette["dura"])
        if -16 < on.z < 22:
            for side in (-1, 1):
                outer = tube(on, (side * 64, -26), (side * 43, -14), 2.4)
                inner = tube(on, (side * 43, -20), (side * 45, 14), 1.6)
                paint(image, outer, palette["csf"])
                paint(image, inner, palette["csf"])

    def _posterior_fossa(self, image: Field, on: Warped, palette: Palette) -> None:
        cistern = ellipsoid(on, (0, 6, -30), (25, 19, 16), edge_mm=2.0)
        paint(image, cistern, palette["csf"])
        cerebellum = ellipsoid(on, (0, 47, -46), (50, 31, 30), edge_mm=1.5)
        radius = np.hypot(on.x * 0.75, on.y - 30)
        folia = 0.5 + 0.5 * np.sin(radius * 1.45 + 0.5 * np.sin(on.x * 0.13))
        depth = np.clip((radius - 20) / 14, 0, 1)
        leaf = palette["white"] + (palette["grey"] - palette["white"]) * (0.35 + 0.65 * depth)
        leaf = leaf + (palette["csf"] - leaf) * 0.33 * depth * folia**3
        paint(image, cerebellum, leaf)
        stem = ellipsoid(on, (0, 14, -42), (15, 12.5, 44), edge_mm=1.5)
        paint(image, stem, 0.6 * palette["white"] + 0.4 * palette["grey"])
        paint(image, ellipsoid(on, (0, 29, -38), (8, 4.5, 11)), palette["csf"])

    def _finding(self, image: Field, on: Warped, under_cortex: Field, palette: Palette) -> None:
        if self.finding == "subdural" and 0 < on.z < 62:
            thickness = 9 * np.clip(1 - ((on.z - 30) / 34) ** 2, 0, 1)
            along = np.clip(1 - ((on.y + 8) / 58) ** 2, 0, 1)
            crescent = covered(thickness * along - under_cortex - 1, 1.0) * covered(on.x - 12, 3.0)
            paint(image, crescent * (along > 0), palette["blood"])
        elif self.finding == "infarct":
            shape = ellipsoid(on, (48, 4, 22), (24, 34, 30), edge_mm=9.0)
            swollen = 0.55 * palette["lesion"] + 0.45 * palette["grey"]
            paint(image, shape * covered(under_cortex, 2.0) * 0.85, swollen)
        elif self.finding == "metastases":
            for centre, radius in (
                ((-34, -42, 30), 8.0),
                ((38, 32, 20), 6.0),
                ((22, -12, 48), 5.0),
            ):
                halo = ellipsoid(
                    on, centre, (radius * 2.3, radius * 2.3, radius * 2.3), edge_mm=6.0
                )
                paint(image, halo * 0.7, palette["lesion"])
                paint(
                    image,
                    ellipsoid(on, centre, (radius, radius, radius), edge_mm=2.0),
                    palette["blood"],
                )

    def _base_of_skull(self, image: Field, plane: Plane, on: Warped, palette: Palette) -> None:
        cells = covered(self._texture.over(plane) - 0.1, 0.5)
        for side in (-1, 1):
            height = max(0.0, 1 - ((on.z + 42) / 15) ** 2)
            if height:
                ridge = tube(on, (side * 19, 6), (side * 60, 34), 10 * height**0.5, edge_mm=1.5)
                paint(image, ridge, palette["cortical"] * 0.9)
                mastoid = ellipsoid(on, (side * 58, 34, -46), (10, 15, 16), edge_mm=2.0)
                paint(image, mastoid * cells, palette["air"])
                canal = tube(on, (side * 50, 14), (side * 78, 8), 3.2)
                paint(image, canal * (abs(on.z + 48) < 5), palette["air"])
        clivus = ellipsoid(on, (0, -7, -46), (10, 7, 22), edge_mm=1.5)
        paint(image, clivus, palette["diploe"])
        self._orbits(image, on, palette)
        self._sinuses(image, on, palette)

    @staticmethod
    def _orbits(image: Field, on: Warped, palette: Palette) -> None:
        for side in (-1, 1):
            wall = ellipsoid(on, (side * 31, -60, -35), (21, 31, 20), turn_deg=side * 18)
            paint(image, wall * covered(-52 - on.y + 24, 4.0), palette["cortical"] * 0.7)
            cone = ellipsoid(on, (side * 31, -62, -35), (18.5, 29, 18), turn_deg=side * 18)
            paint(image, cone, palette["fat"])
            for offset in (-9, 9):  # medial and lateral rectus muscle
                muscle = tube(
                    on, (side * (33 + offset * 1.25), -70), (side * (22 + offset * 0.3), -40), 1.9
                )
                paint(image, muscle * cone * (abs(on.z + 35) < 8), palette["muscle"])
            nerve = tube(on, (side * 32, -66), (side * 18, -36), 2.2)
            paint(image, nerve * (abs(on.z + 35) < 4), palette["muscle"])
            paint(
                image, ellipsoid(on, (side * 32, -76, -35), (13.2, 13.2, 13.2)), palette["muscle"]
            )
            paint(image, ellipsoid(on, (side * 32, -76, -35), (12, 12, 12)), palette["vitreous"])
            paint(image, ellipsoid(on, (side * 32, -85.5, -35), (5, 2.2, 5)), palette["lens"])

    @staticmethod
    def _sinuses(image: Field, on: Warped, palette: Palette) -> None:
        for centre, radii in (
            ((0, -60, -38), (11.5, 27, 18)),  # ethmoid cells and nasal cavity
            ((-27, -58, -66), (15, 17, 15)),  # maxillary sinuses
            ((27, -58, -66), (15, 17, 15)),
            ((0, -26, -40), (14, 10, 10)),  # sphenoid sinus
            ((7, -84, -16), (11, 5, 9)),  # frontal sinus
            ((-6, -84, -16), (9, 4.5, 8)),
        ):
            grown = (radii[0] + 1.6, radii[1] + 1.6, radii[2] + 1.6)
            paint(image, ellipsoid(on, centre, grown), palette["cortical"] * 0.6)
            paint(image, ellipsoid(on, centre, radii), palette["air"])
        ethmoid = ellipsoid(on, (0, -60, -38), (11.5, 27, 18))
        septa = np.maximum(
            covered(0.8 - np.abs(on.x), 1.0),
            covered(np.abs(np.sin(on.y * 0.42 + 0.04 * on.x * on.x)) - 0.93, 0.12),
        )
        paint(image, ethmoid * septa, palette["cortical"] * 0.35)
        sphenoid = ellipsoid(on, (0, -26, -40), (14, 10, 10))
        paint(image, sphenoid * covered(0.9 - np.abs(on.x - 2), 1.0), palette["cortical"] * 0.4)


def _depth_below_skin(on: Warped) -> Field:
    """Distance below the skin, to first order: an egg above, nearly a cylinder below the ears."""
    front = np.clip(-on.y / _HALF_LENGTH_MM, 0, 1.2)
    width = _HALF_WIDTH_MM * (1 - 0.16 * front**2)
    height = _HEIGHT_MM if on.z > 0 else 190.0
    x, y, z = on.x / width, on.y / _HALF_LENGTH_MM, on.z / height
    r = np.sqrt(x * x + y * y + z * z) + 1e-6
    slope = np.sqrt((x / width) ** 2 + (y / _HALF_LENGTH_MM) ** 2 + (z / height) ** 2) / r
    return ((1 - r) / np.maximum(slope, 1e-4)).astype(np.float32)


def _floor_of_skull(on: Warped) -> Field:
    """Height of the skull's floor: high in front, a step to the middle fossa, low at the back."""
    across = (on.x / 60) ** 2
    middle = covered(on.y + 30 + 14 * across - 10 * np.exp(-((on.x / 14) ** 2)), 16.0)
    back = covered(on.y - 6 - 30 * across, 18.0)
    return (-18 + 5 * across - 26 * middle - 34 * back).astype(np.float32)


def _ventricles(image: Field, on: Warped, palette: Palette) -> None:
    for side in (-1, 1):
        for centre, radii, turn in (
            ((9, -27, 14), (4.5, 15, 10), 14),  # frontal horn
            ((12.5, 2, 25), (5.5, 28, 7.5), -4),  # body
            ((23, 38, 12), (5.5, 16, 10), -14),  # atrium and occipital horn
        ):
            x, y, z = centre
            paint(
                image, ellipsoid(on, (side * x, y, z), radii, turn_deg=side * turn), palette["csf"]
            )
        plexus = ellipsoid(on, (side * 22, 32, 11), (2.2, 4.5, 4), turn_deg=side * -14)
        paint(image, plexus, palette["plexus"])
    paint(image, ellipsoid(on, (0, -2, 3), (2.0, 13, 10)), palette["csf"])
    paint(image, ellipsoid(on, (0, 30, 2), (9, 4, 6), edge_mm=2.0), palette["csf"])
    paint(image, ellipsoid(on, (0, 25.5, 4), (2.0, 2.4, 3)), palette["plexus"])


CT_PALETTE: Palette = {
    "air": -1000, "skin": 40, "fat": -95, "muscle": 55, "cortical": 1250, "diploe": 620,
    "csf": 7, "grey": 40, "white": 28, "deep_grey": 42, "dura": 60, "vitreous": 12, "lens": 80,
    "plexus": 130, "blood": 68, "lesion": 18,
}  # fmt: skip
T1_PALETTE: Palette = {
    "air": 0, "skin": 330, "fat": 900, "muscle": 290, "cortical": 25, "diploe": 480,
    "csf": 105, "grey": 370, "white": 545, "deep_grey": 430, "dura": 190, "vitreous": 120,
    "lens": 330, "plexus": 300, "blood": 640, "lesion": 290,
}  # fmt: skip
T2_PALETTE: Palette = {
    "air": 0, "skin": 260, "fat": 560, "muscle": 150, "cortical": 20, "diploe": 330,
    "csf": 980, "grey": 470, "white": 315, "deep_grey": 360, "dura": 120, "vitreous": 1000,
    "lens": 180, "plexus": 620, "blood": 210, "lesion": 800,
}  # fmt: skip
