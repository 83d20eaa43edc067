"""Refuses requests that another site makes a signed-in browser send.

An unsafe request without a bearer token must come from a page of ours. Browsers say where a request
comes from in Sec-Fetch-Site and Origin, and no script can forge either. Programs that carry a
bearer token are not concerned: no browser attaches one by itself.

Standard: Fetch Metadata Request Headers 2; RFC 6454 7
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.gateways.web.problems import problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def by_bearer(request: HTTPConnection) -> bool:
    """Whether a program made the request, with a bearer token."""
    return request.headers.get("authorization", "").lower().startswith("bearer ")


def is_own_origin(request: HTTPConnection, *, has_session: bool) -> bool:
    """True when a page of ours, or no browser at all, made the request."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if site is not None:
        return site in {"same-origin", "none"}
    return not has_session


class SameOrigin:
    """ASGI middleware that answers 403 to unsafe requests from other sites."""

    def __init__(self, application: ASGIApp, *, session_cookie: str) -> None:
        self._application = application
        self._session_cookie = session_cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is safe or comes from us."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            request = Request(scope)
            has_session = self._session_cookie in request.cookies
            if (has_session or not by_bearer(request)) and not is_own_origin(
                request, has_session=has_session
            ):
                refusal = problem(HTTPStatus.FORBIDDEN, "The request comes from another site.")
                await refusal(scope, receive, send)
                return
        await self._application(scope, receive, send)
