"""Reconciliation: images that did not find their order, and the person who decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model import Study
from isocenter.domain.archive.model_contents import Contents
from isocenter.domain.archive.service import contents as other_contents
from isocenter.domain.archive.service import location as archive
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import DISMISSIBLE
from isocenter.gateways.web.audited import opened_exam_of_study, searched_exams
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import SeriesView, series_view
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer, Web, seen_after
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_ledger, reconciliation
from isocenter.readmodels.exam_ledger import ExamLedger, ExamQuery
from isocenter.readmodels.reconciliation import OpenCase

router = APIRouter(include_in_schema=False)

_CASES_MAX = 200
_CANDIDATES_MAX = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exam that the images may belong to; ``grounds`` says what speaks for it."""

    exam: ExamLedger
    birth_date: date | None
    sex: str | None
    ordered_at: datetime | None
    grounds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StudyCase:
    """A study, what is open about it, where it belongs now, and where it may belong."""

    study: Study
    series: list[SeriesView]
    cases: list[OpenCase]
    exam: ExamLedger | None
    candidates: list[Candidate]
    contents: list[Contents]

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

    @property
    def wanted(self) -> bool:
        """Whether anything is searched for."""
        return bool(self.text.strip() or self.accession_number.strip())


@router.get("/reconciliation")
async def show(request: Request, web: InWeb, viewer: StudyViewer) -> Response:
    """Open cases, oldest first."""
    cases = await web.pool.run(_cases, viewer, look=web.look())
    context = {"section": "/reconciliation", "cases": cases, "cases_max": _CASES_MAX}
    return web.page(request, "reconciliation.html", context)


def _cases(tx: Tx, viewer: Viewer, *, look: Look) -> list[OpenCase]:
    what = ("reconciliation.search", "study", "")
    look.readings.note(tx, viewer.actor, what, now=look.now)
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
    case = await web.pool.run(_load, viewer, study_instance_uid, search, web=web, look=web.look())
    context = {
        "section": "/reconciliation",
        "case": case,
        "search": search,
        "searched": search.wanted,
        "dismissible": DISMISSIBLE,
    }
    return web.page(request, "reconcile_study.html", context)


def _load(tx: Tx, viewer: Viewer, uid: str, search: Search, *, web: Web, look: Look) -> StudyCase:
    study = archive.study(tx, viewer, uid)
    exams = Viewer.of(viewer.actor, Action.EXAM_READ)
    cases = reconciliation.open_cases(tx, viewer, study_instance_uid=uid, limit=_CASES_MAX)
    if search.wanted:
        found = [candidate(tx, exam) for exam in found_exams(tx, exams, search, look=look)]
    else:
        found = proposals(tx, exams, cases, look=look)
    return StudyCase(
        study=study,
        series=[
            series_view(each, web.options.dicomweb_path)
            for each in archive.series_of(tx, viewer, uid)
        ],
        cases=cases,
        exam=opened_exam_of_study(tx, exams, uid, look=look),
        candidates=found,
        contents=other_contents.contents_of(tx, viewer, uid),
    )


def proposals(tx: Tx, viewer: Viewer, cases: Sequence[OpenCase], *, look: Look) -> list[Candidate]:
    """The exams that the open cases propose, best first, each once."""
    grounds: dict[str, Sequence[str]] = {}
    for case in cases:
        for each in case.candidates:
            grounds.setdefault(each.accession_number, each.grounds)
    found: list[Candidate] = []
    for accession_number, why in grounds.items():
        exam = exam_ledger.exam(
            tx, viewer, accession_number, now=look.now, expectations=look.expectations
        )
        if exam is not None:
            found.append(candidate(tx, exam, why))
    return found


def found_exams(tx: Tx, viewer: Viewer, search: Search, *, look: Look) -> list[ExamLedger]:
    """Ordered exams that fit what a person searched for."""
    query = ExamQuery(
        text=search.text.strip() or None,
        accession_number=search.accession_number.strip() or None,
        limit=_CANDIDATES_MAX,
    )
    page = searched_exams(tx, viewer, query, look=look)
    return [each for each in page.exams if not each.study_instance_uid]


def candidate(tx: Tx, exam: ExamLedger, grounds: Sequence[str] = ()) -> Candidate:
    """The exam with what tells its patient from others."""
    order = orders.exam(tx, exam.accession_number)
    if order is None:
        return Candidate(exam, None, None, None, grounds)
    patient = identity.patient(tx, order.order.patient_key)
    return Candidate(exam, patient.birth_date, patient.sex, order.order.placed_at, grounds)


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


@router.post("/reconciliation/contents/{conflict_key}/show")
async def show_instead(
    web: InWeb,
    actor: SignedIn,
    conflict_key: int,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """The kept content shown, and the shown one kept."""
    study_instance_uid = await web.pool.run(
        other_contents.show_instead,
        actor,
        web.blobs,
        conflict_key,
        reason=reason,
        now=web.clock(),
    )
    return seen_after(f"/reconciliation/{study_instance_uid}", "exchanged")
