"""The audit record, read only."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditFilter
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Page, Shape
from isocenter.gateways.web.web import AuditViewer, InWeb

router = APIRouter(prefix="/api/audit", tags=["audit"])


class RecordAnswer(Shape):
    """One recorded act. ``chain_position`` is null until it is sealed."""

    record_key: int
    recorded_at: datetime
    action: str
    outcome: str
    actor: str
    actor_kind: str
    source: str
    object_type: str
    object_id: str
    patient_id: str | None
    detail: dict[str, Any]
    chain_position: int | None


class WantedRecords(Shape):
    """Which records to list."""

    patient_id: str | None = None
    actor: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    after: int | None = None
    limit: int = 100


@router.get("", summary="Recorded acts, newest first")
async def records(
    web: InWeb, viewer: AuditViewer, wanted: Annotated[WantedRecords, Query()]
) -> Page[RecordAnswer]:
    """Records that fit."""
    del viewer  # made, so permitted
    limit = max(1, min(wanted.limit, LIMIT_MAX))
    asked = AuditFilter(**wanted.model_dump(exclude={"after", "limit"}), before=wanted.after)
    found = await web.pool.read(audit.search, asked, limit=limit)
    following = str(found[-1].record_key) if len(found) == limit else None
    return Page(items=[RecordAnswer.model_validate(each) for each in found], next=following)
