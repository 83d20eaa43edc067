"""What the worker does with workitems by the clock, and once when it begins."""

from datetime import timedelta
from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist

_ACTOR: Final = Actor.system("worker")
_REMOVE_S: Final = 3_600.0
_PUBLISH_S: Final = 60.0


def workitem_jobs(runtime: Runtime) -> list[Job]:
    """Forgetting workitems that have ended long ago, and making those of older orders."""

    def remove() -> int:
        now = runtime.clock()
        before = now - timedelta(days=runtime.settings.workitems_kept_days)
        gone = runtime.pool.run_here(
            lambda tx: worklist.remove_ended_workitems(tx, _ACTOR, ended_before=before, now=now)
        )
        return len(gone)

    def publish() -> int:
        now = runtime.clock()
        return runtime.pool.run_here(lambda tx: worklist.publish_workitems(tx, _ACTOR, now=now))

    jobs = [Job("remove_workitems", _REMOVE_S, remove)]
    if runtime.settings.order_workitems == "on":
        jobs.append(Job("publish_workitems", _PUBLISH_S, publish))
    return jobs


def report_restart(runtime: Runtime) -> int:
    """Tell subscribers of workitems that we are back; gives how many they are.

    Standard: PS3.4 CC.2.4.3
    """
    now = runtime.clock()
    return runtime.pool.run_here(lambda tx: worklist.report_restart(tx, now=now))
