"""Takes objects that lie in the stores into the archive again, under the keys that they have.

For a database that was lost: what the objects say is indexed as it was when they came. What they
cannot say is lost with the database: who sent them, unless we wrote that into the file meta
information ourselves; the hour of completion; which of two conflicting contents a person chose to
show; and everything that is no image. When they came is taken from their keys, to the millisecond.
What was rejected and restored is told by notes, which are objects; what was split off its study by
records beside them (``split_records``); that a study belongs in another store, by all of its
objects being there. Orders that are known already find their studies again.

Standard: PS3.10 7.1
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_blobs as _store
from isocenter.domain.archive import _store_integrity
from isocenter.domain.archive._store_packs import note_found_pack
from isocenter.domain.archive._store_placement import place_where_all_is
from isocenter.domain.archive.model import (
    PATIENT_ID,
    SOP_INSTANCE_UID,
    Admission,
    NotAnInstance,
    Outcome,
    ReceivedInstance,
    identify,
    text_of,
)
from isocenter.domain.archive.model_rejection import ReceivedNote
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.archive.service.restoration import restore_as_noted
from isocenter.infra.blobs import BlobMissing, BlobStore, StoredBlob
from isocenter.infra.blobs.packs import Member
from isocenter.infra.blobs.sealed_header import MARK, is_sealed
from isocenter.infra.blobs.several import store_of
from isocenter.infra.blobs.store import is_pack
from isocenter.infra.db import Tx
from isocenter.infra.ids import made_at
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.key_object import Title
from isocenter.standards.dicom.part10 import PREAMBLE_BYTES, PREFIX, parse_file_meta
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading

UNKNOWN_SENDER: Final = "UNKNOWN"
_CHUNK_BYTES: Final = 1 << 20
_META_BYTES: Final = 1 << 12
# What the archive keeps beside images is made from them, and begins like this.
_DERIVED: Final = (b"[", b"{")


class NotDecipherable(NotAnInstance):
    """The object is encrypted and its key is not set up here."""


def describe_stored(
    blobs: BlobStore, key: str, readings: Mapping[str, TextReading], *, identifier: str
) -> ReceivedInstance | None:
    """What lies under ``key``, ready to be taken in; None for what was only made from images.

    Args:
        blobs: where it lies.
        key: of its blob, or of its place in a pack.
        readings: those of senders that do not keep to the character set that they declare.
        identifier: that it came under: it tells when.

    Raises:
        NotAnInstance: it is no DICOM file, or damaged; the message says how.
    """
    head = blobs.read(key, 0, _META_BYTES)
    if head.startswith(_DERIVED) and head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != PREFIX:
        return None
    if is_sealed(head[: len(MARK)]):
        raise NotDecipherable("is encrypted, and no key is set up")
    if is_pack(key):
        raise NotAnInstance("is a pack whose index is damaged")
    digest, size_bytes = hashlib.sha256(), 0
    with blobs.open(key) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    sender = _sender(head)
    received = describe_file(
        blobs,
        StoredBlob(key, size_bytes, digest.digest()),
        calling_ae_title=sender,
        received_at=made_at(identifier),
        reading=readings.get(sender, AS_DECLARED),
    )
    identify(received.attributes)
    return received


def _sender(head: bytes) -> str:
    try:
        meta = parse_file_meta(head)
    except RemoteProtocolError:
        return UNKNOWN_SENDER
    ours = meta.implementation_class_uid == uids.IMPLEMENTATION_CLASS_UID
    return meta.source_ae_title if ours and meta.source_ae_title else UNKNOWN_SENDER


def restore_placements(tx: Tx, actor: Actor, stores: Sequence[str], *, now: datetime) -> int:
    """How many studies are noted as belonging where all of their objects were found.

    Args:
        tx: the caller commits it.
        actor: who makes the tables anew.
        stores: where new objects and copies go: what lies there was not put there on purpose.
        now: the moment.
    """
    authorize(actor, Action.PEER_WRITE)
    return place_where_all_is(tx, but=stores, by=actor.name, now=now)


def note_pack(
    tx: Tx, actor: Actor, pack_key: str, members: Sequence[Member], *, now: datetime
) -> None:
    """Count a pack that was found, as it was counted when it was written."""
    authorize(actor, Action.STUDY_STORE)
    size_bytes = max(each.offset + each.size_bytes for each in members)
    note_found_pack(tx, pack_key, members=len(members), size_bytes=size_bytes, now=now)


def unnamed(tx: Tx, actor: Actor, blob_keys: Sequence[str]) -> list[str]:
    """Those of ``blob_keys`` that the archive does not name."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.unreferenced(tx, blob_keys)


def readmit(
    tx: Tx, actor: Actor, blobs: BlobStore, batch: Sequence[ReceivedInstance], *, now: datetime
) -> list[Admission]:
    """What became of each object of ``batch``, which is in the order in which the objects came.

    The same bytes in another store are a copy and from now on known as one; no blob is removed.
    In the same store they stand in for a blob that is not there any more, as those that were packed
    after a backup of the database was made.
    Notes reject and restore again what they did when they came.
    """
    authorize(actor, Action.STUDY_STORE)
    admissions = admit(tx, actor, batch, now=now)
    for received, admission in zip(batch, admissions, strict=True):
        if admission.outcome is Outcome.DUPLICATE:
            uid = text_of(received.attributes, SOP_INSTANCE_UID) or ""
            _store.note_found_copy(
                tx, uid, received.sha256, received.blob_key, store_of(received.blob_key), now=now
            )
            _stand_in(tx, actor, blobs, uid, received, now)
        elif received.note is not None and received.note.title is Title.REVOKED:
            revoking = ReceivedNote(
                note=received.note,
                study_instance_uid=identify(received.attributes).study_instance_uid,
                sop_instance_uid=admission.sop_instance_uid,
                patient_id=text_of(received.attributes, PATIENT_ID),
            )
            restore_as_noted(tx, actor, blobs, revoking, now=now)
    studies = {identify(each.attributes).study_instance_uid for each in batch}
    _store.restore_times(tx, sorted(studies))
    _store.restore_series_times(tx, sorted(studies))
    return admissions


def _stand_in(
    tx: Tx, actor: Actor, blobs: BlobStore, uid: str, found: ReceivedInstance, now: datetime
) -> None:
    """Name the found bytes instead of the same ones in a blob of their store that is gone."""
    for key in _store.held_elsewhere(tx, uid, found.sha256, found.blob_key):
        if store_of(key) != store_of(found.blob_key):
            continue
        try:
            blobs.size_bytes(key)
        except BlobMissing:
            _store.replace_blob(tx, key, found.blob_key)
            _store_integrity.settle(tx, [key], "found in another blob", by=actor.name, now=now)
            return
