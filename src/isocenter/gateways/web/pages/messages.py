"""The HL7 messages: what came or went, what was answered, what it did."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.gateways.web.audited import searched_messages
from isocenter.gateways.web.paging import next_url, row_key
from isocenter.gateways.web.web import InWeb, MessageViewer
from isocenter.standards import ProtocolError
from isocenter.standards.hl7v2 import er7

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class FieldView:
    """One valued field of a segment, as it stands in the message."""

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One segment and its valued fields."""

    name: str
    fields: list[FieldView]


class Filters(BaseModel):
    """The search form."""

    control_id: str = ""
    message_type: str = ""
    peer: str = ""
    accession_number: str = ""
    patient_id: str = ""
    with_error: str = ""
    before: str = ""


@router.get("/messages")
async def show(
    request: Request, web: InWeb, viewer: MessageViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Messages, newest first."""
    wanted = MessageFilter(
        control_id=filters.control_id.strip() or None,
        message_type=filters.message_type.strip() or None,
        peer=filters.peer.strip() or None,
        accession_number=filters.accession_number.strip() or None,
        patient_id=filters.patient_id.strip() or None,
        with_error=bool(filters.with_error),
        before=row_key(filters.before),
    )
    rows = web.options.page_rows
    found = await web.pool.run(
        searched_messages,
        viewer,
        wanted,
        limit=rows,
        look=web.look(),
    )
    following = next_url(request, before=found[-1].message_key) if len(found) == rows else None
    context = {
        "section": "/messages",
        "messages": found,
        "filters": filters,
        "filtered": any(filters.model_dump(exclude={"before"}).values()),
        "next_url": following,
    }
    return web.page(request, "messages.html", context)


@router.get("/messages/{message_key}")
async def show_one(
    request: Request, web: InWeb, viewer: MessageViewer, message_key: int
) -> Response:
    """One message: its effect, its segments, its bytes."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    context = {
        "section": "/messages",
        "message": found,
        "segments": segments_of(found.raw),
        "raw": readable(found.raw),
        "raw_size": len(found.raw),
        "acknowledgement": readable(found.acknowledgement) if found.acknowledgement else "",
    }
    return web.page(request, "message.html", context)


def segments_of(raw: bytes) -> list[SegmentView]:
    """The message's segments with their valued fields; none when it cannot be read.

    Standard: HL7 v2.5.1 2.5
    """
    try:
        message = er7.parse(raw)
    except ProtocolError:
        return []
    return [
        SegmentView(
            segment.name,
            [
                FieldView(position, segment.raw_field(position))
                for position in range(1, segment.field_count() + 1)
                if segment.raw_field(position)
            ],
        )
        for segment in message.segments
    ]


def readable(raw: bytes) -> str:
    """The bytes as text for the eye: each segment on a line, what is no UTF-8 marked."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n\x0b\x1c")
