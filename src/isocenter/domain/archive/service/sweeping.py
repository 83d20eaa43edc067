"""Removes blobs that no row names: what a crash left between bytes and commit, and duplicates."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.infra.db import Tx

_KEYS_PER_STATEMENT = 1000


class SweptStore(Protocol):
    """As much of a blob store as sweeping needs."""

    def keys(self, older_than: datetime | None) -> Iterator[str]:
        """Keys of the blobs last written before the moment."""
        ...

    def delete(self, key: str) -> None:
        """Remove the blob, if it is there."""
        ...


def unreferenced(tx: Tx, blob_keys: Sequence[str]) -> list[str]:
    """Those of ``blob_keys`` that no instance, kept conflict or series names."""
    return _store.unreferenced(tx, blob_keys)


def sweep(tx: Tx, actor: Actor, blobs: SweptStore, *, older_than: datetime) -> int:
    """How many blobs were removed: those written before ``older_than`` that no row names.

    Between bytes and commit a blob is unreferenced by design: ``older_than`` must lie further back
    than any admission takes; a day is the rule.
    """
    authorize(actor, Action.STUDY_STORE)
    removed = 0
    keys = blobs.keys(older_than)
    while portion := list(islice(keys, _KEYS_PER_STATEMENT)):
        for key in _store.unreferenced(tx, portion):
            blobs.delete(key)
            removed += 1
    return removed
