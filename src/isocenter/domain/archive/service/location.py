"""Where studies, series and instances are, for those who serve or judge them."""

from collections.abc import Iterable
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.model import (
    InstanceLocation,
    KeptConflict,
    Series,
    SeriesMetadata,
    Study,
    UnknownStudy,
)
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx


def study(tx: Tx, viewer: Viewer, study_instance_uid: str) -> Study:
    """The study; raises ``UnknownStudy``."""
    viewer.require(Action.STUDY_READ)
    found = _store.study(tx, study_instance_uid)
    if found is None:
        raise UnknownStudy("there is no such study")
    return found


def series_of(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Series]:
    """The study's series by number; empty when there is no such study."""
    viewer.require(Action.STUDY_READ)
    return _store.series_of(tx, study_instance_uid)


def locate(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> list[InstanceLocation]:
    """Where the instances are, by series number and instance number; empty when there are none."""
    viewer.require(Action.STUDY_READ)
    return _store.locations(tx, study_instance_uid, series_instance_uid, sop_instance_uid)


def conflicts_of(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[KeptConflict]:
    """What is kept beside the study's instances because it has their UIDs and other bytes."""
    viewer.require(Action.STUDY_READ)
    return _store.conflicts(tx, study_instance_uid)


def studies_with(
    tx: Tx, *, study_instance_uids: Iterable[str], accession_numbers: Iterable[str]
) -> set[str]:
    """UIDs of the studies that have one of these UIDs or accession numbers (normalised form).

    For other stages, not for people: it asks no permission because it shows no patient.
    """
    found = set(_store.existing(tx, sorted(set(study_instance_uids))))
    numbers = sorted({each for each in accession_numbers if each})
    return found | set(_store.studies_with_accession_numbers(tx, numbers))


def record_study_access(
    tx: Tx, actor: Actor, study_instance_uid: str, *, action: str, now: datetime
) -> None:
    """Put on record that ``actor`` opened the study: once per opening, not once per frame.

    ``action`` is the audit's word for it, as ``study.view`` or ``study.retrieve``.
    """
    authorize(actor, Action.STUDY_READ)
    found = _store.study(tx, study_instance_uid)
    record(
        tx,
        AuditEntry(
            action=action,
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type="study",
            object_id=study_instance_uid,
            patient_id=found.patient_id if found else None,
        ),
        now=now,
    )


def set_series_metadata(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    series_instance_uid: str,
    made: SeriesMetadata,
) -> bool:
    """Name the blob that holds the series' DICOM JSON, and keep what searches shall know from it.

    False, and nothing changed, when a blob that describes as many instances or more is named
    already, or when the series has fewer instances by now.
    """
    authorize(actor, Action.STUDY_STORE)
    return _store.set_metadata(tx, study_instance_uid, series_instance_uid, made)
