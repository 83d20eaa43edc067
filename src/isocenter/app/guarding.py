"""The watch over what is no exam: stations, interfaces, destinations, images that wait."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from isocenter.app.destination_guard import destinations_away
from isocenter.app.interface_guard import interfaces_silent
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import Condition, ConditionKind
from isocenter.infra.db import Tx
from isocenter.readmodels import reconciliation, worklist_guard

_ACTOR = Actor.system("guard")


def settle_conditions(runtime: Runtime) -> int:
    """How many alarms about stations and waiting images began or ended."""
    settings = runtime.settings
    now = runtime.clock()

    def settle(tx: Tx) -> int:
        stations = worklist_guard.stations(
            tx,
            Viewer.of(_ACTOR, Action.WORKLIST_READ),
            now=now,
            silence_s=settings.worklist_silence_s,
            time_zone=settings.time_zone,
        )
        overdue = reconciliation.overdue(
            tx,
            Viewer.of(_ACTOR, Action.STUDY_READ),
            before=now - timedelta(seconds=settings.reconciliation_overdue_s),
            now=now,
        )
        found = [
            *worklist_guard.conditions(stations, now=now),
            *(_overdue(each) for each in overdue),
            *interfaces_silent(tx, _ACTOR, zone=ZoneInfo(settings.time_zone), now=now),
            *destinations_away(
                tx,
                Viewer.of(_ACTOR, Action.DELIVERY_READ),
                after_s=settings.destination_away_s,
                now=now,
            ),
        ]
        return sum(monitoring.settle_conditions(tx, found, kinds=list(ConditionKind), now=now))

    return runtime.pool.run_here(settle)


def _overdue(case: reconciliation.OverdueCase) -> Condition:
    who = f"{case.owner} looks after them" if case.owner else "nobody looks after them"
    return Condition(
        ConditionKind.CASE_OVERDUE,
        case.study_instance_uid,
        f"Images wait for a person too long; {who}.",
        case.opened_at,
    )
