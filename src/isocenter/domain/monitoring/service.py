"""Use cases of monitoring: turn what is late now into alarms that begin once and end once.

What is late is found by the exam ledger; here it is only compared with what was late before.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.monitoring import _store
from isocenter.domain.monitoring.events import (
    AlarmCleared,
    AlarmRaised,
    ConditionCleared,
    ConditionRaised,
)
from isocenter.domain.monitoring.model import (
    Alarm,
    Condition,
    ConditionKind,
    LateHop,
    RaisedCondition,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def settle_alarms(tx: Tx, late: Sequence[LateHop], *, now: datetime) -> tuple[int, int]:
    """How many alarms were raised and how many cleared, given all that is late at ``now``.

    An exam that stays late at a hop keeps its alarm; one that is late again later gets a new one.
    """
    _store.lock(tx)
    raised = _store.raise_new(tx, late, now=now)
    for each in raised:
        event = AlarmRaised(
            each.alarm_key, each.accession_number, each.study_instance_uid, each.hop
        )
        outbox.append(tx, event, now=now)
    cleared = _store.clear_gone(tx, late, now=now)
    for each in cleared:
        event = AlarmCleared(
            each.alarm_key, each.accession_number, each.study_instance_uid, each.hop
        )
        outbox.append(tx, event, now=now)
    return len(raised), len(cleared)


def raised_alarms(tx: Tx, viewer: Viewer) -> list[Alarm]:
    """Alarms that are raised now, the longest late first."""
    viewer.require(Action.EXAM_READ)
    return _store.raised(tx)


def settle_conditions(
    tx: Tx, found: Sequence[Condition], *, kinds: Sequence[ConditionKind], now: datetime
) -> tuple[int, int]:
    """How many conditions were raised and how many cleared, given all that are found now.

    Only those of ``kinds`` are cleared: whoever looks for other kinds settles those.
    """
    _store.lock_conditions(tx)
    raised = _store.raise_conditions(tx, found, now=now)
    for each in raised:
        outbox.append(tx, ConditionRaised(each.condition_key, each.kind, each.subject), now=now)
    cleared = _store.clear_conditions(tx, found, kinds, now=now)
    for each in cleared:
        outbox.append(tx, ConditionCleared(each.condition_key, each.kind, each.subject), now=now)
    return len(raised), len(cleared)


def raised_conditions(tx: Tx, viewer: Viewer) -> list[RaisedCondition]:
    """What is wrong now besides exams, the longest first."""
    viewer.require(Action.EXAM_READ)
    return _store.conditions(tx)
