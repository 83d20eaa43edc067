"""The HL7 messages: what came or went, what it means, what it did; and doing it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import (
    Hl7Peer,
    MessageFilter,
    PeerUnknown,
    RecordedMessage,
)
from isocenter.domain.peers.model_meaning import Influence, Meaning
from isocenter.domain.peers.model_mending import mend_of
from isocenter.domain.peers.model_replay import REPLAYS_AT_ONCE_MAX, Replay, ReplayWish
from isocenter.gateways.web.api.messages import edited_bytes
from isocenter.gateways.web.audited import searched_messages
from isocenter.gateways.web.paging import next_url, row_key
from isocenter.gateways.web.web import InWeb, MessageViewer, SignedIn, seen_after
from isocenter.infra.db import Tx
from isocenter.standards import ProtocolError
from isocenter.standards.hl7v2 import er7
from isocenter.standards.hl7v2.difference import differences

router = APIRouter(include_in_schema=False)

_FIELD_LENGTH_SHOWN = 2_000
# orders[1].order.priority: the first step says it all.
_SAID_BY_THEIR_PARENT = frozenset({"order", "event", "control"})


@dataclass(frozen=True, slots=True)
class FieldView:
    """One valued field of a segment, as it stands in the message, and what it is for."""

    position: int
    text: str
    facts: list[str] = field(default_factory=list[str])
    required: bool = False


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
    order_number: str = ""
    patient_id: str = ""
    text: str = ""
    direction: str = ""
    with_error: str = ""
    control_id_reused: str = ""
    before: str = ""

    def wanted(self) -> MessageFilter:
        """The messages that are asked for."""
        return MessageFilter(
            direction=self.direction if self.direction in {"in", "out"} else None,
            control_id=self.control_id.strip() or None,
            message_type=self.message_type.strip() or None,
            peer=self.peer.strip() or None,
            accession_number=self.accession_number.strip() or None,
            order_number=self.order_number.strip() or None,
            patient_id=self.patient_id.strip() or None,
            text=self.text.strip() or None,
            with_error=bool(self.with_error),
            control_id_reused=bool(self.control_id_reused),
            before=row_key(self.before),
        )


class ReplayForm(BaseModel):
    """Why a message is processed again, and what instead of it."""

    reason: str
    edited: str | None = None


class BulkForm(Filters):
    """Why the messages that the filters find are processed again."""

    reason: str
    rate_per_s: float = 20.0


class GoldenForm(BaseModel):
    """A message's name among those that are verified."""

    title: str = ""


@router.get("/messages")
async def show(
    request: Request, web: InWeb, viewer: MessageViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Messages, newest first."""
    rows = web.options.page_rows
    found = await web.pool.run(
        searched_messages,
        viewer,
        filters.wanted(),
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
        "replays_waiting": await web.pool.read(peers.replays_waiting, viewer.actor),
        "at_once_max": REPLAYS_AT_ONCE_MAX,
    }
    return web.page(request, "messages.html", context)


@router.post("/messages/replay")
async def replay_found(web: InWeb, actor: SignedIn, form: Annotated[BulkForm, Form()]) -> Response:
    """Every message that came in and that the filters find, processed again."""
    await web.pool.run(_replay_found, actor, form, now=web.clock())
    return seen_after("/messages", "processing_again")


def _replay_found(tx: Tx, actor: Actor, form: BulkForm, *, now: datetime) -> None:
    wanted = replace(form.wanted(), direction="in", before=None)
    keys = peers.found_keys(tx, actor, wanted, limit=REPLAYS_AT_ONCE_MAX)
    wish = ReplayWish(form.reason, rate_per_s=form.rate_per_s)
    if keys:
        peers.process_again(tx, actor, keys, wish, now=now)


@router.post("/messages/replay/cancel")
async def cancel_replays(web: InWeb, actor: SignedIn) -> Response:
    """Nothing more processed again."""
    await web.pool.run(peers.cancel_replays, actor, now=web.clock())
    return seen_after("/messages", "replays_canceled")


@dataclass(frozen=True, slots=True)
class Opened:
    """One message and what belongs to it."""

    message: RecordedMessage
    peer: Hl7Peer | None
    before: int | None
    replays: list[Replay]


def _open(tx: Tx, actor: Actor, message_key: int, *, now: datetime) -> Opened:
    found = peers.message(tx, actor, message_key, now=now)
    try:
        peer = peers.hl7_peer(tx, found.peer)
    except PeerUnknown:
        peer = None
    return Opened(
        found,
        peer,
        peers.message_before(tx, actor, found),
        peers.replays_of(tx, actor, message_key),
    )


@router.get("/messages/{message_key}")
async def show_one(
    request: Request, web: InWeb, viewer: MessageViewer, message_key: int
) -> Response:
    """One message: its effect, what each field is for, its bytes."""
    opened = await web.pool.run(_open, viewer.actor, message_key, now=web.clock())
    message, peer = opened.message, opened.peer
    told: Meaning | None = None
    said: list[Influence] = []
    if message.direction == "in" and peer is not None:
        told = await web.pool.call(web.hl7.meaning, message, peer)
        said = await web.pool.call(web.hl7.influences, message, peer)
    context = {
        "section": "/messages",
        "message": message,
        "peer": peer,
        "before": opened.before,
        "replays": opened.replays,
        "meaning": told,
        "mend": mend_of(message.acknowledgement) if message.error else None,
        "segments": segments_of(message.raw, {each.place: each for each in said}),
        "raw": readable(message.raw),
        "raw_size": len(message.raw),
        "acknowledgement": readable(message.acknowledgement) if message.acknowledgement else "",
    }
    return web.page(request, "message.html", context)


@router.get("/messages/{message_key}/compare/{other_key}")
async def compare(
    request: Request, web: InWeb, viewer: MessageViewer, message_key: int, other_key: int
) -> Response:
    """What the second message says otherwise than the first."""
    first = await web.pool.run(peers.message, viewer.actor, message_key, now=web.clock())
    second = await web.pool.run(peers.message, viewer.actor, other_key, now=web.clock())
    context = {
        "section": "/messages",
        "first": first,
        "second": second,
        "differences": differences(er7.parse(first.raw), er7.parse(second.raw)),
    }
    return web.page(request, "message_compare.html", context)


@router.post("/messages/{message_key}/replay")
async def replay(
    web: InWeb, actor: SignedIn, message_key: int, form: Annotated[ReplayForm, Form()]
) -> Response:
    """The message processed again, as it was or edited."""
    wish = ReplayWish(form.reason, edited_bytes(form.edited))
    await web.pool.run(peers.process_again, actor, [message_key], wish, now=web.clock())
    return seen_after(f"/messages/{message_key}", "processing_again")


@router.post("/messages/{message_key}/golden")
async def keep_golden(
    web: InWeb, actor: SignedIn, message_key: int, form: Annotated[GoldenForm, Form()]
) -> Response:
    """The message kept among those that must always mean the same."""
    await web.pool.run(web.hl7.keep_golden, actor, message_key, form.title)
    return seen_after(f"/messages/{message_key}", "golden_kept")


def segments_of(raw: bytes, said: Mapping[str, Influence] | None = None) -> list[SegmentView]:
    """The message's segments with their valued fields; none when it cannot be read.

    Standard: HL7 v2.5.1 2.5
    """
    try:
        message = er7.parse(raw)
    except ProtocolError:
        return []
    counts: dict[str, int] = {}
    views: list[SegmentView] = []
    for segment in message.segments:
        turn = counts[segment.name] = counts.get(segment.name, 0) + 1
        name = segment.name if turn == 1 else f"{segment.name}[{turn}]"
        views.append(SegmentView(segment.name, _fields(segment, name, said or {})))
    return views


def _fields(segment: er7.Segment, name: str, said: Mapping[str, Influence]) -> list[FieldView]:
    views: list[FieldView] = []
    for position in range(1, segment.field_count() + 1):
        text = segment.raw_field(position)
        if not text:
            continue
        known = said.get(f"{name}-{position}")
        facts = [fact_words(each) for each in known.facts] if known else []
        shown = text if len(text) <= _FIELD_LENGTH_SHOWN else text[:_FIELD_LENGTH_SHOWN] + "…"
        views.append(FieldView(position, shown, facts, known.required if known else False))
    return views


def fact_words(path: str) -> str:
    """A fact's path as words: ``orders[1].order.priority`` is ``order 1: priority``."""
    steps = [each for each in path.split(".") if each not in _SAID_BY_THEIR_PARENT]
    words: list[str] = []
    for step in steps:
        name, _, number = step.partition("[")
        plain = name.replace("_", " ")
        if number:
            plain = f"{plain.removesuffix('s')} {number.rstrip(']')}"
        words.append(plain)
    return ": ".join(words)


def readable(raw: bytes) -> str:
    """The bytes as text for the eye: each segment on a line, what is no UTF-8 marked."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n\x0b\x1c")
