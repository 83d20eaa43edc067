"""Exams and their ledger."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from isocenter.gateways.web.api.shapes import LIMIT_MAX, Page, Shape
from isocenter.gateways.web.audited import opened_exam, searched_exams
from isocenter.gateways.web.pages.exam_contents import UnknownExam
from isocenter.gateways.web.web import ExamViewer, InWeb
from isocenter.readmodels.exam_ledger import ExamQuery, ExamState, HopState

router = APIRouter(prefix="/api/exams", tags=["exams"])


class HopAnswer(Shape):
    """One hop. ``late`` is true when somebody must do something about it; ``reason`` says why."""

    name: str
    at: datetime | None
    state: HopState
    late: bool
    reason: str | None
    since: datetime | None
    count: int | None


class StudyAnswer(Shape):
    """A study of the exam. ``method`` is how it was matched; null: it names the order, no more."""

    study_instance_uid: str
    study_description: str | None
    modalities: list[str]
    number_of_series: int
    number_of_instances: int
    first_received_at: datetime
    completed_at: datetime | None
    method: str | None
    link_reason: str | None


class PerformedStepAnswer(Shape):
    """What a modality says that it did: ``received`` of the ``expected`` objects are here."""

    sop_instance_uid: str
    performed_procedure_step_id: str
    status: str
    performed_station_ae_title: str
    modality: str
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason: str | None
    expected: int
    received: int


class ExamReportAnswer(Shape):
    """The exam's report, without its text."""

    report_id: str
    state: str
    version: int
    created_by: str
    updated_at: datetime
    signed_at: datetime | None


class ExamDeliveryAnswer(Shape):
    """A message, or images of a study, on the way to a recipient."""

    delivery_key: int
    kind: str
    occasion: str
    recipient: str
    version: int | None
    study_instance_uid: str | None
    instances: int | None
    instances_sent: int | None
    commitment: str | None
    state: str
    attempts: int
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    last_error: str | None


class ExamSummary(Shape):
    """An exam. ``study_instance_uid`` is set for a study that no order claims, else empty."""

    accession_number: str
    study_instance_uid: str
    state: ExamState
    patient_id: str | None
    patient_name: str | None
    procedure: str | None
    modality: str | None
    priority: str | None
    scheduled_at: datetime | None
    late: bool
    needs_person: bool
    needs_person_reason: str | None
    hops: list[HopAnswer]


class ExamAnswer(ExamSummary):
    """An exam with everything that belongs to it."""

    studies: list[StudyAnswer]
    performed_steps: list[PerformedStepAnswer]
    reports: list[ExamReportAnswer]
    deliveries: list[ExamDeliveryAnswer]


class WantedExams(Shape):
    """Which exams to list. ``text`` is the beginning of a name, patient ID or accession number."""

    accession_number: str | None = None
    patient_id: str | None = None
    state: ExamState | None = None
    text: str | None = None
    limit: int = 50
    after: str | None = None


@router.get("", summary="Exams, newest first")
async def exams(
    web: InWeb, viewer: ExamViewer, wanted: Annotated[WantedExams, Query()]
) -> Page[ExamSummary]:
    """Exams that fit."""
    query = ExamQuery(
        accession_number=wanted.accession_number,
        patient_id=wanted.patient_id,
        state=wanted.state,
        text=wanted.text,
        limit=max(1, min(wanted.limit, LIMIT_MAX)),
        after=wanted.after,
    )
    page = await web.pool.run(searched_exams, viewer, query, look=web.look())
    items = [ExamSummary.model_validate(each) for each in page.exams]
    return Page(items=items, next=page.after)


@router.get("/{accession_number:path}", summary="An exam's ledger")
async def exam(web: InWeb, viewer: ExamViewer, accession_number: str) -> ExamAnswer:
    """Every hop of the exam, with its studies, performed steps, reports and deliveries."""
    found = await web.pool.run(opened_exam, viewer, accession_number, look=web.look())
    if found is None:
        raise UnknownExam("There is no exam with this accession number.")
    return ExamAnswer.model_validate(found)
