"""Work that is due by the clock and not by an event: each a function, an interval, one transaction.

Several workers may run the same jobs: every job finds what is left to do by itself. A job that
fails is logged and tried again at its next turn; it never stops the others.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isocenter.errors import IsocenterError
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every ``interval_s`` seconds; ``work`` gives how much it did."""

    name: str
    interval_s: float
    work: Callable[[], int]


def run_jobs(jobs: Sequence[Job], stop: threading.Event) -> None:
    """Run the jobs in turn until stopped."""
    due_s = dict.fromkeys((job.name for job in jobs), time.monotonic())
    while not stop.wait(_LOOK_S):
        for job in jobs:
            if stop.is_set():
                return
            if time.monotonic() >= due_s[job.name]:
                _run(job)
                due_s[job.name] = time.monotonic() + job.interval_s


def _run(job: Job) -> None:
    try:
        count = job.work()
    except IsocenterError as error:
        _log.warning("job_failed", name=job.name, error_kind=error.kind.value)
    except Exception as error:  # noqa: BLE001 a defect in one job must not stop the others
        _log.error("job_failed", name=job.name, exc_info=error)
    else:
        if count:
            _log.debug("job_done", name=job.name, count=count)
