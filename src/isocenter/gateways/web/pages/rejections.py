"""Rejected images: what is out of use, why, and back into use."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.paging import next_url
from isocenter.gateways.web.web import InWeb, RejectionViewer, SignedIn, seen_after
from isocenter.infra.db import Tx
from isocenter.readmodels.rejected_images import RejectedSeries, rejected_series
from isocenter.standards.dicom.key_object import Title

router = APIRouter(include_in_schema=False)

_ROWS_MAX = 100


@router.get("/rejections")
async def show(
    request: Request,
    web: InWeb,
    viewer: RejectionViewer,
    study: str = "",
    before: int | None = None,
) -> Response:
    """Series with images that nobody is shown, the newest rejection first."""
    rows = await web.pool.run(_load, viewer, study.strip(), before, look=web.look())
    last = rows[-1] if len(rows) == _ROWS_MAX else None
    context: dict[str, Any] = {
        "section": "/rejections",
        "rows": rows,
        "study": study,
        "meanings": {each.value: each.meaning for each in Title},
        "next": last and next_url(request, before=str(last.rejection_key)),
    }
    return web.page(request, "rejections.html", context)


def _load(
    tx: Tx, viewer: Viewer, study: str, before: int | None, *, look: Look
) -> list[RejectedSeries]:
    look.readings.note(tx, viewer.actor, ("rejections.search", "study", study), now=look.now)
    return rejected_series(tx, viewer, study or None, before=before, limit=_ROWS_MAX)


@router.post("/rejections/restore")
async def restore(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: Annotated[str, Form(max_length=64)],
    series_instance_uid: Annotated[str, Form(max_length=64)],
    reason: Annotated[str, Form(min_length=1, max_length=400)],
) -> Response:
    """The series' rejected images in use again."""
    await web.pool.run(
        archive.restore,
        actor,
        web.blobs,
        (study_instance_uid, series_instance_uid, None),
        reason=reason,
        now=web.clock(),
    )
    return seen_after("/rejections", "images_restored")
