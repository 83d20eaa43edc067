"""Keeps a session that a launch confined to some exams inside of them.

What is not named here is refused, so that a page or an address added later is closed until somebody
says otherwise. Such a session only reads; what it may choose is how things look.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.app.http.origin import SAFE_METHODS
from isocenter.domain.access.model import Actor, Launched
from isocenter.gateways.web.problems import problem

_OPEN: Final = frozenset({
    "/api/me",
    "/api/preferences",
    "/api/hanging-protocols",
    "/sign-in",
    "/sign-out",
    "/preferences/theme",
    "/launch",
    "/launch/signed",
    "/IHEInvokeImageDisplay",  # shows only studies of the session
    "/health/live",
    "/health/ready",
})
_CHANGES: Final = frozenset({"/sign-out", "/sign-in", "/preferences/theme"})
_VIEWS: Final = ("/read", "/embed", "/print")
_OF_STUDIES: Final = ("/dicomweb/studies/", "/api/studies/")


class Confined:
    """ASGI middleware that answers 403 where a confined session has no business."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the session may see."""
        actor: Actor | None = scope.get("state", {}).get("actor")
        launched = actor.launched if actor is not None else None
        if launched is None or not launched.is_confined or _permitted(scope, launched):
            await self._application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = problem(HTTPStatus.FORBIDDEN, "This session shows other exams only.")
        await refusal(scope, receive, send)


def _permitted(scope: Scope, launched: Launched) -> bool:
    if scope["type"] != "http":
        return False
    path: str = scope["path"]
    if scope["method"] not in SAFE_METHODS:
        if path.startswith("/api/studies/") and path.endswith("/exports"):  # on record, no change
            return path.split("/")[3] in (launched.study_instance_uids or frozenset())
        return path in _CHANGES or (
            path.startswith("/api/preferences/") and scope["method"] == "PUT"
        )
    if path in _OPEN or path.startswith("/static/"):
        return True
    studies = launched.study_instance_uids or frozenset()
    for prefix in _OF_STUDIES:
        if path.startswith(prefix):
            return path.removeprefix(prefix).partition("/")[0] in studies
    for view in _VIEWS:
        if path.startswith("/exams/") and path.endswith(view):
            return path.removeprefix("/exams/").removesuffix(view) in launched.accession_numbers
        if path.startswith("/studies/") and path.endswith(view):
            return path.removeprefix("/studies/").removesuffix(view) in studies
    return path == "/viewer" and _names_only(Request(scope), studies)


def _names_only(request: Request, studies: frozenset[str]) -> bool:
    given = parse_qs(request.url.query).get("StudyInstanceUIDs", [])
    uids = {uid for each in given for uid in each.replace("\\", ",").split(",") if uid}
    return bool(uids) and uids <= studies
