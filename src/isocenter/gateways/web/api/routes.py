"""Routes of images, and the storage commitments that peers ask of us."""

from datetime import datetime, time
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import (
    COMPRESSIONS,
    BadRoute,
    CommitmentState,
    Conditions,
    Moment,
    Priority,
    Route,
)
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.web import DeliveryViewer, InWeb, PeerViewer, SignedIn

router = APIRouter(prefix="/api", tags=["routes"])

Patterns = Annotated[list[str], Field(default_factory=list, max_length=50)]


class RouteShape(BaseModel):
    """A rule for images. Of each list of patterns any must match; empty ones always do.

    Patterns know `*` and `?` and look past letter case. `compression` is one of jpeg-ls, jpeg-2000,
    htj2k, htj2k-rpcl, jpeg-lossless, rle.
    """

    name: str
    recipient: str
    calling_ae_titles: Patterns
    modalities: Patterns
    study_descriptions: Patterns
    series_descriptions: Patterns
    referring_physicians: Patterns
    body_parts: Patterns
    time_from: time | None = None
    time_to: time | None = None
    moment: Moment = Moment.RECEIVED
    priority: Priority = Priority.MEDIUM
    compression: str | None = None
    sends_images: bool = True
    notifies: bool = False
    wants_commitment: bool = False
    enabled: bool = True

    def as_route(self) -> Route:
        """The rule; raises ``BadRoute``."""
        if self.compression is not None and self.compression not in COMPRESSIONS:
            raise BadRoute(f"images are compressed with {', '.join(COMPRESSIONS)}")
        conditions = Conditions(
            calling_ae_titles=tuple(self.calling_ae_titles),
            modalities=tuple(self.modalities),
            study_descriptions=tuple(self.study_descriptions),
            series_descriptions=tuple(self.series_descriptions),
            referring_physicians=tuple(self.referring_physicians),
            body_parts=tuple(self.body_parts),
            time_from=self.time_from,
            time_to=self.time_to,
        )
        return Route(
            name=self.name,
            recipient=self.recipient,
            conditions=conditions,
            moment=self.moment,
            priority=self.priority,
            transfer_syntax_uid=COMPRESSIONS[self.compression] if self.compression else None,
            sends_images=self.sends_images,
            notifies=self.notifies,
            wants_commitment=self.wants_commitment,
            enabled=self.enabled,
        )

    @classmethod
    def of(cls, route: Route) -> Self:
        """The rule as it is shown."""
        conditions = route.conditions
        names = {uid: name for name, uid in COMPRESSIONS.items()}
        return cls(
            name=route.name,
            recipient=route.recipient,
            calling_ae_titles=list(conditions.calling_ae_titles),
            modalities=list(conditions.modalities),
            study_descriptions=list(conditions.study_descriptions),
            series_descriptions=list(conditions.series_descriptions),
            referring_physicians=list(conditions.referring_physicians),
            body_parts=list(conditions.body_parts),
            time_from=conditions.time_from,
            time_to=conditions.time_to,
            moment=route.moment,
            priority=route.priority,
            compression=names.get(route.transfer_syntax_uid or ""),
            sends_images=route.sends_images,
            notifies=route.notifies,
            wants_commitment=route.wants_commitment,
            enabled=route.enabled,
        )


class CommitmentAnswer(Shape):
    """A peer's request for storage commitment, and whether it has its answer."""

    commitment_key: int
    peer: str
    transaction_uid: str
    state: CommitmentState
    instances: int
    failed: int
    attempts: int
    requested_at: datetime
    decided_at: datetime | None
    reported_at: datetime | None
    last_error: str | None


@router.get("/routes", summary="Routes of images")
async def routes(web: InWeb, viewer: PeerViewer) -> list[RouteShape]:
    """All routes by name."""
    found = await web.pool.read(distribution.routes, viewer.actor)
    return [RouteShape.of(each) for each in found]


@router.post("/routes", status_code=201, summary="Add a route")
async def add_route(web: InWeb, actor: SignedIn, body: RouteShape) -> RouteShape:
    """The route as added."""
    await web.pool.run(distribution.add_route, actor, body.as_route(), now=web.clock())
    return body


@router.post("/routes/{name}/{switch}", status_code=204, summary="Switch a route on or off")
async def switch_route(
    web: InWeb, actor: SignedIn, name: str, switch: Literal["enable", "disable"]
) -> None:
    """The route queues images again, or none for now."""
    enabled = switch == "enable"
    await web.pool.run(distribution.enable_route, actor, name, enabled=enabled, now=web.clock())


@router.delete("/routes/{name}", status_code=204, summary="Remove a route")
async def remove_route(web: InWeb, actor: SignedIn, name: str) -> None:
    """Nothing more is queued by it; what is queued goes."""
    await web.pool.run(distribution.remove_route, actor, name, now=web.clock())


@router.get("/commitments", summary="Storage commitments that peers asked for")
async def commitments(
    web: InWeb, viewer: DeliveryViewer, limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100
) -> list[CommitmentAnswer]:
    """Requests, newest first."""
    found = await web.pool.read(distribution.commitments, viewer, limit=limit)
    return [CommitmentAnswer.model_validate(each) for each in found]


@router.post("/commitments/{commitment_key}/replay", status_code=202, summary="Answer again")
async def replay_commitment(web: InWeb, actor: SignedIn, commitment_key: int) -> dict[str, int]:
    """The request is decided and answered once more."""
    await web.pool.run(distribution.replay_commitment, actor, commitment_key, now=web.clock())
    return {"commitment_key": commitment_key}
