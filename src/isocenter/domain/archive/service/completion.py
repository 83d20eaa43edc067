"""Takes studies for complete when nothing has arrived for a while. New images reopen them."""

from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store
from isocenter.domain.archive.events import StudyCompleted
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_STUDIES_PER_CALL = 500


def complete_quiet_studies(tx: Tx, actor: Actor, *, quiet_s: float, now: datetime) -> int:
    """How many studies got no image for ``quiet_s`` seconds and are complete from now on."""
    authorize(actor, Action.STUDY_STORE)
    quiet_since = now - timedelta(seconds=quiet_s)
    completed = _store.complete(tx, quiet_since=quiet_since, limit=_STUDIES_PER_CALL, now=now)
    for each in completed:
        event = StudyCompleted(
            each.study_instance_uid, each.number_of_series, each.number_of_instances
        )
        outbox.append(tx, event, now=now)
    return len(completed)
