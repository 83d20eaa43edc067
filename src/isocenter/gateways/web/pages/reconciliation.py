"""Reconciliation: images that did not find their order, and the person who decides."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from isocenter.readmodels.reconciliation import OpenCase
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model import Study
from isocenter.domain.archive.service import location as archive
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import DISMISSIBLE
from isocenter.gateways.web.audited import opened_exam_of_study, searched_exams
from isocenter.gateways.web.onrecord import Readings
from isocenter.gateways.web.pages.exam_contents import SeriesView, series_view
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer, Web, seen_after
from isocenter.infra.db import Tx
from isocenter.readmodels import reconciliation
from isocenter.readmodels.exam_ledger import ExamLedger, ExamQuery

router = APIRouter(include_in_schema=False)

_CASES_MAX = 200
_CANDIDATES_MAX = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exam that the images may belong to."""

    exam: ExamLedger
    birth_date: date | None
    sex: str | None
    ordered_at: datetime | None


@dataclass(frozen=True, slots=True)
class StudyCase:
    """A study, what is open about it, where it belongs now, and where it may belong."""

    study: Study
    series: list[SeriesView]
    cases: list[OpenCase]
    exam: ExamLedger | None
    candidates: list[Candidate]

    @property
    def linked(self) -> bool:
        """Whether the study belongs to an order now."""
        return any(
            each.study_instance_uid == self.study.study_instance_uid and each.method
            for each in (self.exam.studies if self.exam else ())
        )


class Search(BaseModel):
    """The search for an exam."""

    text: str = ""
    accession_number: str = ""


@router.get("/reconciliation")
async def show(request: Request, web: InWeb, viewer: StudyViewer) -> Response:
    """Open cases, oldest first."""
    cases = await web.pool.run(_cases, viewer, readings=web.readings, now=web.clock())
    context = {"section": "/reconciliation", "cases": cases, "cases_max": _CASES_MAX}
    return web.page(request, "reconciliation.html", context)


def _cases(tx: Tx, viewer: Viewer, *, readings: Readings, now: datetime) -> list[OpenCase]:
    what = ("reconciliation.search", "study", "")
    readings.note(tx, viewer.actor, what, now=now)
    return reconciliation.open_cases(tx, viewer, limit=_CASES_MAX)


@router.get("/reconciliation/{study_instance_uid}")
async def show_study(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    search: Annotated[Search, Query()],
) -> Response:
    """One study beside the exams that it may belong to."""
    case = await web.pool.run(_load, viewer, study_instance_uid, search, web=web, now=web.clock())
    context = {
        "section": "/reconciliation",
        "case": case,
        "search": search,
        "searched": bool(search.text or search.accession_number),
        "dismissible": DISMISSIBLE,
    }
    return web.page(request, "reconcile_study.html", context)


def _load(
    tx: Tx, viewer: Viewer, uid: str, search: Search, *, web: Web, now: datetime
) -> StudyCase:
    study = archive.study(tx, viewer, uid)
    exams = Viewer.of(viewer.actor, Action.EXAM_READ)
    found = [
        candidate(tx, exam)
        for exam in candidate_exams(tx, exams, study, search, readings=web.readings, now=now)
    ]
    return StudyCase(
        study=study,
        series=[
            series_view(each, web.options.dicomweb_path)
            for each in archive.series_of(tx, viewer, uid)
        ],
        cases=reconciliation.open_cases(tx, viewer, study_instance_uid=uid, limit=_CASES_MAX),
        exam=opened_exam_of_study(tx, exams, uid, readings=web.readings, now=now),
        candidates=found,
    )


def candidate_exams(
    tx: Tx, viewer: Viewer, study: Study, search: Search, *, readings: Readings, now: datetime
) -> list[ExamLedger]:
    """Ordered exams to choose from: those searched for, or those that resemble the study."""
    queries: list[ExamQuery] = []
    if search.text.strip() or search.accession_number.strip():
        text, number = search.text.strip() or None, search.accession_number.strip() or None
        queries.append(ExamQuery(text=text, accession_number=number, limit=_CANDIDATES_MAX))
    else:
        if study.accession_number:
            queries.append(ExamQuery(accession_number=study.accession_number, limit=3))
        if study.patient_id:
            queries.append(ExamQuery(patient_id=study.patient_id, limit=_CANDIDATES_MAX))
        if study.patient_name:
            family = study.patient_name.split("^", 1)[0].split("=", 1)[0]
            queries.append(ExamQuery(text=family, limit=_CANDIDATES_MAX))
    found: dict[str, ExamLedger] = {}
    for query in queries:
        page = searched_exams(tx, viewer, query, readings=readings, now=now)
        for exam in page.exams:
            if not exam.study_instance_uid:
                found.setdefault(exam.accession_number, exam)
    return list(found.values())[:_CANDIDATES_MAX]


def candidate(tx: Tx, exam: ExamLedger) -> Candidate:
    """The exam with what tells its patient from others."""
    order = orders.exam(tx, exam.accession_number)
    if order is None:
        return Candidate(exam, None, None, None)
    patient = identity.patient(tx, order.order.patient_key)
    return Candidate(exam, patient.birth_date, patient.sex, order.order.placed_at)


@router.post("/reconciliation/{study_instance_uid}/match")
async def match(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    accession_number: Annotated[str, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """The study linked to the exam that the person chose."""
    await web.pool.run(
        reconcile.match_by_person,
        actor,
        study_instance_uid,
        accession_number,
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/studies/{study_instance_uid}", "matched")


@router.post("/reconciliation/{study_instance_uid}/undo")
async def undo(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """The study taken from its order."""
    await web.pool.run(
        reconcile.undo_match, actor, study_instance_uid, reason=reason, now=web.clock()
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "undone")


@router.post("/reconciliation/cases/{case_key}/dismiss")
async def dismiss(
    web: InWeb,
    actor: SignedIn,
    case_key: int,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """The case ended by a person who has looked at it."""
    await web.pool.run(reconcile.dismiss_case, actor, case_key, reason=reason, now=web.clock())
    return seen_after("/reconciliation", "dismissed")
