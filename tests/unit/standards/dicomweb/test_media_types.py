"""Accept negotiation with weights, types of parts and transfer syntaxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb.media_types import (
    MediaTypeError,
    Offer,
    frame_media_type,
    parse_accept,
    parse_media_type,
    select,
)
from tests.raising import check_raises_only

HTJ2K, EXPLICIT = uids.HTJ2K_LOSSLESS_RPCL, uids.EXPLICIT_VR_LITTLE_ENDIAN
STORED = Offer("application/octet-stream", HTJ2K, multipart=True)
TYPED = Offer("image/jphc", HTJ2K, multipart=True)
NATIVE = Offer("application/octet-stream", EXPLICIT, multipart=True)
SINGLE = Offer("application/octet-stream", EXPLICIT)
OFFERS = [STORED, TYPED, NATIVE, SINGLE]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, STORED),
        ("", STORED),
        ("*/*", STORED),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", STORED),
        ('multipart/related; type="application/octet-stream"', NATIVE),
        ('multipart/related; type="image/jphc"', TYPED),
        ("multipart/related", STORED),
        ('multipart/related; type="image/*"', TYPED),
        ("application/octet-stream", SINGLE),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={HTJ2K}', STORED),
        (f'multipart/related; type="image/jphc"; transfer-syntax={uids.RLE_LOSSLESS}', None),
        ('multipart/related; type="image/jphc"; q=0.2, application/octet-stream; q=0.5', SINGLE),
        ('multipart/related; type="image/jphc"; q=0, */*; q=0.1', STORED),
        ("image/png", None),
        ("*/*; q=0", None),
    ],
)
def test_frames_are_negotiated(accept, expected):
    assert select(accept, OFFERS) == expected


def test_the_most_exact_range_gives_the_weight():
    offers = [Offer("text/html"), Offer("application/json")]
    assert select("*/*, text/html;q=0.1", offers) == Offer("application/json")


def test_parameters_may_be_quoted_or_not():
    found = parse_media_type('Multipart/Related; TYPE="application/dicom"; boundary="a\\"b; c"')
    assert found.name == "multipart/related"
    assert found.parameters == {"type": "application/dicom", "boundary": 'a"b; c'}
    assert (
        parse_media_type("multipart/related;type=application/dicom").part_name
        == "application/dicom"
    )


@pytest.mark.parametrize(
    "text", ["", "text", "text/", "/x", "a/b c", "a/b; q=2", "a/b,", "a/b; q=x"]
)
def test_what_is_no_media_type(text):
    with pytest.raises(MediaTypeError):
        parse_media_type(text)


@given(st.text(max_size=80))
def test_any_header_is_read_or_refused(text):
    check_raises_only(MediaTypeError, select, text, OFFERS)


def test_too_many_ranges_are_refused():
    with pytest.raises(MediaTypeError):
        parse_accept(",".join(["*/*"] * 65))


def test_the_media_type_of_frames():
    assert frame_media_type(uids.JPEG_LS_LOSSLESS) == "image/jls"
    assert frame_media_type(uids.EXPLICIT_VR_LITTLE_ENDIAN) == "application/octet-stream"
    assert frame_media_type("1.2.3") == "application/octet-stream"
