"""Blob stores: one set of tests for the file system and a real S3 server."""

import hashlib
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isocenter.app.scrubbing import copied
from isocenter.errors import Kind
from isocenter.infra.blobs import (
    BlobMissing,
    BlobStore,
    StorageUnavailable,
    StoredBlob,
    key_ring,
    open_store,
)
from isocenter.infra.blobs.encrypted import EncryptedStore
from isocenter.infra.blobs.filesystem import FileStore
from isocenter.infra.blobs.s3 import S3Store
from isocenter.infra.blobs.several import SeveralStores, UnknownStore, store_of
from isocenter.infra.blobs.store import Shelf
from isocenter.infra.clock import utc_now
from tests.component.infra.cut_line import Line
from tests.component.infra.s3_server import S3Server

SIZES = [0, 1, 4096, 525_000, 9 * 1024 * 1024 + 1]  # the last is above S3's size of one part


@pytest.fixture(params=["file", "several", "encrypted", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "file":
        return open_store(f"file://{tmp_path}/objects%20here")
    if request.param == "several":
        stores = {name: open_store(f"file://{tmp_path}/{name}") for name in ("main", "archive")}
        return SeveralStores(stores, current="archive")
    if request.param == "encrypted":
        inner = FileStore(tmp_path)
        key = key_ring.key_encryption_key(key_ring.new_key_text())
        key_ring.create(inner, key, now=utc_now())
        return EncryptedStore(inner, key)
    server: S3Server = request.getfixturevalue("s3_server")
    return open_store(server.url(f"run-{random.getrandbits(64):x}"), credentials=server.credentials)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_with_their_digest(store: BlobStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    writer = store.writer()
    for start in range(0, size, 100_000):
        writer.write(memoryview(data)[start : start + 100_000])
    stored = writer.commit()
    assert (stored.size_bytes, stored.sha256) == (size, hashlib.sha256(data).digest())
    assert store.read(stored.key) == data
    assert store.size_bytes(stored.key) == size


def test_a_buffer_may_be_reused_at_once(store: BlobStore) -> None:
    buffer = bytearray(b"first ")
    writer = store.writer()
    writer.write(buffer)
    buffer[:] = b"second"
    writer.write(memoryview(buffer))
    assert store.read(writer.commit().key) == b"first second"


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 4, b"0123"),
        (4, 3, b"456"),
        (7, None, b"789"),
        (8, 100, b"89"),
        (10, 5, b""),
        (20, None, b""),
        (3, 0, b""),
    ],
)
def test_a_range_is_read(store: BlobStore, start: int, length: int | None, expected: bytes) -> None:
    assert store.read(store.put(b"0123456789").key, start, length) == expected


def test_a_stream_seeks(store: BlobStore) -> None:
    data = random.Random(1).randbytes(3_000_000)
    with store.open(store.put(data).key) as stream:
        assert stream.read(10) == data[:10]
        stream.seek(2_500_000)
        assert stream.read() == data[2_500_000:]
        stream.seek(-5, os.SEEK_END)
        assert stream.read(100) == data[-5:]


def test_many_are_committed_at_once(store: BlobStore) -> None:
    contents = [b"blob %d" % number for number in range(20)]
    writers = [store.writer() for _ in contents]
    for writer, content in zip(writers, contents, strict=True):
        writer.write(content)
    stored = store.commit_all(writers)
    assert [store.read(each.key) for each in stored] == contents
    assert len({each.key for each in stored}) == 20


def test_what_is_put_on_a_shelf_is_found_there(store: BlobStore) -> None:
    shelf, other = store.new_shelf(), store.new_shelf()
    contents = {shelf.new_key(): b"blob %d" % number * 5 for number in range(3)}
    contents[other.new_key()] = b"elsewhere"
    store.put(b"nowhere")
    writers = [store.writer() for _ in contents]
    for writer, content in zip(writers, contents.values(), strict=True):
        writer.write(content)
    assert store.keys_on(shelf) == []
    store.make_durable(writers, list(contents))
    found = sorted(key for key in contents if not other.holds(key))
    assert store.keys_on(Shelf(shelf.directory, shelf.mark)) == found
    assert {key: store.read(key) for key in contents} == contents
    for writer, key in zip(writers, contents, strict=True):
        digest = hashlib.sha256(contents[key]).digest()
        assert writer.stored(key) == StoredBlob(key, len(contents[key]), digest)
    assert len(list(store.keys())) == 5


def test_what_cannot_be_put_on_a_shelf_leaves_nothing(store: BlobStore) -> None:
    shelf = store.new_shelf()
    good, bad = store.writer(), store.writer()
    good.write(b"good")
    bad.abort()
    with pytest.raises(StorageUnavailable):
        store.make_durable([good, bad], [shelf.new_key(), shelf.new_key()])
    assert store.keys_on(shelf) == []


def test_what_is_aborted_leaves_nothing(store: BlobStore) -> None:
    writer = store.writer()
    writer.write(b"never mind")
    writer.abort()
    writer.abort()
    with pytest.raises(StorageUnavailable):
        writer.commit()
    assert list(store.keys()) == []


def test_one_that_cannot_be_committed_undoes_the_batch(store: BlobStore) -> None:
    good, bad = store.writer(), store.writer()
    good.write(b"good")
    bad.abort()
    with pytest.raises(StorageUnavailable):
        store.commit_all([good, bad])
    assert list(store.keys()) == []


def test_a_missing_blob_says_so(store: BlobStore) -> None:
    key = store.put(b"here").key
    store.delete(key)
    store.delete(key)
    for attempt in (
        lambda: store.read(key),
        lambda: store.read(key, 1, 2),
        lambda: store.size_bytes(key),
        lambda: store.open(key),
    ):
        with pytest.raises(BlobMissing) as raised:
            attempt()
        assert raised.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("key", ["../../etc/passwd", "", "/etc/passwd", "2026/03/02/aa/../../x"])
def test_a_key_from_elsewhere_reaches_nothing(store: BlobStore, key: str) -> None:
    with pytest.raises(BlobMissing):
        store.read(key)
    with pytest.raises(BlobMissing):
        store.delete(key)


def test_keys_can_be_listed_by_age(store: BlobStore) -> None:
    keys = {store.put(b"%d" % number).key for number in range(3)}
    assert set(store.keys()) == keys
    assert set(store.keys(utc_now() + timedelta(minutes=5))) == keys
    assert list(store.keys(utc_now() - timedelta(minutes=5))) == []


def test_threads_may_share_a_store(store: BlobStore) -> None:
    stored: list[bytes] = []

    def work(number: int) -> None:
        content = b"%d" % number * 1000
        if store.read(store.put(content).key) == content:
            stored.append(content)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(stored) == 12


def test_leftovers_of_a_killed_writer_are_removed_by_age(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    writer = store.writer()
    writer.write(b"half a blob")
    assert store.discard_unfinished(datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert store.discard_unfinished(utc_now() + timedelta(minutes=1)) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_free_space_is_known_for_files_only(store: BlobStore) -> None:
    free = store.free_bytes()
    assert free is None or free > 0


def test_a_wrong_key_is_refused(s3_server: S3Server) -> None:
    wrong = {**s3_server.credentials, "secret_access_key": "wrong"}
    store = open_store(s3_server.url("refused"), credentials=wrong)
    with pytest.raises(StorageUnavailable):
        store.put(b"must not arrive")
    with pytest.raises(StorageUnavailable):
        list(store.keys())
    right = open_store(s3_server.url("refused"), credentials=s3_server.credentials)
    assert list(right.keys()) == []


def test_an_s3_server_that_is_away_is_unavailable() -> None:
    store = S3Store(
        "bucket",
        "",
        options={"endpoint": "http://127.0.0.1:9"},
        credentials={"access_key_id": "a", "secret_access_key": "b"},
        retry_timeout=timedelta(seconds=0.5),
    )
    with pytest.raises(StorageUnavailable):
        store.put(b"x")


@pytest.mark.parametrize("size", SIZES[-2:])
def test_a_bucket_that_goes_away_in_the_middle_of_an_object(s3_server: S3Server, size: int) -> None:
    line = Line(s3_server.gateway_port)
    prefix = f"cut-{random.getrandbits(64):x}"
    options = {"endpoint": f"http://127.0.0.1:{line.port}", "region": "default"}
    store = S3Store(
        s3_server.bucket,
        prefix,
        options=options,
        credentials=s3_server.credentials,
        retry_timeout=timedelta(seconds=0.5),
    )
    before = store.put(b"acknowledged before")
    line.cut_after(size * 2 // 3)
    with pytest.raises(StorageUnavailable):
        store.put(bytes(size))
    assert line.is_cut
    with pytest.raises(StorageUnavailable):
        store.read(before.key)
    line.mend()
    after = store.put(bytes(size))
    assert set(store.keys()) == {before.key, after.key}
    assert store.read(before.key) == b"acknowledged before"
    assert store.read(after.key) == bytes(size)
    line.close()


def test_blobs_are_read_where_they_are_whichever_store_is_current(tmp_path: Path) -> None:
    stores = {name: open_store(f"file://{tmp_path}/{name}") for name in ("main", "archive")}
    before = SeveralStores(stores)
    old = before.put(b"old").key
    now = SeveralStores(stores, current="archive")
    writers = [now.writer(), now.writer()]
    for number, writer in enumerate(writers):
        writer.write(b"new %d" % number)
    new = [each.key for each in now.commit_all(writers)]
    beside = now.writer_in("main")
    beside.write(b"beside")
    back = beside.commit().key
    assert [store_of(each) for each in (old, *new, back)] == ["main", "archive", "archive", "main"]
    assert [before.read(each) for each in (old, *new, back)] == [
        b"old", b"new 0", b"new 1", b"beside",
    ]  # fmt: skip
    assert set(now.keys()) == {old, *new, back}
    assert ":" not in old  # as it was before there were several
    now.delete(new[0])
    with pytest.raises(BlobMissing):
        now.read(new[0])
    with pytest.raises(BlobMissing):
        SeveralStores({"main": stores["main"]}).read(new[1])
    with pytest.raises(UnknownStore):
        SeveralStores(stores, current="elsewhere")
    with pytest.raises(UnknownStore):
        SeveralStores({"main": stores["main"], "Not:a:name": stores["archive"]})


def test_a_bucket_may_be_encrypted(s3_server: S3Server) -> None:
    bucket = open_store(
        s3_server.url(f"sealed-{random.getrandbits(64):x}"), credentials=s3_server.credentials
    )
    key = key_ring.key_encryption_key(key_ring.new_key_text())
    key_ring.create(bucket, key, now=utc_now())
    store = EncryptedStore(bucket, key)
    data = random.Random(2).randbytes(400_000)
    blob = store.put(data)
    assert store.read(blob.key, 65_530, 20) == data[65_530:65_550]
    assert store.read(blob.key) == data
    assert list(store.keys()) == [blob.key]  # the ring is none of the blobs


def test_bytes_are_carried_between_a_disk_and_a_bucket(tmp_path: Path, s3_server: S3Server) -> None:
    bucket = open_store(
        s3_server.url(f"copies-{random.getrandbits(64):x}"), credentials=s3_server.credentials
    )
    stores = SeveralStores({"main": open_store(f"file://{tmp_path}"), "second": bucket})
    data = random.Random(3).randbytes(9_000_000)
    original = stores.put(data)
    copy = copied(stores, original.key, "second", original.sha256)
    assert store_of(copy.key) == "second"
    assert stores.read(copy.key, 8_999_990) == data[-10:]
    back = copied(stores, copy.key, "main", original.sha256)
    assert stores.read(back.key) == data
    with pytest.raises(StorageUnavailable, match="damaged itself"):
        copied(stores, copy.key, "main", bytes(32))
    assert set(stores.keys()) == {original.key, copy.key, back.key}
