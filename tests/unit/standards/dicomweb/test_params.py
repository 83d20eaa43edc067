"""Parameters of retrieve requests."""

import pytest

from isocenter.standards.dicomweb import params as p


def test_frames():
    assert p.parse_frames("1,3,2") == [1, 3, 2]


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1,", "1.5", ",".join(["1"] * 10_001)])
def test_what_are_no_frames(text):
    with pytest.raises(p.ParameterError):
        p.parse_frames(text)


def test_viewports():
    assert p.parse_viewport("256,128") == p.Viewport(256, 128)
    found = p.parse_viewport("256,128,1,2,-30,40")
    assert (found.source_x, found.source_y, found.source_width, found.source_height) == (
        1,
        2,
        30,
        40,
    )
    assert (found.flip_horizontal, found.flip_vertical) == (True, False)


@pytest.mark.parametrize(
    "text", ["", "1", "0,1", "1,2,3", "a,b", "99999,1", "1,1,-1,0,1,1", "1,nan"]
)
def test_what_is_no_viewport(text):
    with pytest.raises(p.ParameterError):
        p.parse_viewport(text)


def test_windows():
    assert p.parse_window("40,400") == p.Window(40, 400, "LINEAR")
    assert p.parse_window("-600.5,0.5,linear-exact") == p.Window(-600.5, 0.5, "LINEAR_EXACT")
    assert p.parse_window("1,2,SIGMOID").function == "SIGMOID"


@pytest.mark.parametrize("text", ["", "40", "40,0", "40,0.5", "40,1,cubic", "x,y", "1,-5,sigmoid"])
def test_what_is_no_window(text):
    with pytest.raises(p.ParameterError):
        p.parse_window(text)


def test_quality():
    assert p.parse_quality("80") == 80
    for text in ("0", "101", "x", ""):
        with pytest.raises(p.ParameterError):
            p.parse_quality(text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=90-", [(90, 10)]),
        ("bytes=95-200", [(95, 5)]),
        ("bytes=-10", [(90, 10)]),
        ("bytes=-500", [(0, 100)]),
        ("bytes=0-1, 5-6,-1", [(0, 2), (5, 2), (99, 1)]),
        ("bytes=0-1,200-300", [(0, 2)]),
        ("bytes=0-90,0-90", []),
        ("bytes=0-1," * 64 + "2-3", []),
        ("bytes=5-2", []),
        ("bytes=0-1,5-2", []),
        ("items=0-1", []),
        ("bytes=-", []),
        ("", []),
    ],
)
def test_byte_ranges(header, expected):
    assert p.parse_byte_ranges(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0"])
def test_ranges_without_bytes(header):
    with pytest.raises(p.RangeNotSatisfiableError):
        p.parse_byte_ranges(header, 100)
