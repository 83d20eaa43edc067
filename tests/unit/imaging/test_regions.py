"""Filled outlines against Pillow's rule-free definition: is the centre of the pixel inside?"""

import numpy as np

from isocenter.imaging.regions import (
    PaintedRectangle,
    inside_ellipse,
    inside_polygon,
    inside_rectangle,
    packed,
)


def winding(outline, x, y):
    """Even-odd by counting edges to the right of the point: slow, and obviously right."""
    inside = False
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def test_a_star_is_filled_where_centres_are_inside():
    angles = np.arange(5) * 4 * np.pi / 5 + 0.1
    outline = [(20.3 + 18 * np.cos(a), 15.2 + 14 * np.sin(a)) for a in angles]
    wanted = [[winding(outline, x + 0.5, y + 0.5) for x in range(40)] for y in range(30)]
    assert np.array_equal(inside_polygon(outline, 30, 40), wanted)


def test_outlines_beyond_the_image_are_cut_and_lines_are_empty():
    assert inside_polygon([(-5, -5), (99, -5), (99, 99), (-5, 99)], 7, 9).all()
    assert not inside_polygon([(1, 1), (5, 5)], 7, 9).any()
    assert not inside_polygon([(1, 1), (5, 5), (1, 1)], 7, 9).any()


def test_a_turned_ellipse_is_filled():
    one, other = np.array([12.0, 5.0]), np.array([-2.5, 6.0])
    centre = np.array([20.25, 14.75])
    axes = [tuple(centre - one), tuple(centre + one), tuple(centre - other), tuple(centre + other)]
    mask = inside_ellipse(axes, 30, 40)
    y, x = np.mgrid[:30, :40] + 0.5
    far = np.stack([x - centre[0], y - centre[1]], axis=-1)
    wanted = ((far @ one / 169) ** 2 + (far @ other / 42.25) ** 2) <= 1
    assert np.array_equal(mask, wanted)
    assert abs(mask.sum() - np.pi * 13 * 6.5) < 8


def test_bits_follow_each_other_over_frames_from_the_lowest():
    first, second = np.zeros((2, 3), bool), np.zeros((2, 3), bool)
    first[0, 0] = second[0, 0] = True
    assert packed([first, second]) == bytes([0b01000001, 0])


def test_painted_pixels_stay_inside_of_the_image():
    whole = PaintedRectangle(left=3, top=1, columns=3, rows=2, bits=bytes([0b111111]))
    wanted = np.zeros((2, 5), bool)
    wanted[1, 3:] = True
    assert np.array_equal(inside_rectangle(whole, 2, 5), wanted)
    beyond = PaintedRectangle(left=9, top=9, columns=3, rows=2, bits=bytes([0b111111]))
    assert not inside_rectangle(beyond, 2, 5).any()
    short = PaintedRectangle(left=0, top=0, columns=3, rows=3, bits=bytes([0b111111]))
    assert not inside_rectangle(short, 2, 5).any()
