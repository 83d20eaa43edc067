"""Counts requests and measures how long their answers take, by the template of their path.

A template has names where a path has values (``/dicomweb/studies/{study}``), so that no label holds
a UID or a name and their number is bounded. Paths that lead nowhere are counted together.
"""

import inspect
import time
from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.infra import metrics

_REQUESTS: Final = metrics.counter(
    "http_requests",
    "HTTP requests, by method, path template and status",
    ["method", "route", "status"],
)
_SECONDS: Final = metrics.histogram(
    "http_request_duration_seconds",
    "Time from a request to the end of its answer",
    ["method", "route"],
)
_IN_PROGRESS: Final = metrics.gauge("http_requests_in_progress", "HTTP requests in progress")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROUTES_MAX: Final = 500
_NOWHERE: Final = "none"
_OTHERS: Final = "others"
_STATIC: Final = "/static/"

# The library finds the number behind labels by checking and writing out each: a sixth of what the
# event loop does for a small answer. There are no more of these than numbers.
_NUMBERS_MAX: Final = 8192


@lru_cache(maxsize=_NUMBERS_MAX)
def _requests(method: str, route: str, status: int) -> Counter:
    # A client that went before the answer began has no status.
    return _REQUESTS.labels(method, route, str(status or "none"))


@lru_cache(maxsize=_NUMBERS_MAX)
def _seconds(method: str, route: str) -> Histogram:
    return _SECONDS.labels(method, route)


class RequestMetrics:
    """ASGI middleware that counts what passes; the outermost, so that it sees every answer."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._routes: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when it is answered."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_s = time.monotonic()
        _IN_PROGRESS.inc()
        try:
            await self._application(scope, receive, send_noted)
        finally:
            _IN_PROGRESS.dec()
            self._count(scope, status, time.monotonic() - began_s)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method: str = scope["method"] if scope["method"] in _METHODS else _OTHERS
        route = self._bounded(route_template(scope))
        _requests(method, route, status).inc()
        _seconds(method, route).observe(seconds)

    def _bounded(self, route: str) -> str:
        if route not in self._routes:
            if len(self._routes) >= _ROUTES_MAX:
                return _OTHERS
            self._routes.add(route)
        return route


def route_template(scope: Scope) -> str:
    """The path with the names of its parameters in place of their values.

    The router leaves in the scope where it led the request, and with which parameters.
    """
    path: str = scope["path"]
    if path.startswith(_STATIC):
        return _STATIC + "{path}"
    if not inspect.isroutine(scope.get("endpoint")):  # an application below which nothing was found
        return _NOWHERE
    values = {str(value): name for name, value in scope.get("path_params", {}).items()}
    for value in sorted(values, key=len, reverse=True):
        if value:
            path = path.replace(f"/{value}", f"/{{{values[value]}}}", 1)
    return path
