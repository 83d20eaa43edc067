"""Have what was measured and marked in a study written into the archive, and know what is there.

The worker writes the objects (``app.evidence``): here it is asked to, and says what it did.
"""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive.service import location as archive
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reading import _store
from isocenter.domain.reading.events import ArchivingRequested
from isocenter.domain.reading.model import (
    ArchivedObject,
    Archiving,
    ArchivingRequest,
    Measurement,
    NothingToArchive,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def request_archiving(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> None:
    """Ask for the study's findings to be written. Raises ``UnknownStudy``, ``NothingToArchive``."""
    authorize(actor, Action.REPORT_WRITE)
    archive.study(tx, Viewer.of(actor, Action.STUDY_READ), study_instance_uid)
    if not request_if_any(tx, actor, study_instance_uid, now=now):
        raise NothingToArchive("nothing was measured or marked in this study")


def request_if_any(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> bool:
    """As ``request_archiving``; whether there is anything to be written."""
    authorize(actor, Action.REPORT_WRITE)
    _store.lock(tx, study_instance_uid)
    found = _store.measurements(tx, study_instance_uid)
    if not found:
        return False
    # Nobody signs with a system's name: what it asks for was said by who measured last.
    author = actor.display_name if actor.user_key is not None else found[-1].updated_by
    _store.request(tx, study_instance_uid, by=actor.name, author=author or actor.name, now=now)
    outbox.append(tx, ArchivingRequested(study_instance_uid), now=now)
    entry = AuditEntry(
        action="study.archive_findings",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_instance_uid,
        detail={"findings": len(found)},
    )
    record(tx, entry, now=now)
    return True


def measured_studies(tx: Tx, accession_number: str) -> list[str]:
    """Studies of the exam in which something was measured. For reactions, not for people."""
    return _store.measured_studies(tx, accession_number)


def archived(tx: Tx, viewer: Viewer, study_instance_uid: str) -> Archiving:
    """What was asked for last, and what is in the archive. Raises ``UnknownStudy``."""
    archive.study(tx, viewer, study_instance_uid)
    return Archiving(
        _store.requested(tx, study_instance_uid), _store.written(tx, study_instance_uid)
    )


def findings(
    tx: Tx, actor: Actor, study_instance_uid: str
) -> tuple[ArchivingRequest, list[Measurement]] | None:
    """What is to be written for whom; None when nobody asked for it."""
    authorize(actor, Action.STUDY_STORE)
    requested = _store.requested(tx, study_instance_uid)
    return requested and (requested, _store.measurements(tx, study_instance_uid))


def written_before(tx: Tx, actor: Actor, study_instance_uid: str) -> list[ArchivedObject]:
    """The objects that were written from the study's findings, the earliest of a kind first."""
    authorize(actor, Action.STUDY_STORE)
    return _store.written(tx, study_instance_uid)


def record_written(tx: Tx, actor: Actor, made: ArchivedObject) -> None:
    """Remember an object that the archive admitted in this transaction."""
    authorize(actor, Action.STUDY_STORE)
    _store.record_written(tx, made)


def finish_archiving(
    tx: Tx, actor: Actor, study_instance_uid: str, failure: str, *, now: datetime
) -> None:
    """Say that what was asked for is written, and what could not be, in words."""
    authorize(actor, Action.STUDY_STORE)
    _store.finish(tx, study_instance_uid, failure, now=now)
