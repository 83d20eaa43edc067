"""The HL7 messages: found, read, explained, compared and processed again."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.domain.peers.model_mending import mend_of
from isocenter.domain.peers.model_replay import RATE_PER_S_MAX, REPLAYS_AT_ONCE_MAX, ReplayWish
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Page, Shape
from isocenter.gateways.web.audited import searched_messages
from isocenter.gateways.web.web import InWeb, MessageViewer, SignedIn
from isocenter.standards.hl7v2.difference import differences
from isocenter.standards.hl7v2.er7 import parse

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
    replay_of: int | None
    reason: str | None
    requested_by: str | None
    control_id_reused: bool


class OneMessageAnswer(MessageAnswer):
    """A message, its answer, and of a refused one what may help."""

    acknowledgement: str | None = None
    mend: str | None = None


class InfluenceAnswer(Shape):
    """What a field of a message is for: the facts that it sets; without some it is refused."""

    place: str
    facts: list[str]
    required: bool


class MeaningAnswer(Shape):
    """What a message means to us: facts by their path, and which field says what."""

    answer: str
    refusal: str
    facts: dict[str, str]
    influences: list[InfluenceAnswer]


class DifferenceAnswer(Shape):
    """A field that two messages have differently."""

    place: str
    before: str
    after: str


class ReplayAnswer(Shape):
    """A message that is to be processed again, or was: ``result_key`` is what it became."""

    replay_key: int
    reason: str
    requested_by: str
    requested_at: datetime
    due_at: datetime
    done_at: datetime | None
    canceled_at: datetime | None
    result_key: int | None


class ReplayBody(BaseModel):
    """Why a message is processed again; ``edited`` is what to process instead."""

    reason: str
    edited: str | None = None


class BulkReplayBody(BaseModel):
    """Which messages are processed again, why, and how many a second."""

    message_keys: list[int] = Field(min_length=1, max_length=REPLAYS_AT_ONCE_MAX)
    reason: str
    rate_per_s: float = Field(default=20.0, gt=0, le=RATE_PER_S_MAX)


class ReplayedAnswer(Shape):
    """How many messages wait to be processed again because of this."""

    count: int


class WantedMessages(Shape):
    """Which messages to list."""

    direction: Literal["in", "out"] | None = None
    peer: str | None = None
    control_id: str | None = None
    message_type: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    order_number: str | None = None
    text: str | None = None
    with_error: bool = False
    control_id_reused: bool = False
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
async def message(web: InWeb, viewer: MessageViewer, message_key: int) -> OneMessageAnswer:
    """The message without its bytes."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    listed = MessageAnswer.model_validate(found)
    answered = found.acknowledgement
    mend = mend_of(answered) if found.error else None
    return OneMessageAnswer(
        **listed.model_dump(),
        acknowledgement=answered.decode("utf-8", "replace") if answered else None,
        mend=mend.text if mend else None,
    )


@router.get("/{message_key}/raw", summary="The bytes of an HL7 message")
async def raw(web: InWeb, viewer: MessageViewer, message_key: int) -> Response:
    """The message as it crossed the wire."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    return Response(found.raw, media_type=HL7_TYPE)


@router.get("/{message_key}/meaning", summary="What an HL7 message means")
async def meaning(web: InWeb, viewer: MessageViewer, message_key: int) -> MeaningAnswer:
    """What the message says in our words, and which of its fields says what."""
    found = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    peer = await web.pool.read(peers.hl7_peer, found.peer)
    told = await web.pool.call(web.hl7.meaning, found, peer)
    said = await web.pool.call(web.hl7.influences, found, peer)
    return MeaningAnswer(
        answer=told.answer,
        refusal=told.refusal,
        facts=dict(told.facts),
        influences=[InfluenceAnswer.model_validate(each) for each in said],
    )


@router.get("/{message_key}/differences/{other_key}", summary="What two messages say differently")
async def different(
    web: InWeb, viewer: MessageViewer, message_key: int, other_key: int
) -> list[DifferenceAnswer]:
    """The fields that the second message has otherwise than the first. 400 when one is no HL7."""
    first = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    second = await web.pool.run(peers.message, viewer.actor, other_key, now=web.clock())
    found = differences(parse(first.raw), parse(second.raw))
    return [DifferenceAnswer.model_validate(each) for each in found]


@router.get("/{message_key}/replays", summary="When a message was processed again")
async def replays(web: InWeb, viewer: MessageViewer, message_key: int) -> list[ReplayAnswer]:
    """When, why and by whom, latest first."""
    found = await web.pool.read(peers.replays_of, viewer.actor, message_key)
    return [ReplayAnswer.model_validate(each) for each in found]


@router.post("/{message_key}/replay", status_code=202, summary="Process a message again")
async def replay(web: InWeb, actor: SignedIn, message_key: int, body: ReplayBody) -> ReplayedAnswer:
    """A message that came in is processed again, as it was or edited; the sender is not told."""
    wanted = ReplayWish(body.reason, edited_bytes(body.edited))
    keys = await web.pool.run(peers.process_again, actor, [message_key], wanted, now=web.clock())
    return ReplayedAnswer(count=len(keys))


@router.post("/replay", status_code=202, summary="Process messages again")
async def replay_many(web: InWeb, actor: SignedIn, body: BulkReplayBody) -> ReplayedAnswer:
    """Messages are processed again, the oldest first, so many a second."""
    wanted = ReplayWish(body.reason, rate_per_s=body.rate_per_s)
    keys = await web.pool.run(
        peers.process_again, actor, body.message_keys, wanted, now=web.clock()
    )
    return ReplayedAnswer(count=len(keys))


@router.delete("/replay", summary="Stop processing messages again")
async def cancel(web: InWeb, actor: SignedIn) -> ReplayedAnswer:
    """What still waits is not processed again."""
    return ReplayedAnswer(count=await web.pool.run(peers.cancel_replays, actor, now=web.clock()))


def edited_bytes(text: str | None) -> bytes | None:
    """An edited message as bytes: segments end with <CR>, whatever the form made of them."""
    if text is None:
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").split("\n")
    return ("\r".join(lines) + "\r").encode()
