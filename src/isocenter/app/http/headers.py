"""The headers that every answer carries: what a browser may load, frame, guess and keep.

Nothing is loaded from other hosts and no script or style is written into a page.

Standard: Content Security Policy Level 3; RFC 6797 (HSTS)
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'self'",
    "img-src 'self' blob: data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
))
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Answers hold patient data unless they say otherwise: nothing may be left on a shared machine.
    "Cache-Control": "no-store",
}
STRICT_TRANSPORT_SECURITY = "max-age=31536000"


class SecurityHeaders:
    """ASGI middleware that adds each header which the answer has not set itself."""

    def __init__(
        self, application: ASGIApp, *, tls: bool, frame_ancestors: frozenset[str] = frozenset()
    ) -> None:
        self._application = application
        self._headers = dict(HEADERS)
        if frame_ancestors:
            # X-Frame-Options cannot name origins, and browsers that know both would obey it.
            del self._headers["X-Frame-Options"]
            policy = CONTENT_SECURITY_POLICY.replace(
                "frame-ancestors 'none'", " ".join(["frame-ancestors", *sorted(frame_ancestors)])
            )
            self._headers["Content-Security-Policy"] = policy
        if tls:
            self._headers["Strict-Transport-Security"] = STRICT_TRANSPORT_SECURITY
        self._raw = [
            (name.lower().encode(), value.encode()) for name, value in self._headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the answer's headers."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # As they are sent, names in lower case: this is on the way of every frame.
                given = message.get("headers", ())
                names = {name for name, _ in given}
                message["headers"] = [*given, *(each for each in self._raw if each[0] not in names)]
            await send(message)

        await self._application(scope, receive, send_completed)
