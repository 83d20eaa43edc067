"""Takes studies for complete: when nothing has come for a while, or all is known to be here.

New images reopen them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.events import StudyCompleted
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record_many
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_STUDIES_PER_CALL = 500


def complete_quiet_studies(
    tx: Tx, actor: Actor, *, quiet_s: float, in_progress: Sequence[str] = (), now: datetime
) -> int:
    """How many studies got no image for ``quiet_s`` seconds and are complete from now on.

    Those that are ``in_progress`` (Study Instance UIDs) are left: their scanner is at work.
    """
    authorize(actor, Action.STUDY_STORE)
    quiet_since = now - timedelta(seconds=quiet_s)
    completed = _store.complete(
        tx, quiet_since=quiet_since, in_progress=in_progress, limit=_STUDIES_PER_CALL, now=now
    )
    _tell(tx, actor, completed, now=now)
    return len(completed)


def complete_study(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> bool:
    """Take a study for complete of which everything is known to be here; False without images."""
    authorize(actor, Action.STUDY_STORE)
    completed = _store.complete_one(tx, study_instance_uid, now)
    if completed is not None:
        _tell(tx, actor, [completed], now=now)
    return completed is not None


def _tell(tx: Tx, actor: Actor, studies: Sequence[_store.Quiet], *, now: datetime) -> None:
    for each in studies:
        event = StudyCompleted(
            each.study_instance_uid, each.number_of_series, each.number_of_instances
        )
        outbox.append(tx, event, now=now)
    record_many(tx, [_audit_entry(actor, each) for each in studies], now=now)


def _audit_entry(actor: Actor, study: _store.Quiet) -> AuditEntry:
    """What came in all: while images stream in they are recorded once a second, see ``Familiar``.

    Standard: PS3.15 A.5.3.7 (Instances Transferred: one record for a study)
    """
    return AuditEntry(
        action="study.complete",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study.study_instance_uid,
        patient_id=study.patient_id,
        detail={
            "series": study.number_of_series,
            "instances": study.number_of_instances,
            "calling_ae_titles": study.calling_ae_titles,
        },
    )
