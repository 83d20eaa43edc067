"""Encryption at rest: nothing is readable without the key, nothing can be changed unseen."""

import base64
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from isocenter.infra.blobs import key_ring
from isocenter.infra.blobs.encrypted import EncryptedStore, KeyNotOnRing, PlainObject
from isocenter.infra.blobs.filesystem import FileStore
from isocenter.infra.blobs.key_ring import (
    BadKey,
    KeyEncryptionKey,
    KeyRingDamaged,
    KeyRingExists,
    KeyRingMissing,
    WrongKey,
    key_encryption_key,
    new_key_text,
)
from isocenter.infra.blobs.sealed_header import (
    CHUNK_BYTES,
    HEAD_BYTES,
    SEALED_CHUNK_BYTES,
    BlobTampered,
    content_bytes,
)
from isocenter.infra.clock import utc_now

C, S = CHUNK_BYTES, SEALED_CHUNK_BYTES
SIZES = [0, 1, C - 1, C, C + 1, 2 * C, 3 * C + 17, 5 * C]


@pytest.fixture
def inner(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "objects")


@pytest.fixture
def key() -> KeyEncryptionKey:
    return key_encryption_key(new_key_text())


@pytest.fixture
def store(inner: FileStore, key: KeyEncryptionKey) -> EncryptedStore:
    key_ring.create(inner, key, now=utc_now())
    return EncryptedStore(inner, key)


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def path_of(inner: FileStore, blob_key: str) -> Path:
    return inner.root / blob_key


@pytest.mark.parametrize("size", SIZES)
def test_content_comes_back_whole_and_in_every_kind_of_range(store: EncryptedStore, size: int):
    data = content(size)
    writer = store.writer()
    rest = memoryview(data)
    for piece in (1, 7, C - 3, 200_000, size):  # pieces that agree with no chunk
        writer.write(rest[:piece])
        rest = rest[piece:]
    stored = writer.commit()
    assert stored.size_bytes == size
    assert store.read(stored.key) == data
    assert store.size_bytes(stored.key) == size
    edges = sorted({
        each for at in (0, C, 2 * C, size) for each in (at - 1, at, at + 1) if each >= 0
    })
    for start in edges:
        for length in (0, 1, C - 1, C, C + 1, None):
            end = None if length is None else start + length
            assert store.read(stored.key, start, length) == data[start:end], (start, length)
    with store.open(stored.key) as stream:
        assert stream.read() == data


def test_nothing_of_the_content_lies_in_the_store(store: EncryptedStore, inner: FileStore):
    data = b"Phantom^Ada" * 10_000
    blob = store.put(data)
    raw = inner.read(blob.key)
    assert b"Phantom" not in raw
    assert len(raw) == HEAD_BYTES + len(data) + 16 * 2
    assert content_bytes(len(raw)) == len(data)
    assert raw != inner.read(store.put(data).key)  # the same content is not seen to be the same


def test_the_layout_is_as_documented(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey
):
    """Opened by hand from the description alone, as another program would."""
    data = content(2 * C + 5)
    raw = inner.read(store.put(data).key)
    ring = key_ring.load(inner)
    assert raw[:8] == b"ISOSEAL\x01"
    assert raw[8:24].hex() == ring.keys[-1].key_id
    store_key = aes_key_unwrap(key.secret, ring.keys[-1].wrapped[key.key_id])
    data_key = aes_key_unwrap(store_key, raw[24:64])
    plain = b""
    for number in range(3):
        nonce = number.to_bytes(8, "big") + bytes(3) + bytes([number == 2])
        chunk = raw[64 + number * (65536 + 16) : 64 + (number + 1) * (65536 + 16)]
        plain += AESGCM(data_key).decrypt(nonce, chunk, raw[:64])
    assert plain == data


def flipped(at: int) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        changed = bytearray(raw)
        changed[at] ^= 1
        return bytes(changed)

    return change


@pytest.mark.parametrize(
    "change",
    [
        flipped(HEAD_BYTES + 5),
        flipped(-1),
        flipped(30),  # the wrapped key
        lambda raw: raw[:-1],
        lambda raw: raw[: HEAD_BYTES + S],  # cut at the end of a chunk
        lambda raw: raw[: HEAD_BYTES + 2 * S],
        lambda raw: raw[:HEAD_BYTES],
        lambda raw: raw[: HEAD_BYTES - 4],
        lambda raw: raw + raw[-S:],
        lambda raw: raw[:HEAD_BYTES] + raw[HEAD_BYTES + S : HEAD_BYTES + 2 * S] * 3,
        lambda raw: (  # two chunks changed places
            raw[:HEAD_BYTES]
            + raw[HEAD_BYTES + S : HEAD_BYTES + 2 * S]
            + raw[HEAD_BYTES : HEAD_BYTES + S]
            + raw[HEAD_BYTES + 2 * S :]
        ),
        lambda raw: raw[:HEAD_BYTES] + raw[HEAD_BYTES + S :],  # the first chunk left out
    ],
)
def test_whatever_was_changed_is_refused(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey, change: Callable[[bytes], bytes]
):
    blob = store.put(content(2 * C + 100))
    path = path_of(inner, blob.key)
    path.write_bytes(change(path.read_bytes()))
    fresh = EncryptedStore(inner, key)
    with pytest.raises(BlobTampered):
        fresh.read(blob.key)
    with pytest.raises(BlobTampered), fresh.open(blob.key) as stream:
        stream.read()


def test_the_head_of_one_object_does_not_open_the_chunks_of_another(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey
):
    one, other = (store.put(content(C + 1)), store.put(content(C + 1)))
    mixed = inner.read(one.key)[:HEAD_BYTES] + inner.read(other.key)[HEAD_BYTES:]
    path_of(inner, one.key).write_bytes(mixed)
    with pytest.raises(BlobTampered):
        EncryptedStore(inner, key).read(one.key)


def test_a_wrong_key_is_said_so_and_writes_nothing(store: EncryptedStore, inner: FileStore):
    blob = store.put(b"secret")
    stranger = EncryptedStore(inner, key_encryption_key(new_key_text()))
    for attempt in (lambda: stranger.read(blob.key), stranger.writer, lambda: stranger.put(b"x")):
        with pytest.raises(WrongKey, match="not for the key-encryption key"):
            attempt()
    assert list(inner.keys()) == [blob.key]


def test_a_store_without_a_ring_or_with_a_damaged_one_writes_nothing(
    inner: FileStore, key: KeyEncryptionKey
):
    with pytest.raises(KeyRingMissing, match="isocenter keys init"):
        EncryptedStore(inner, key).put(b"x")
    key_ring.create(inner, key, now=utc_now())
    with pytest.raises(KeyRingExists):
        key_ring.create(inner, key, now=utc_now())
    ring = inner.read_note(key_ring.NAME)
    for damaged in (b"{}", ring[:-5], ring.replace(b"isocenter-keyring-1", b"isocenter-keyring-9")):
        inner.write_note(key_ring.NAME, damaged)
        with pytest.raises(KeyRingDamaged):
            EncryptedStore(inner, key).put(b"x")
    assert list(inner.keys()) == []


def test_the_key_changes_without_an_object_being_rewritten(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey
):
    before = store.put(content(3 * C))
    raw = inner.read(before.key)
    later = key_encryption_key(new_key_text())
    ring = key_ring.load(inner).with_new_key(key, now=utc_now()).also_for(later, key)
    key_ring.save(inner, ring)
    between = EncryptedStore(inner, key)  # processes that still have the old key go on
    written = between.put(b"between")
    assert EncryptedStore(inner, later).read(written.key) == b"between"
    assert inner.read(written.key)[8:24] != raw[8:24]  # new objects use the new store key
    key_ring.save(inner, ring.only_for(later))
    renewed = EncryptedStore(inner, later)
    assert renewed.read(before.key) == content(3 * C)
    assert inner.read(before.key) == raw
    with pytest.raises(WrongKey):
        EncryptedStore(inner, key).read(before.key)
    # A process that has run since before the change reads what others write after it.
    store._loaded_at_s = float("-inf")
    store._key = later
    assert store.read(written.key) == b"between"


def test_objects_of_before_encryption_are_read_unless_that_is_forbidden(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey
):
    plain = inner.put(b"DICM of last year")
    assert store.read(plain.key, 5, 2) == b"of"
    assert store.size_bytes(plain.key) == 17
    with store.open(plain.key) as stream:
        assert stream.read(4) == b"DICM"
    strict = EncryptedStore(inner, key, plain_allowed=False)
    with pytest.raises(PlainObject):
        strict.read(plain.key)
    sealed = strict.put(b"new")
    assert strict.read(sealed.key) == b"new"


def test_an_object_under_a_key_that_is_gone_is_one_object_and_not_the_store(
    store: EncryptedStore, inner: FileStore, key: KeyEncryptionKey
):
    lost, kept = store.put(b"lost"), store.put(b"kept")
    raw = inner.read(lost.key)
    path_of(inner, lost.key).write_bytes(raw[:8] + os.urandom(16) + raw[24:])
    fresh = EncryptedStore(inner, key)
    with pytest.raises(KeyNotOnRing):
        fresh.read(lost.key)
    assert fresh.read(kept.key) == b"kept"


@pytest.mark.parametrize("written", ["", "short", "zz" * 32, base64.b64encode(b"x" * 31).decode()])
def test_what_is_no_key_is_refused(written: str):
    with pytest.raises(BadKey):
        key_encryption_key(written)


def test_a_key_may_be_written_in_two_ways_and_is_never_shown():
    secret = os.urandom(32)
    keys = [key_encryption_key(each) for each in (secret.hex(), base64.b64encode(secret).decode())]
    assert keys[0] == keys[1]
    assert secret.hex() not in repr(keys)
