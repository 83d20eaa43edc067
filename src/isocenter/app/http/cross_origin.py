"""Lets pages of other origins that an administrator has named use DICOMweb, the API and FHIR.

Only with a bearer token: cookies are not sent along, so that a page elsewhere can do nothing in the
name of somebody who is signed in here. Without named origins nothing is added.

Standard: Fetch (CORS protocol) 3.2
"""

from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIXES: Final = ("/dicomweb", "/api/", "/fhir/")
_METHODS: Final = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
_REQUEST_HEADERS: Final = (
    "Authorization, Accept, Content-Type, If-Match, If-None-Match, Range, Isocenter-Reason"
)
_RESPONSE_HEADERS: Final = (
    "Content-Length, Content-Location, Content-Range, Content-Type, ETag, Location, Warning"
)
_MAX_AGE_S: Final = "600"


class CrossOrigin:
    """ASGI middleware that answers preflight requests and marks answers for named origins."""

    def __init__(self, application: ASGIApp, *, origins: frozenset[str]) -> None:
        self._application = application
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer what a browser asks before it."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIXES) or not self._origins:
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        allowed = origin in self._origins
        asks = scope["method"] == "OPTIONS" and "access-control-request-method" in headers

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("Origin")
                if allowed:
                    answer["Access-Control-Allow-Origin"] = origin
                    answer["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
                    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
            await send(message)

        if not asks:
            await self._application(scope, receive, send_marked)
            return
        permitted = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": _MAX_AGE_S,
        }
        answer = Response(None, HTTPStatus.NO_CONTENT, permitted if allowed else None)
        await answer(scope, receive, send_marked)
