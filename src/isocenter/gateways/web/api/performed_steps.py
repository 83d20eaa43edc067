"""What scanners say that they did, and exams that they gave up being booked again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from isocenter.domain.access.model import Viewer
from isocenter.domain.worklist import service as worklist
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Page, Shape
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.web import ExamViewer, InWeb, SignedIn
from isocenter.infra.db import Tx
from isocenter.readmodels.performed_steps import ListedStep, StepQuery, performed_steps

router = APIRouter(tags=["exams"])


class ListedStepAnswer(Shape):
    """A performed procedure step; ``accession_numbers`` are of the exams that it means."""

    sop_instance_uid: str
    performed_procedure_step_id: str
    status: str
    performed_station_ae_title: str
    modality: str
    patient_id: str | None
    patient_name: str | None
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason: str | None
    study_instance_uids: list[str]
    asserted_accession_numbers: list[str]
    accession_numbers: list[str]
    expected: int
    peer: str
    received_at: datetime


class WantedSteps(Shape):
    """Which steps to list. ``unscheduled``: those that mean no exam, or those that mean one."""

    status: str | None = None
    unscheduled: bool | None = None
    limit: int = 50
    after: int | None = None


@router.get("/api/performed-steps", summary="What scanners did, newest first")
async def steps(
    web: InWeb, viewer: ExamViewer, wanted: Annotated[WantedSteps, Query()]
) -> Page[ListedStepAnswer]:
    """Performed procedure steps that fit."""
    query = StepQuery(
        status=wanted.status,
        unscheduled=wanted.unscheduled,
        limit=max(1, min(wanted.limit, LIMIT_MAX)),
        before=wanted.after,
    )
    found = await web.pool.run(_searched, viewer, query, look=web.look())
    after = str(found[-1].performed_key) if len(found) == query.limit else None
    return Page(items=[ListedStepAnswer.model_validate(each) for each in found], next=after)


def _searched(tx: Tx, viewer: Viewer, query: StepQuery, *, look: Look) -> list[ListedStep]:
    found = performed_steps(tx, viewer, query)
    look.readings.note(tx, viewer.actor, ("exam.search", "performed_step", ""), now=look.now)
    return found


@router.post(
    "/api/exams/{accession_number:path}/book-again",
    status_code=204,
    summary="Put what a scanner discontinued on the worklist again",
)
async def book_again(web: InWeb, actor: SignedIn, accession_number: str) -> None:
    """The exam's discontinued steps wait again."""
    await web.pool.run(worklist.book_again, actor, accession_number, now=web.clock())
