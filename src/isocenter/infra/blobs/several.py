"""Several named stores that look like one: new blobs go to one of them, each is read where it is.

A key of the store ``main`` is the bare key that it made; the key of any other begins with its name
and a colon. So what was written before there were several stays valid, and whoever keeps a key
keeps the place with it. The keys of members of packs are taken apart here, so that such an object
is like any other to whoever reads it.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import BinaryIO, ClassVar, Final, cast

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.packs import Part, part_of
from isocenter.infra.blobs.store import (
    BlobMissing,
    BlobStore,
    BlobWriter,
    Chunk,
    Shelf,
    StoredBlob,
)

MAIN: Final = "main"
# A member is fetched at once when it is opened, or so much of it at a time.
_STREAM_BUFFER_BYTES: Final = 1 << 22
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class UnknownStore(IsocenterError):
    """No store has this name."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def is_store_name(name: str) -> bool:
    """Whether a store may be called so: lower case, digits and hyphens, at most 32 characters."""
    return _NAME.fullmatch(name) is not None


def store_of(key: str) -> str:
    """The name of the store that a key belongs to."""
    name, colon, _ = key.partition(":")
    return name if colon else MAIN


class SeveralStores:
    """A ``BlobStore`` over named ones. Thread-safe when they are."""

    def __init__(self, stores: Mapping[str, BlobStore], *, current: str = MAIN) -> None:
        """New blobs go to ``current``. Raises ``UnknownStore``, also for a name that none may have.

        Listing goes through the stores in the order given.
        """
        for name in (*stores, current):
            if not is_store_name(name) or name not in stores:
                raise UnknownStore(f"no object store is called {name}")
        self._stores = dict(stores)
        self.current = current
        self._current = self._stores[current]
        self._prefix = _prefix(current)

    @property
    def names(self) -> Sequence[str]:
        """The names of all stores."""
        return list(self._stores)

    def named(self, name: str) -> BlobStore:
        """The store itself, with its own keys. Raises ``UnknownStore``."""
        try:
            return self._stores[name]
        except KeyError:
            raise UnknownStore(f"no object store is called {name}") from None

    def writer(self, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob in the current store."""
        inner = self._current.writer(packs_of=packs_of)
        return _NamedWriter(inner, self._prefix) if self._prefix else inner

    def writer_in(self, name: str, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob in the store ``name``: commit it alone. Raises ``UnknownStore``."""
        return _NamedWriter(self.named(name).writer(packs_of=packs_of), _prefix(name))

    def commit_all(self, writers: Sequence[BlobWriter]) -> list[StoredBlob]:
        """As ``commit`` of each, of writers of the current store."""
        return self._prefixed(self._current.commit_all(self._inner(writers)))

    def new_shelf(self) -> Shelf:
        """Where blobs of the current store can be put so that they are found by their place."""
        inner = self._current.new_shelf()
        return Shelf(self._prefix + inner.directory, inner.mark) if self._prefix else inner

    def make_durable(self, writers: Sequence[BlobWriter], keys: Sequence[str]) -> None:
        """The first half of ``commit_all``, under keys of a shelf of the current store."""
        bare = [key.rpartition(":")[2] for key in keys]
        self._current.make_durable(self._inner(writers), bare)

    def keys_on(self, shelf: Shelf) -> list[str]:
        """The keys of all blobs that were put on the shelf."""
        store, directory = self._place(shelf.directory)
        prefix = _prefix(store_of(shelf.directory))
        return [prefix + key for key in store.keys_on(Shelf(directory, shelf.mark))]

    def put(self, data: Chunk) -> StoredBlob:
        """Store ``data`` as one blob of the current store."""
        return self._prefixed([self._current.put(data)])[0]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start``: ``length`` of them, or fewer at the end."""
        store, inner = self._place(key)
        part = part_of(inner)
        if part is None:
            return store.read(inner, start, length)
        return _read_part(store, part, start, length)

    def open(self, key: str) -> BinaryIO:
        """A seekable stream of the blob."""
        store, inner = self._place(key)
        part = part_of(inner)
        return store.open(inner) if part is None else _open_part(store, part)

    def size_bytes(self, key: str) -> int:
        """The blob's size."""
        store, inner = self._place(key)
        part = part_of(inner)
        return store.size_bytes(inner) if part is None else _size_of_part(store, part)

    def delete(self, key: str) -> None:
        """Remove the blob; one that is not there is no error, and a member of a pack stays."""
        store, inner = self._place(key)
        if part_of(inner) is None:
            store.delete(inner)

    def keys(self, older_than: datetime | None = None) -> Iterator[str]:
        """All keys of all stores, one store after the other."""
        for name in self._stores:
            yield from self.keys_of(name, older_than)

    def keys_of(self, name: str, older_than: datetime | None = None) -> Iterator[str]:
        """As ``keys``, of one store. Raises ``UnknownStore``."""
        prefix = _prefix(name)
        for key in self.named(name).keys(older_than):
            yield prefix + key

    def discard_unfinished(self, older_than: datetime) -> int:
        """The number of writers' leftovers removed from all stores."""
        return sum(each.discard_unfinished(older_than) for each in self._stores.values())

    def free_bytes(self) -> int | None:
        """Room left in the current store."""
        return self._current.free_bytes()

    def _place(self, key: str) -> tuple[BlobStore, str]:
        name, colon, inner = key.partition(":")
        if not colon:
            name, inner = MAIN, key
        try:
            return self._stores[name], inner
        except KeyError:
            raise BlobMissing(f"the object store {name} is not set up here") from None

    def _inner(self, writers: Sequence[BlobWriter]) -> Sequence[BlobWriter]:
        if not self._prefix:
            return writers
        return [cast("_NamedWriter", each).inner for each in writers]

    def _prefixed(self, blobs: list[StoredBlob]) -> list[StoredBlob]:
        prefix = self._prefix
        if not prefix:
            return blobs
        return [StoredBlob(prefix + each.key, each.size_bytes, each.sha256) for each in blobs]


class _NamedWriter:
    """A writer whose blob is known by a key with its store's name."""

    __slots__ = ("_prefix", "abort", "inner", "write")

    def __init__(self, inner: BlobWriter, prefix: str) -> None:
        self.inner = inner
        self._prefix = prefix
        self.write = inner.write
        self.abort = inner.abort

    def commit(self) -> StoredBlob:
        """Make all bytes durable and readable under a new key."""
        return self._named(self.inner.commit())

    def stored(self, key: str) -> StoredBlob:
        """What is known of the bytes that were made durable under ``key``."""
        return self._named(self.inner.stored(key.rpartition(":")[2]))

    def _named(self, blob: StoredBlob) -> StoredBlob:
        return StoredBlob(self._prefix + blob.key, blob.size_bytes, blob.sha256)


class _PartStream(io.RawIOBase):
    """A member of a pack as a raw stream. It has no file descriptor: that would be the pack's."""

    def __init__(self, store: BlobStore, part: Part) -> None:
        super().__init__()
        self._store = store
        self._part = part
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        end = self._part.size_bytes
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: end}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is memoryview here
        data = _read_part(self._store, self._part, self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _read_part(store: BlobStore, part: Part, start: int, length: int | None) -> bytes:
    end = part.size_bytes if length is None else min(start + length, part.size_bytes)
    if end <= start:
        store.size_bytes(part.pack)  # raises when there is no such blob, as any reading does
        return b""
    return store.read(part.pack, part.offset + start, end - start)


def _open_part(store: BlobStore, part: Part) -> BinaryIO:
    if part.size_bytes <= _STREAM_BUFFER_BYTES:
        return io.BytesIO(_read_part(store, part, 0, None))
    store.size_bytes(part.pack)  # raises when there is no such blob
    raw = _PartStream(store, part)
    return cast("BinaryIO", io.BufferedReader(raw, buffer_size=_STREAM_BUFFER_BYTES))


def _size_of_part(store: BlobStore, part: Part) -> int:
    """The member's size, or what is left of it when the pack was cut short."""
    return min(max(store.size_bytes(part.pack) - part.offset, 0), part.size_bytes)


def _prefix(name: str) -> str:
    return "" if name == MAIN else f"{name}:"
