"""Hanging protocols of the user and of the department."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from isocenter.domain.access.model import Action
from isocenter.domain.reading import service as reading
from isocenter.domain.reading.model_hanging import PROTOCOLS_MAX
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, SignedIn

router = APIRouter(prefix="/api/hanging-protocols", tags=["reading"])


class ProtocolsAnswer(Shape):
    """Protocols in the order of being tried: the user's own first, then the department's."""

    mine: list[dict[str, Any]]
    site: list[dict[str, Any]]
    may_change_site: bool


class ProtocolsRequest(BaseModel):
    """All protocols of the user, or of the department, in the order of being tried."""

    protocols: list[dict[str, Any]] = Field(max_length=PROTOCOLS_MAX)


@router.get("", summary="Hanging protocols")
async def protocols(web: InWeb, actor: SignedIn) -> ProtocolsAnswer:
    """What the caller's workspace hangs by, before what it brings along."""
    found = await web.pool.read(reading.hanging_protocols, actor)
    may = Action.SITE_WRITE in actor.actions
    return ProtocolsAnswer(mine=found.mine, site=found.site, may_change_site=may)


@router.put("/mine", status_code=204, summary="Keep my hanging protocols")
async def keep_own(web: InWeb, actor: SignedIn, body: ProtocolsRequest) -> None:
    """The caller's protocols replaced."""
    await web.pool.run(reading.keep_own_protocols, actor, body.protocols, now=web.clock())


@router.put("/site", status_code=204, summary="Keep the department's hanging protocols")
async def keep_for_site(web: InWeb, actor: SignedIn, body: ProtocolsRequest) -> None:
    """The department's protocols replaced."""
    await web.pool.run(reading.keep_site_protocols, actor, body.protocols, now=web.clock())
