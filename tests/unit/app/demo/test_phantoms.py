"""The phantoms have the densities and the anatomy that a reader expects, and repeat exactly."""

import numpy as np
import pytest

from isocenter.app.demo.phantoms import radiograph
from isocenter.app.demo.phantoms.chest import Chest
from isocenter.app.demo.phantoms.head import CT_PALETTE, T1_PALETTE, T2_PALETTE, Head
from isocenter.app.demo.phantoms.shapes import Noise, Plane, grain


def plane(z_mm: float) -> Plane:
    return Plane.centred(size=160, pixel_mm=1.5, z_mm=z_mm)


def at(image: np.ndarray, x_mm: float, y_mm: float) -> float:
    """Mean of a small square, at millimetres from the middle."""
    row, column = (round((value / 1.5) + 79.5) for value in (y_mm, x_mm))
    return float(image[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_a_head_has_air_outside_bone_around_and_brain_inside():
    image = Head(7).draw(plane(20.0), CT_PALETTE)
    assert at(image, -110, -110) == -1000
    assert 15 < at(image, 25, 10) < 60
    assert image.max() > 700
    middle = image[80, :]
    skull = np.flatnonzero(middle > 300) * 1.5
    assert skull.min() < 60
    assert skull.max() > 175


def test_a_subdural_haematoma_is_bright_on_the_left_only():
    healthy, bleeding = (Head(7, f).draw(plane(30.0), CT_PALETTE) for f in ("none", "subdural"))
    change = bleeding - healthy
    assert change.max() > 20
    assert np.flatnonzero(np.abs(change).max(axis=0) > 5).min() > 80


def test_fluid_is_dark_on_t1_and_bright_on_t2():
    t1, t2 = (Head(7).draw(plane(24.0), palette) for palette in (T1_PALETTE, T2_PALETTE))
    ventricle = (12.5, 2)
    white_matter = (28, 2)
    assert at(t1, *ventricle) < 0.5 * at(t1, *white_matter)
    assert at(t2, *ventricle) > 1.5 * at(t2, *white_matter)


def test_a_chest_has_dark_lungs_bright_vessels_and_a_dense_spine():
    image = Chest(11).draw(Plane.centred(size=200, pixel_mm=2.0, z_mm=40.0))
    lung = image[100, 140:155].mean()
    assert -950 < lung < -700
    assert image[100 + 33, 98:103].mean() > 100


def test_a_finding_is_where_its_report_says():
    z = plane(62.0)
    nodule = Chest(11, "nodule").draw(z) - Chest(11).draw(z)
    columns = np.flatnonzero(nodule.max(axis=0) > 300)
    assert columns.max() < 80  # the patient's right is on the image's left


@pytest.mark.parametrize(
    "made", [lambda: radiograph.hand(3), lambda: radiograph.hand(3, fractured=True)]
)
def test_a_hand_fills_twelve_bits_and_repeats_exactly(made):
    first, second = made(), made()
    assert first.dtype == np.uint16
    assert first.min() == 0
    assert first.max() == 4095
    assert np.array_equal(first, second)


def test_the_fracture_shows():
    difference = radiograph.hand(3).astype(int) - radiograph.hand(3, fractured=True)
    assert np.abs(difference).max() > 500


def test_noise_is_smooth_centred_and_a_function_of_the_place():
    noise = Noise(5, 20.0)
    one = noise.over(plane(0.0))
    assert abs(one.mean()) < 0.6
    assert 0.5 < one.std() < 1.6
    assert np.abs(np.diff(one, axis=1)).max() < 0.5
    assert np.array_equal(one, Noise(5, 20.0).over(plane(0.0)))
    assert np.abs(noise.over(plane(0.5)) - one).max() < 0.5


def test_grain_has_unit_variance():
    assert abs(grain(1, (200, 200)).std() - 1) < 0.01
