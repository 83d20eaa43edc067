"""Takes images out of circulation: they are kept, and neither searches nor retrieval show them.

A person rejects (``reject``), or a note does that came like any object (``apply_note``). Nothing is
erased. The same object sent again stays rejected; other bytes under its UID are a conflict, which a
person decides. Images of a rejected series that were not there yet are not rejected: a note names
instances. Instances that a note names and that come later are kept and not shown.

Notes are instances of their study and are shown like these, with two exceptions: what is out of use
because its retention has ended leaves no trace, and a study in which nothing but notes is left is
none that anybody looks for.

Standard: IHE RAD TF-3 4.66
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive import _store_rejection as _rejections
from isocenter.domain.archive.events import InstancesRejected, RejectionNoteKept
from isocenter.domain.archive.model_rejection import NothingToReject, ReasonMissing, ReceivedNote
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.infra.ids import new_uid
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION, Reference, Title

REASON_LENGTH_MAX: Final = 400
_SETTLED_AT_ONCE: Final = 1000


def reject(
    tx: Tx,
    actor: Actor,
    path: tuple[str, str | None, str | None],
    *,
    reason: str,
    title: Title = Title.PATIENT_SAFETY,
    now: datetime,
) -> int:
    """How many instances nobody is shown from now on; a worker writes the note that says so.

    Args:
        tx: the caller commits it.
        actor: who decides; administrators may.
        path: Study Instance UID; Series and SOP Instance UID where not all of the study is meant.
        reason: why, for the record and for those who get the note.
        title: which kind of reason that is.
        now: the time of the decision.

    Raises:
        NothingToReject: there are no such images, or they are rejected already.
        ReasonMissing: no reason is given, or a novel.

    Standard: IHE RAD TF-3 4.66 (what a rejection means to those who retrieve)
    """
    authorize(actor, Action.STUDY_REJECT)
    reason = checked_reason(reason)
    study_instance_uid, series_instance_uid, sop_instance_uid = path
    study_key = _rejections.lock_studies(tx, [study_instance_uid]).get(study_instance_uid)
    if study_key is None:
        raise NothingToReject("there is no such study")
    known = _store.study(tx, study_instance_uid)
    beginning = _rejections.Beginning(
        path=path,
        reason=reason,
        rejected_by=actor.name,
        code=title.value,
        note_sop_instance_uid=new_uid(),
    )
    key = _rejections.begin(tx, beginning, now=now)
    count = _rejections.move(
        tx,
        study_key,
        rejection_key=key,
        series=series_instance_uid,
        instances=None if sop_instance_uid is None else [sop_instance_uid],
    )
    if not count:
        raise NothingToReject("no image of the study has these UIDs")
    _rejections.count(tx, key, instances=count)
    remaining = hide_notes(tx, study_key, now=now)
    _announce(tx, beginning, count, remaining, now=now)
    detail = {
        "series": series_instance_uid or "",
        "instance": sop_instance_uid or "",
        "reason": reason,
        "code": title.value,
        "instances": count,
    }
    patient_id = known.patient_id if known else None
    entry = audited(actor, "study.reject", study_instance_uid, detail, patient_id=patient_id)
    record(tx, entry, now=now)
    return count


def checked_reason(reason: str) -> str:
    """The reason without blanks around it; raises ``ReasonMissing``."""
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_LENGTH_MAX:
        raise ReasonMissing(f"give a reason of at most {REASON_LENGTH_MAX} characters")
    return reason


def apply_note(tx: Tx, actor: Actor, received: ReceivedNote, *, now: datetime) -> None:
    """Do what an admitted note says, unless that was done: notes of our own say what we did.

    What it names is rejected when it is what the note says it is. What has not come yet is rejected
    when it comes. A note that revokes is for ``restoration``: here it is only kept.

    Args:
        tx: the caller commits it; it has admitted the note, and holds the row of its study.
        actor: who sent it.
        received: the note.
        now: the time of admission.

    Standard: IHE RAD TF-3 4.66.4.1.3
    """
    authorize(actor, Action.STUDY_REJECT)
    note, of_study = received.note, received.study_instance_uid
    known = _rejections.note_known(tx, received.sop_instance_uid)
    by_study: dict[str, list[Reference]] = {}
    if note.title is not Title.REVOKED and not known:
        for each in note.references:
            by_study.setdefault(each.study_instance_uid or of_study, []).append(each)
    keys = _rejections.lock_studies(tx, sorted({*by_study, of_study}))
    remaining: dict[str, int] = {}
    for study, references in sorted(by_study.items()):
        beginning = _rejections.Beginning(
            path=(study, None, None),
            reason=(note.description or note.title.meaning)[:REASON_LENGTH_MAX],
            rejected_by=actor.name,
            code=note.title.value,
            note_sop_instance_uid=received.sop_instance_uid,
        )
        key = _rejections.begin(tx, beginning, now=now)
        detail = _apply(tx, keys.get(study), key, references)
        if study in keys:
            remaining[study] = hide_notes(tx, keys[study], now=now)
        if detail["instances"]:
            _announce(tx, beginning, detail["instances"], remaining.get(study, 0), now=now)
        said = {**detail, "reason": beginning.reason, "code": note.title.value, "note": "received"}
        entry = audited(actor, "study.reject", study, said, patient_id=received.patient_id)
        record(tx, entry, now=now)
    if of_study in keys and of_study not in remaining:
        hide_notes(tx, keys[of_study], now=now)
    for study in by_study or (of_study,):
        event = RejectionNoteKept(study, received.sop_instance_uid, note.title.value)
        outbox.append(tx, event, now=now)


def _apply(
    tx: Tx, study_key: int | None, rejection_key: int, references: Sequence[Reference]
) -> dict[str, int]:
    uids = [each.sop_instance_uid for each in references]
    places = {each.sop_instance_uid: each for each in _rejections.places(tx, uids)}
    gone = _rejections.rejected(tx, uids)
    matching = [
        each.sop_instance_uid for each in references if places.get(each.sop_instance_uid) == each
    ]
    awaited = [uid for uid in uids if uid not in places and uid not in gone]
    moved = (
        _rejections.move(tx, study_key, rejection_key=rejection_key, instances=matching)
        if matching and study_key is not None
        else 0
    )
    if awaited:
        _rejections.await_instances(tx, rejection_key, awaited)
    differing = len(places) - len(matching)
    _rejections.count(tx, rejection_key, instances=moved, awaited=len(awaited), differing=differing)
    return {"instances": moved, "awaited": len(awaited), "differing": differing}


def settle_awaited(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """How many instances are out of use now that came in the same moment as the note naming them.

    Usually none: who admits an instance sees the notes before it.
    """
    authorize(actor, Action.STUDY_REJECT)
    found = _rejections.awaited_and_shown(tx, limit=_SETTLED_AT_ONCE)
    places = _rejections.places(tx, sorted(found)) if found else []
    keys = _rejections.lock_studies(tx, sorted({each.study_instance_uid for each in places}))
    for study, study_key in keys.items():
        uids = {e.sop_instance_uid for e in places if e.study_instance_uid == study}
        take_out(tx, study_key, {uid: found[uid] for uid in uids})
        hide_notes(tx, study_key, now=now)
    _rejections.await_no_more(tx, sorted(found))
    return len(found)


def take_out(tx: Tx, study_key: int, rejection_of: Mapping[str, int]) -> None:
    """Move instances of a locked study, each under its rejection. The study is to be recounted."""
    by_rejection: dict[int, list[str]] = {}
    for uid, key in rejection_of.items():
        by_rejection.setdefault(key, []).append(uid)
    for key, uids in sorted(by_rejection.items()):
        moved = _rejections.move(tx, study_key, rejection_key=key, instances=uids)
        _rejections.count(tx, key, instances=moved, awaited=-moved)


def hide_notes(tx: Tx, study_key: int, *, now: datetime) -> int:
    """How many instances the study has left, without the notes that nobody is shown."""
    remaining = _rejections.recount(tx, study_key, now=now)
    notes = _rejections.shown_notes(tx, study_key, KEY_OBJECT_SELECTION) if remaining else []
    alone = len(notes) == remaining
    needless = [each for each in notes if alone or each.code in {"", Title.RETENTION_EXPIRED.value}]
    for each in needless:
        _rejections.move(
            tx, study_key, rejection_key=each.rejection_key, instances=[each.sop_instance_uid]
        )
    return _rejections.recount(tx, study_key, now=now) if needless else remaining


def _announce(
    tx: Tx, beginning: _rejections.Beginning, count: int, remaining: int, *, now: datetime
) -> None:
    study, series, instance = beginning.path
    event = InstancesRejected(
        study, series or "", instance or "", count, remaining, beginning.note_sop_instance_uid
    )
    outbox.append(tx, event, now=now)


def audited(
    by: Actor,
    action: str,
    study_instance_uid: str,
    detail: Mapping[str, object],
    *,
    patient_id: str | None,
) -> AuditEntry:
    """The record of what became of a study's images."""
    return AuditEntry(
        action=action,
        actor=by.name,
        actor_kind=by.kind.value,
        source=by.source,
        object_type="study",
        object_id=study_instance_uid,
        patient_id=patient_id,
        detail=dict(detail),
    )
