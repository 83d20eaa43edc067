"""Splitting: which series of a study belong to somebody else, what that would touch, and back."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as images
from isocenter.domain.archive.model import Study
from isocenter.domain.archive.service import location as archive
from isocenter.domain.reconcile import service as reconcile
from isocenter.gateways.web.audited import opened_exam_of_study
from isocenter.gateways.web.moving import Whose, split_wish
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import SeriesView, series_view
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer, Web, seen_after
from isocenter.infra.db import Tx
from isocenter.readmodels import reconciliation
from isocenter.readmodels.exam_ledger import ExamLedger

router = APIRouter(include_in_schema=False)

_SERIES_MAX = 500


class Asked(BaseModel):
    """Which series, and where they belong: an order, a patient, or nobody knows."""

    series: list[str] = []
    accession_number: str = ""
    patient_id: str = ""
    assigning_authority: str = ""
    reason: str = ""

    @property
    def whose(self) -> Whose:
        """Where the images belong, as a person typed it."""
        return Whose(
            self.accession_number.strip(), self.patient_id.strip(), self.assigning_authority.strip()
        )


@router.get("/reconciliation/{study_instance_uid}/split")
async def show(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    asked: Annotated[Asked, Query()],
) -> Response:
    """The study's series to choose from; and, once some are chosen, all that it would touch."""
    context = await web.pool.run(_load, viewer, study_instance_uid, asked, web=web, look=web.look())
    return web.page(request, "reconcile_split.html", context)


def _load(
    tx: Tx, viewer: Viewer, uid: str, asked: Asked, *, web: Web, look: Look
) -> dict[str, Any]:
    study: Study = archive.study(tx, viewer, uid)
    what = ("reconciliation.preview_split", "study", uid)
    look.readings.note(tx, viewer.actor, what, patient_id=study.patient_id, now=look.now)
    series: list[SeriesView] = [
        series_view(each, web.options.dicomweb_path)
        for each in archive.series_of(tx, viewer, uid)[:_SERIES_MAX]
    ]
    chosen = [each for each in series if each.series_instance_uid in set(asked.series)]
    preview: reconcile.SplitPreview | None = None
    exam: ExamLedger | None = None
    if chosen:
        wish = split_wish(tx, (uid, [e.series_instance_uid for e in chosen], ()), asked.whose)
        preview = reconcile.preview_split(tx, viewer, wish)
        exam = opened_exam_of_study(tx, Viewer.of(viewer.actor, Action.EXAM_READ), uid, look=look)
    copies = reconciliation.copies(tx, viewer, uid)
    return {
        "section": "/reconciliation",
        "study": study,
        "series": series,
        "picked": chosen,
        "images": sum(each.number_of_instances for each in chosen),
        "asked": asked,
        "preview": preview,
        "reported": bool(exam and exam.reports),
        "holders": sorted({each.recipient for each in copies if each.instances_sent}),
        "splits": images.splits_of(tx, viewer, uid),
    }


@router.post("/reconciliation/{study_instance_uid}/split")
async def split(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    asked: Annotated[Asked, Form()],
) -> Response:
    """The series shown in a study of their own, or of the order to which they belong."""

    def decide(tx: Tx) -> str:
        wish = split_wish(tx, (study_instance_uid, asked.series, ()), asked.whose)
        made = reconcile.split(tx, actor, web.blobs, wish, reason=asked.reason, now=web.clock())
        return made.to_study_instance_uid

    other = await web.pool.run(decide)
    return seen_after(f"/reconciliation/{other}", "split_off")


@router.post("/reconciliation/{study_instance_uid}/splits/{split_key}/undo")
async def undo(
    web: InWeb,
    actor: SignedIn,
    split_key: int,
    reason: Annotated[str, Form(min_length=1, max_length=400)],
) -> Response:
    """The images where they came again."""
    made = await web.pool.run(
        reconcile.undo_split, actor, web.blobs, split_key, reason=reason, now=web.clock()
    )
    return seen_after(f"/reconciliation/{made.study_instance_uid}", "split_undone")
