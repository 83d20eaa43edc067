"""Pieces of an answer's body: bytes in memory, and ranges of blobs that are read when sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore

_CHUNK_BYTES: Final = 1 << 20


class BlobCut(IsocenterError):
    """A blob holds fewer bytes than were stored."""

    kind: ClassVar[Kind] = Kind.FAULT


@dataclass(frozen=True, slots=True)
class BlobRange:
    """Bytes that are read when they are sent."""

    blob_key: str
    start: int
    length: int


Piece = bytes | BlobRange


def length(piece: Piece) -> int:
    """How many bytes it is."""
    return piece.length if isinstance(piece, BlobRange) else len(piece)


def cut(pieces: Iterable[Piece], start: int, end: int) -> list[Piece]:
    """The pieces of the bytes from ``start`` to before ``end``."""
    found: list[Piece] = []
    at = 0
    for piece in pieces:
        first, last = max(start - at, 0), min(end - at, length(piece))
        at += length(piece)
        if first >= last:
            continue
        if isinstance(piece, BlobRange):
            found.append(BlobRange(piece.blob_key, piece.start + first, last - first))
        else:
            found.append(piece[first:last])
    return found


def joined(blobs: BlobStore, pieces: Iterable[Piece]) -> bytes:
    """All the bytes, for what is small."""
    return b"".join(_parts(blobs, pieces))


def chunks(blobs: BlobStore, pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes in portions that are worth a hop to a thread and fit into memory."""
    waiting: list[bytes] = []
    size = 0
    for part in _parts(blobs, pieces):
        waiting.append(part)
        size += len(part)
        if size >= _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _parts(blobs: BlobStore, pieces: Iterable[Piece]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, BlobRange):
            yield from read_range(blobs, piece)
        else:
            yield piece


def read_range(blobs: BlobStore, piece: BlobRange) -> Iterator[bytes]:
    """The range's bytes in portions; raises ``BlobCut`` where they end early."""
    if piece.length <= _CHUNK_BYTES:
        data = blobs.read(piece.blob_key, piece.start, piece.length)
        if len(data) < piece.length:
            raise BlobCut("a stored object is shorter than it was when it was stored")
        yield data
        return
    remaining = piece.length
    with blobs.open(piece.blob_key) as file:
        file.seek(piece.start)
        while remaining:
            data = file.read(min(remaining, _CHUNK_BYTES))
            if not data:
                raise BlobCut("a stored object is shorter than it was when it was stored")
            remaining -= len(data)
            yield data
