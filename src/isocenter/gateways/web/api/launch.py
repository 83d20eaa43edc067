"""Launch codes: how another system opens our pages for somebody who is signed in over there."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from isocenter.domain.access import service_launch as launches
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.access.model_launch import (
    CODE_TTL_S,
    ON_BEHALF_OF_LENGTH_MAX,
    SESSION_S_DEFAULT,
    SESSION_S_MAX,
    invocation_of,
)
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.launching import Confine, View, Wish, grant_of
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.web import InWeb, StudyViewer, Web
from isocenter.infra.db import Tx

router = APIRouter(tags=["launch"])


class LaunchRequest(BaseModel):
    """What to open. ``parameters`` are those of IHE Invoke Image Display.

    ``confine``: the session sees the studies meant, all of their patient, or everything that the
    user may see; unless everything, it only reads. ``frame_origin``: the page whose frame shows it.
    """

    parameters: dict[str, str] = Field(max_length=32)
    confine: Confine = Confine.STUDY
    view: View | None = None
    user_name: str = ""
    on_behalf_of: str = Field("", max_length=ON_BEHALF_OF_LENGTH_MAX)
    frame_origin: str | None = None
    session_s: int = Field(SESSION_S_DEFAULT, gt=0, le=SESSION_S_MAX)
    scope: list[Action] = []


class LaunchAnswer(Shape):
    """The address to send a browser to: it works once, until ``expires_at``."""

    url: str
    expires_at: datetime


@router.post("/api/launch", status_code=201, summary="Make a one-time address that opens images")
async def launch(
    request: Request, web: InWeb, viewer: StudyViewer, body: LaunchRequest
) -> LaunchAnswer:
    """The address, with a code that opens a session once within a minute.

    Standard: IHE Radiology Technical Framework, Volume 2, 4.106
    """
    look = web.look()
    code = await web.pool.run(_issue, viewer, body, web=web, look=look)
    base = web.options.public_url or str(request.base_url)
    return LaunchAnswer(
        url=f"{base.rstrip('/')}/launch?code={code}",
        expires_at=look.now + timedelta(seconds=CODE_TTL_S),
    )


def _issue(tx: Tx, viewer: Viewer, body: LaunchRequest, *, web: Web, look: Look) -> str:
    wish = Wish(
        invocation=invocation_of(body.parameters),
        parameters=body.parameters,
        confine=body.confine,
        view=body.view,
        scope=frozenset(body.scope),
        session_s=body.session_s,
        on_behalf_of=body.on_behalf_of,
        frame_origin=body.frame_origin,
    )
    grant = grant_of(tx, viewer, wish, options=web.options, look=look)
    return launches.issue_launch(tx, viewer.actor, grant, user_name=body.user_name, now=look.now)
