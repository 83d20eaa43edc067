"""What a study's images should say now: kept beside them, applied where they go out.

Who decides what is right is reconciliation; the images stay as they came.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_corrections as store
from isocenter.domain.archive import _store_splits as splits
from isocenter.domain.archive._store import shown_series_of
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.archive.model_splits import MODIFYING_SYSTEM, Modifications
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx
from isocenter.standards.dicom.coercion import Modification
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys

_NONE: Final = Corrections()


def correct(
    tx: Tx, actor: Actor, study_instance_uid: str, corrections: Corrections, *, now: datetime
) -> bool:
    """Keep what the study's images should say; no corrections undo those before.

    False, and nothing changed, when that is known already or there is no such study.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    name, physician = corrections.patient_name, corrections.referring_physician_name
    columns = {
        **asdict(corrections),
        "patient_name_normalised": name and person_name_key(name),
        "patient_name_phonetic": name and " ".join(phonetic_keys(name)),
        "referring_physician_normalised": physician and person_name_key(physician),
        "corrected_at": None if corrections == _NONE else now,
    }
    changed = store.correct(tx, study_instance_uid, columns)
    if changed:
        entry = AuditEntry(
            action="study.correct",
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type="study",
            object_id=study_instance_uid,
            patient_id=corrections.patient_id,
            detail={"corrected": [name for name, value in asdict(corrections).items() if value]},
        )
        record(tx, entry, now=now)
    return changed


def modifications_of(
    tx: Tx, viewer: Viewer, study_instance_uids: Iterable[str]
) -> dict[str, Modification]:
    """What the headers of these studies' images must say on their way out, by study.

    Studies whose images are right are not in it.

    Standard: PS3.3 C.12.1.1.9
    """
    viewer.require(Action.STUDY_READ)
    return {
        each.study_instance_uid: Modification(each.texts(), each.corrected_at, MODIFYING_SYSTEM)
        for each in store.corrections(tx, sorted(set(study_instance_uids)))
    }


def modifications(
    tx: Tx,
    viewer: Viewer,
    study_instance_uids: Iterable[str],
    sop_instance_uids: Iterable[str] | None = None,
) -> Modifications:
    """What the images of these studies must say on their way out.

    Args:
        tx: open transaction.
        viewer: may read studies.
        study_instance_uids: of the studies.
        sop_instance_uids: only these images are asked about; None: all.

    Standard: PS3.3 C.12.1.1.9
    """
    viewer.require(Action.STUDY_READ)
    uids = sorted(set(study_instance_uids))
    only = None if sop_instance_uids is None else list(sop_instance_uids)
    instances: dict[str, Modification] = {}
    originals: dict[str, Modification] = {}
    for each in splits.instances(tx, uids, only):
        instances[each.sop_instance_uid] = made = each.modification()
        originals[each.original_sop_instance_uid] = made
    return Modifications(modifications_of(tx, viewer, uids), instances, originals)


def series_and_modifications(
    tx: Tx, viewer: Viewer, study_instance_uid: str
) -> tuple[Sequence[Series], Modifications]:
    """The study's series by number, and what its images must say on their way out.

    One statement where they are right as they came. No series where there is no such study.
    """
    viewer.require(Action.STUDY_READ)
    series = shown_series_of(tx, study_instance_uid)
    if not any(each.says_otherwise for each in series):
        return series, Modifications()
    return series, modifications(tx, viewer, [study_instance_uid])
