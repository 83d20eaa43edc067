"""Reading that goes on when a store is away or has lost an object: from another copy of it.

Which other blobs hold the same bytes, and who is told that one of them was needed, is the caller's
business. Only beginning to read falls back: a stream that breaks off later is the reader's to open
again. Writing, listing and removing are the stores' own.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import BinaryIO, Final, Protocol, TypeVar

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.blobs.store import BlobWriter, Chunk, Shelf, StoredBlob

R = TypeVar("R")
_REMEMBERED_S: Final = 60.0
_AWAY_S: Final = 10.0
_REMEMBERED_MAX: Final = 10_000
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class Elsewhere(Protocol):
    """Knows of copies."""

    def copies(self, key: str) -> Sequence[str]:
        """Keys of the other blobs that should hold the bytes of this one."""
        ...

    def noticed(self, key: str, copy: str, error: IsocenterError | OSError) -> None:
        """The blob could not be read, and its copy could. Told once a minute, not for each read."""
        ...


class ReadsElsewhere:
    """A ``BlobStore`` whose reads fall back to copies. Thread-safe."""

    def __init__(
        self,
        stores: SeveralStores,
        elsewhere: Elsewhere,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads ``stores``; ``elsewhere`` is asked and told in the thread that reads."""
        self._stores = stores
        self._elsewhere = elsewhere
        self._monotonic = monotonic
        self._instead: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._away_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start``: ``length`` of them, or fewer at the end."""
        return self._of_any(key, lambda at: self._stores.read(at, start, length))

    def open(self, key: str) -> BinaryIO:
        """A seekable stream of the blob."""
        return self._of_any(key, self._stores.open)

    def size_bytes(self, key: str) -> int:
        """The blob's size."""
        return self._of_any(key, self._stores.size_bytes)

    def writer(self, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob in the current store."""
        return self._stores.writer(packs_of=packs_of)

    def commit_all(self, writers: Sequence[BlobWriter]) -> list[StoredBlob]:
        """As ``commit`` of each."""
        return self._stores.commit_all(writers)

    def new_shelf(self) -> Shelf:
        """Where blobs of the current store can be put so that they are found by their place."""
        return self._stores.new_shelf()

    def make_durable(self, writers: Sequence[BlobWriter], keys: Sequence[str]) -> None:
        """The first half of ``commit_all``, under keys of a shelf."""
        self._stores.make_durable(writers, keys)

    def keys_on(self, shelf: Shelf) -> list[str]:
        """The keys of all blobs that were put on the shelf."""
        return self._stores.keys_on(shelf)

    def put(self, data: Chunk) -> StoredBlob:
        """Store ``data`` as one blob of the current store."""
        return self._stores.put(data)

    def delete(self, key: str) -> None:
        """Remove the blob; one that is not there is no error."""
        self._stores.delete(key)

    def keys(self, older_than: datetime | None = None) -> Iterator[str]:
        """All keys of all stores."""
        return self._stores.keys(older_than)

    def discard_unfinished(self, older_than: datetime) -> int:
        """The number of writers' leftovers removed from all stores."""
        return self._stores.discard_unfinished(older_than)

    def free_bytes(self) -> int | None:
        """Room left in the current store."""
        return self._stores.free_bytes()

    def _of_any(self, key: str, attempt: Callable[[str], R]) -> R:
        instead = self._remembered(key)
        if instead is not None:
            try:
                return attempt(instead)
            except (IsocenterError, OSError):
                self._forget(key)
        if self._is_away(store_of(key)):
            # It would cost the time after which we gave it up before: copies are asked first.
            found = self._of_a_copy(key, attempt)
            if found is not None:
                return found[0]
        try:
            return attempt(key)
        except (IsocenterError, OSError) as error:
            if isinstance(error, IsocenterError) and error.kind in _AWAY:
                with self._lock:
                    self._away_until[store_of(key)] = self._monotonic() + _AWAY_S
            found = self._of_a_copy(key, attempt, error)
            if found is None:
                raise
            return found[0]

    def _of_a_copy(
        self,
        key: str,
        attempt: Callable[[str], R],
        error: IsocenterError | OSError | None = None,
    ) -> tuple[R] | None:
        """What ``attempt`` gives of the first copy that can be read; None of none."""
        try:
            copies = self._elsewhere.copies(key)
        except IsocenterError:
            return None
        for copy in copies:
            try:
                found = attempt(copy)
            except (IsocenterError, OSError):
                continue
            self._remember(key, copy)
            if error is not None:
                self._elsewhere.noticed(key, copy, error)
            return (found,)
        return None

    def _is_away(self, store: str) -> bool:
        with self._lock:
            return self._away_until.get(store, float("-inf")) > self._monotonic()

    def _remembered(self, key: str) -> str | None:
        with self._lock:
            copy, until = self._instead.get(key, (None, 0.0))
            if copy is not None and until <= self._monotonic():
                del self._instead[key]
                return None
            return copy

    def _remember(self, key: str, copy: str) -> None:
        with self._lock:
            self._instead[key] = copy, self._monotonic() + _REMEMBERED_S
            while len(self._instead) > _REMEMBERED_MAX:
                self._instead.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._instead.pop(key, None)
