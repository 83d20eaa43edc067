"""What every blob store does, and its errors.

Keys are made by the store (``YYYY/MM/DD/hh/id``: day of arrival, shard, random), never from
outside, so no peer can choose or guess where bytes go. Packs (``packs``) have the shard ``pk`` of
the day on which their members came. A blob is complete and durable once
``commit`` has returned, and never changes. Before that nobody can read it.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, ClassVar, Final, Protocol, TypeAlias

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.ids import marked_id, new_id

Chunk: TypeAlias = bytes | bytearray | memoryview

MARK_DIGITS: Final = 12
_PACKS: Final = "pk"
_KEY = re.compile(rf"\d{{4}}/\d\d/\d\d/([0-9a-f]{{2}}|{_PACKS})/[0-9a-f]{{32}}")


class BlobMissing(IsocenterError):
    """There is no blob of this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class StorageFull(IsocenterError):
    """The storage has no room left; nothing was stored."""

    kind: ClassVar[Kind] = Kind.BUSY


class StorageUnavailable(IsocenterError):
    """The storage does not answer, or refuses us; nothing was stored."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What ``commit`` gives: where the bytes are, how many, and their SHA-256 (32 bytes)."""

    key: str
    size_bytes: int
    sha256: bytes


class BlobWriter(Protocol):
    """One blob being written, by one thread at a time."""

    def write(self, data: Chunk, /) -> None:
        """Take the next bytes; the buffer may be reused after return. Raises ``StorageFull``."""
        ...

    def commit(self) -> StoredBlob:
        """Make all bytes durable and readable under a new key."""
        ...

    def stored(self, key: str) -> StoredBlob:
        """What is known of the bytes that were made durable under ``key``. Ask once: it ends it."""
        ...

    def abort(self) -> None:
        """Forget the bytes; does nothing after ``commit`` or another ``abort``."""
        ...


class Shelf:
    """A directory of a store and a mark: whoever knows both finds every blob that was put there.

    Keys are made by one process only, one thread at a time; ``MARK_DIGITS`` hexadecimal digits tell
    them from those of others in the same directory.
    """

    __slots__ = ("_count", "directory", "mark")

    def __init__(self, directory: str, mark: str) -> None:
        self.directory = directory
        self.mark = mark
        self._count = 0

    def new_key(self) -> str:
        """A fresh key on this shelf."""
        self._count += 1
        return f"{self.directory}/{marked_id(self._count, self.mark)}"

    def holds(self, key: str) -> bool:
        """Whether the key was made for this shelf."""
        return key.startswith(f"{self.directory}/") and key.endswith(self.mark)


class BlobStore(Protocol):
    """A place for blobs. Thread-safe."""

    def writer(self, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob; with ``packs_of`` a pack of objects that came on that day."""
        ...

    def commit_all(self, writers: Sequence[BlobWriter]) -> list[StoredBlob]:
        """As ``commit`` of each, in their order, at the cost of far fewer waits for the storage.

        All or none: when one fails, all are aborted and the error is raised.
        """
        ...

    def new_shelf(self) -> Shelf:
        """Where blobs can be put so that they are found again by their place alone."""
        ...

    def make_durable(self, writers: Sequence[BlobWriter], keys: Sequence[str]) -> None:
        """The first half of ``commit_all``, under keys of a shelf; ``stored`` of each is the rest.

        All or none: when one fails, all are aborted and the error is raised.
        """
        ...

    def keys_on(self, shelf: Shelf) -> list[str]:
        """The keys of all blobs that were put on the shelf."""
        ...

    def put(self, data: Chunk) -> StoredBlob:
        """Store ``data`` as one blob."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start``: ``length`` of them, or fewer at the end.

        Raises ``BlobMissing``.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable stream of the blob. Raises ``BlobMissing``."""
        ...

    def size_bytes(self, key: str) -> int:
        """The blob's size. Raises ``BlobMissing``."""
        ...

    def delete(self, key: str) -> None:
        """Remove the blob; one that is not there is no error."""
        ...

    def keys(self, older_than: datetime | None = None) -> Iterator[str]:
        """All keys, or those of blobs stored before a moment, oldest day first."""
        ...

    def discard_unfinished(self, older_than: datetime) -> int:
        """The number of writers' leftovers removed that were begun before ``older_than``."""
        ...

    def free_bytes(self) -> int | None:
        """Room left; None where there is no such limit."""
        ...


def new_key(now: datetime, shard: str) -> str:
    """A fresh key of the day of ``now`` in ``shard``."""
    return f"{now:%Y/%m/%d}/{shard}/{new_id()}"


def new_pack_key(day: date) -> str:
    """A fresh key of a pack of objects that came on ``day``."""
    return f"{day:%Y/%m/%d}/{_PACKS}/{new_id()}"


def is_pack(key: str) -> bool:
    """Whether this is the key of a pack, with or without a store's name."""
    return key.rpartition(":")[2].split("/")[3:4] == [_PACKS] and "@" not in key


def new_shelf(now: datetime) -> Shelf:
    """A shelf in a shard of the day of ``now``."""
    return Shelf(f"{now:%Y/%m/%d}/{new_shard()}", secrets.token_hex(MARK_DIGITS // 2))


def new_shard() -> str:
    """One of 256 shards, at random: no directory of a day gets large."""
    return f"{secrets.randbelow(256):02x}"


def is_key(path: str) -> bool:
    """Whether a path in the storage is the key of a blob."""
    return _KEY.fullmatch(path) is not None


def checked(key: str) -> str:
    """``key``, when it is of the form that stores make; raises ``BlobMissing`` when not.

    So no key, wherever it came from, can name a file outside the store.
    """
    if not is_key(key):
        raise BlobMissing("no blob has a key of this form")
    return key
