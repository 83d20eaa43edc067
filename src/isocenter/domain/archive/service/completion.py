"""Takes studies for complete: when nothing has come for a while, or all is known to be here.

New images reopen them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.events import StudyCompleted
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
    for each in completed:
        _tell(tx, each, now=now)
    return len(completed)


def complete_study(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> bool:
    """Take a study for complete of which everything is known to be here; False without images."""
    authorize(actor, Action.STUDY_STORE)
    completed = _store.complete_one(tx, study_instance_uid, now)
    if completed is not None:
        _tell(tx, completed, now=now)
    return completed is not None


def _tell(tx: Tx, study: _store.Quiet, *, now: datetime) -> None:
    event = StudyCompleted(
        study.study_instance_uid, study.number_of_series, study.number_of_instances
    )
    outbox.append(tx, event, now=now)
