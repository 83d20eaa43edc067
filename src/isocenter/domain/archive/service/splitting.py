"""Splits images off a study to which they do not belong, and puts them back.

The objects stay as they came. What was meant is rejected for an incorrect worklist entry, so that
whoever holds it learns that from a note and what is sent again stays away; and it is shown in the
other study under new UIDs, which a peer that honours the note needs to take it. Every way out says
what the other study says (``correction.modifications``). References between the images keep naming
them as they came.

Which order or patient the other study belongs to is reconciliation's.

Standard: IHE RAD TF-3 4.66 (Incorrect Modality Worklist Entry), PS3.3 C.12.1.1.9
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive import _store_rejection as _rejections
from isocenter.domain.archive import _store_splits as _splits
from isocenter.domain.archive.events import (
    InstancesAdmitted,
    InstancesRejected,
    InstancesSplit,
    SplitOutgrown,
)
from isocenter.domain.archive.model import StudyAttributes, study_attributes
from isocenter.domain.archive.model_splits import (
    Chosen,
    NothingToSplit,
    NotSplittable,
    Split,
    UnknownSplit,
    combined,
)
from isocenter.domain.archive.service.description import read_header
from isocenter.domain.archive.service.rejection import audited, checked_reason, hide_notes
from isocenter.domain.archive.service.restoration import described, readmit
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx
from isocenter.infra.ids import new_uid
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.key_object import Title
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys
from isocenter.standards.dicom.part10_elements import TruncatedError

INSTANCES_MAX: Final = 20_000
_SPLITS_MAX: Final = 100
_SAMPLES_MAX: Final = 200
_FIRST_READ_BYTES: Final = 1 << 16
_CODE: Final = Title.INCORRECT_WORKLIST_ENTRY.value
_SYSTEM: Final = Actor.system("archive.splits")


def split(
    tx: Tx, actor: Actor, blobs: BlobStore, chosen: Chosen, *, reason: str, now: datetime
) -> Split:
    """The split, done: the chosen images are shown in the other study and not in theirs.

    Args:
        tx: the caller commits it.
        actor: who decides.
        blobs: where the objects are: one header of each series is read.
        chosen: the images and the other study, which is made where it does not exist.
        reason: why, for the record and for those who get the note.
        now: the time of the decision.

    Raises:
        NothingToSplit: the study has no such images.
        NotSplittable: it is all of the study, too much, or split off another study already.
        ReasonMissing: no reason is given, or a novel.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    reason = checked_reason(reason)
    study, to_study = chosen.study_instance_uid, chosen.to_study_instance_uid
    if study == to_study:
        raise NotSplittable("the images are of this study already")
    is_new = _splits.make_study(tx, to_study, now=now)
    keys = _rejections.lock_studies(tx, sorted((study, to_study)))
    if study not in keys:
        raise NothingToSplit("there is no such study")
    known = _store.study(tx, study)
    found = _chosen(tx, keys[study], chosen)
    if known is not None and len(found) >= known.number_of_instances:
        raise NotSplittable("these are all images of the study: move the study instead")
    joins = not is_new
    split_key = _splits.begin(
        tx, (study, to_study), joins=joins, reason=reason, by=actor.name, now=now
    )
    whole = set(chosen.series_instance_uids)
    series = [
        _splits.SplitSeries(split_key, uid, new_uid(), uid in whole)
        for uid in dict.fromkeys(each.series_instance_uid for each in found)
    ]
    _splits.add_series(tx, series)
    made = _splits.one(tx, split_key)
    if made is None:
        raise UnknownSplit("the split did not last")
    _move(tx, made, keys, found, by=actor.name, now=now)
    restate(tx, blobs, study, keys[study])
    if is_new:
        restate(tx, blobs, to_study, keys[to_study])
    detail = {
        "to": to_study,
        "series": [each.series_instance_uid for each in series],
        "instances": len(found),
        "reason": reason,
    }
    patient_id = known.patient_id if known else None
    record(tx, audited(actor, "study.split", study, detail, patient_id=patient_id), now=now)
    return _splits.one(tx, split_key) or made


def tell_late_images(tx: Tx, study_instance_uid: str, *, now: datetime) -> bool:
    """Whether images came of series that were split off the study; then they will follow.

    For other stages, not for people: it asks no permission because it shows no patient.
    """
    if not _splits.late(tx, study_instance_uid):
        return False
    outbox.append(tx, SplitOutgrown(study_instance_uid), now=now)
    return True


def follow_splits(
    tx: Tx, actor: Actor, blobs: BlobStore, study_instance_uid: str, *, now: datetime
) -> int:
    """How many images that came late followed their series into another study. Usually none."""
    authorize(actor, Action.STUDY_RECONCILE)
    followed = 0
    for made in _splits.late(tx, study_instance_uid):
        _splits.make_study(tx, made.to_study_instance_uid, now=now)
        uids = sorted((study_instance_uid, made.to_study_instance_uid))
        keys = _rejections.lock_studies(tx, uids)
        whole = [e.series_instance_uid for e in _splits.series_of(tx, made.split_key) if e.is_whole]
        found = _splits.chosen(tx, keys[study_instance_uid], whole, (), limit=INSTANCES_MAX)
        fresh = [each for each in found if not each.was_split]
        if not fresh:
            continue
        _move(tx, made, keys, fresh, by=made.split_by, now=now)
        restate(tx, blobs, study_instance_uid, keys[study_instance_uid])
        detail = {"to": made.to_study_instance_uid, "instances": len(fresh), "late": True}
        entry = audited(actor, "study.split", study_instance_uid, detail, patient_id=None)
        record(tx, entry, now=now)
        followed += len(fresh)
    return followed


def undo_split(
    tx: Tx, actor: Actor, blobs: BlobStore, split_key: int, *, reason: str, now: datetime
) -> Split:
    """The split that held until now: its images are shown where they came again.

    Images of it that somebody rejected since stay out of use.

    Raises ``UnknownSplit``, ``ReasonMissing``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    reason = checked_reason(reason)
    made = _splits.one(tx, split_key)
    if made is None or made.undone_at is not None:
        raise UnknownSplit("there is no such split, or it was taken back already")
    study, to_study = made.study_instance_uid, made.to_study_instance_uid
    keys = _rejections.lock_studies(tx, sorted((study, to_study)))
    shown = _splits.shown(tx, split_key)
    first = _splits.instances(tx, [to_study], shown[:1]) if shown else []
    _splits.undo(tx, split_key, first[0].texts() if first else {}, by=actor.name, now=now)
    if shown:
        take_out(tx, (to_study, keys[to_study]), shown, reason=reason, by=actor.name, now=now)
        held = _splits.originals(tx, split_key, shown)
        known = [(each, described(blobs, each)) for each in held]
        readmit(tx, _SYSTEM, known, reason=reason, by=actor.name, now=now)
        again = _rejections.lock_studies(tx, [study])
        restate(tx, blobs, study, again[study])
    detail = {"from": to_study, "instances": len(shown), "reason": reason}
    entry = audited(actor, "study.undo_split", study, detail, patient_id=None)
    record(tx, entry, now=now)
    return made


def splits_of(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Split]:
    """Splits of the study's images, and of images of others into it, the newest first."""
    viewer.require(Action.STUDY_READ)
    return _splits.of_study(tx, study_instance_uid, limit=_SPLITS_MAX)


def _chosen(tx: Tx, study_key: int, chosen: Chosen) -> list[_splits.ChosenInstance]:
    found = _splits.chosen(
        tx,
        study_key,
        chosen.series_instance_uids,
        chosen.sop_instance_uids,
        limit=INSTANCES_MAX + 1,
    )
    if not found:
        raise NothingToSplit("no image of the study has these UIDs")
    if len(found) > INSTANCES_MAX:
        raise NotSplittable(f"more than {INSTANCES_MAX} images: split them series by series")
    if any(each.was_split for each in found):
        raise NotSplittable("these images were split off another study: take that back first")
    return found


def _move(
    tx: Tx,
    made: Split,
    keys: Mapping[str, int],
    found: Sequence[_splits.ChosenInstance],
    *,
    by: str,
    now: datetime,
) -> None:
    """Show the images in the other study, and no more in theirs."""
    study, to_study = made.study_instance_uid, made.to_study_instance_uid
    _splits.add_instances(tx, made.split_key, {each.sop_instance_uid: new_uid() for each in found})
    told = show(tx, made, keys, found, now=now)
    uids = [each.sop_instance_uid for each in found]
    take_out(tx, (study, keys[study]), uids, reason=made.reason, by=by, now=now)
    for event in told:
        outbox.append(tx, event, now=now)
    series = sorted({each.series_instance_uid for each in found})
    outbox.append(tx, InstancesSplit(study, to_study, series, len(found)), now=now)


def show(
    tx: Tx,
    made: Split,
    keys: Mapping[str, int],
    found: Sequence[_splits.ChosenInstance],
    *,
    now: datetime,
) -> list[InstancesAdmitted]:
    """Show images that are still in their study in the other one too; what is to be told of that.

    Both studies are locked; ``keys`` are theirs.
    """
    study, to_study = made.study_instance_uid, made.to_study_instance_uid
    key, to_key = keys[study], keys[to_study]
    before = _store.study(tx, to_study)
    series = _splits.series_of(tx, made.split_key)
    _splits.copy_series(tx, (key, to_key), series, now=now)
    _splits.copy_instances(tx, to_key, made.split_key)
    _rejections.recount(tx, to_key, now=now)
    _splits.reopen(tx, to_key, now=now)
    images: dict[str, list[_splits.ChosenInstance]] = {}
    for each in found:
        images.setdefault(each.series_instance_uid, []).append(each)
    return [
        InstancesAdmitted(
            study_instance_uid=to_study,
            series_instance_uid=made.series[uid],
            modality=members[0].modality or "",
            count=len(members),
            first=before is None or before.number_of_instances == 0,
            reopened=before is not None and before.completed_at is not None,
            disagreements=[],
        )
        for uid, members in images.items()
    ]


def take_out(
    tx: Tx, study: tuple[str, int], uids: Sequence[str], *, reason: str, by: str, now: datetime
) -> None:
    """Take images out of use as made for a wrong worklist entry; a worker writes the note."""
    study_instance_uid, study_key = study
    beginning = _rejections.Beginning(
        path=(study_instance_uid, None, None),
        reason=reason,
        rejected_by=by,
        code=_CODE,
        note_sop_instance_uid=new_uid(),
    )
    key = _rejections.begin(tx, beginning, now=now)
    count = _rejections.move(tx, study_key, rejection_key=key, instances=uids)
    _rejections.count(tx, key, instances=count)
    remaining = hide_notes(tx, study_key, now=now)
    event = InstancesRejected(
        study_instance_uid, "", "", count, remaining, beginning.note_sop_instance_uid
    )
    outbox.append(tx, event, now=now)


def restate(tx: Tx, blobs: BlobStore, study_instance_uid: str, study_key: int) -> None:
    """Have the study say what the images say that it has now: those that it got it from are gone.

    One image of each series is asked, as the makers of a series do not change their mind within it.
    A study that a split made keeps what a record of it stated.
    """
    found = _splits.samples(tx, study_key, study_instance_uid, limit=_SAMPLES_MAX)
    said = [each for each in (_said_by(blobs, sample) for sample in found) if each is not None]
    if not said:
        return
    merged, against = combined(said)
    merged |= _splits.stated_for(tx, study_instance_uid)
    name, physician = merged["patient_name"], merged["referring_physician_name"]
    columns: dict[str, Any] = {
        **merged,
        "patient_name_normalised": name and person_name_key(name),
        "patient_name_phonetic": name and " ".join(phonetic_keys(name)),
        "referring_physician_normalised": physician and person_name_key(physician),
    }
    _splits.restate(tx, study_key, columns, against)


def _said_by(blobs: BlobStore, sample: _splits.SeriesSample) -> StudyAttributes | None:
    """What an image says of its study; None when its header cannot be read."""
    start = sample.dataset_offset
    whole = sample.size_bytes - start
    length = min(_FIRST_READ_BYTES, whole)
    while True:
        data = blobs.read(sample.blob_key, start, length)
        try:
            header = read_header(data, sample.transfer_syntax_uid, dataset_offset=start)
        except TruncatedError:
            if length >= whole:
                return None
            length = min(16 * length, whole)
        except RemoteProtocolError:
            return None
        else:
            return study_attributes(header.attributes)
