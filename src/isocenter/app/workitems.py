"""What the worker does with workitems by the clock, once when it begins, and when exams end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitem_outputs import MadeSeries
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_outputs

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


@dataclass(frozen=True, slots=True)
class ArchivedOutputs:
    """Tells what the archive has of an exam, and where it is retrieved.

    Attributes:
        ae_title: ours.
        base_url: of the web server, as others reach it.
    """

    ae_title: str
    base_url: str

    def __call__(
        self, tx: Tx, accession_number: str, study_instance_uid: str, /
    ) -> Sequence[MadeSeries]:
        """The series of the exam."""
        viewer = Viewer.of(_ACTOR, Action.STUDY_READ)
        found = exam_outputs.series_of_exam(tx, viewer, accession_number, study_instance_uid)
        return [
            MadeSeries(
                study_instance_uid=each.study_instance_uid,
                series_instance_uid=each.series_instance_uid,
                instances=tuple(zip(each.sop_class_uids, each.sop_instance_uids, strict=True)),
                retrieve_ae_title=self.ae_title,
                retrieve_url=f"{self.base_url}/dicomweb/studies/{each.study_instance_uid}"
                f"/series/{each.series_instance_uid}",
            )
            for each in found
        ]
