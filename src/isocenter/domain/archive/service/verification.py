"""What is needed to check that every stored object is still what was admitted."""

import hashlib
from typing import BinaryIO, Protocol

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.model import StoredDigest
from isocenter.domain.archive.model_outgoing import StoredInstance
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx

_CHUNK_BYTES = 1 << 20
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class ReadStore(Protocol):
    """As much of a blob store as reading back needs."""

    def open(self, key: str) -> BinaryIO:
        """A stream of the blob."""
        ...


def digests(tx: Tx, actor: Actor, *, after: int, limit: int) -> list[StoredDigest]:
    """A page of all instances with their digests; ``after`` is the last key of the page before."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.digests(tx, after=after, limit=limit)


def count_digests(tx: Tx, actor: Actor) -> int:
    """How many instances ``digests`` gives altogether."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.count_instances(tx)


def damage(blobs: ReadStore, stored: StoredDigest | StoredInstance) -> str:
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
