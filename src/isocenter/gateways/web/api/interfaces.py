"""HL7 interfaces: how they are, their versions, golden messages, and messages sent by hand."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from isocenter.domain.access.model import Viewer
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model_traffic import Silence
from isocenter.domain.peers.model_versions import (
    PeerVersion,
    Trial,
    VersionUnknown,
    described,
)
from isocenter.gateways.web.api.messages import edited_bytes
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, PeerViewer, SignedIn, Web
from isocenter.infra.db import Tx
from isocenter.readmodels import interface_health
from isocenter.readmodels.interface_health import InterfaceHealth

router = APIRouter(prefix="/api/interfaces", tags=["interfaces"])


class InterfaceAnswer(Shape):
    """How an HL7 interface is. ``silent_since`` is set while its silence is not usual."""

    peer: str
    enabled: bool
    last_in_at: datetime | None
    last_out_at: datetime | None
    received: int
    received_errors: int
    control_ids_reused: int
    sent: int
    sent_errors: int
    waiting: int
    parked: int
    quarantined: int
    oldest_queued_at: datetime | None
    last_error: str | None
    answer_median_ms: float | None
    answer_p95_ms: float | None
    silent_since: datetime | None = None


class VersionAnswer(Shape):
    """A version of a peer; of several the one that counts is active."""

    version: int
    peer: dict[str, Any]
    note: str
    made_by: str
    made_at: datetime
    promoted_at: datetime | None
    active: bool


class DraftBody(BaseModel):
    """Attributes of the peer that are different in the draft, and why."""

    changed: dict[str, Any]
    note: str = ""


class ChangeAnswer(Shape):
    """A fact that two readings of a message tell differently."""

    path: str
    before: str
    after: str


class TrialResultAnswer(Shape):
    """What one message means, or reads, otherwise."""

    message_key: int
    message_type: str
    control_id: str
    changes: list[ChangeAnswer]


class TrialAnswer(Shape):
    """What came of reading recorded messages another way."""

    tried: int
    different: list[TrialResultAnswer]


class TrialsAnswer(Shape):
    """What a version would change in messages that came in, and in reports that were sent."""

    received: TrialAnswer
    sent: TrialAnswer


class GoldenAnswer(Shape):
    """A message that must always mean the same."""

    golden_key: int
    title: str
    kept_by: str
    kept_at: datetime


class GoldenBody(BaseModel):
    """A recorded message to be kept."""

    message_key: int
    title: str = ""


class SendBody(BaseModel):
    """A message to be sent now; a test has MSH-11 T."""

    message: str
    reason: str
    is_test: bool = True


class KeyAnswer(Shape):
    """The key of what was made."""

    key: int = Field(description="of the golden message, or of the message in the log")


@router.get("", summary="How the HL7 interfaces are")
async def interfaces(web: InWeb, viewer: PeerViewer) -> list[InterfaceAnswer]:
    """All HL7 peers by name."""
    found, silent = await web.pool.read(_load, viewer, web, now=web.clock())
    since = {each.peer: each.since for each in silent}
    answers = [InterfaceAnswer.model_validate(each) for each in found]
    return [each.model_copy(update={"silent_since": since.get(each.peer)}) for each in answers]


def _load(
    tx: Tx, viewer: Viewer, web: Web, *, now: datetime
) -> tuple[list[InterfaceHealth], list[Silence]]:
    return (
        interface_health.interfaces(tx, viewer, now=now),
        peers.silences(tx, viewer.actor, now=now, zone=web.hl7.zone),
    )


@router.get("/{name}/versions", summary="The versions of an interface")
async def versions(web: InWeb, viewer: PeerViewer, name: str) -> list[VersionAnswer]:
    """Its versions, latest first; none when it was never changed."""
    found = await web.pool.read(peers.hl7_versions, viewer.actor, name)
    return [_version(each) for each in found]


@router.post("/{name}/versions", status_code=201, summary="Draft a version of an interface")
async def draft(web: InWeb, actor: SignedIn, name: str, body: DraftBody) -> VersionAnswer:
    """The draft; nothing else changes yet."""
    made = await web.pool.run(
        peers.draft_hl7_version, actor, name, body.changed, note=body.note, now=web.clock()
    )
    return _version(made)


@router.get("/{name}/versions/{version}/trial", summary="What a version would change")
async def trial(web: InWeb, viewer: PeerViewer, name: str, version: int) -> TrialsAnswer:
    """What it would change in the messages of the last seven days and in reports sent."""
    current = await web.pool.read(peers.hl7_peer, name)
    found = await web.pool.read(peers.hl7_versions, viewer.actor, name)
    wanted = next((each for each in found if each.version == version), None)
    if wanted is None:
        raise VersionUnknown(f"{name} has no version {version}")
    received, sent = await web.pool.read(web.hl7.tried, viewer.actor, (current, wanted.peer))
    return TrialsAnswer(received=_trial(received), sent=_trial(sent))


@router.post("/{name}/versions/{version}/promote", summary="Have a version count")
async def promote(web: InWeb, actor: SignedIn, name: str, version: int) -> VersionAnswer:
    """The version that counts from now on: a draft, or an earlier one again."""
    made = await web.pool.run(peers.promote_hl7_version, actor, name, version, now=web.clock())
    return _version(made)


@router.delete("/{name}/versions/{version}", status_code=204, summary="Discard a draft")
async def discard(web: InWeb, actor: SignedIn, name: str, version: int) -> None:
    """The draft is forgotten."""
    await web.pool.run(peers.discard_hl7_draft, actor, name, version, now=web.clock())


@router.get("/{name}/golden", summary="The golden messages of an interface")
async def golden(web: InWeb, viewer: PeerViewer, name: str) -> list[GoldenAnswer]:
    """Messages that must always mean the same."""
    found = await web.pool.read(peers.golden_messages, viewer.actor, name)
    return [GoldenAnswer.model_validate(each) for each in found]


@router.post("/{name}/golden", status_code=201, summary="Keep a golden message")
async def keep(web: InWeb, actor: SignedIn, name: str, body: GoldenBody) -> KeyAnswer:
    """A message in the log is kept with what it means today."""
    del name  # the message says whose it is
    return KeyAnswer(
        key=await web.pool.run(web.hl7.keep_golden, actor, body.message_key, body.title)
    )


@router.delete("/{name}/golden/{golden_key}", status_code=204, summary="Forget a golden message")
async def forget(web: InWeb, actor: SignedIn, name: str, golden_key: int) -> None:
    """It is no longer verified."""
    del name
    await web.pool.run(peers.forget_golden, actor, golden_key, now=web.clock())


@router.get("/{name}/verification", summary="Verify an interface")
async def verification(web: InWeb, viewer: PeerViewer, name: str) -> TrialAnswer:
    """The golden messages that mean something else today."""
    return _trial(await web.pool.read(web.hl7.verified, viewer.actor, name))


@router.post("/{name}/send", status_code=201, summary="Send a message now")
async def send(web: InWeb, actor: SignedIn, name: str, body: SendBody) -> KeyAnswer:
    """The message goes once; it and its answer are in the log under the key."""
    written = edited_bytes(body.message) or b""
    key = await web.hl7.send(
        web.pool, actor, name, written, reason=body.reason, is_test=body.is_test
    )
    return KeyAnswer(key=key)


def _version(version: PeerVersion) -> VersionAnswer:
    return VersionAnswer(
        version=version.version,
        peer=described(version.peer),
        note=version.note,
        made_by=version.made_by,
        made_at=version.made_at,
        promoted_at=version.promoted_at,
        active=version.active,
    )


def _trial(found: Trial) -> TrialAnswer:
    return TrialAnswer.model_validate(found)
