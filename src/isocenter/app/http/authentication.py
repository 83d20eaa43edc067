"""Who makes the request: a session cookie or a bearer token becomes an actor, or the request ends.

The gateways behind read ``scope["state"]["actor"]`` and never see a credential. What an actor may
do is decided by the services.

Standard: RFC 6750
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.app.http.options import HttpOptions
from isocenter.app.http.origin import SAFE_METHODS, by_bearer, is_own_origin
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Actor
from isocenter.errors import IsocenterError
from isocenter.gateways.web.problems import problem, problem_of
from isocenter.infra.clock import Clock
from isocenter.infra.crypto import token_digest
from isocenter.infra.pools import Pool

# What strangers may have: the door, its looks, and whether the house stands.
OPEN_PATHS = frozenset({
    "/sign-in",
    "/launch",
    "/launch/signed",
    "/health/live",
    "/health/ready",
    "/preferences/theme",
})
OPEN_PREFIXES = ("/static/",)
PROGRAM_PREFIXES = ("/api/", "/dicomweb/", "/fhir/", "/metrics")
_KEPT_MAX = 10_000
_POLICY_VIOLATION = 1008  # RFC 6455 7.4.1


@dataclass(frozen=True, slots=True)
class _Kept:
    actor: Actor
    until: datetime


class Authentication:
    """ASGI middleware that puts the actor into the request's state, or answers in its place."""

    def __init__(
        self, application: ASGIApp, *, pool: Pool, options: HttpOptions, clock: Clock
    ) -> None:
        self._application = application
        self._pool = pool
        self._options = options
        self._clock = clock
        self._kept: dict[tuple[bytes, str], _Kept] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its actor; else answer 401 or show the way to sign in."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["actor"] = None
        request = Request(scope)
        source = source_of(request, self._options.trusted_proxies)
        state["source"] = source
        if not is_open(scope["path"]):
            try:
                state["actor"] = await self._actor(request, source)
            except IsocenterError as error:
                await problem_of(error)(scope, receive, send)
                return
            if state["actor"] is None:
                await refusal(request)(scope, receive, send)
                return
        await self._application(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on with its actor; else refuse its handshake.

        Browsers let pages of any site open WebSockets, and send our cookie along: those of other
        sites are refused.

        Standard: RFC 6455 4.2.2, 10.2
        """
        connection = HTTPConnection(scope)
        source = source_of(connection, self._options.trusted_proxies)
        actor = None
        has_session = self._options.web.session_cookie in connection.cookies
        if is_own_origin(connection, has_session=has_session) or by_bearer(connection):
            with suppress(IsocenterError):
                actor = await self._actor(connection, source)
        if actor is None:
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        scope.setdefault("state", {}).update(actor=actor, source=source)
        await self._application(scope, receive, send)

    async def _actor(self, request: HTTPConnection, source: str) -> Actor | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        by_token = scheme.lower() == "bearer"
        secret = (
            token.strip() if by_token else request.cookies.get(self._options.web.session_cookie)
        )
        if not secret:
            return None
        now = self._clock()
        key = (token_digest(secret), source)
        if request.scope.get("method", "GET") in SAFE_METHODS:
            kept = self._kept.get(key)
            if kept is not None and kept.until > now:
                return kept.actor
        if by_token:
            actor = await self._pool.run(access.token_actor, secret, source=source, now=now)
        else:
            actor = await self._pool.run(access.session_actor, secret, source=source, now=now)
        self._keep(key, actor, now)
        return actor

    def _keep(self, key: tuple[bytes, str], actor: Actor | None, now: datetime) -> None:
        self._kept.pop(key, None)
        if actor is None:
            return
        while len(self._kept) >= _KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = _Kept(actor, now + timedelta(seconds=self._options.actor_kept_s))


def is_open(path: str) -> bool:
    """True for what is answered to strangers."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def source_of(request: HTTPConnection, trusted_proxies: frozenset[str]) -> str:
    """The address that the request comes from, seen past the proxies that we trust."""
    address = request.client.host if request.client else "local"
    if address not in trusted_proxies:
        return address
    hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",")]
    return next((hop for hop in reversed(hops) if hop and hop not in trusted_proxies), address)


def refusal(request: Request) -> Response:
    """What a stranger gets: a browser the sign-in page, a program 401."""
    path = request.url.path
    page = request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", "")
    if page and not path.startswith(PROGRAM_PREFIXES):
        wanted = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted)}", HTTPStatus.SEE_OTHER)
    return problem(
        HTTPStatus.UNAUTHORIZED,
        "Sign in, or send a bearer token.",
        headers={"WWW-Authenticate": 'Bearer realm="isocenter"'},
    )
