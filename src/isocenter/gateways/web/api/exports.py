"""What the workspace takes out of the archive by itself is put on record before it is made."""

from enum import StrEnum

from fastapi import APIRouter
from pydantic import BaseModel

from isocenter.domain.archive.service import location as archive
from isocenter.gateways.web.web import InWeb, StudyViewer

router = APIRouter(tags=["studies"])


class Exported(StrEnum):
    """What leaves the workspace: a viewport as a picture, or a cine as a video."""

    PICTURE = "picture"
    VIDEO = "video"


class ExportRequest(BaseModel):
    """What is about to be saved."""

    what: Exported


@router.post(
    "/api/studies/{study_instance_uid}/exports", status_code=204, summary="Put an export on record"
)
async def export(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str, body: ExportRequest
) -> None:
    """The export is on record: the workspace saves nothing before this was answered."""
    await web.pool.run(
        archive.record_study_access,
        viewer.actor,
        study_instance_uid,
        action=f"study.export_{body.what.value}",
        now=web.clock(),
    )
