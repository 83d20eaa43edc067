"""Writes splits down beside the objects, and does again what was written.

A split is rows at once. A job writes it into the object store within seconds, and anew whenever it
changes, so that tables which are made anew from the objects show what was shown before. A record is
no DICOM object: it names another patient than the images do, and never leaves the archive.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_blobs as _blobs
from isocenter.domain.archive import _store_rejection as _rejections
from isocenter.domain.archive import _store_split_records as _records
from isocenter.domain.archive import _store_splits as _splits
from isocenter.domain.archive.model_rejection import HeldInstance
from isocenter.domain.archive.model_split_records import (
    RECORD_MARK,
    RecordedSeries,
    SplitRecord,
    StatedIdentity,
    decode_record,
)
from isocenter.domain.archive.model_splits import Split, UnknownSplit
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.rejection import audited, hide_notes, settle_awaited
from isocenter.domain.archive.service.restoration import described
from isocenter.domain.archive.service.splitting import restate, show, take_out
from isocenter.domain.audit import service as audit
from isocenter.infra import outbox
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx

_RECORD_BYTES_MAX: Final = 1 << 26


def write_due_records(tx: Tx, actor: Actor, blobs: BlobStore, *, limit: int, now: datetime) -> int:
    """How many splits were written down now; 0 when all are.

    The record before, if any, is named by nothing from now on and is swept like whatever is not.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    keys = _records.due(tx, limit=limit)
    for key in keys:
        made = _splits.one(tx, key)
        if made is not None:
            _records.recorded(tx, key, blobs.put(_record(tx, made, now).encode()).key)
    return len(keys)


def _record(tx: Tx, made: Split, now: datetime) -> SplitRecord:
    says = None if made.joins or made.undone_at else _records.says(tx, made.to_study_instance_uid)
    return SplitRecord(
        study_instance_uid=made.study_instance_uid,
        to_study_instance_uid=made.to_study_instance_uid,
        joins=made.joins,
        reason=made.reason,
        split_by=made.split_by,
        split_at=made.split_at,
        undone_at=made.undone_at,
        undone_by=made.undone_by,
        series=tuple(
            RecordedSeries(
                series_instance_uid=each.series_instance_uid,
                to_series_instance_uid=each.to_series_instance_uid,
                is_whole=each.is_whole,
            )
            for each in _splits.series_of(tx, made.split_key)
        ),
        instances={
            each.original_sop_instance_uid: each.sop_instance_uid
            for each in _records.pairs(tx, made.split_key)
        },
        stated=says or StatedIdentity(),
        recorded_at=now,
    )


def read_record(blobs: BlobStore, key: str) -> SplitRecord | None:
    """The record that lies under ``key``; None when that is something else.

    Raises ``RecordDamaged``.
    """
    if blobs.read(key, 0, len(RECORD_MARK)) != RECORD_MARK:
        return None
    return decode_record(blobs.read(key, 0, _RECORD_BYTES_MAX))


def restore_split(
    tx: Tx, actor: Actor, blobs: BlobStore, record: SplitRecord, blob_key: str, *, now: datetime
) -> bool:
    """Whether a split that was not known is in force again, or known as taken back.

    All objects have been taken in, and notes have rejected what they name. A split that is known is
    left as it is.

    Args:
        tx: the caller commits it.
        actor: who makes the tables anew.
        blobs: where the objects are.
        record: the newest one of the split.
        blob_key: where that lies.
        now: the moment.

    Raises:
        NotAnInstance: an object that was split off is damaged.
        IsocenterError: a store is away.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    if _records.known(tx, record.identity):
        return False
    study, to_study = record.study_instance_uid, record.to_study_instance_uid
    uids = sorted(record.instances)
    held = [] if record.undone_at else _records.held(tx, study, uids)
    known = [described(blobs, each) for each in held]
    notes = [] if record.undone_at else _records.hidden_notes(tx, to_study)
    _rejections.lock_studies(tx, sorted((study, to_study)))
    made = _noted(tx, record, blob_key)
    detail = {"to": to_study, "instances": len(uids), "from_record": True}
    audit.record(tx, audited(actor, "study.split", study, detail, patient_id=None), now=now)
    if record.undone_at:
        return True
    if known:
        _rejections.let_go(tx, [each.sop_instance_uid for each in held])
        admit(tx, actor, known, now=now)
    here = _records.shown(tx, study, uids)
    if here:
        _show_again(tx, blobs, made, held, here, now=now)
    settle_awaited(tx, actor, now=now)
    if notes:  # they are hidden where nothing else is, and now there is
        _rejections.let_go(tx, [each.sop_instance_uid for each in notes])
        admit(tx, actor, [described(blobs, each) for each in notes], now=now)
        _restated(tx, blobs, made)
    return True


def _noted(tx: Tx, record: SplitRecord, blob_key: str) -> Split:
    """The rows of the split."""
    key = _splits.begin(
        tx,
        (record.study_instance_uid, record.to_study_instance_uid),
        joins=record.joins,
        reason=record.reason,
        by=record.split_by,
        now=record.split_at,
    )
    series = [
        _splits.SplitSeries(
            key, each.series_instance_uid, each.to_series_instance_uid, each.is_whole
        )
        for each in record.series
    ]
    _splits.add_series(tx, series)
    _splits.add_instances(tx, key, record.instances)
    _records.state(tx, key, record.stated)
    if record.undone_at:
        _splits.undo(tx, key, {}, by=record.undone_by or "", now=record.undone_at)
    _records.recorded(tx, key, blob_key)
    made = _splits.one(tx, key)
    if made is None:
        raise UnknownSplit("the split did not last")
    return made


def _show_again(
    tx: Tx,
    blobs: BlobStore,
    made: Split,
    held: Sequence[HeldInstance],
    here: Sequence[str],
    *,
    now: datetime,
) -> None:
    """Move the images, all of which are in their study now, as the split did."""
    study, to_study = made.study_instance_uid, made.to_study_instance_uid
    _splits.make_study(tx, to_study, now=now)
    keys = _rejections.lock_studies(tx, sorted((study, to_study)))
    found = _splits.chosen(tx, keys[study], (), here, limit=len(here))
    for event in show(tx, made, keys, found, now=now):
        outbox.append(tx, event, now=now)
    rejection_of = {each.sop_instance_uid: each.rejection_key for each in held}
    for key in sorted(set(rejection_of.values())):
        again = [uid for uid, of in rejection_of.items() if of == key]
        _rejections.move(tx, keys[study], rejection_key=key, instances=again)
    hide_notes(tx, keys[study], now=now)
    unnoted = [uid for uid in here if uid not in rejection_of]
    if unnoted:  # the note that says it was lost, or never written
        where = (study, keys[study])
        take_out(tx, where, unnoted, reason=made.reason, by=made.split_by, now=now)
    restate(tx, blobs, study, keys[study])
    _restated(tx, blobs, made)
    _blobs.restore_times(tx, [study, to_study])
    _blobs.restore_series_times(tx, [study, to_study])


def _restated(tx: Tx, blobs: BlobStore, made: Split) -> None:
    """Have the study that the split made say what the record states, if there is one."""
    if made.joins:
        return
    for uid, key in _rejections.lock_studies(tx, [made.to_study_instance_uid]).items():
        restate(tx, blobs, uid, key)
