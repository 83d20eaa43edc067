"""Deliveries: what was sent to whom, what waits, and what a person must send again."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Delivery, DeliveryState, Destination, Page
from isocenter.domain.distribution.service import merges
from isocenter.gateways.web.web import DeliveryViewer, InWeb, SignedIn, local_path, seen_after
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)

_ROWS_MAX = 200
_HELD_MAX = 100


class Filters(BaseModel):
    """The search form."""

    accession_number: str = ""
    state: str = ""
    done: str = ""
    before: Annotated[int | None, Field(ge=0, lt=2**63)] = None


@router.get("/deliveries")
async def show(
    request: Request, web: InWeb, viewer: DeliveryViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Recipients with their queues, and deliveries newest first."""
    found, destinations, not_told = await web.pool.run(_load, viewer, filters)
    quarantines = await web.pool.run(distribution.quarantines, viewer, limit=_HELD_MAX)
    context = {
        "section": "/deliveries",
        "deliveries": found,
        "destinations": destinations,
        "not_told": not_told,
        "quarantines": quarantines,
        "filters": filters,
        "states": [each.value for each in DeliveryState],
        "filtered": bool(filters.accession_number or filters.state),
        "held": sum(each.quarantined for each in destinations),
        "older": _older(filters, found) if len(found) == _ROWS_MAX else "",
    }
    return web.page(request, "deliveries.html", context)


def _load(
    tx: Tx, viewer: Viewer, filters: Filters
) -> tuple[list[Delivery], list[Destination], list[str]]:
    state = filters.state if filters.state in set(DeliveryState) else None
    found = distribution.deliveries(
        tx,
        viewer,
        accession_number=filters.accession_number.strip() or None,
        state=state,
        page=Page(limit=_ROWS_MAX, before=filters.before),
    )
    not_told = merges.recipients_not_told(tx, viewer)
    return found, distribution.destinations(tx, viewer), not_told


def _older(filters: Filters, found: list[Delivery]) -> str:
    """Where the page after this one is."""
    said = {"accession_number": filters.accession_number, "state": filters.state}
    said["before"] = str(found[-1].delivery_key)
    return f"/deliveries?{urlencode({name: value for name, value in said.items() if value})}"


@router.post("/deliveries/{delivery_key}/replay")
async def replay(
    web: InWeb,
    actor: SignedIn,
    delivery_key: int,
    next: Annotated[str, Form()] = "/deliveries",  # noqa: A002 - the form's field
) -> Response:
    """The delivery is queued again."""
    await web.pool.run(distribution.replay, actor, delivery_key, now=web.clock())
    return seen_after(local_path(next, "/deliveries"), "replayed")


@router.post("/deliveries/{delivery_key}/skip")
async def skip(
    web: InWeb,
    actor: SignedIn,
    delivery_key: int,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """What waits behind the delivery goes on without it."""
    await web.pool.run(distribution.skip, actor, delivery_key, reason=reason, now=web.clock())
    return seen_after("/deliveries", "skipped")


@router.post("/destinations/{recipient}/replay")
async def replay_refused(web: InWeb, actor: SignedIn, recipient: str) -> Response:
    """What holds lanes of the recipient is queued again."""
    await web.pool.run(distribution.replay_refused, actor, recipient, now=web.clock())
    return seen_after("/deliveries", "replayed")


@router.post("/destinations/{recipient}/pause")
async def pause(
    web: InWeb,
    actor: SignedIn,
    recipient: str,
    reason: Annotated[str, Form(max_length=500)],
    protocol: Annotated[Literal["hl7", "dicom"] | None, Form()] = None,
) -> Response:
    """Nothing is sent to the recipient until it is resumed."""
    await web.pool.run(
        distribution.pause, actor, recipient, protocol=protocol, reason=reason, now=web.clock()
    )
    return seen_after("/deliveries", "paused")


@router.post("/destinations/{recipient}/resume")
async def resume(
    web: InWeb,
    actor: SignedIn,
    recipient: str,
    protocol: Annotated[Literal["hl7", "dicom"] | None, Form()] = None,
) -> Response:
    """What waited for the recipient is sent."""
    await web.pool.run(distribution.resume, actor, recipient, protocol=protocol, now=web.clock())
    return seen_after("/deliveries", "resumed")


@router.post("/destinations/{recipient}/merges")
async def tell_of_merges(
    web: InWeb, actor: SignedIn, recipient: str, told: Annotated[bool, Form()]
) -> Response:
    """Reports sent again when their patient is merged, or not."""
    await web.pool.run(merges.tell_of_merges, actor, recipient, told=told, now=web.clock())
    return seen_after("/deliveries", "recipient_switched")
