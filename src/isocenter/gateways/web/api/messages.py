"""The HL7 messages."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Page, Shape
from isocenter.gateways.web.audited import searched_messages
from isocenter.gateways.web.web import InWeb, MessageViewer

router = APIRouter(prefix="/api/messages", tags=["messages"])

HL7_TYPE = "application/hl7-v2"


class MessageAnswer(Shape):
    """A message as it crossed the wire, without its bytes."""

    message_key: int
    direction: Literal["in", "out"]
    peer: str
    control_id: str
    message_type: str
    acknowledgement_code: str | None
    patient_id: str | None
    accession_number: str | None
    effect: str
    error: str | None
    received_at: datetime


class WantedMessages(Shape):
    """Which messages to list."""

    direction: Literal["in", "out"] | None = None
    peer: str | None = None
    control_id: str | None = None
    message_type: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    with_error: bool = False
    received_from: datetime | None = None
    received_to: datetime | None = None
    after: int | None = None
    limit: int = 100


@router.get("", summary="HL7 messages, newest first")
async def messages(
    web: InWeb, viewer: MessageViewer, wanted: Annotated[WantedMessages, Query()]
) -> Page[MessageAnswer]:
    """Messages that fit."""
    limit = max(1, min(wanted.limit, LIMIT_MAX))
    asked = MessageFilter(**wanted.model_dump(exclude={"after", "limit"}), before=wanted.after)
    found = await web.pool.run(
        searched_messages,
        viewer,
        asked,
        limit=limit,
        look=web.look(),
    )
    following = str(found[-1].message_key) if len(found) == limit else None
    return Page(items=[MessageAnswer.model_validate(each) for each in found], next=following)


@router.get("/{message_key}", summary="An HL7 message")
async def message(web: InWeb, viewer: MessageViewer, message_key: int) -> MessageAnswer:
    """The message without its bytes."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    return MessageAnswer.model_validate(found)


@router.get("/{message_key}/raw", summary="The bytes of an HL7 message")
async def raw(web: InWeb, viewer: MessageViewer, message_key: int) -> Response:
    """The message as it crossed the wire."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    return Response(found.raw, media_type=HL7_TYPE)
