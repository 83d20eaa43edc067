"""The outermost layer: a defect becomes one answer and one log line, without its text.

It also counts requests. Paths are not logged: they name exams.
"""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.errors import Kind
from isocenter.gateways.web.problems import problem
from isocenter.infra.log import get_logger

_log = get_logger(__name__)


class AnswerBroken(Exception):
    """An answer had begun when something failed: the server must close the connection.

    It carries no text and no cause, because servers log what they catch.
    """


class Boundary:
    """ASGI middleware behind which nothing may raise."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer 500 in place of an answer that failed before it began."""
        started = complete = False

        async def send_noted(message: Message) -> None:
            nonlocal started, complete
            started = True
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._application(scope, receive, send_noted)
        except Exception:  # noqa: BLE001 - whatever it is, it ends here
            _log.exception("request_failed", http_method=scope.get("method", scope["type"]))
            if complete:  # a framework below has answered and passed the failure on
                return
            if started or scope["type"] != "http":
                raise AnswerBroken from None
            fault = problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "Something failed on our side. It is recorded.",
                kind=Kind.FAULT.value,
            )
            await fault(scope, receive, send)
