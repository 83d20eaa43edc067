"""Routes: which images go where, how, and what peers hold us to."""

from datetime import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import (
    COMPRESSIONS,
    Commitment,
    Conditions,
    Destination,
    Moment,
    Priority,
    Route,
)
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.gateways.web.web import InWeb, PeerViewer, SignedIn, seen_after
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)

_COMMITMENTS_SHOWN = 20
_CONDITIONS = {
    "calling_ae_titles": "Sent by",
    "modalities": "Modality",
    "study_descriptions": "Study description",
    "series_descriptions": "Series description",
    "referring_physicians": "Referring physician",
    "body_parts": "Body part",
}


class RouteForm(BaseModel):
    """A route typed in; patterns are separated by commas."""

    name: str
    recipient: str
    calling_ae_titles: str = ""
    modalities: str = ""
    study_descriptions: str = ""
    series_descriptions: str = ""
    referring_physicians: str = ""
    body_parts: str = ""
    time_from: str = ""
    time_to: str = ""
    moment: Moment = Moment.RECEIVED
    priority: Priority = Priority.MEDIUM
    compression: str = ""
    what: list[Literal["images", "notification", "commitment"]] = []

    def as_route(self) -> Route:
        """The rule."""
        conditions = Conditions(
            calling_ae_titles=_patterns(self.calling_ae_titles),
            modalities=_patterns(self.modalities),
            study_descriptions=_patterns(self.study_descriptions),
            series_descriptions=_patterns(self.series_descriptions),
            referring_physicians=_patterns(self.referring_physicians),
            body_parts=_patterns(self.body_parts),
            time_from=time.fromisoformat(self.time_from) if self.time_from else None,
            time_to=time.fromisoformat(self.time_to) if self.time_to else None,
        )
        return Route(
            name=self.name.strip(),
            recipient=self.recipient,
            conditions=conditions,
            moment=self.moment,
            priority=self.priority,
            transfer_syntax_uid=COMPRESSIONS.get(self.compression),
            sends_images="images" in self.what,
            notifies="notification" in self.what,
            wants_commitment="commitment" in self.what,
        )


def _patterns(written: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in written.split(",") if each.strip())


@router.get("/routes")
async def show(request: Request, web: InWeb, viewer: PeerViewer) -> Response:
    """Routes, their destinations, and requests for storage commitment."""
    routes, dicom, destinations, commitments = await web.pool.read(_load, viewer)
    context: dict[str, Any] = {
        "section": "/routes",
        "routes": routes,
        "conditions_of": conditions_of,
        "compression_of": compression_of,
        "peers": dicom,
        "destinations": {each.recipient: each for each in destinations},
        "commitments": commitments,
        "condition_labels": _CONDITIONS,
        "compressions": list(COMPRESSIONS),
        "moments": list(Moment),
        "priorities": list(Priority),
    }
    return web.page(request, "routes.html", context)


def _load(
    tx: Tx, viewer: Viewer
) -> tuple[list[Route], list[DicomPeer], list[Destination], list[Commitment]]:
    actor = viewer.actor
    watching = Viewer.of(actor, Action.DELIVERY_READ)
    destinations = distribution.destinations(tx, watching)
    return (
        distribution.routes(tx, actor),
        peers.list_dicom_peers(tx, actor),
        [each for each in destinations if each.protocol == "dicom"],
        distribution.commitments(tx, watching, limit=_COMMITMENTS_SHOWN),
    )


def conditions_of(route: Route) -> list[tuple[str, str]]:
    """The route's conditions in words: a label and what is asked for."""
    given = route.conditions
    said = [
        (label, ", ".join(getattr(given, name)))
        for name, label in _CONDITIONS.items()
        if getattr(given, name)
    ]
    if given.time_from is not None and given.time_to is not None:
        said.append(("Arriving", f"{given.time_from:%H:%M} to {given.time_to:%H:%M}"))
    return said


def compression_of(route: Route) -> str:
    """What the route's images are compressed with, in the words of ``COMPRESSIONS``."""
    names = {uid: name for name, uid in COMPRESSIONS.items()}
    return names.get(route.transfer_syntax_uid or "", "")


@router.post("/routes")
async def add(web: InWeb, actor: SignedIn, form: Annotated[RouteForm, Form()]) -> Response:
    """The route added."""
    await web.pool.run(distribution.add_route, actor, form.as_route(), now=web.clock())
    return seen_after("/routes", "route_added")


@router.post("/routes/{name}/remove")
async def remove(web: InWeb, actor: SignedIn, name: str) -> Response:
    """The route removed."""
    await web.pool.run(distribution.remove_route, actor, name, now=web.clock())
    return seen_after("/routes", "route_removed")


@router.post("/routes/{name}/{switch}")
async def switch_route(
    web: InWeb, actor: SignedIn, name: str, switch: Literal["enable", "disable"]
) -> Response:
    """The route on or off."""
    enabled = switch == "enable"
    await web.pool.run(distribution.enable_route, actor, name, enabled=enabled, now=web.clock())
    return seen_after("/routes", "route_switched")


@router.post("/commitments/{commitment_key}/replay")
async def replay(web: InWeb, actor: SignedIn, commitment_key: int) -> Response:
    """The request decided and answered once more."""
    await web.pool.run(distribution.replay_commitment, actor, commitment_key, now=web.clock())
    return seen_after("/routes", "replayed")
