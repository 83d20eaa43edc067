"""Images of a study that belong to another: taken from it, and put back."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.archive import service as archive
from isocenter.domain.reconcile import service as reconcile
from isocenter.gateways.web.api.reconciliation_shapes import ChangeAnswer
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.moving import Whose, split_wish
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer
from isocenter.infra.db import Tx

router = APIRouter(prefix="/api/reconciliation", tags=["reconciliation"])


class SplitRequest(BaseModel):
    """Which images, and where they belong: an order, else a patient, else nobody knows.

    Images of whole series that come later follow; single instances are named by their own UIDs.
    """

    series_instance_uids: list[str] = Field(default_factory=list[str], max_length=500)
    sop_instance_uids: list[str] = Field(default_factory=list[str], max_length=20_000)
    accession_number: str = Field(default="", max_length=64)
    patient_id: str = Field(default="", max_length=64)
    assigning_authority: str = Field(default="", max_length=64)
    reason: str = Field(min_length=1, max_length=400)


class PreviewQuery(BaseModel):
    """Which series, and where they belong."""

    series_instance_uid: list[str] = Field(max_length=500)
    accession_number: str = Field(default="", max_length=64)
    patient_id: str = Field(default="", max_length=64)
    assigning_authority: str = Field(default="", max_length=64)


class SplitAnswer(Shape):
    """A split. ``series`` are the Series Instance UIDs that the images have now, by their own."""

    split_key: int
    study_instance_uid: str
    to_study_instance_uid: str
    joins: bool
    reason: str
    split_by: str
    split_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    series: dict[str, str]
    number_of_instances: int


class SplitPreviewAnswer(Shape):
    """All that a split would touch, but for who holds the images."""

    joins: str
    order_state: str
    stays: str
    changes: list[ChangeAnswer]


class UndoRequest(BaseModel):
    """Why the images belong where they came."""

    reason: str = Field(min_length=1, max_length=400)


@router.get("/{study_instance_uid}/splits", summary="Splits of a study's images and into it")
async def splits(web: InWeb, viewer: StudyViewer, study_instance_uid: str) -> list[SplitAnswer]:
    """The newest first."""
    found = await web.pool.read(archive.splits_of, viewer, study_instance_uid)
    return [SplitAnswer.model_validate(each) for each in found]


@router.get("/{study_instance_uid}/split/preview", summary="All that a split would touch")
async def preview(
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    asked: Annotated[PreviewQuery, Query()],
) -> SplitPreviewAnswer:
    """What would change, without changing it."""
    whose = Whose(asked.accession_number, asked.patient_id, asked.assigning_authority)

    def load(tx: Tx) -> reconcile.SplitPreview:
        wish = split_wish(tx, (study_instance_uid, asked.series_instance_uid, ()), whose)
        return reconcile.preview_split(tx, viewer, wish)

    return SplitPreviewAnswer.model_validate(await web.pool.read(load))


@router.post("/{study_instance_uid}/split", status_code=201, summary="Split images off a study")
async def split(
    web: InWeb, actor: SignedIn, study_instance_uid: str, body: SplitRequest
) -> SplitAnswer:
    """The split; ``undo`` takes it back."""
    images = (study_instance_uid, body.series_instance_uids, body.sop_instance_uids)
    whose = Whose(body.accession_number, body.patient_id, body.assigning_authority)

    def decide(tx: Tx) -> SplitAnswer:
        wish = split_wish(tx, images, whose)
        made = reconcile.split(tx, actor, web.blobs, wish, reason=body.reason, now=web.clock())
        return SplitAnswer.model_validate(made)

    return await web.pool.run(decide)


@router.post("/splits/{split_key}/undo", status_code=204, summary="Put split images back")
async def undo(web: InWeb, actor: SignedIn, split_key: int, body: UndoRequest) -> None:
    """The images are where they came again."""
    await web.pool.run(
        reconcile.undo_split, actor, web.blobs, split_key, reason=body.reason, now=web.clock()
    )
