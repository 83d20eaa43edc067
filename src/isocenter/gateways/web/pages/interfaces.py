"""HL7 interfaces: how they are, and changing one safely."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Actor, Viewer
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import (
    HL7_RECEIVED,
    HL7_SENT,
    REPORT_FORMS,
    BadPeer,
    Hl7Peer,
)
from isocenter.domain.peers.model_meaning import Change
from isocenter.domain.peers.model_traffic import Silence, TrafficHour, usual_now
from isocenter.domain.peers.model_versions import (
    Golden,
    PeerVersion,
    Trial,
    VersionUnknown,
    described,
    difference,
)
from isocenter.gateways.web.pages.messages import fact_words
from isocenter.gateways.web.web import InWeb, PeerViewer, SignedIn, Web, seen_after
from isocenter.infra.db import Tx
from isocenter.readmodels import interface_health
from isocenter.readmodels.interface_health import InterfaceHealth

router = APIRouter(include_in_schema=False)

_SETS = {"receive": HL7_RECEIVED, "send": HL7_SENT, "report_forms": REPORT_FORMS}
_TEXTS = frozenset({"field_map", "received_map"})
# What tells a peer from others is no matter of its configuration.
_FIXED = frozenset({"name"})
_LABELS = {
    "host": "Host",
    "port": "Port",
    "send": "Gets from us",
    "receive": "May send to us",
    "application": "Application (MSH-3)",
    "facility": "Facility (MSH-4)",
    "assigning_authority": "Assigning authority of its patient IDs",
    "version": "HL7 version",
    "character_set": "Character set (MSH-18)",
    "ack_timeout_s": "Seconds to wait for an acknowledgement",
    "result_statuses": "Result statuses that it takes (OBR-25)",
    "order_message": "Orders are told by ORM, OMG or OMI (empty: as usual)",
    "patient_update": "Changed demographics are told by A31 or A08",
    "report_forms": "Reports go as",
    "field_map": "What our messages to it say otherwise, field by field",
    "received_map": "As what its messages are read, field by field",
    "trusted_authorities": "Authorities whose patient IDs are kept (empty: as the site says)",
    "order_responses": "Its orders are answered by ORR, ORG or ORI",
    "sequence_numbers": "Sequence numbers of its messages are checked (MSH-13)",
    "sequence_numbers_sent": "Our messages to it have sequence numbers (MSH-13)",
    "ordering": "What is kept in order",
    "rate_per_s_max": "Most messages a second (0: as many as it takes)",
    "gap_s": "Seconds between two messages",
    "tls": "TLS",
    "enabled": "Enabled",
}


@dataclass(frozen=True, slots=True)
class InterfaceView:
    """A peer's health, and what is usual."""

    health: InterfaceHealth
    silence: Silence | None
    usual_per_hour: float


@dataclass(frozen=True, slots=True)
class AttributeView:
    """An attribute of a peer as a form field: a list of choices, a check box, or text.

    ``is_long``: a text of several lines.
    """

    name: str
    label: str
    value: Any
    choices: list[str]
    is_long: bool = False


class SendForm(BaseModel):
    """A message to be sent now."""

    message: str
    reason: str
    is_test: bool = False


@router.get("/interfaces")
async def show(request: Request, web: InWeb, viewer: PeerViewer) -> Response:
    """Every HL7 interface: last messages, errors, queue, answer times, silence."""
    found = await web.pool.read(_interfaces, viewer, web, now=web.clock())
    return web.page(request, "interfaces.html", {"interfaces": found})


def _interfaces(tx: Tx, viewer: Viewer, web: Web, *, now: datetime) -> list[InterfaceView]:
    silent = {
        each.peer: each for each in peers.silences(tx, viewer.actor, now=now, zone=web.hl7.zone)
    }
    hours = peers.received_hours(tx, viewer.actor, now=now)
    return [
        InterfaceView(
            each,
            silent.get(each.peer),
            usual_now(_of(hours, each.peer), now=now, zone=web.hl7.zone),
        )
        for each in interface_health.interfaces(tx, viewer, now=now)
    ]


def _of(hours: list[TrafficHour], peer: str) -> list[TrafficHour]:
    return [each for each in hours if each.peer == peer]


@dataclass(frozen=True, slots=True)
class _Interface:
    peer: Hl7Peer
    versions: list[PeerVersion]
    golden: list[Golden]


def _open(tx: Tx, actor: Actor, name: str) -> _Interface:
    return _Interface(
        peers.hl7_peer(tx, name),
        peers.hl7_versions(tx, actor, name),
        peers.golden_messages(tx, actor, name),
    )


@router.get("/interfaces/{name}")
async def show_one(request: Request, web: InWeb, viewer: PeerViewer, name: str) -> Response:
    """One interface: its configuration, versions, golden messages."""
    opened = await web.pool.read(_open, viewer.actor, name)
    context = {
        "section": "/interfaces",
        "peer": opened.peer,
        "attributes": attributes_of(opened.peer),
        "versions": [(each, named(difference(opened.peer, each.peer))) for each in opened.versions],
        "golden": opened.golden,
    }
    return web.page(request, "interface.html", context)


@router.get("/interfaces/{name}/versions/{version}")
async def try_version(
    request: Request, web: InWeb, viewer: PeerViewer, name: str, version: int
) -> Response:
    """What a version would change in what was said lately."""
    opened = await web.pool.read(_open, viewer.actor, name)
    wanted = next((each for each in opened.versions if each.version == version), None)
    if wanted is None:
        raise VersionUnknown(f"{name} has no version {version}")
    pair = (opened.peer, wanted.peer)
    received, sent = await web.pool.read(web.hl7.tried, viewer.actor, pair)
    context = {
        "section": "/interfaces",
        "peer": opened.peer,
        "version": wanted,
        "changes": named(difference(*pair)),
        "received": received,
        "sent": sent,
        "fact_words": fact_words,
    }
    return web.page(request, "interface_trial.html", context)


@router.get("/interfaces/{name}/verify")
async def verify(request: Request, web: InWeb, viewer: PeerViewer, name: str) -> Response:
    """The golden messages that mean something else today."""
    trial: Trial = await web.pool.read(web.hl7.verified, viewer.actor, name)
    context = {
        "section": "/interfaces",
        "name": name,
        "trial": trial,
        "fact_words": fact_words,
    }
    return web.page(request, "interface_verify.html", context)


@router.post("/interfaces/{name}/versions")
async def draft(request: Request, web: InWeb, actor: SignedIn, name: str) -> Response:
    """A draft of another configuration."""
    form = await request.form()
    current = await web.pool.read(peers.hl7_peer, name)
    changed: dict[str, Any] = {}
    for each in attributes_of(current):
        given = [str(value) for value in form.getlist(each.name)]
        changed[each.name] = typed(each, given)
    note = str(form.get("note", ""))
    made = await web.pool.run(
        peers.draft_hl7_version, actor, name, changed, note=note, now=web.clock()
    )
    return seen_after(f"/interfaces/{name}/versions/{made.version}", "drafted")


@router.post("/interfaces/{name}/versions/{version}/promote")
async def promote(web: InWeb, actor: SignedIn, name: str, version: int) -> Response:
    """The version that counts from now on."""
    await web.pool.run(peers.promote_hl7_version, actor, name, version, now=web.clock())
    return seen_after(f"/interfaces/{name}", "promoted")


@router.post("/interfaces/{name}/versions/{version}/discard")
async def discard(web: InWeb, actor: SignedIn, name: str, version: int) -> Response:
    """A draft forgotten."""
    await web.pool.run(peers.discard_hl7_draft, actor, name, version, now=web.clock())
    return seen_after(f"/interfaces/{name}", "draft_discarded")


@router.post("/interfaces/{name}/golden/{golden_key}/forget")
async def forget(web: InWeb, actor: SignedIn, name: str, golden_key: int) -> Response:
    """A golden message that is no longer verified."""
    await web.pool.run(peers.forget_golden, actor, golden_key, now=web.clock())
    return seen_after(f"/interfaces/{name}", "golden_forgotten")


@router.post("/interfaces/{name}/send")
async def send(
    web: InWeb, actor: SignedIn, name: str, form: Annotated[SendForm, Form()]
) -> Response:
    """A message sent to the peer now, and what it answered."""
    # The request may end before the answer comes; the message and its answer are kept all the same.
    key = await asyncio.shield(
        web.hl7.send(
            web.pool,
            actor,
            name,
            form.message.replace("\r\n", "\r").replace("\n", "\r").encode(),
            reason=form.reason,
            is_test=form.is_test,
        )
    )
    return seen_after(f"/messages/{key}")


def attributes_of(peer: Hl7Peer) -> list[AttributeView]:
    """The attributes of a peer that may be changed, in their order."""
    return [
        AttributeView(
            name,
            _LABELS.get(name, name.replace("_", " ").capitalize()),
            ", ".join(value) if isinstance(value, list) and name not in _SETS else value,  # pyright: ignore[reportUnknownArgumentType]
            sorted(_SETS.get(name, ())),
            is_long=name in _TEXTS,
        )
        for name, value in described(peer).items()
        if name not in _FIXED
    ]


def typed(attribute: AttributeView, given: list[str]) -> Any:
    """What a form says of an attribute, as the value that it has. Raises ``BadPeer``."""
    usual = getattr(Hl7Peer("usual", "usual"), attribute.name)
    if attribute.choices:
        return given
    text = given[-1].strip() if given else ""
    try:
        match usual:
            case bool():
                return bool(text)
            case frozenset():
                return [each.strip() for each in text.split(",") if each.strip()]
            case float():
                return float(text)
            case int():
                return int(text)
            case _:
                if not text:
                    return None if usual is None else ""
                return int(text) if attribute.name == "port" else text
    except ValueError as error:
        raise BadPeer(f"{attribute.label} is a number") from error


def named(found: list[Change]) -> list[Change]:
    """Changes of a configuration with the labels of its attributes."""
    return [
        Change(
            _LABELS.get(each.path, each.path.replace("_", " ").capitalize()),
            each.before,
            each.after,
        )
        for each in found
    ]
