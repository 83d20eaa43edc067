"""What is measured in a study's images, and what a user chose for the workspace."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from isocenter.domain.reading import service as reading
from isocenter.domain.reading.model import DrawnMeasurement, Preference
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer

router = APIRouter(tags=["measurements"])

_UID = Annotated[str, Field(max_length=64, pattern=r"^[0-9.]+$")]
_Identifier = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class MeasurementAnswer(Shape):
    """A measurement. Points in ``content`` are millimetres in the patient's coordinates."""

    measurement_id: str
    series_instance_uid: str
    sop_instance_uid: str
    frame_number: int
    tool: str
    label: str
    content: dict[str, Any]
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime


class MeasurementRequest(BaseModel):
    """A measurement to keep. ``frame_number`` counts from 1."""

    series_instance_uid: _UID
    sop_instance_uid: _UID
    frame_number: int = Field(ge=1)
    tool: str = Field(max_length=64)
    label: str = Field(default="", max_length=200)
    content: dict[str, Any]


class ArchivedObjectAnswer(Shape):
    """A DICOM object that was written. ``subject`` is the view that it keeps; empty otherwise."""

    kind: str
    subject: str
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    instance_number: int
    written_at: datetime


class ArchivingRequestAnswer(Shape):
    """The latest request. ``done_at`` is null while it waits; ``failure``: what is not written."""

    requested_by: str
    requested_at: datetime
    done_at: datetime | None
    failure: str


class ArchivingAnswer(Shape):
    """What was asked for, and what is in the archive."""

    request: ArchivingRequestAnswer | None
    objects: list[ArchivedObjectAnswer]


class PreferenceRequest(BaseModel):
    """What the user chose: any JSON value."""

    value: Any


@router.get("/api/studies/{study_instance_uid}/measurements", summary="What was measured")
async def measurements(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> list[MeasurementAnswer]:
    """The study's measurements in the order they were made."""
    found = await web.pool.read(reading.measurements, viewer, study_instance_uid)
    return [MeasurementAnswer.model_validate(each) for each in found]


@router.put(
    "/api/studies/{study_instance_uid}/measurements/{measurement_id}",
    status_code=204,
    summary="Keep a measurement",
)
async def keep(
    web: InWeb,
    actor: SignedIn,
    study_instance_uid: str,
    measurement_id: _Identifier,
    body: MeasurementRequest,
) -> None:
    """Keep the measurement under an identifier that its author made."""
    drawn = DrawnMeasurement(
        series_instance_uid=body.series_instance_uid,
        sop_instance_uid=body.sop_instance_uid,
        frame_number=body.frame_number,
        tool=body.tool,
        label=body.label,
        content=body.content,
    )
    await web.pool.run(
        reading.keep_measurement,
        actor,
        study_instance_uid,
        measurement_id,
        drawn,
        now=web.clock(),
    )


@router.delete(
    "/api/studies/{study_instance_uid}/measurements/{measurement_id}",
    status_code=204,
    summary="Remove a measurement",
)
async def remove(
    web: InWeb, actor: SignedIn, study_instance_uid: str, measurement_id: _Identifier
) -> None:
    """Remove the measurement; one that is gone already stays so."""
    await web.pool.run(
        reading.remove_measurement, actor, study_instance_uid, measurement_id, now=web.clock()
    )


@router.post(
    "/api/studies/{study_instance_uid}/archived-findings",
    status_code=202,
    summary="Write what was found into the archive",
)
async def archive(web: InWeb, actor: SignedIn, study_instance_uid: str) -> None:
    """Have measurements written as SR and SEG, key images as KOS, saved views as GSPS."""
    await web.pool.run(reading.request_archiving, actor, study_instance_uid, now=web.clock())


@router.get(
    "/api/studies/{study_instance_uid}/archived-findings",
    summary="What was written into the archive",
)
async def archived(web: InWeb, viewer: StudyViewer, study_instance_uid: str) -> ArchivingAnswer:
    """The latest request to write the study's findings, and the objects that are there."""
    found = await web.pool.read(reading.archived, viewer, study_instance_uid)
    return ArchivingAnswer.model_validate(found)


@router.get("/api/preferences", summary="What the user chose for the workspace")
async def preferences(web: InWeb, actor: SignedIn) -> dict[str, Any]:
    """Every preference by its name."""
    found = await web.pool.read(reading.preferences, actor)
    return {each.name: each.value for each in found}


@router.put("/api/preferences/{name}", status_code=204, summary="Remember a choice")
async def prefer(
    web: InWeb,
    actor: SignedIn,
    name: Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")],
    body: PreferenceRequest,
) -> None:
    """Remember what the user chose under ``name``."""
    await web.pool.run(reading.prefer, actor, Preference(name, body.value), now=web.clock())
