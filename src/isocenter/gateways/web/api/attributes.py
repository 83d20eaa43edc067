"""Attributes that searches know beyond the archive's own, and reading what is stored for them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.archive.model_attributes import (
    AttributeLevel,
    AttributeState,
    IndexedAttribute,
    ReindexState,
    new_attribute,
)
from isocenter.domain.archive.service import attributes
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.web import InWeb, SignedIn, SystemViewer
from isocenter.standards.dicomweb.attribute_levels import level_of

router = APIRouter(prefix="/api/attributes", tags=["attributes"])


class AttributeRequest(BaseModel):
    """An attribute by keyword or tag; of a private one with its creator and VR."""

    attribute: str = Field(min_length=1, max_length=64)
    private_creator: str = Field(default="", max_length=64)
    vr: str = Field(default="", max_length=2)
    level: AttributeLevel | None = None


class AttributeAnswer(Shape):
    """An indexed attribute; searches know it when it is ready. A private tag has no block."""

    attribute_key: int
    tag: str
    private_creator: str
    name: str
    vr: str
    level: AttributeLevel
    state: AttributeState
    added_at: datetime
    added_by: str


class ReindexErrorAnswer(Shape):
    """What could not be indexed, and why."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    attribute: str
    detail: str


class ReindexAnswer(Shape):
    """The reading of everything that is stored: the one that runs, or the last one."""

    state: ReindexState
    started_at: datetime
    started_by: str
    ended_at: datetime | None
    ended_by: str | None
    series_total: int
    series: int
    instances: int
    errors: int


class ReindexReport(BaseModel):
    """A reading, and what it could not index. ``reindex`` is null before the first."""

    reindex: ReindexAnswer | None
    errors: list[ReindexErrorAnswer]


@router.get("", summary="Attributes that were added")
async def listed(web: InWeb, viewer: SystemViewer) -> list[AttributeAnswer]:
    """The attributes, the oldest first."""
    return [_answer(each) for each in await web.pool.read(attributes.indexed_attributes, viewer)]


def _answer(attribute: IndexedAttribute) -> AttributeAnswer:
    return AttributeAnswer(
        attribute_key=attribute.attribute_key,
        tag=f"{attribute.tag:08X}",
        private_creator=attribute.private_creator,
        name=attribute.name,
        vr=attribute.vr,
        level=attribute.level,
        state=attribute.state,
        added_at=attribute.added_at,
        added_by=attribute.added_by,
    )


@router.post("", status_code=201, summary="Have an attribute indexed")
async def add(
    web: InWeb, actor: SignedIn, viewer: SystemViewer, body: AttributeRequest
) -> AttributeAnswer:
    """Searches know it when all that is stored has been read."""
    new = new_attribute(
        body.attribute,
        private_creator=body.private_creator.strip(),
        vr=body.vr,
        level=body.level or "",
        default_level_of=level_of,
    )
    key = await web.pool.run(attributes.add_attribute, actor, new, now=web.clock())
    known = await web.pool.read(attributes.indexed_attributes, viewer)
    return next(_answer(each) for each in known if each.attribute_key == key)


@router.delete("/{attribute_key}", status_code=204, summary="Index an attribute no more")
async def remove(web: InWeb, actor: SignedIn, attribute_key: int) -> None:
    """Its values are forgotten; objects keep theirs."""
    await web.pool.run(attributes.remove_attribute, actor, attribute_key, now=web.clock())


@router.get("/reindex", summary="How far reading what is stored is")
async def progress(
    web: InWeb,
    viewer: SystemViewer,
    limit: Annotated[int, Query(ge=0, le=LIMIT_MAX)] = 100,
) -> ReindexReport:
    """The reading that runs, or the last one, and its first errors."""
    found = await web.pool.read(attributes.newest_reindex, viewer)
    if found is None:
        return ReindexReport(reindex=None, errors=[])
    errors = await web.pool.read(attributes.reindex_errors, viewer, found.reindex_key, limit=limit)
    return ReindexReport(
        reindex=ReindexAnswer.model_validate(found),
        errors=[ReindexErrorAnswer.model_validate(each) for each in errors],
    )


@router.post("/reindex", status_code=204, summary="Read everything that is stored again")
async def begin(web: InWeb, actor: SignedIn) -> None:
    """From the beginning; one that runs ends."""
    await web.pool.run(attributes.begin_reindex, actor, now=web.clock())


@router.post("/reindex/resume", status_code=204, summary="Go on with a cancelled reading")
async def resume(web: InWeb, actor: SignedIn) -> None:
    """Where it was."""
    await web.pool.run(attributes.resume_reindex, actor, now=web.clock())


@router.post("/reindex/cancel", status_code=204, summary="End the reading that runs")
async def cancel(web: InWeb, actor: SignedIn) -> None:
    """Attributes that it was for stay unknown to searches."""
    await web.pool.run(attributes.cancel_reindex, actor, now=web.clock())
