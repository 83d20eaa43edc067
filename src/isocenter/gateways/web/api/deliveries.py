"""Deliveries of signed reports, and the recipients' queues."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import DeliveryState, Page
from isocenter.domain.distribution.service import merges
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.web import DeliveryViewer, InWeb, SignedIn

router = APIRouter(prefix="/api", tags=["deliveries"])


class DeliveryAnswer(Shape):
    """One message, or images of one study, on the way to one recipient.

    ``subject`` is what a message is about that is no report, ``occasion`` why it is sent: a trigger
    event, or an order control with its status.
    """

    delivery_key: int
    kind: Literal[
        "report",
        "order",
        "procedure",
        "patient",
        "appointment",
        "charge",
        "images",
        "availability",
        "rejection",
    ]
    subject: str
    occasion: str
    report_id: str | None
    version: int | None
    study_instance_uid: str | None
    route_name: str | None
    accession_number: str
    recipient: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    control_id: str | None
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    instances: int | None
    instances_sent: int | None
    instances_failed: int | None
    commitment: Literal["due", "requested", "committed", "failed"] | None
    commitment_error: str | None


class DeliveryQuery(BaseModel):
    """Which deliveries. ``before`` is the last ``delivery_key`` of the page before."""

    accession_number: Annotated[str | None, Field(max_length=64)] = None
    state: DeliveryState | None = None
    study_instance_uid: Annotated[str | None, Field(max_length=64)] = None
    before: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 100


class DestinationAnswer(Shape):
    """A recipient's queue."""

    protocol: Literal["hl7", "dicom"]
    recipient: str
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    waiting: int
    refused: int
    oldest_queued_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    due_at: datetime | None
    fault_at: datetime | None
    quarantined: int


class QuarantineAnswer(Shape):
    """What is about one patient, or exam, and waits for a person behind what was refused."""

    recipient: str
    lane: str
    delivery_key: int
    accession_number: str
    quarantined_at: datetime
    last_error: str | None
    waiting: int


class SkipRequest(BaseModel):
    """Why a delivery is not sent."""

    reason: str = Field(min_length=1, max_length=500)


class ReplayAllRequest(BaseModel):
    """How many deliveries are sent again in a second."""

    rate_per_s: float = Field(default=distribution.REPLAY_RATE_PER_S, gt=0, le=100)


class ReplayAllAnswer(BaseModel):
    """How many deliveries are sent again."""

    replayed: int


class MergesRequest(BaseModel):
    """Whether reports go again when their patient is merged, or a merge is undone."""

    told: bool


class PauseRequest(BaseModel):
    """Why nothing is to be sent. ``protocol`` tells peers of the same name apart."""

    reason: str = Field(min_length=1, max_length=500)
    protocol: Literal["hl7", "dicom"] | None = None


class ResumeRequest(BaseModel):
    """``protocol`` tells peers of the same name apart."""

    protocol: Literal["hl7", "dicom"] | None = None


class SendRequest(BaseModel):
    """A whole study for a DICOM peer."""

    study_instance_uid: str = Field(min_length=1, max_length=64)
    recipient: str = Field(min_length=1, max_length=64)
    wants_commitment: bool = False


class SendAnswer(BaseModel):
    """The delivery that was queued."""

    delivery_key: int


@router.get("/deliveries", summary="Deliveries, newest first")
async def deliveries(
    web: InWeb,
    viewer: DeliveryViewer,
    wanted: Annotated[DeliveryQuery, Query()],
) -> list[DeliveryAnswer]:
    """Deliveries that fit."""
    found = await web.pool.run(
        distribution.deliveries,
        viewer,
        accession_number=wanted.accession_number,
        state=wanted.state.value if wanted.state else None,
        study_instance_uid=wanted.study_instance_uid,
        page=Page(limit=wanted.limit, before=wanted.before),
    )
    return [DeliveryAnswer.model_validate(each) for each in found]


@router.post("/deliveries", status_code=202, summary="Send a study to a DICOM peer")
async def send(web: InWeb, actor: SignedIn, body: SendRequest) -> SendAnswer:
    """The delivery that was queued."""
    key = await web.pool.run(
        distribution.send_study,
        actor,
        body.study_instance_uid,
        recipient=body.recipient,
        wants_commitment=body.wants_commitment,
        now=web.clock(),
    )
    return SendAnswer(delivery_key=key)


@router.post("/deliveries/{delivery_key}/replay", status_code=202, summary="Send again")
async def replay(web: InWeb, actor: SignedIn, delivery_key: int) -> dict[str, int]:
    """The delivery is in its recipient's queue again."""
    await web.pool.run(distribution.replay, actor, delivery_key, now=web.clock())
    return {"delivery_key": delivery_key}


@router.post("/deliveries/{delivery_key}/skip", status_code=204, summary="Send it no more")
async def skip(web: InWeb, actor: SignedIn, delivery_key: int, body: SkipRequest) -> None:
    """What waits behind the delivery in its lane goes on without it."""
    await web.pool.run(distribution.skip, actor, delivery_key, reason=body.reason, now=web.clock())


@router.get("/quarantines", summary="What waits for a person behind what was refused")
async def quarantines(
    web: InWeb,
    viewer: DeliveryViewer,
    recipient: Annotated[str | None, Query(max_length=64)] = None,
) -> list[QuarantineAnswer]:
    """Lanes that are held, the longest first."""
    found = await web.pool.run(distribution.quarantines, viewer, recipient=recipient)
    return [QuarantineAnswer.model_validate(each) for each in found]


@router.post("/destinations/{recipient}/replay", status_code=202, summary="Send what it refused")
async def replay_refused(
    web: InWeb, actor: SignedIn, recipient: str, body: ReplayAllRequest | None = None
) -> ReplayAllAnswer:
    """What holds lanes of the recipient goes again: slowly, and behind what is new."""
    rate_per_s = (body or ReplayAllRequest()).rate_per_s
    count = await web.pool.run(
        distribution.replay_refused, actor, recipient, rate_per_s=rate_per_s, now=web.clock()
    )
    return ReplayAllAnswer(replayed=count)


@router.get("/destinations", summary="Recipients and their queues")
async def destinations(web: InWeb, viewer: DeliveryViewer) -> list[DestinationAnswer]:
    """All recipients by name."""
    found = await web.pool.run(distribution.destinations, viewer)
    return [DestinationAnswer.model_validate(each) for each in found]


@router.post("/destinations/{recipient}/pause", status_code=204, summary="Send nothing for now")
async def pause(web: InWeb, actor: SignedIn, recipient: str, body: PauseRequest) -> None:
    """Nothing more is sent to the recipient until it is resumed."""
    await web.pool.run(
        distribution.pause,
        actor,
        recipient,
        protocol=body.protocol,
        reason=body.reason,
        now=web.clock(),
    )


@router.post("/destinations/{recipient}/resume", status_code=204, summary="Send again")
async def resume(
    web: InWeb, actor: SignedIn, recipient: str, body: ResumeRequest | None = None
) -> None:
    """What waited is sent."""
    protocol = body.protocol if body else None
    await web.pool.run(distribution.resume, actor, recipient, protocol=protocol, now=web.clock())


@router.put(
    "/destinations/{recipient}/merges", status_code=204, summary="Send reports again after merges"
)
async def tell_of_merges(web: InWeb, actor: SignedIn, recipient: str, body: MergesRequest) -> None:
    """Reports go to the recipient once more when their patient is merged, or they do not."""
    await web.pool.run(merges.tell_of_merges, actor, recipient, told=body.told, now=web.clock())
