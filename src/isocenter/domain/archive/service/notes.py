"""The documents that make rejections and restorations durable, and say them to others.

A rejection is a row at once; its document is an object like any other, written by a worker and
admitted under the UID that the row names. So a database made anew from the objects knows what was
rejected, and whoever else holds the images can be told.

Standard: IHE RAD TF-3 4.66
"""

from datetime import datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive import _store_rejection as _rejections
from isocenter.domain.archive import _store_splits as _splits
from isocenter.domain.archive.model_outgoing import KeyedLocation
from isocenter.domain.archive.model_rejection import UnwrittenNote
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.description import describe_file
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx
from isocenter.infra.ids import new_uid
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.key_object import (
    KEY_OBJECT_SELECTION,
    Note,
    NoteIdentity,
    Reference,
    write_note,
)
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta
from isocenter.standards.dicom.part10_elements import TruncatedError
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset
from isocenter.standards.dicom.values_temporal import parse_offset

_FIRST_READ_BYTES: Final = 1 << 16
_TIMEZONE_OFFSET: Final = 0x00080201
_SOURCE: Final = "ISOCENTER"


def write_due_note(
    tx: Tx,
    actor: Actor,
    blobs: BlobStore,
    note_sop_instance_uid: str,
    *,
    zone: tzinfo,
    now: datetime,
) -> bool:
    """Whether the document of a rejection or restoration was written and admitted now.

    Args:
        tx: the caller commits it.
        actor: who writes.
        blobs: where the images are, and the document goes.
        note_sop_instance_uid: as the rejection or restoration names it.
        zone: where the department lives.
        now: the moment.

    Raises:
        IsocenterError: a store is away: try again.
    """
    authorize(actor, Action.STUDY_REJECT)
    due = _rejections.unwritten(tx, note_sop_instance_uid)
    if due is None:
        return False
    references, blob_key = _named(tx, due)
    if blob_key is None:
        return False
    header = _header(blobs, blob_key)
    for tag, text in _splits.said(tx, references[0].sop_instance_uid).items():
        header.put(tag, text)
    identity = NoteIdentity(
        series_instance_uid=new_uid(),
        sop_instance_uid=note_sop_instance_uid,
        written_at=now.astimezone(parse_offset(header.text(_TIMEZONE_OFFSET)) or zone),
    )
    note = Note(due.title, references, due.reason)
    document = write_note(note, about=header, identity=identity)
    _admit(tx, actor, blobs, document, note_sop_instance_uid, now=now)
    return True


def _named(tx: Tx, due: UnwrittenNote) -> tuple[tuple[Reference, ...], str | None]:
    """What the note names, and the blob of one of it; none when all of that changed since."""
    if due.code:
        held = _rejections.held_by(tx, due.rejection_key)
        return tuple(each.reference for each in held), held[0].blob_key if held else None
    wanted = set(due.sop_instance_uids)
    found = [
        each
        for each in _store.locations(tx, due.study_instance_uid)
        if each.sop_instance_uid in wanted
    ]
    references = tuple(
        Reference(
            each.study_instance_uid,
            each.series_instance_uid,
            each.sop_class_uid,
            each.sop_instance_uid,
        )
        for each in found
    )
    return references, found[0].blob_key if found else None


def _header(blobs: BlobStore, blob_key: str) -> DataSet:
    size_bytes = blobs.size_bytes(blob_key)
    length = min(_FIRST_READ_BYTES, size_bytes)
    while True:
        data = blobs.read(blob_key, 0, length)
        try:
            meta = parse_file_meta(data)
            return decode_dataset(data, meta.transfer_syntax_uid, start=meta.dataset_offset)
        except TruncatedError:
            if length >= size_bytes:
                raise
            length = min(16 * length, size_bytes)


def _admit(
    tx: Tx, actor: Actor, blobs: BlobStore, document: DataSet, uid: str, *, now: datetime
) -> None:
    syntax = uids.EXPLICIT_VR_LITTLE_ENDIAN
    head = encode_file_meta(
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=uid,
        transfer_syntax_uid=syntax,
        source_ae_title=_SOURCE,
    )
    blob = blobs.put(head + encode_dataset(document, syntax))
    received = describe_file(blobs, blob, calling_ae_title=_SOURCE, received_at=now)
    admit(tx, actor, [received], now=now)


def note_to_send(
    tx: Tx, viewer: Viewer, sop_instance_uid: str, *, key: int
) -> KeyedLocation | None:
    """Where the document is, whether it is shown or not, under a key of the caller's."""
    viewer.require(Action.STUDY_READ)
    return _rejections.note_location(tx, sop_instance_uid, key=key)


def rejected_instances(
    tx: Tx, viewer: Viewer, study_instance_uid: str, *, limit: int
) -> list[Reference]:
    """Which instances of the study are kept and out of use."""
    viewer.require(Action.STUDY_READ)
    path = (study_instance_uid, None, None)
    return [each.reference for each in _rejections.held(tx, path, limit=limit)]


def sender_of_note(tx: Tx, viewer: Viewer, sop_instance_uid: str) -> str:
    """The calling AE title of whoever sent the note; "" when there is none."""
    viewer.require(Action.STUDY_READ)
    return _rejections.sender_of(tx, sop_instance_uid)
