"""Reconciliation: the queue of images that need a person, and one study beside its candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as images
from isocenter.domain.archive.model import Study
from isocenter.domain.archive.model_contents import Contents
from isocenter.domain.archive.model_splits import Split
from isocenter.domain.archive.service import contents as other_contents
from isocenter.domain.archive.service import location as archive
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import ABOUT_CONTENT, DISMISSIBLE, CaseKind, Proposal
from isocenter.gateways.web.audited import opened_exam_of_study, searched_exams
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import SeriesView, series_view
from isocenter.gateways.web.paging import next_url
from isocenter.gateways.web.web import InWeb, StudyViewer, Web
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_ledger, reconciliation
from isocenter.readmodels.exam_ledger import ExamLedger, ExamQuery
from isocenter.readmodels.reconciliation import (
    Attention,
    Copy,
    OpenCase,
    QueueCounts,
    QueueQuery,
    QueueRow,
)

router = APIRouter(include_in_schema=False)

_CASES_MAX = 50
_CANDIDATES_MAX = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exam that the images may belong to, with what speaks for and against it."""

    exam: ExamLedger
    birth_date: date | None
    sex: str | None
    ordered_at: datetime | None
    proposal: Proposal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCase:
    """A study, what is open about it, where it belongs now, and where it may belong."""

    study: Study
    series: list[SeriesView]
    cases: list[OpenCase]
    exam: ExamLedger | None
    candidates: list[Candidate]
    contents: list[Contents]
    decisions: list[reconcile.Decided]
    attention: Attention
    copies: list[Copy]
    splits: list[Split]

    @property
    def linked(self) -> bool:
        """Whether the study belongs to an order now."""
        return self.method is not None

    @property
    def method(self) -> str | None:
        """How the study was found to belong to its order."""
        own = self.study.study_instance_uid
        studies = self.exam.studies if self.exam else ()
        return next((e.method for e in studies if e.study_instance_uid == own), None)


class Filters(BaseModel):
    """Which part of the queue is asked for."""

    text: str = ""
    kind: str = ""
    owner: str = ""  # "me", "nobody" or anybody
    held: bool = False
    after: str = ""

    def query(self, name: str, limit: int) -> QueueQuery:
        """The question to the queue; ``name`` is the reader's."""
        owners: Mapping[str, str] = {"me": name, "nobody": ""}
        return QueueQuery(
            kind=self.kind if self.kind in set(CaseKind) else None,
            text=self.text,
            owner=owners.get(self.owner),
            held=self.held,
            after=_row(self.after),
            limit=limit,
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
async def show(
    request: Request, web: InWeb, viewer: StudyViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Studies that need a person, the longest waiting first."""
    rows, counts = await web.pool.run(_queue, viewer, filters, web=web, look=web.look())
    last = rows[-1] if len(rows) == _CASES_MAX else None
    context: dict[str, Any] = {
        "section": "/reconciliation",
        "rows": rows,
        "counts": counts,
        "filters": filters,
        "filtered": bool(filters.text or filters.kind or filters.owner or filters.held),
        "kinds": [each.value for each in CaseKind],
        "overdue_since": web.clock() - timedelta(seconds=web.options.reconciliation_overdue_s),
        "dicomweb_path": web.options.dicomweb_path,
        "next": last
        and next_url(request, after=f"{last.opened_at.timestamp():.6f}-{last.study_instance_uid}"),
    }
    return web.page(request, "reconciliation.html", context)


def _row(text: str) -> tuple[datetime, str] | None:
    """The row to go on behind; None for anything that is no such row."""
    moment, _, uid = text.partition("-")
    try:
        return datetime.fromtimestamp(float(moment), UTC), uid
    except (ValueError, OverflowError, OSError):
        return None


def _queue(
    tx: Tx, viewer: Viewer, filters: Filters, *, web: Web, look: Look
) -> tuple[list[QueueRow], QueueCounts]:
    what = ("reconciliation.search", "study", "")
    look.readings.note(tx, viewer.actor, what, now=look.now)
    overdue_since = look.now - timedelta(seconds=web.options.reconciliation_overdue_s)
    rows = reconciliation.queue(
        tx, viewer, filters.query(viewer.actor.name, _CASES_MAX), now=look.now
    )
    return rows, reconciliation.counts(tx, viewer, overdue_since=overdue_since, now=look.now)


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


@router.get("/reconciliation/{study_instance_uid}/preview")
async def show_preview(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    accession_number: str,
) -> Response:
    """All that a match would touch, before it is made."""
    study, preview, copies = await web.pool.run(
        _preview, viewer, study_instance_uid, accession_number, look=web.look()
    )
    context = {
        "section": "/reconciliation",
        "study": study,
        "preview": preview,
        "copies": copies,
    }
    return web.page(request, "reconcile_preview.html", context)


def _preview(
    tx: Tx, viewer: Viewer, uid: str, accession_number: str, *, look: Look
) -> tuple[Study, reconcile.Preview, list[Copy]]:
    what = ("reconciliation.preview", "study", uid)
    study = archive.study(tx, viewer, uid)
    look.readings.note(tx, viewer.actor, what, patient_id=study.patient_id, now=look.now)
    return (
        study,
        reconcile.preview(tx, viewer, uid, accession_number),
        reconciliation.copies(tx, viewer, uid),
    )


def _load(tx: Tx, viewer: Viewer, uid: str, search: Search, *, web: Web, look: Look) -> StudyCase:
    study = archive.study(tx, viewer, uid)
    exams = Viewer.of(viewer.actor, Action.EXAM_READ)
    cases = reconciliation.open_cases(tx, viewer, study_instance_uid=uid, limit=_CASES_MAX)
    if search.wanted:
        found = _searched(tx, viewer, uid, search, look=look)
    elif any(each.kind not in ABOUT_CONTENT for each in cases):
        proposed = [
            _candidate(tx, exams, each.order.accession_number, each, look=look)
            for each in reconcile.proposals(tx, viewer, uid)
        ]
        found = [each for each in proposed if each is not None]
    else:
        found = []
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
        decisions=reconcile.decisions_of(tx, viewer, uid),
        attention=reconciliation.attention(tx, viewer, uid),
        copies=reconciliation.copies(tx, viewer, uid),
        splits=images.splits_of(tx, viewer, uid),
    )


def _searched(tx: Tx, viewer: Viewer, uid: str, search: Search, *, look: Look) -> list[Candidate]:
    """Ordered exams that fit what a person searched for, scored like the proposed ones."""
    exams = Viewer.of(viewer.actor, Action.EXAM_READ)
    query = ExamQuery(
        text=search.text.strip() or None,
        accession_number=search.accession_number.strip() or None,
        limit=_CANDIDATES_MAX,
    )
    page = searched_exams(tx, exams, query, look=look)
    numbers = [each.accession_number for each in page.exams if not each.study_instance_uid]
    scored = {
        each.order.accession_number: each
        for each in reconcile.proposals(tx, viewer, uid, also=numbers)
    }
    found = [_candidate(tx, exams, each, scored.get(each), look=look) for each in numbers]
    known = [each for each in found if each is not None]
    return sorted(known, key=lambda each: -(each.proposal.score.points if each.proposal else 0))


def _candidate(
    tx: Tx, viewer: Viewer, accession_number: str, proposal: Proposal | None, *, look: Look
) -> Candidate | None:
    """The exam with what tells its patient from others."""
    exam = exam_ledger.exam(
        tx, viewer, accession_number, now=look.now, expectations=look.expectations
    )
    order = orders.exam(tx, accession_number)
    if exam is None:
        return None
    made = Candidate(exam, None, None, None, proposal)
    if order is None:
        return made
    patient = identity.patient(tx, order.order.patient_key)
    return replace(
        made,
        birth_date=patient.birth_date,
        sex=patient.sex,
        ordered_at=order.order.placed_at,
    )
