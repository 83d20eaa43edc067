"""The one ASGI application of a ``web`` process: the door, the pages, DICOMweb, health.

Order of the door, from outside: figures, unexpected failures, headers, other origins, limits, own
origin, credentials, what a launched session is confined to. Each is one middleware that
knows nothing of the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.app.http.authentication import Authentication
from isocenter.app.http.boundary import Boundary
from isocenter.app.http.confined import Confined
from isocenter.app.http.cross_origin import CrossOrigin
from isocenter.app.http.headers import SecurityHeaders
from isocenter.app.http.health import dependency_checks, health_routes
from isocenter.app.http.limits import RequestLimits
from isocenter.app.http.metrics import RequestMetrics
from isocenter.app.http.options import HttpOptions
from isocenter.app.http.origin import SameOrigin
from isocenter.gateways.web.application import routes
from isocenter.gateways.web.feed import Feed
from isocenter.gateways.web.hl7_desk import Hl7Desk
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock, utc_now
from isocenter.infra.pools import Pool


class HttpApplication:
    """The ASGI application, and how to end what would keep a stopping server waiting."""

    def __init__(self, application: ASGIApp, feed: Feed) -> None:
        self._application = application
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._application(scope, receive, send)

    def end_streams(self) -> None:
        """End the event streams; call it in the event loop before the server stops."""
        self._feed.close()


@dataclass(frozen=True, slots=True)
class Backing:
    """What answers the requests.

    Attributes:
        hl7: answers for the HL7 interface.
    """

    pool: Pool
    blobs: BlobStore
    hl7: Hl7Desk
    clock: Clock = utc_now


def create_application(
    backing: Backing,
    *,
    options: HttpOptions,
    mounts: Mapping[str, ASGIApp],
    metrics: Callable[[], str],
) -> HttpApplication:
    """Everything that HTTP reaches, behind the door.

    ``mounts`` gives paths to further gateways, ``{"/dicomweb": …}``; they find the actor in the
    state. ``metrics`` gives the figures of all processes in Prometheus' text format.
    """
    pool, blobs, clock = backing.pool, backing.blobs, backing.clock
    checks = dependency_checks(pool, blobs, free_bytes_min=options.storage_free_bytes_min)
    inner: list[BaseRoute] = [*health_routes(checks, metrics)]
    inner.extend(Mount(path, app=application) for path, application in mounts.items())
    pages = routes(pool, blobs, options.web, checks=checks, hl7=backing.hl7, clock=clock)
    inner.append(Mount("/", app=pages))
    application: ASGIApp = Confined(Router(inner))
    application = Authentication(application, pool=pool, options=options, clock=clock)
    application = SameOrigin(application, session_cookie=options.web.session_cookie)
    application = RequestLimits(application, options=options)
    application = CrossOrigin(application, origins=options.cross_origins)
    application = SecurityHeaders(
        application, tls=options.tls, frame_ancestors=options.frame_ancestors
    )
    return HttpApplication(RequestMetrics(Boundary(application)), pages.state.web.feed)
