"""Storage: the object stores, reading back, and what is damaged."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from isocenter.domain.archive.service import integrity
from isocenter.gateways.web.storage import storage_view, stores_of
from isocenter.gateways.web.web import InWeb, SignedIn, SystemViewer, seen_after

router = APIRouter(include_in_schema=False)


@router.get("/storage")
async def show(request: Request, web: InWeb, viewer: SystemViewer) -> Response:
    """Stores, passes and findings."""
    view = await web.pool.read(storage_view, viewer)
    stores = await web.pool.call(
        stores_of, web.blobs, free_bytes_min=web.options.storage_free_bytes_min
    )
    context = {
        "section": "/storage",
        "stores": stores,
        "integrity": view.integrity,
        "orphans": view.orphans,
        "renditions": view.renditions,
        "packs": view.packs,
    }
    return web.page(request, "storage.html", context)


@router.post("/storage/findings/{finding_key}/give-up")
async def give_up(
    web: InWeb,
    actor: SignedIn,
    finding_key: int,
    reason: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """The finding settled by a person who knows that nothing can mend it."""
    await web.pool.run(integrity.give_up_object, actor, finding_key, reason=reason, now=web.clock())
    return seen_after("/storage", "given_up")
