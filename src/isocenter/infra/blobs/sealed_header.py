"""The head of a blob that is encrypted: how it is told from others, and what it says.

A blob is ``HEAD_BYTES`` of head and then chunks, each of ``CHUNK_BYTES`` of the content (the last
one of fewer) encrypted with AES-256-GCM, which adds ``TAG_BYTES``. The nonce is the chunk's number
and whether it is the last; the head is authenticated with every chunk. So chunks can be neither
changed, exchanged, repeated nor left out, and a range is read by its chunks alone.

This module only knows the layout: keys and ciphers are in ``encrypted``.

Standard: NIST SP 800-38D; RFC 3394 (the wrapped key)
"""

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind

MARK: Final = b"ISOSEAL\x01"  # the last byte is the version of the layout
KEY_ID_BYTES: Final = 16
WRAPPED_KEY_BYTES: Final = 40
HEAD_BYTES: Final = len(MARK) + KEY_ID_BYTES + WRAPPED_KEY_BYTES
CHUNK_BYTES: Final = 1 << 16
TAG_BYTES: Final = 16
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES


class BlobTampered(IsocenterError):
    """The blob is not what was encrypted: changed, cut short, or put together anew."""

    kind: ClassVar[Kind] = Kind.FAULT


@dataclass(frozen=True, slots=True)
class SealedHead:
    """What the head says: which key wraps the blob's own, and the wrapped key."""

    key_id: bytes
    wrapped_key: bytes

    def encode(self) -> bytes:
        """The head's bytes."""
        return MARK + self.key_id + self.wrapped_key


def is_sealed(data: bytes) -> bool:
    """Whether a blob that begins with ``data`` is encrypted."""
    return data.startswith(MARK)


def decode_head(data: bytes) -> SealedHead:
    """What the head at the beginning of ``data`` says. Raises ``BlobTampered``."""
    if len(data) < HEAD_BYTES or not is_sealed(data):
        raise BlobTampered("the encrypted object has no head")
    key_end = len(MARK) + KEY_ID_BYTES
    return SealedHead(data[len(MARK) : key_end], data[key_end:HEAD_BYTES])


def chunks_of(sealed_bytes: int) -> int:
    """How many chunks a blob of this size has. Raises ``BlobTampered``."""
    body = sealed_bytes - HEAD_BYTES
    chunks = -(-body // SEALED_CHUNK_BYTES)
    if body < TAG_BYTES or body - (chunks - 1) * SEALED_CHUNK_BYTES < TAG_BYTES:
        raise BlobTampered("the encrypted object is cut short")
    return chunks


def content_bytes(sealed_bytes: int) -> int:
    """The size of what a blob of this size holds. Raises ``BlobTampered``."""
    return sealed_bytes - HEAD_BYTES - chunks_of(sealed_bytes) * TAG_BYTES


def nonce_of(number: int, *, is_last: bool) -> bytes:
    """The nonce of a chunk: used once, since every blob has a key of its own."""
    return struct.pack(">QxxxB", number, is_last)
