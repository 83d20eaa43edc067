"""A real blob store that counts what is asked of it, and fails when a test says so."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from isocenter.infra.blobs import BlobStore, BlobWriter, StorageFull, StoredBlob


class ObservedStore:
    """Passes everything on to ``store``; ``before`` is called with the name of each operation.

    ``after_commit`` is called when blobs are durable and nobody has been told so yet.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.counts: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda name: None
        self.after_commit: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)

        def observed(*arguments: Any, **named: Any) -> Any:
            self.counts[name] += 1
            self.before(name)
            return operation(*arguments, **named)

        return observed

    def writer(self, **named: Any) -> BlobWriter:
        self.counts["writer"] += 1
        self.before("writer")
        return _ObservedWriter(self, self._store.writer(**named))

    def commit_all(self, writers: list[Any]) -> Any:
        self.counts["commit_all"] += 1
        try:
            self.before("commit_all")
        except BaseException:
            for each in writers:
                each.abort()
            raise
        stored = self._store.commit_all([each.inner for each in writers])
        self.after_commit()
        return stored

    def make_durable(self, writers: list[Any], keys: list[str]) -> None:
        self.counts["make_durable"] += 1
        try:
            self.before("commit_all")
        except BaseException:
            for each in writers:
                each.abort()
            raise
        self._store.make_durable([each.inner for each in writers], keys)
        self.after_commit()


class _ObservedWriter:
    def __init__(self, store: ObservedStore, inner: BlobWriter) -> None:
        self._store = store
        self.inner = inner

    def write(self, data: Any) -> None:
        try:
            self._store.before("write")
        except BaseException:
            self.inner.abort()
            raise
        self.inner.write(data)

    def commit(self) -> StoredBlob:
        return self._store.commit_all([self])[0]

    def stored(self, key: str) -> StoredBlob:
        return self.inner.stored(key)

    def abort(self) -> None:
        self.inner.abort()


def full_at(operation: str) -> Callable[[str], None]:
    """A ``before`` for which the storage is full when ``operation`` is tried."""

    def check(name: str) -> None:
        if name == operation:
            raise StorageFull("the storage has no room left")

    return check
