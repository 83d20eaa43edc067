"""Removes blobs that no row names: what a crash left between bytes and commit, and duplicates.

An image is never removed because the database does not know it: the database may be the one that
is wrong, restored from an old backup or new and empty. Such an orphan is noted, and
``isocenter import --from-storage`` takes it in. A pack goes when that holds for all of its members.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_blobs as _store
from isocenter.domain.archive import _store_packs
from isocenter.domain.archive.model import InstanceIdentity, NotAnInstance, identify
from isocenter.domain.archive.service.description import describe_file
from isocenter.infra.blobs import BlobMissing, BlobStore, StoredBlob
from isocenter.infra.blobs.packs import PackDamaged, read_index
from isocenter.infra.blobs.sealed_header import MARK, is_sealed
from isocenter.infra.blobs.store import is_pack
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_KEYS_PER_STATEMENT: Final = 1000
_CHUNK_BYTES: Final = 1 << 20
_WHENEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
# More orphans than that are no accident of ours: looking at all of them again and again helps
# nobody.
_ORPHANS_MAX: Final = 1000
_UNTOLD: Final = InstanceIdentity("", "", "", "")


def unreferenced(tx: Tx, blob_keys: Sequence[str]) -> list[str]:
    """Those of ``blob_keys`` that no instance, kept conflict, copy or series names."""
    return _store.unreferenced(tx, blob_keys)


def forget_spared(tx: Tx, actor: Actor, *, older_than: datetime) -> None:
    """Spare packs that were never checked, and blobs that were packed, no longer than that.

    Commit it before ``sweep``: whoever is still checking such a pack must know before it goes.
    """
    authorize(actor, Action.STUDY_STORE)
    _store_packs.forget_spared(tx, older_than=older_than)


def sweep(tx: Tx, actor: Actor, blobs: BlobStore, *, older_than: datetime, now: datetime) -> int:
    """How many blobs were removed: those written before ``older_than`` that no row names.

    Between bytes and commit a blob is unreferenced by design: ``older_than`` must lie further back
    than any admission takes; a day is the rule. ``forget_spared`` goes before. What holds an image
    that the archive does not hold otherwise stays, and is noted as an orphan.
    """
    authorize(actor, Action.STUDY_STORE)
    _store.forget_adopted_orphans(tx)
    orphans = _store.count_orphans(tx)
    removed = 0
    keys = blobs.keys(older_than)
    while orphans < _ORPHANS_MAX and (portion := list(islice(keys, _KEYS_PER_STATEMENT))):
        found = _orphans(tx, blobs, _store.unknown(tx, portion))
        for key, identity in found:
            if identity is None:
                blobs.delete(key)
                if is_pack(key):
                    _store_packs.forget_pack(tx, key)
                removed += 1
            else:
                _store.note_orphan(tx, key, identity, now=now)
                orphans += 1
    if orphans:
        _log.error("orphans_kept", count=orphans)
    return removed


def _orphans(
    tx: Tx, blobs: BlobStore, keys: Iterable[str]
) -> Iterable[tuple[str, InstanceIdentity | None]]:
    """Each key with the image that only it holds, or None when the blob is needless."""
    for key in keys:
        try:
            yield key, _only_held_by(tx, blobs, key)
        except BlobMissing:
            continue


def _only_held_by(tx: Tx, blobs: BlobStore, key: str) -> InstanceIdentity | None:
    if is_sealed(blobs.read(key, 0, len(MARK))):  # our own key is not set up: nobody can tell
        return _UNTOLD
    return _of_pack(tx, blobs, key) if is_pack(key) else _image_only_in(tx, blobs, key)


def _of_pack(tx: Tx, blobs: BlobStore, key: str) -> InstanceIdentity | None:
    """The first image that only this pack holds; one without names when nobody can tell."""
    try:
        members = read_index(lambda start, length: blobs.read(key, start, length))
    except PackDamaged:
        return _UNTOLD
    for each in members:
        identity = _image_only_in(tx, blobs, each.key(key))
        if identity is not None:
            return identity
    return None


def _image_only_in(tx: Tx, blobs: BlobStore, key: str) -> InstanceIdentity | None:
    """The image whose only bytes are these; None for what is no image, or held by another blob."""
    blob = StoredBlob(key, blobs.size_bytes(key), b"")
    try:
        described = describe_file(blobs, blob, calling_ae_title="", received_at=_WHENEVER)
        identity = identify(described.attributes)
    except NotAnInstance:
        return None
    digest = hashlib.sha256()
    with blobs.open(key) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    held = _store.held_elsewhere(tx, identity.sop_instance_uid, digest.digest(), key)
    return None if any(_is_there(blobs, each, blob.size_bytes) for each in held) else identity


def _is_there(blobs: BlobStore, key: str, size_bytes: int) -> bool:
    """Whether the blob that a row names is there: the row may be older than the blob's removal."""
    try:
        return blobs.size_bytes(key) == size_bytes
    except BlobMissing:
        return False


def count_orphans(tx: Tx, actor: Actor) -> int:
    """How many objects lie in the stores that the archive does not know."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.count_orphans(tx)
