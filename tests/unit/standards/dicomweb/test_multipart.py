"""Multipart bodies: any chunking gives the same parts; limits; hostile bytes."""

from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicomweb import multipart as mp
from tests.raising import check_raises_only

BOUNDARY = "abc"
# Pieces that look like boundaries, so that random bodies come close to them.
BODY = st.lists(
    st.sampled_from([b"\r\n", b"--abc", b"--ab", b"-", b"\r", b"x", b"\0\xff", b"\r\n--abcd"]),
    max_size=8,
).map(b"".join)
SAFE = BODY.filter(
    lambda body: b"\r\n--abc" not in b"\r\n" + body + b"\r\n" or b"--abcd" in body
).filter(lambda body: b"--abc" not in body.replace(b"--abcd", b""))


def encode(bodies: list[bytes]) -> bytes:
    parts: list[bytes] = []
    for number, body in enumerate(bodies):
        headers = {"Content-Type": "application/dicom", "Content-Location": f"/{number}"}
        parts.append(mp.part_head(BOUNDARY, headers, first=number == 0) + body)
    return b"".join(parts) + mp.closing(BOUNDARY)


def read(data: bytes, sizes: list[int]) -> list[tuple[dict[str, str], bytes]]:
    reader = mp.MultipartReader(BOUNDARY)
    parts: list[tuple[dict[str, str], bytes]] = []
    ended = False
    position, sizes = 0, [*sizes, len(data) or 1]
    while position < len(data):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        for event in reader.receive(data[position : position + size]):
            match event:
                case mp.PartBegin(headers):
                    parts.append((dict(headers), b""))
                case mp.PartData(piece):
                    assert piece
                    parts[-1] = (parts[-1][0], parts[-1][1] + piece)
                case mp.BodyEnd():
                    ended = True
        position += size
    reader.close()
    assert ended
    return parts


@given(st.lists(SAFE, min_size=1, max_size=4), st.lists(st.integers(1, 9), max_size=40))
def test_parts_come_back_however_the_bytes_arrive(bodies, sizes):
    parts = read(encode(bodies), sizes)
    assert [body for _, body in parts] == bodies
    assert parts[0][0] == {"content-type": "application/dicom", "content-location": "/0"}


@given(st.binary(max_size=200), st.lists(st.integers(1, 9), max_size=20))
def test_arbitrary_bytes_raise_nothing_but_multipart_errors(data, sizes):
    check_raises_only(mp.MultipartError, read, b"--abc\r\n" + data, sizes)


def test_the_standard_library_reads_what_is_written():
    head = f"Content-Type: {mp.content_type('application/dicom', BOUNDARY)}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + encode([b"one", b"two"]))
    assert [part.get_payload(decode=True) for part in message.get_payload()] == [b"one", b"two"]


def test_preamble_epilogue_padding_and_folded_headers_are_tolerated():
    data = b"hello\r\n--abc \t\r\nA: b\r\n c\r\n\r\nX\r\n--abc--\r\nbye --abc"
    for size in range(1, len(data)):
        assert read(data, [size] * len(data)) == [({"a": "b c"}, b"X")]


def test_parts_without_headers_or_content():
    assert read(b"--abc\r\n\r\n\r\n--abc\r\nA: b\r\n\r\n--abc--", [1] * 99) == [
        ({}, b""),
        ({"a": "b"}, b""),
    ]


def test_limits():
    reader = mp.MultipartReader(BOUNDARY, header_bytes_max=100)
    with pytest.raises(mp.MultipartError, match="headers"):
        reader.receive(b"--abc\r\n" + b"A" * 200)
    reader = mp.MultipartReader(BOUNDARY, parts_max=2)
    with pytest.raises(mp.MultipartError, match="parts"):
        reader.receive(encode([b"1", b"2", b"3"]))


def test_an_unfinished_body_is_an_error():
    reader = mp.MultipartReader(BOUNDARY)
    reader.receive(encode([b"1"])[:-6])
    with pytest.raises(mp.MultipartError):
        reader.close()


@pytest.mark.parametrize("boundary", ["", "a b ", "é", "x" * 71, 'a"b'])
def test_boundaries_that_are_none(boundary):
    with pytest.raises(mp.MultipartError):
        mp.MultipartReader(boundary)


def test_a_buffer_never_holds_more_than_a_boundary_of_content():
    reader = mp.MultipartReader(BOUNDARY)
    reader.receive(b"--abc\r\n\r\n")
    sizes = [sum(len(e.data) for e in reader.receive(bytes(1000))) for _ in range(5)]
    assert sum(sizes) > 4990


def test_headers_cannot_break_lines():
    with pytest.raises(LocalProtocolError):
        mp.part_head(BOUNDARY, {"A": "b\r\nC: d"}, first=True)


def test_stable_boundaries():
    assert mp.stable_boundary("x") == mp.stable_boundary("x") != mp.stable_boundary("y")
    mp.MultipartReader(mp.stable_boundary("x"))
