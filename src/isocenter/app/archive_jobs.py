"""Periodic jobs of the archive that look for what no event tells."""

from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive

_ACTOR: Final = Actor.system("worker")
_AWAITED_S: Final = 10.0


def archive_jobs(runtime: Runtime) -> list[Job]:
    """The jobs, for the worker's clockwork."""

    def settle_awaited() -> int:
        now = runtime.clock()
        return runtime.pool.run_here(lambda tx: archive.settle_awaited(tx, _ACTOR, now=now))

    return [Job("settle_awaited_rejections", _AWAITED_S, settle_awaited)]
