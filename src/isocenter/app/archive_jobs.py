"""Periodic jobs of the archive that look for what no event tells."""

from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.reconcile.service.correcting import correct_due_studies

_ACTOR: Final = Actor.system("worker")
_AWAITED_S: Final = 10.0
_RECORDS_S: Final = 5.0
_RECORDS_AT_ONCE: Final = 20
# After an upgrade there may be many, later there are none.
_CORRECTED_S: Final = 600.0
_CORRECTED_AT_ONCE: Final = 20


def archive_jobs(runtime: Runtime) -> list[Job]:
    """The jobs, for the worker's clockwork."""

    def settle_awaited() -> int:
        now = runtime.clock()
        return runtime.pool.run_here(lambda tx: archive.settle_awaited(tx, _ACTOR, now=now))

    def write_records() -> int:
        now = runtime.clock()
        return runtime.pool.run_here(
            lambda tx: archive.write_due_records(
                tx, _ACTOR, runtime.blobs, limit=_RECORDS_AT_ONCE, now=now
            )
        )

    def correct() -> int:
        corrected = 0
        now = runtime.clock()
        while count := runtime.pool.run_here(
            lambda tx: correct_due_studies(tx, _ACTOR, limit=_CORRECTED_AT_ONCE, now=now)
        ):
            corrected += count
        return corrected

    return [
        Job("settle_awaited_rejections", _AWAITED_S, settle_awaited),
        Job("write_split_records", _RECORDS_S, write_records),
        Job("correct_due_studies", _CORRECTED_S, correct),
    ]
