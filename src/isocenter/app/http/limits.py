"""Limits on requests: how many at a time, how large, how slow, addressed to whom.

Each limit has a default in ``HttpOptions`` and is refused with its own status. Limits on what a
service may return (page sizes) belong to the services.
"""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.app.http.options import HttpOptions
from isocenter.gateways.web.problems import RETRY_AFTER_S, problem

UPLOAD_PATHS = ("/dicomweb/",)


class RequestLimits:
    """ASGI middleware that refuses what is too much before anything works on it."""

    def __init__(self, application: ASGIApp, *, options: HttpOptions) -> None:
        self._application = application
        self._options = options
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests within the limits."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, detail = refusal
            retry = (
                {"Retry-After": RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            )
            await problem(status, detail, headers=retry)(scope, receive, send)
            return
        self._in_progress += 1
        body = _LimitedBody(
            receive, bytes_max=self._bytes_max(scope), idle_s=self._options.body_idle_s
        )
        try:
            await self._application(scope, body.receive, body.sender(scope, send))
        except ClientDisconnect:  # gone, or taken for gone because a limit was reached
            await body.refuse(scope, send)
        finally:
            self._in_progress -= 1

    def _bytes_max(self, scope: Scope) -> int:
        path: str = scope["path"]
        options = self._options
        return options.upload_bytes_max if path.startswith(UPLOAD_PATHS) else options.body_bytes_max

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
        if self._in_progress >= self._options.requests_max:
            return HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are in progress."
        host = headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()
        if self._options.allowed_hosts and host not in self._options.allowed_hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "This server does not answer to that name."
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return HTTPStatus.BAD_REQUEST, "Content-Length is not a number."
        if int(length) > self._bytes_max(scope):
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request body is too large."
        return None


class _LimitedBody:
    """Counts a body that did not announce its length, and loses patience with one that stalls.

    The reader sees a disconnected client; whatever it answers to that is replaced by the refusal.
    """

    def __init__(self, receive: Receive, *, bytes_max: int, idle_s: float) -> None:
        self._receive = receive
        self._bytes_left = bytes_max
        self._idle_s = idle_s
        self._complete = False
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._started = False
        self._refused = False

    async def receive(self) -> Message:
        """The next part of the body, or the disconnection that a limit amounts to."""
        if self._complete:  # what comes now is the disconnection, for which one may wait long
            return await self._receive()
        if self._refusal is not None:
            return {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_s)
        except TimeoutError:
            self._refusal = (HTTPStatus.REQUEST_TIMEOUT, "The request body stalled.")
            return {"type": "http.disconnect"}
        self._complete = not message.get("more_body", False)
        self._bytes_left -= len(message.get("body", b""))
        if self._bytes_left < 0:
            self._refusal = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request body is too large.")
            self._complete = False
            return {"type": "http.disconnect"}
        return message

    def sender(self, scope: Scope, send: Send) -> Send:
        """``send`` that sends the refusal instead of an answer that begins after it was decided."""

        async def send_or_refuse(message: Message) -> None:
            if self._refusal is not None and not self._started:
                await self.refuse(scope, send)
            elif not self._refused:
                self._started = True
                await send(message)

        return send_or_refuse

    async def refuse(self, scope: Scope, send: Send) -> None:
        """Send the refusal, if there is one and nothing else was sent."""
        if self._refusal is None or self._started or self._refused:
            return
        self._refused = True
        status, detail = self._refusal
        await problem(status, detail)(scope, self._receive, send)
