"""Whether a stored object is still what was admitted: read back before we answer for it.

Reading everything back in turn is ``integrity``'s business.
"""

import hashlib
from typing import BinaryIO, Protocol

from isocenter.domain.archive.model_outgoing import StoredInstance
from isocenter.errors import IsocenterError, Kind

_CHUNK_BYTES = 1 << 20
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class ReadStore(Protocol):
    """As much of a blob store as reading back needs."""

    def open(self, key: str) -> BinaryIO:
        """A stream of the blob."""
        ...


def damage(blobs: ReadStore, stored: StoredInstance) -> str:
    """What is wrong with an object, after reading all of it back; empty when nothing is.

    Raises:
        IsocenterError: the storage is away or busy, which says nothing about the object.
    """
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with blobs.open(stored.blob_key) as source:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except IsocenterError as error:
        if error.kind in _AWAY:
            raise
        return f"cannot be read: {error}"
    except OSError as error:
        return f"cannot be read: {error}"
    if size_bytes != stored.size_bytes:
        return f"has {size_bytes} bytes instead of {stored.size_bytes}"
    if digest.digest() != stored.sha256:
        return "has another digest than when it was admitted"
    return ""
