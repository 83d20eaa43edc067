"""Peers and pending callers."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DICOM_PORT_USUAL, DicomPeer, Hl7Peer
from isocenter.domain.peers.model_quirks import QUIRKS
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, PeerViewer, SignedIn

router = APIRouter(prefix="/api/peers", tags=["peers"])

_PORT_MAX = 65_535


class DicomPeerShape(Shape):
    """A DICOM application entity and what it may do here.

    With ``identity_required`` its associations must prove which user is behind them; with
    ``steps_forwarded`` it is told what scanners say that they did (MPPS), with ``steps_notified``
    that they said something. ``quirks`` are names of ways in which it strays from the standard.
    """

    name: str
    ae_title: str
    host: str
    port: int = Field(ge=1, le=_PORT_MAX)
    allow: frozenset[str] = frozenset()
    tls: bool = False
    enabled: bool = True
    identity_required: bool = False
    steps_forwarded: bool = False
    steps_notified: bool = False
    quirks: frozenset[str] = frozenset()


class Hl7PeerShape(Shape):
    """An HL7 v2 application, what we receive from it and what we send to it."""

    name: str
    host: str
    port: int | None = Field(default=None, ge=1, le=_PORT_MAX)
    send: frozenset[str] = frozenset()
    receive: frozenset[str] = frozenset()
    application: str | None = None
    facility: str | None = None
    assigning_authority: str = ""
    version: str = "2.5.1"
    character_set: str = "UNICODE UTF-8"
    ack_timeout_s: float = 30.0
    tls: bool = False
    enabled: bool = True
    order_responses: bool = False
    sequence_numbers: bool = False
    sequence_numbers_sent: bool = False
    result_statuses: frozenset[str] = frozenset({"P", "F", "C"})
    order_message: str = ""
    patient_update: str = "A31"
    report_forms: frozenset[str] = frozenset({"text", "study_uid"})
    field_map: str = ""
    received_map: str = ""
    trusted_authorities: frozenset[str] = frozenset()
    ordering: Literal["patient", "exam", "all"] = "patient"
    rate_per_s_max: float = 0.0
    gap_s: float = 0.0


class PendingAnswer(Shape):
    """Someone who called, was refused, and may be approved."""

    pending_key: int
    protocol: Literal["dicom", "hl7"]
    caller: str
    address: str
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int


class DicomApproval(BaseModel):
    """How a pending DICOM caller becomes a peer."""

    name: str
    port: int = Field(default=DICOM_PORT_USUAL, ge=1, le=_PORT_MAX)
    allow: frozenset[str]


class Hl7Approval(BaseModel):
    """How a pending HL7 caller becomes a peer."""

    name: str
    receive: frozenset[str]


@router.get("/dicom", summary="DICOM peers")
async def dicom_peers(web: InWeb, viewer: PeerViewer) -> list[DicomPeerShape]:
    """All DICOM peers by name."""
    found = await web.pool.read(peers.list_dicom_peers, viewer.actor)
    return [DicomPeerShape.model_validate(each) for each in found]


@router.post("/dicom", status_code=201, summary="Add a DICOM peer")
async def add_dicom_peer(web: InWeb, actor: SignedIn, body: DicomPeerShape) -> DicomPeerShape:
    """The peer as added."""
    await web.pool.run(peers.add_dicom_peer, actor, DicomPeer(**body.model_dump()), now=web.clock())
    return body


@router.put("/dicom/{name}/quirks", status_code=204, summary="Say how a DICOM peer strays")
async def set_quirks(web: InWeb, actor: SignedIn, name: str, body: frozenset[str]) -> None:
    """Its associations from now on are treated so; what it sent before stays read as it was."""
    await web.pool.run(peers.set_quirks, actor, name, body, now=web.clock())


@router.get("/quirks", summary="Ways in which DICOM peers stray from the standard")
async def quirks(viewer: PeerViewer) -> dict[str, str]:
    """Each by name, with what it says of a peer."""
    del viewer
    return dict(QUIRKS)


@router.get("/hl7", summary="HL7 peers")
async def hl7_peers(web: InWeb, viewer: PeerViewer) -> list[Hl7PeerShape]:
    """All HL7 peers by name."""
    found = await web.pool.read(peers.list_hl7_peers, viewer.actor)
    return [Hl7PeerShape.model_validate(each) for each in found]


@router.post("/hl7", status_code=201, summary="Add an HL7 peer")
async def add_hl7_peer(web: InWeb, actor: SignedIn, body: Hl7PeerShape) -> Hl7PeerShape:
    """The peer as added."""
    await web.pool.run(peers.add_hl7_peer, actor, Hl7Peer(**body.model_dump()), now=web.clock())
    return body


@router.delete("/{protocol}/{name}", status_code=204, summary="Remove a peer")
async def remove_peer(
    web: InWeb, actor: SignedIn, protocol: Literal["dicom", "hl7"], name: str
) -> None:
    """The peer's calls are refused from now on."""
    await web.pool.run(peers.remove_peer, actor, protocol, name, now=web.clock())


@router.get("/pending", summary="Callers waiting for a decision")
async def pending_callers(web: InWeb, viewer: PeerViewer) -> list[PendingAnswer]:
    """Who called without being a peer, latest first."""
    found = await web.pool.read(peers.pending_callers, viewer.actor)
    return [PendingAnswer.model_validate(each) for each in found]


@router.post("/pending/{pending_key}/approve-dicom", summary="Approve a DICOM caller")
async def approve_dicom(
    web: InWeb, actor: SignedIn, pending_key: int, body: DicomApproval
) -> DicomPeerShape:
    """The peer that the caller became."""
    made = await web.pool.run(
        peers.approve_caller,
        actor,
        pending_key,
        peer=(body.name, body.port),
        allow=body.allow,
        now=web.clock(),
    )
    return DicomPeerShape.model_validate(made)


@router.post("/pending/{pending_key}/approve-hl7", summary="Approve an HL7 caller")
async def approve_hl7(
    web: InWeb, actor: SignedIn, pending_key: int, body: Hl7Approval
) -> Hl7PeerShape:
    """The peer that the caller became."""
    made = await web.pool.run(
        peers.approve_hl7_caller,
        actor,
        pending_key,
        name=body.name,
        receive=body.receive,
        now=web.clock(),
    )
    return Hl7PeerShape.model_validate(made)


@router.post("/pending/{pending_key}/dismiss", status_code=204, summary="Dismiss a caller")
async def dismiss(web: InWeb, actor: SignedIn, pending_key: int) -> None:
    """The caller is shown no longer and stays refused."""
    await web.pool.run(peers.dismiss_caller, actor, pending_key, now=web.clock())
