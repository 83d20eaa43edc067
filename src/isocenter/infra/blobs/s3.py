"""Blobs as objects of an S3 bucket.

Bytes are collected in memory, larger ones in a local file, and sent when the blob is committed:
what is not committed never reaches the bucket. Lifecycle rules, versioning and encryption are the
bucket's.
"""

import hashlib
import io
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Client

from isocenter.errors import IsocenterError
from isocenter.infra.blobs.store import (
    BlobMissing,
    BlobWriter,
    Chunk,
    Shelf,
    StorageUnavailable,
    StoredBlob,
    checked,
    is_key,
    new_key,
    new_pack_key,
    new_shard,
    new_shelf,
)
from isocenter.infra.clock import utc_now

_MEMORY_PER_WRITER_BYTES = 4 * 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024
_UPLOADS_AT_ONCE = 8
_STREAM_BUFFER_BYTES = 1024 * 1024
_REQUEST_TIMEOUT = timedelta(seconds=60)
_RETRY_TIMEOUT = timedelta(seconds=30)


class S3Writer:
    """A blob collected locally until it is committed."""

    __slots__ = ("_digest", "_size_bytes", "_spool", "_store", "packs_of")

    def __init__(
        self,
        store: "S3Store",
        spool: "tempfile.SpooledTemporaryFile[bytes]",
        packs_of: date | None,
    ) -> None:
        self._store = store
        self.packs_of = packs_of
        self._spool = spool
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: Chunk, /) -> None:
        """Take the next bytes; the buffer may be reused after return."""
        try:
            self._spool.write(data)
        except OSError as error:
            self.abort()
            raise StorageUnavailable("the local spool directory failed") from error
        self._digest.update(data)
        self._size_bytes += memoryview(data).nbytes

    def commit(self) -> StoredBlob:
        """Send all bytes under a new key; they are readable when this returns."""
        return self._store.commit_all([self])[0]

    def abort(self) -> None:
        """Forget the bytes; does nothing after ``commit`` or another ``abort``."""
        self._spool.close()

    def stored(self, key: str) -> StoredBlob:
        """What is known of the bytes that were sent under ``key``."""
        return StoredBlob(key, self._size_bytes, self._digest.digest())

    def send(self, client: Client, key: str) -> None:
        """Upload under ``key``; in several parts when large."""
        if self._spool.closed:
            raise StorageUnavailable("this blob was committed or aborted before")
        self._spool.seek(0)
        with _errors_of_storage():
            if self._size_bytes <= _PART_BYTES:
                obstore.put(client, key, self._spool.read(), use_multipart=False)
            else:
                obstore.put(client, key, self._spool, chunk_size=_PART_BYTES)


class S3Store:
    """A ``BlobStore`` in a bucket."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        options: Mapping[str, str],
        credentials: Mapping[str, str],
        spool: Path | None = None,
        retry_timeout: timedelta = _RETRY_TIMEOUT,
    ) -> None:
        """``options`` of the URL: ``endpoint``, ``region``. Does not connect."""
        endpoint = options.get("endpoint")
        known = {"access_key_id", "secret_access_key", "session_token"}
        self._client = Client(
            bucket,
            prefix=prefix or None,
            config={  # pyright: ignore[reportArgumentType] - keys checked at run time by the library
                "region": options.get("region", "us-east-1"),
                **({"endpoint": endpoint} if endpoint else {}),
                **{name: value for name, value in credentials.items() if name in known},
            },
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "timeout": _REQUEST_TIMEOUT,
            },
            retry_config={"max_retries": 5, "retry_timeout": retry_timeout},
        )
        self._spool = str(spool) if spool else None
        self._uploads = ThreadPoolExecutor(_UPLOADS_AT_ONCE, thread_name_prefix="upload")

    def writer(self, *, packs_of: date | None = None) -> BlobWriter:
        """A new, empty blob, or a pack of objects that came on that day."""
        return S3Writer(
            self,
            tempfile.SpooledTemporaryFile(_MEMORY_PER_WRITER_BYTES, dir=self._spool),
            packs_of,
        )

    def commit_all(self, writers: Sequence[BlobWriter]) -> list[StoredBlob]:
        """As ``commit`` of each, several uploads at a time."""
        ours = [cast("S3Writer", each) for each in writers]
        now = utc_now()
        shard = new_shard()
        keys = [
            new_key(now, shard) if each.packs_of is None else new_pack_key(each.packs_of)
            for each in ours
        ]
        self.make_durable(writers, keys)
        return [each.stored(key) for each, key in zip(ours, keys, strict=True)]

    def new_shelf(self) -> Shelf:
        """Where blobs can be put so that they are found again by their place alone."""
        return new_shelf(utc_now())

    def make_durable(self, writers: Sequence[BlobWriter], keys: Sequence[str]) -> None:
        """The first half of ``commit_all``, under keys of a shelf; several uploads at a time."""
        ours = [cast("S3Writer", each) for each in writers]
        if len(ours) == 1:
            failures = [_failure(self._client, ours[0], keys[0])]
        else:
            jobs = [
                self._uploads.submit(_failure, self._client, each, key)
                for each, key in zip(ours, keys, strict=True)
            ]
            failures = [each.result() for each in jobs]
        for each in ours:
            each.abort()
        for failure in failures:
            if failure is not None:
                self._remove(keys)
                raise failure

    def keys_on(self, shelf: Shelf) -> list[str]:
        """The keys of all blobs that were put on the shelf."""
        checked(f"{shelf.directory}/{'0' * 32}")
        with _errors_of_storage():
            pages = obstore.list(self._client, prefix=f"{shelf.directory}/")  # pyright: ignore[reportUnknownMemberType] - arrow
            found = [each["path"] for page in pages for each in page]
        return sorted(key for key in found if shelf.holds(key))

    def _remove(self, keys: Sequence[str]) -> None:
        """Take back what was sent; what cannot be is left for the sweeper."""
        try:
            for key in keys:
                self.delete(key)
        except StorageUnavailable:
            return

    def put(self, data: Chunk) -> StoredBlob:
        """Store ``data`` as one blob."""
        writer = self.writer()
        writer.write(data)
        return writer.commit()

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``start``: ``length`` of them, or fewer at the end."""
        checked(key)
        with _errors_of_storage():
            if start == 0 and length is None:
                return obstore.get(self._client, key).bytes().to_bytes()
            size_bytes = obstore.head(self._client, key)["size"]
            end = size_bytes if length is None else min(start + length, size_bytes)
            if end <= start:
                return b""
            return obstore.get_range(self._client, key, start=start, end=end).to_bytes()

    def open(self, key: str) -> BinaryIO:
        """A seekable stream of the blob, fetched a mebibyte at a time."""
        return cast(
            "BinaryIO", io.BufferedReader(_Ranges(self, key), buffer_size=_STREAM_BUFFER_BYTES)
        )

    def size_bytes(self, key: str) -> int:
        """The blob's size."""
        with _errors_of_storage():
            return obstore.head(self._client, checked(key))["size"]

    def range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from ``start`` to before ``end``, which lie within the blob."""
        with _errors_of_storage():
            return obstore.get_range(self._client, key, start=start, end=end).to_bytes()

    def delete(self, key: str) -> None:
        """Remove the blob; one that is not there is no error."""
        checked(key)
        try:
            with _errors_of_storage():
                obstore.delete(self._client, key)
        except BlobMissing:
            return

    def keys(self, older_than: datetime | None = None) -> Iterator[str]:
        """All keys, or those of blobs stored before a moment, in the bucket's order."""
        with _errors_of_storage():
            for page in obstore.list(self._client):  # pyright: ignore[reportUnknownMemberType] - arrow
                for found in page:
                    young = older_than is not None and found["last_modified"] >= older_than
                    if not young and is_key(found["path"]):
                        yield found["path"]

    def read_note(self, name: str) -> bytes | None:
        """The store's own small object of this name; None when there is none."""
        try:
            with _errors_of_storage():
                return obstore.get(self._client, name).bytes().to_bytes()
        except BlobMissing:
            return None

    def write_note(self, name: str, data: bytes) -> None:
        """Make ``data`` the store's own small object of this name, all of it or nothing."""
        with _errors_of_storage():
            obstore.put(self._client, name, data, use_multipart=False)

    def discard_unfinished(self, older_than: datetime) -> int:
        """Always 0: unfinished blobs are unnamed local files, which end with their process."""
        del older_than
        return 0

    def free_bytes(self) -> int | None:
        """None: a bucket has no such limit."""
        return None


class _Ranges(io.RawIOBase):
    """A blob as a raw stream: each read is a range request."""

    def __init__(self, store: S3Store, key: str) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._size_bytes = store.size_bytes(key)
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
        end = min(self._position + len(buffer), self._size_bytes)
        if end <= self._position:
            return 0
        data = self._store.range(self._key, self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _failure(client: Client, writer: S3Writer, key: str) -> IsocenterError | None:
    try:
        writer.send(client, key)
    except IsocenterError as error:
        return error
    return None


@contextmanager
def _errors_of_storage() -> Generator[None, None, None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing("there is no blob of this key") from error
    except BaseError as error:
        raise StorageUnavailable(f"the object store failed: {type(error).__name__}") from error
