"""Byte ranges of bodies that are put together from memory and blobs."""

import io
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.gateways.dicomweb.pieces import BlobCut, BlobRange, chunks, cut, length

MEBIBYTE = 1 << 20


@dataclass
class Blobs:
    """As much of a blob store as bodies need, in memory."""

    content: dict[str, bytes]
    opened: list[str] = field(default_factory=list)

    def read(self, key, start=0, length=None):
        end = None if length is None else start + length
        return self.content[key][start:end]

    def open(self, key):
        self.opened.append(key)
        return io.BytesIO(self.content[key])


BLOB = bytes(range(256))
pieces = st.lists(
    st.binary(max_size=20)
    | st.tuples(st.integers(0, 250), st.integers(0, 6)).map(
        lambda each: BlobRange("blob", each[0], each[1])
    ),
    max_size=8,
)


def joined(body) -> bytes:
    return b"".join(chunks(Blobs({"blob": BLOB}), body))


@given(body=pieces, start=st.integers(0, 200), size=st.integers(0, 200))
def test_a_range_of_the_pieces_is_the_range_of_their_bytes(body, start, size):
    whole = joined(body)
    assert len(whole) == sum(map(length, body))
    assert joined(cut(body, start, start + size)) == whole[start : start + size]


def test_large_pieces_come_in_portions():
    blobs = Blobs({"blob": bytes(5 * MEBIBYTE)})
    body = [b"head", BlobRange("blob", 7, 4 * MEBIBYTE), b"tail"]
    portions = list(chunks(blobs, body))
    assert max(map(len, portions)) <= 2 * MEBIBYTE
    assert b"".join(portions) == b"head" + bytes(4 * MEBIBYTE) + b"tail"
    assert blobs.opened == ["blob"]


@pytest.mark.parametrize("size", [300, 3 * MEBIBYTE])
def test_a_blob_that_ends_early_is_no_success(size):
    with pytest.raises(BlobCut):
        list(chunks(Blobs({"blob": bytes(size - 1)}), [BlobRange("blob", 0, size)]))


def test_small_pieces_share_a_portion():
    blobs = Blobs({"blob": BLOB})
    body = [b"a", BlobRange("blob", 0, 10)] * 50
    assert len(list(chunks(blobs, body))) == 1
