"""What happens, as it happens: server-sent events."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from isocenter.domain.access.model import Action, authorize
from isocenter.gateways.web.web import InWeb, SignedIn

router = APIRouter(prefix="/api/events", tags=["events"])

_HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "",
    summary="Follow what happens (text/event-stream)",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def follow(
    web: InWeb,
    actor: SignedIn,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> StreamingResponse:
    """Events that the caller may know of, from now on, or from behind Last-Event-ID on.

    Data: ``{"id", "name", "subject", "occurred_at", "ids"}``; identifiers only. An event of type
    ``reset`` means that some were left out.
    """
    authorize(actor, Action.EXAM_READ)
    start = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
    stream = await web.feed.stream(actor, start)
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)
