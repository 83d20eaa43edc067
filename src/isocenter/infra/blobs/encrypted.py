"""A store whose blobs are encrypted on their way into another; ``sealed_header`` has the layout.

Sizes, digests and ranges are those of the content. What was stored before encryption was switched
on is given as it is, unless that is forbidden. A chunk that was changed, moved, or cut off is
refused: no byte is given that was not authenticated.

What is not hidden: how large objects are and when they came. What is not prevented: that somebody
who may write to the store puts one whole object in the place of another; reading back notices it by
the digest that the database keeps.
"""

import hashlib
import io
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, ClassVar, Final, Protocol, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.key_ring import KeyEncryptionKey, NoteStore, load
from isocenter.infra.blobs.sealed_header import (
    CHUNK_BYTES,
    HEAD_BYTES,
    SEALED_CHUNK_BYTES,
    TAG_BYTES,
    BlobTampered,
    SealedHead,
    chunks_of,
    content_bytes,
    decode_head,
    is_sealed,
    nonce_of,
)
from isocenter.infra.blobs.store import BlobStore, BlobWriter, Chunk, Shelf, StoredBlob

_DATA_KEY_BYTES: Final = 32
_FLUSH_BYTES: Final = 4 * CHUNK_BYTES
_STREAM_BUFFER_BYTES: Final = 16 * CHUNK_BYTES
_REMEMBERED_BLOBS_MAX: Final = 4096
_RELOAD_AFTER_S: Final = 5.0


class PlainObject(IsocenterError):
    """The object is not encrypted, where all must be."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class KeyNotOnRing(IsocenterError):
    """The object is encrypted with a key that the store does not have."""

    kind: ClassVar[Kind] = Kind.FAULT


class SealableStore(BlobStore, NoteStore, Protocol):
    """A store that can hold encrypted blobs, and the ring of their keys."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What is needed to read an encrypted blob."""

    cipher: AESGCM
    head: bytes
    sealed_bytes: int

    def opened(self, first: int, raw: bytes, chunks: int) -> bytes:
        """The content of the ``chunks`` chunks from ``first`` on. Raises ``BlobTampered``."""
        last = chunks_of(self.sealed_bytes) - 1
        view = memoryview(raw)
        content = bytearray(max(len(raw) - chunks * TAG_BYTES, 0))
        with memoryview(content) as room:
            for number in range(first, first + chunks):
                at = number - first
                sealed = view[at * SEALED_CHUNK_BYTES : (at + 1) * SEALED_CHUNK_BYTES]
                place = room[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES]
                nonce = nonce_of(number, is_last=number == last)
                try:
                    self.cipher.decrypt_into(nonce, sealed, self.head, place)
                except (InvalidTag, ValueError) as error:
                    raise BlobTampered(
                        "the encrypted object was changed or cut short since it was stored"
                    ) from error
        return bytes(content)


class EncryptedWriter:
    """A blob being encrypted on its way; digest and size are those of the content."""

    __slots__ = ("_chunks", "_cipher", "_digest", "_head", "_size_bytes", "_waiting", "inner")

    def __init__(self, inner: BlobWriter, cipher: AESGCM, head: bytes) -> None:
        self.inner = inner
        self._cipher = cipher
        self._head = head
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._chunks = 0
        self._waiting = bytearray()
        inner.write(head)

    def write(self, data: Chunk, /) -> None:
        """Take the next bytes; the buffer may be reused after return. Raises ``StorageFull``."""
        self._digest.update(data)
        self._size_bytes += data.nbytes if isinstance(data, memoryview) else len(data)
        self._waiting += data
        if len(self._waiting) > _FLUSH_BYTES:
            self._seal((len(self._waiting) - 1) // CHUNK_BYTES)

    def _seal(self, whole_chunks: int, *, rest: bool = False) -> None:
        """Encrypt so many chunks of what waits, and with ``rest`` the last one as well."""
        parts: list[bytes] = []
        with memoryview(self._waiting) as view:
            for at in range(0, whole_chunks * CHUNK_BYTES, CHUNK_BYTES):
                nonce = nonce_of(self._chunks, is_last=False)
                chunk = view[at : at + CHUNK_BYTES]
                parts.append(self._cipher.encrypt(nonce, chunk, self._head))
                self._chunks += 1
            if rest:
                nonce = nonce_of(self._chunks, is_last=True)
                chunk = view[whole_chunks * CHUNK_BYTES :]
                parts.append(self._cipher.encrypt(nonce, chunk, self._head))
            chunk = None
        del self._waiting[: whole_chunks * CHUNK_BYTES]
        self.inner.write(b"".join(parts))

    def finish(self) -> None:
        """Write what is still waiting: nothing may follow."""
        self._seal(max(len(self._waiting) - 1, 0) // CHUNK_BYTES, rest=True)

    def stored(self, key: str) -> StoredBlob:
        """The blob as its readers know it."""
        return self.as_read(self.inner.stored(key))

    def as_read(self, blob: StoredBlob) -> StoredBlob:
        """``blob`` with the size and the digest of the content."""
        return StoredBlob(blob.key, self._size_bytes, self._digest.digest())

    def commit(self) -> StoredBlob:
        """Make all bytes durable and readable under a new key."""
        self.finish()
        return self.as_read(self.inner.commit())

    def abort(self) -> None:
        """Forget the bytes; does nothing after ``commit`` or another ``abort``."""
        self._waiting.clear()
        self.inner.abort()


class EncryptedStore:
    """A ``BlobStore`` that keeps its blobs encrypted in ``inner``."""

    def __init__(
        self, inner: SealableStore, key: KeyEncryptionKey, *, plain_allowed: bool = True
    ) -> None:
        """``plain_allowed``: whether blobs of the time before encryption may be read.

        The store's key ring is read when it is first needed.
        """
        self.inner = inner
        self._key = key
        self._plain_allowed = plain_allowed
        self._lock = threading.Lock()
        self._keys: dict[bytes, bytes] = {}
        self._loaded_at_s = float("-inf")
        self._remembered: OrderedDict[str, _Sealed | None] = OrderedDict()

    def writer(self, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob, or a pack of objects that came on that day.

        Raises ``WrongKey``, ``KeyRingMissing``.
        """
        key_id, store_key = self._newest_key()
        data_key = os.urandom(_DATA_KEY_BYTES)
        head = SealedHead(key_id, aes_key_wrap(store_key, data_key)).encode()
        return EncryptedWriter(self.inner.writer(packs_of=packs_of), AESGCM(data_key), head)

    def commit_all(self, writers: Sequence[BlobWriter]) -> list[StoredBlob]:
        """As ``commit`` of each, all or none."""
        blobs = self.inner.commit_all(_finished(writers))
        ours = (cast("EncryptedWriter", each) for each in writers)
        return [each.as_read(blob) for each, blob in zip(ours, blobs, strict=True)]

    def new_shelf(self) -> Shelf:
        """Where blobs can be put so that they are found again by their place alone."""
        return self.inner.new_shelf()

    def make_durable(self, writers: Sequence[BlobWriter], keys: Sequence[str]) -> None:
        """The first half of ``commit_all``, under keys of a shelf."""
        self.inner.make_durable(_finished(writers), keys)

    def keys_on(self, shelf: Shelf) -> list[str]:
        """The keys of all blobs that were put on the shelf."""
        return self.inner.keys_on(shelf)

    def put(self, data: Chunk) -> StoredBlob:
        """Store ``data`` as one blob."""
        writer = self.writer()
        writer.write(data)
        return writer.commit()

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start``: ``length`` of them, or fewer at the end.

        Raises ``BlobTampered``, ``KeyNotOnRing``, ``PlainObject``, ``WrongKey``.
        """
        sealed = self._sealed(key)
        if sealed is None:
            return self.inner.read(key, start, length)
        size_bytes = content_bytes(sealed.sealed_bytes)
        end = size_bytes if length is None else min(start + length, size_bytes)
        if end <= start and size_bytes:
            return b""
        first, last = start // CHUNK_BYTES, max(end - 1, 0) // CHUNK_BYTES
        chunks = last - first + 1
        raw = self.inner.read(
            key, HEAD_BYTES + first * SEALED_CHUNK_BYTES, chunks * SEALED_CHUNK_BYTES
        )
        opened = sealed.opened(first, raw, chunks)
        begin = start - first * CHUNK_BYTES
        if not begin and len(opened) == end - start:
            return opened
        return opened[begin : begin + end - start]

    def open(self, key: str) -> BinaryIO:
        """A seekable stream of the blob, opened a mebibyte at a time."""
        if self._sealed(key) is None:
            return self.inner.open(key)
        raw = _Opened(self, key, self.size_bytes(key))
        return cast("BinaryIO", io.BufferedReader(raw, buffer_size=_STREAM_BUFFER_BYTES))

    def size_bytes(self, key: str) -> int:
        """The size of the blob's content."""
        sealed = self._sealed(key)
        if sealed is None:
            return self.inner.size_bytes(key)
        return content_bytes(sealed.sealed_bytes)

    def delete(self, key: str) -> None:
        """Remove the blob; one that is not there is no error."""
        with self._lock:
            self._remembered.pop(key, None)
        self.inner.delete(key)

    def keys(self, older_than: datetime | None = None) -> Iterator[str]:
        """All keys, or those of blobs stored before a moment."""
        return self.inner.keys(older_than)

    def discard_unfinished(self, older_than: datetime) -> int:
        """The number of writers' leftovers removed."""
        return self.inner.discard_unfinished(older_than)

    def free_bytes(self) -> int | None:
        """Room left."""
        return self.inner.free_bytes()

    def _sealed(self, key: str) -> _Sealed | None:
        """What is needed to read the blob; None when it is not encrypted and need not be."""
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        head = self.inner.read(key, 0, HEAD_BYTES)
        sealed = None
        if is_sealed(head):
            cipher = AESGCM(self._data_key(decode_head(head)))
            sealed = _Sealed(cipher, head, self.inner.size_bytes(key))
        elif not self._plain_allowed:
            raise PlainObject("the object is not encrypted, and store_encryption is required")
        with self._lock:
            self._remembered[key] = sealed
            while len(self._remembered) > _REMEMBERED_BLOBS_MAX:
                self._remembered.popitem(last=False)
        return sealed

    def _data_key(self, head: SealedHead) -> bytes:
        store_key = self._store_keys().get(head.key_id)
        if store_key is None:  # made by another process since
            store_key = self._store_keys(after=_RELOAD_AFTER_S).get(head.key_id)
        if store_key is None:
            raise KeyNotOnRing("is encrypted with a key that is not on the store's key ring")
        try:
            return aes_key_unwrap(store_key, head.wrapped_key)
        except InvalidUnwrap as error:
            raise BlobTampered("the head of the encrypted object was changed") from error

    def _newest_key(self) -> tuple[bytes, bytes]:
        return next(reversed(self._store_keys().items()))

    def _store_keys(self, *, after: float = float("inf")) -> dict[bytes, bytes]:
        """The store keys, read anew when they were read longer than ``after`` seconds ago."""
        with self._lock:
            known, age_s = self._keys, time.monotonic() - self._loaded_at_s
        if known and age_s < after:
            return known
        keys = load(self.inner).opened(self._key)
        with self._lock:
            self._keys, self._loaded_at_s = keys, time.monotonic()
        return keys


def _finished(writers: Sequence[BlobWriter]) -> list[BlobWriter]:
    """The inner writers, with everything written; all aborted when one fails."""
    ours = [cast("EncryptedWriter", each) for each in writers]
    try:
        for each in ours:
            each.finish()
    except BaseException:
        for each in ours:
            each.abort()
        raise
    return [each.inner for each in ours]


class _Opened(io.RawIOBase):
    """An encrypted blob as a raw stream of its content."""

    def __init__(self, store: EncryptedStore, key: str, size_bytes: int) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is memoryview here
        data = self._store.read(self._key, self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
