"""What the images of studies should say that were matched before that was kept.

An installation that is upgraded has such studies once. They are decided about anew like any study
of which something is learned, a portion at a time.
"""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.reconcile._store import correction_due
from isocenter.domain.reconcile.service.matching import match
from isocenter.infra.db import Tx


def correct_due_studies(tx: Tx, actor: Actor, *, limit: int, now: datetime) -> int:
    """How many studies were decided about anew; 0 when there are no more."""
    authorize(actor, Action.STUDY_RECONCILE)
    uids = correction_due.take(tx, limit=limit)
    if uids:
        match(tx, uids, now=now)
    return len(uids)
