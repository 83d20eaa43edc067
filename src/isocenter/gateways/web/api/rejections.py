"""Images that are out of use, and back into use."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.archive import service as archive
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.web import InWeb, RejectionViewer, SignedIn
from isocenter.readmodels.rejected_images import rejected_series

router = APIRouter(prefix="/api/rejections", tags=["reconciliation"])


class RejectedSeriesAnswer(Shape):
    """Images of a series that nobody is shown; ``split_to`` is the study that shows them."""

    rejection_key: int
    study_instance_uid: str
    series_instance_uid: str
    instances: int
    shown: int
    code: str
    reason: str
    rejected_by: str
    rejected_at: datetime
    patient_id: str | None
    patient_name: str | None
    study_date: date | None
    study_description: str | None
    split_to: str
    can_be_restored: bool


class RestoreRequest(BaseModel):
    """What is to be in use again: a study, a series of it, or one instance; and why."""

    study_instance_uid: str = Field(max_length=64)
    series_instance_uid: str | None = Field(default=None, max_length=64)
    sop_instance_uid: str | None = Field(default=None, max_length=64)
    reason: str = Field(min_length=1, max_length=400)


class RestoredAnswer(Shape):
    """How many images are in use again."""

    restored: int


@router.get("", summary="Images that are out of use, the newest rejection first")
async def rejections(
    web: InWeb,
    viewer: RejectionViewer,
    study_instance_uid: str | None = None,
    before: int | None = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> list[RejectedSeriesAnswer]:
    """Series by series; ``before`` is the last ``rejection_key`` of the page before."""
    found = await web.pool.read(
        rejected_series, viewer, study_instance_uid, before=before, limit=limit
    )
    return [RejectedSeriesAnswer.model_validate(each) for each in found]


@router.post("/restore", summary="Bring rejected images back into use")
async def restore(web: InWeb, actor: SignedIn, body: RestoreRequest) -> RestoredAnswer:
    """The images in use again; a note says so for good."""
    count = await web.pool.run(
        archive.restore,
        actor,
        web.blobs,
        (body.study_instance_uid, body.series_instance_uid, body.sop_instance_uid),
        reason=body.reason,
        now=web.clock(),
    )
    return RestoredAnswer(restored=count)
