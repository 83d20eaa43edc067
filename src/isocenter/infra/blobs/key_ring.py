"""The keys of one encrypted store: kept in the store, wrapped by a key that is kept elsewhere.

Each blob has a data key of its own. It is wrapped by a *store key* of the ring, and the store keys
are wrapped by the *key-encryption key* of the installation. So changing the key-encryption key
rewrites the ring, a few hundred bytes, and no blob; and a store together with its key-encryption
key is all that is needed to read it, also when the database is lost.

Standard: RFC 3394 (AES key wrap)
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.sealed_header import KEY_ID_BYTES

NAME: Final = "keyring"
_FORMAT: Final = "isocenter-keyring-1"
_KEY_BYTES: Final = 32


class BadKey(IsocenterError):
    """What is set as the key-encryption key is none."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class WrongKey(IsocenterError):
    """The key-encryption key that is set does not open the store's key ring."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class KeyRingMissing(IsocenterError):
    """The store has no key ring yet."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class KeyRingExists(IsocenterError):
    """The store has a key ring already; another one would make its objects unreadable."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class KeyRingDamaged(IsocenterError):
    """What lies in the place of the key ring is none."""

    kind: ClassVar[Kind] = Kind.FAULT


class NoteStore(Protocol):
    """As much of a store as a ring needs: one small object of a fixed name."""

    def read_note(self, name: str) -> bytes | None:
        """The note; None when there is none."""
        ...

    def write_note(self, name: str, data: bytes) -> None:
        """Make ``data`` the note, durably, all of it or nothing."""
        ...


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """The key of the installation. ``key_id`` tells it from others and tells nothing of it."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return f"KeyEncryptionKey({self.key_id})"


def key_encryption_key(written: str) -> KeyEncryptionKey:
    """The key that is written as 64 hexadecimal digits or in base64. Raises ``BadKey``."""
    text = written.strip()
    try:
        if len(text) == 2 * _KEY_BYTES:
            secret = bytes.fromhex(text)
        else:
            secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise BadKey("a key-encryption key is 32 bytes, in base64 or as 64 hexadecimal digits")
    key_id = hashlib.sha256(b"isocenter key-encryption key id\0" + secret).hexdigest()[:16]
    return KeyEncryptionKey(key_id, secret)


def new_key_text() -> str:
    """A fresh key-encryption key, as it is written to a file."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode() + "\n"


@dataclass(frozen=True, slots=True)
class RingKey:
    """One store key. ``wrapped`` has it once for each key-encryption key that may open it."""

    key_id: str
    made_at: datetime
    wrapped: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All store keys of a store, the newest last: that one wraps the keys of new blobs."""

    keys: tuple[RingKey, ...]

    @property
    def openers(self) -> frozenset[str]:
        """Ids of the key-encryption keys that open the whole ring."""
        return frozenset[str].intersection(*(frozenset(each.wrapped) for each in self.keys))

    def opened(self, key: KeyEncryptionKey) -> dict[bytes, bytes]:
        """The store keys by id, in order. Raises ``WrongKey``."""
        found: dict[bytes, bytes] = {}
        for each in self.keys:
            wrapped = each.wrapped.get(key.key_id)
            if wrapped is None:
                raise WrongKey(
                    f"the store's key ring is not for the key-encryption key {key.key_id}"
                    f" but for {', '.join(sorted(self.openers)) or 'several'}"
                )
            try:
                found[bytes.fromhex(each.key_id)] = aes_key_unwrap(key.secret, wrapped)
            except InvalidUnwrap as error:
                raise KeyRingDamaged("a key of the store's key ring is damaged") from error
        return found

    def with_new_key(self, key: KeyEncryptionKey, *, now: datetime) -> "KeyRing":
        """The ring with a fresh store key for new blobs, wrapped by ``key``."""
        secret = os.urandom(_KEY_BYTES)
        wrapped = {key.key_id: aes_key_wrap(key.secret, secret)}
        fresh = RingKey(os.urandom(KEY_ID_BYTES).hex(), now, wrapped)
        return KeyRing((*self.keys, fresh))

    def also_for(self, key: KeyEncryptionKey, opener: KeyEncryptionKey) -> "KeyRing":
        """The ring that both keys open. Raises ``WrongKey`` when ``opener`` does not."""
        secrets = self.opened(opener)
        return KeyRing(
            tuple(
                replace(
                    each,
                    wrapped={
                        **each.wrapped,
                        key.key_id: aes_key_wrap(key.secret, secrets[bytes.fromhex(each.key_id)]),
                    },
                )
                for each in self.keys
            )
        )

    def only_for(self, key: KeyEncryptionKey) -> "KeyRing":
        """The ring that no other key opens. Raises ``WrongKey`` when ``key`` does not."""
        self.opened(key)
        return KeyRing(
            tuple(
                replace(each, wrapped={key.key_id: each.wrapped[key.key_id]}) for each in self.keys
            )
        )


class _Document(msgspec.Struct):
    format: str
    keys: list[RingKey]


def load(store: NoteStore) -> KeyRing:
    """The store's ring. Raises ``KeyRingMissing``, ``KeyRingDamaged``."""
    note = store.read_note(NAME)
    if note is None:
        raise KeyRingMissing("the object store has no key ring yet: run isocenter keys init")
    try:
        document = msgspec.json.decode(note, type=_Document)
    except msgspec.DecodeError as error:
        raise KeyRingDamaged("the store's key ring cannot be read") from error
    if document.format != _FORMAT or not document.keys:
        raise KeyRingDamaged("the store's key ring is of another version")
    return KeyRing(tuple(document.keys))


def save(store: NoteStore, ring: KeyRing) -> None:
    """Keep the ring in its store."""
    store.write_note(NAME, msgspec.json.encode(_Document(_FORMAT, list(ring.keys))))


def create(store: NoteStore, key: KeyEncryptionKey, *, now: datetime) -> KeyRing:
    """The first ring of a store. Raises ``KeyRingExists``.

    Not for two at a time: it is called from the command line, once for a store.
    """
    if store.read_note(NAME) is not None:
        raise KeyRingExists("the object store has a key ring already")
    ring = KeyRing(()).with_new_key(key, now=now)
    save(store, ring)
    return ring
