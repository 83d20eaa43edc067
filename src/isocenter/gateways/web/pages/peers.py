"""Peers: who may speak with us, and who asked to."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import (
    DICOM_PERMISSIONS,
    DICOM_PORT_USUAL,
    HL7_RECEIVED,
    HL7_SENT,
    DicomPeer,
    Hl7Peer,
    PendingCaller,
)
from isocenter.domain.peers.model_quirks import QUIRKS
from isocenter.gateways.web.web import InWeb, PeerViewer, SignedIn, seen_after
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)

# What a caller that nobody introduced most probably is: a scanner, or an information system.
_SUGGESTED = {"dicom": frozenset({"store", "worklist"}), "hl7": frozenset({"adt", "orm"})}
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Right:
    """A permission as a check box."""

    value: str
    suggested: bool


@dataclass(frozen=True, slots=True)
class PendingView:
    """A pending caller with what is proposed for it."""

    caller: PendingCaller
    suggested_name: str
    rights: list[Right]


class DicomForm(BaseModel):
    """A DICOM peer typed in."""

    name: str
    ae_title: str
    host: str
    port: int = Field(ge=1, le=_PORT_MAX)
    allow: list[str] = []
    identity_required: bool = False
    steps_forwarded: bool = False
    steps_notified: bool = False


class QuirksForm(BaseModel):
    """How a DICOM peer strays from the standard, all of it."""

    quirks: list[str] = []


class Hl7Form(BaseModel):
    """An HL7 peer typed in."""

    name: str
    host: str
    port: str = ""
    application: str = ""
    receive: list[str] = []
    send: list[str] = []


class DecisionForm(BaseModel):
    """What becomes of a pending caller."""

    decision: Literal["approve", "dismiss"]
    protocol: Literal["dicom", "hl7"]
    name: str = ""
    port: int = Field(default=DICOM_PORT_USUAL, ge=1, le=_PORT_MAX)
    allow: list[str] = []


@router.get("/peers")
async def show(request: Request, web: InWeb, viewer: PeerViewer) -> Response:
    """Pending callers, DICOM peers, HL7 peers."""
    pending, dicom, hl7 = await web.pool.read(_load, viewer.actor)
    context = {
        "section": "/peers",
        "pending": [pending_view(each) for each in pending],
        "dicom": dicom,
        "hl7": hl7,
        "dicom_rights": sorted(DICOM_PERMISSIONS),
        "hl7_receives": sorted(HL7_RECEIVED),
        "hl7_sends": sorted(HL7_SENT),
        "dicom_port": DICOM_PORT_USUAL,
        "quirks": QUIRKS,
    }
    return web.page(request, "peers.html", context)


def _load(tx: Tx, actor: Actor) -> tuple[list[PendingCaller], list[DicomPeer], list[Hl7Peer]]:
    return (
        peers.pending_callers(tx, actor),
        peers.list_dicom_peers(tx, actor),
        peers.list_hl7_peers(tx, actor),
    )


def pending_view(caller: PendingCaller) -> PendingView:
    """The caller with a name made of what it calls itself, and the usual permissions."""
    allowed = DICOM_PERMISSIONS if caller.protocol == "dicom" else HL7_RECEIVED
    kept = "".join(
        each if each.isascii() and (each.isalnum() or each in "_.-") else "-"
        for each in caller.caller
    )
    return PendingView(
        caller=caller,
        suggested_name=kept.strip("-._")[:64].lower() or caller.protocol,
        rights=[Right(each, each in _SUGGESTED[caller.protocol]) for each in sorted(allowed)],
    )


@router.post("/peers/pending/{pending_key}")
async def decide(
    web: InWeb, actor: SignedIn, pending_key: int, form: Annotated[DecisionForm, Form()]
) -> Response:
    """The caller approved as a peer, or dismissed."""
    if form.decision == "dismiss":
        await web.pool.run(peers.dismiss_caller, actor, pending_key, now=web.clock())
        return seen_after("/peers", "pending_dismissed")
    if form.protocol == "dicom":
        await web.pool.run(
            peers.approve_caller,
            actor,
            pending_key,
            peer=(form.name.strip(), form.port),
            allow=form.allow,
            now=web.clock(),
        )
    else:
        await web.pool.run(
            peers.approve_hl7_caller,
            actor,
            pending_key,
            name=form.name.strip(),
            receive=form.allow,
            now=web.clock(),
        )
    return seen_after("/peers", "approved")


@router.post("/peers/dicom")
async def add_dicom(web: InWeb, actor: SignedIn, form: Annotated[DicomForm, Form()]) -> Response:
    """The DICOM peer added."""
    peer = DicomPeer(
        name=form.name.strip(),
        ae_title=form.ae_title.strip(),
        host=form.host.strip(),
        port=form.port,
        allow=frozenset(form.allow),
        identity_required=form.identity_required,
        steps_forwarded=form.steps_forwarded,
        steps_notified=form.steps_notified,
    )
    await web.pool.run(peers.add_dicom_peer, actor, peer, now=web.clock())
    return seen_after("/peers", "peer_added")


@router.post("/peers/dicom/{name}/quirks")
async def set_quirks(
    web: InWeb, actor: SignedIn, name: str, form: Annotated[QuirksForm, Form()]
) -> Response:
    """The DICOM peer treated as it is said to be."""
    await web.pool.run(peers.set_quirks, actor, name, form.quirks, now=web.clock())
    return seen_after("/peers", "peer_changed")


@router.post("/peers/hl7")
async def add_hl7(web: InWeb, actor: SignedIn, form: Annotated[Hl7Form, Form()]) -> Response:
    """The HL7 peer added."""
    port = form.port.strip()
    peer = Hl7Peer(
        name=form.name.strip(),
        host=form.host.strip(),
        port=int(port) if port.isdecimal() else None,
        application=form.application.strip() or None,
        receive=frozenset(form.receive),
        send=frozenset(form.send),
    )
    await web.pool.run(peers.add_hl7_peer, actor, peer, now=web.clock())
    return seen_after("/peers", "peer_added")


@router.post("/peers/{protocol}/{name}/remove")
async def remove(
    web: InWeb, actor: SignedIn, protocol: Literal["dicom", "hl7"], name: str
) -> Response:
    """The peer removed."""
    await web.pool.run(peers.remove_peer, actor, protocol, name, now=web.clock())
    return seen_after("/peers", "peer_removed")
