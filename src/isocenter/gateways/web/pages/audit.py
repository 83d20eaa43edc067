"""The audit record, read by people."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditFilter
from isocenter.gateways.web.paging import next_url, row_key
from isocenter.gateways.web.web import AuditViewer, InWeb

router = APIRouter(include_in_schema=False)


class Filters(BaseModel):
    """The search form."""

    actor: str = ""
    action: str = ""
    patient_id: str = ""
    object_id: str = ""
    before: str = ""


@router.get("/audit")
async def show(
    request: Request, web: InWeb, viewer: AuditViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Recorded acts, newest first."""
    del viewer  # made, so permitted
    wanted = AuditFilter(
        actor=filters.actor.strip() or None,
        action=filters.action.strip() or None,
        patient_id=filters.patient_id.strip() or None,
        object_id=filters.object_id.strip() or None,
        before=row_key(filters.before),
    )
    rows = web.options.page_rows
    found = await web.pool.read(audit.search, wanted, limit=rows)
    following = next_url(request, before=found[-1].record_key) if len(found) == rows else None
    context = {
        "section": "/audit",
        "records": found,
        "filters": filters,
        "filtered": any(filters.model_dump(exclude={"before"}).values()),
        "next_url": following,
    }
    return web.page(request, "audit.html", context)
