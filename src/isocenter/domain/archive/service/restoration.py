"""Brings rejected images back into use.

Their objects are read again and admitted as they were when they came, so that everything that
follows new images follows them: matching, metadata, routes. Whoever is to know for good learns it
from a note of our own, which the worker writes; without it a database made anew from the objects
would reject them once more.

Standard: none: IHE IOCM knows no way back
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_rejection as _store
from isocenter.domain.archive.events import InstancesRestored
from isocenter.domain.archive.model import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    ReceivedInstance,
    text_of,
)
from isocenter.domain.archive.model_rejection import (
    HeldInstance,
    NothingToRestore,
    ReceivedNote,
    Rejection,
    TooManyToRestore,
)
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.archive.service.rejection import audited, checked_reason, hide_notes
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.blobs import BlobStore, StoredBlob
from isocenter.infra.db import Tx
from isocenter.infra.ids import new_uid

INSTANCES_MAX: Final = 20_000


def rejections(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str | None = None,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[Rejection]:
    """What was rejected, the newest first: in one study or in all; ``before`` pages."""
    viewer.require(Action.STUDY_REJECT)
    return _store.rejections(tx, study_instance_uid, before=before, limit=limit)


def restore(
    tx: Tx,
    actor: Actor,
    blobs: BlobStore,
    path: tuple[str, str | None, str | None],
    *,
    reason: str,
    now: datetime,
) -> int:
    """How many rejected instances are in use again.

    What the path names and has not come yet is rejected no more when it comes; where nothing but
    that is left to undo, the number is 0.

    Args:
        tx: the caller commits it.
        actor: who decides; administrators may.
        blobs: where the objects are: their headers are read.
        path: Study Instance UID; Series and SOP Instance UID where not all of the study is meant.
        reason: why, for the record.
        now: the time of the decision.

    Raises:
        NothingToRestore: there are no such rejected images.
        ReasonMissing: no reason is given, or a novel.
        TooManyToRestore: restore series by series.
    """
    authorize(actor, Action.STUDY_REJECT)
    reason = checked_reason(reason)
    held = _store.held(tx, path, limit=INSTANCES_MAX + 1)
    if len(held) > INSTANCES_MAX:
        raise TooManyToRestore(f"more than {INSTANCES_MAX} images: restore series by series")
    # Reading takes long and needs no lock: the bytes under a key never change.
    known = [(each, described(blobs, each)) for each in held]
    study_instance_uid = path[0]
    _store.lock_studies(tx, [study_instance_uid])
    forgotten = _store.forget_awaited(tx, path)
    batch = readmit(tx, actor, known, reason=reason, by=actor.name, now=now)
    if not batch and not forgotten:
        raise NothingToRestore("no rejected image has these UIDs")
    detail = {
        "series": path[1] or "",
        "instance": path[2] or "",
        "reason": reason,
        "instances": len(batch),
        "awaited": forgotten,
    }
    patient_id = text_of(batch[0].attributes, PATIENT_ID) if batch else None
    entry = audited(actor, "study.restore", study_instance_uid, detail, patient_id=patient_id)
    record(tx, entry, now=now)
    return len(batch)


def readmit(
    tx: Tx,
    actor: Actor,
    known: Sequence[tuple[HeldInstance, ReceivedInstance]],
    *,
    reason: str,
    by: str,
    now: datetime,
) -> list[ReceivedInstance]:
    """Those of the instances that are in use again; a worker notes it for good.

    Args:
        tx: the caller commits it, and holds the row of the study.
        actor: who admits.
        known: rejected instances of one study, each with what it was when it came.
        reason: why.
        by: who decided it.
        now: the time of the decision.
    """
    authorize(actor, Action.STUDY_REJECT)
    free = _store.let_go(tx, sorted(held.sop_instance_uid for held, _ in known))
    batch = [each for held, each in known if held.sop_instance_uid in free]
    if batch:
        study_instance_uid = known[0][0].study_instance_uid
        admit(tx, actor, batch, now=now)
        undoing = _store.Undoing(
            study_instance_uid=study_instance_uid,
            rejection_key=max(held.rejection_key for held, _ in known),
            sop_instance_uids=sorted(free),
            reason=reason,
            restored_by=by,
            note_sop_instance_uid=new_uid(),
        )
        _store.note_restoration(tx, undoing, now=now)
        event = InstancesRestored(study_instance_uid, len(batch), undoing.note_sop_instance_uid)
        outbox.append(tx, event, now=now)
    return batch


def restore_as_noted(
    tx: Tx, actor: Actor, blobs: BlobStore, received: ReceivedNote, *, now: datetime
) -> int:
    """How many instances are in use again because a note of our own says so that was found."""
    authorize(actor, Action.STUDY_REJECT)
    if _store.note_known(tx, received.sop_instance_uid):
        return 0
    note, study = received.note, received.study_instance_uid
    named = {each.sop_instance_uid for each in note.references}
    held = [
        each
        for each in _store.held(tx, (study, None, None), limit=INSTANCES_MAX)
        if each.sop_instance_uid in named
    ]
    # What is to be shown later, as the images of a split are, is not awaited as rejected any more.
    _store.await_no_more(tx, sorted(named))
    if not held:
        return 0
    batch = [described(blobs, each) for each in held]
    free = _store.let_go(tx, sorted(named))
    admit(tx, actor, batch, now=now)
    undoing = _store.Undoing(
        study_instance_uid=study,
        rejection_key=max(each.rejection_key for each in held),
        sop_instance_uids=sorted(free),
        reason=note.description or note.title.meaning,
        restored_by=actor.name,
        note_sop_instance_uid=received.sop_instance_uid,
    )
    _store.note_restoration(tx, undoing, now=now)
    for study_key in _store.lock_studies(tx, [study]).values():
        hide_notes(tx, study_key, now=now)
    return len(batch)


def described(blobs: BlobStore, held: HeldInstance) -> ReceivedInstance:
    """The object as it was when it came. Raises ``NotAnInstance`` when its bytes are damaged.

    One that was split off another study is what it was there, whatever its bytes say.
    """
    found = describe_file(
        blobs,
        StoredBlob(held.blob_key, held.size_bytes, held.sha256),
        calling_ae_title=held.calling_ae_title,
        received_at=held.received_at,
    )
    uids = {
        STUDY_INSTANCE_UID: held.study_instance_uid,
        SERIES_INSTANCE_UID: held.series_instance_uid,
        SOP_INSTANCE_UID: held.sop_instance_uid,
    }
    return replace(found, attributes={**found.attributes, **uids})
