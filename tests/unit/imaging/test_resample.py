"""Volumes on an even grid, judged by where things are in the world and by numpy's interpolation."""

import numpy as np
import pytest

from isocenter.imaging.resample import CannotResampleError, Place, as_stored, plan, resample

ROWS, COLUMNS = 40, 30
SPACING_MM = (0.7, 0.5)
NOWHERE = -1000.0


def place(position, *, tilt=0.0, rows=ROWS, spacing=SPACING_MM) -> Place:
    angle = np.radians(tilt)
    column = (0.0, float(np.cos(angle)), float(np.sin(angle)))
    return Place(tuple(map(float, position)), (1.0, 0.0, 0.0), column, spacing, rows, COLUMNS)


def straight(depths, **options):
    """Slices along the table; with a tilted gantry they do not lie above each other."""
    return [place((-5, -8, depth), **options) for depth in depths]


def world(position):
    """A thing in the world that bends only a little within a pixel."""
    x, y, z = position
    return 300 * np.sin(x / 30) + 200 * np.cos(y / 25) + 100 * np.sin(z / 40)


def seen(one: Place):
    """What a scanner that is ideal makes of the world in a slice."""
    rows, columns = np.mgrid[: one.rows, : one.columns]
    across, down = np.array(one.row), np.array(one.column)
    position = np.array(one.position_mm)
    return world(
        position[:, None, None]
        + across[:, None, None] * columns * one.spacing_mm[1]
        + down[:, None, None] * rows * one.spacing_mm[0]
    )


def volume(places):
    made = plan(places)
    images = [seen(each) for each in places]
    read: list[int] = []

    def reading(index):
        read.append(index)
        return images[index]

    return made, np.array(list(resample(made, reading, outside=NOWHERE))), read


def truth(made, one: Place):
    """The world at every voxel of the grid."""
    grid = made.grid
    return np.array([
        seen(
            Place(
                tuple(grid.position_mm(k)),
                one.row,
                one.column,
                one.spacing_mm,
                grid.rows,
                grid.columns,
            )
        )
        for k in range(grid.slices)
    ])


@pytest.mark.parametrize("tilt", [20.0, -15.0, 3.0])
@pytest.mark.parametrize("step", [1, -1])
def test_a_tilted_gantry_is_taken_out(tilt, step):
    places = straight(np.arange(12)[::step] * 2.5, tilt=tilt)
    made, values, read = volume(places)
    covered = values != NOWHERE
    assert made.reasons == (f"a tilt of {abs(tilt):.1f} degrees is taken out",)
    assert made.grid.gap_mm == pytest.approx(2.5 * np.cos(np.radians(tilt)))
    assert np.abs(values - truth(made, places[0]))[covered].max() < 0.1
    assert covered.sum() >= 12 * (ROWS - 1) * COLUMNS  # nothing that was seen is lost
    assert sorted(read) == list(range(12))  # each is decoded once


def test_uneven_gaps_are_evened_out_as_numpy_does():
    depths = np.array([0, 1, 2, 4, 6, 7, 8, 10.0])
    places = straight(depths)
    made, values, _ = volume(places)
    images = np.array([seen(each) for each in places])
    even = np.arange(11.0)
    wanted = np.apply_along_axis(lambda column: np.interp(even, depths, column), 0, images)
    assert made.reasons == ("slices 1 mm to 2 mm apart are evened out to 1 mm",)
    assert np.allclose(values, wanted, atol=1e-9)


def test_a_missing_slice_is_between_its_neighbours_and_the_others_are_themselves():
    depths = [0, 2, 4, 8, 10, 12]
    made, values, _ = volume(straight(depths))
    images = [seen(each) for each in straight([*depths, 6])]
    assert made.grid.slices == 7
    assert np.allclose(values[[0, 1, 2, 4, 5, 6]], images[:6])
    assert np.allclose(values[3], (images[2] + images[3]) / 2)


def test_a_tilt_and_uneven_gaps_are_mended_at_once():
    places = straight([0, 2, 4, 7, 10, 12], tilt=10)
    made, values, _ = volume(places)
    covered = values != NOWHERE
    assert len(made.reasons) == 2
    assert np.abs(values - truth(made, places[0]))[covered].max() < 0.5


def test_rounded_positions_blur_nothing():
    depths = [0, 2.01, 3.99, 6.0, 8.02]
    made, values, _ = volume(straight(depths))
    assert made.reasons == ()
    assert (values == [seen(each) for each in straight(depths)]).all()


def test_slices_that_move_aside_in_both_directions_widen_the_grid_both_ways():
    places = [place((-5 + 0.25 * k, -8 + 0.7 * k, 3 * k)) for k in range(4)]
    made, values, _ = volume(places)
    covered = values != NOWHERE
    assert (made.grid.rows, made.grid.columns) == (ROWS + 3, COLUMNS + 2)
    assert np.abs(values - truth(made, places[0]))[covered].max() < 0.1


@pytest.mark.parametrize(
    ("places", "why"),
    [
        (straight([0, 1]), "at least 3"),
        (straight([0, 2, 2, 4]), "share a position"),
        (straight([0, 1, 2, 3, 6]), "in a row are missing"),
        ([*straight([0, 1]), place((0, 0, 2), tilt=5)], "oriented differently"),
        ([*straight([0, 1]), place((0, 0, 2), rows=50)], "matrix"),
        ([*straight([0, 1]), place((0, 0, 2), spacing=(1.0, 1.0))], "pixel spacing"),
        ([place((0, 0, k), spacing=(0.0, 0.0)) for k in range(3)], "how they lie"),
    ],
)
def test_what_is_no_volume_is_refused_with_the_reason(places, why):
    with pytest.raises(CannotResampleError, match=why):
        plan(places)


def test_stored_values_are_rounded_and_keep_their_range():
    values = np.array([[-3.6, 0.5, 254.9, 300.0]])
    assert as_stored(values, np.dtype("u1")).tolist() == [[0, 0, 255, 255]]
    assert as_stored(values, np.dtype("i2")).tolist() == [[-4, 0, 255, 300]]
    assert as_stored(values, np.dtype("f4")).dtype == np.float32
