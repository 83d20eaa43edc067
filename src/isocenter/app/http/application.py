"""The one ASGI application of a ``web`` process: the door, the pages, DICOMweb, health.

Order of the door, from outside: unexpected failures and figures, headers, limits, origin,
credentials. Each is one middleware that knows nothing of the others.
"""

from collections.abc import Callable, Mapping

from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp

from isocenter.app.http.authentication import Authentication
from isocenter.app.http.boundary import Boundary
from isocenter.app.http.headers import SecurityHeaders
from isocenter.app.http.health import dependency_checks, health_routes
from isocenter.app.http.limits import RequestLimits
from isocenter.app.http.options import HttpOptions
from isocenter.app.http.origin import SameOrigin
from isocenter.gateways.web.application import routes
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock, utc_now
from isocenter.infra.pools import Pool


def create_application(
    *,
    pool: Pool,
    blobs: BlobStore,
    options: HttpOptions,
    mounts: Mapping[str, ASGIApp],
    metrics: Callable[[], str],
    clock: Clock = utc_now,
) -> ASGIApp:
    """Everything that HTTP reaches, behind the door.

    ``mounts`` gives paths to further gateways, ``{"/dicomweb": …}``; they find the actor in the
    state. ``metrics`` gives the figures of all processes in Prometheus' text format.
    """
    checks = dependency_checks(pool, blobs, free_bytes_min=options.storage_free_bytes_min)
    inner: list[BaseRoute] = [*health_routes(checks, metrics)]
    inner.extend(Mount(path, app=application) for path, application in mounts.items())
    inner.append(Mount("/", app=routes(pool, blobs, options.web, checks=checks, clock=clock)))
    application: ASGIApp = Router(inner)
    application = Authentication(application, pool=pool, options=options, clock=clock)
    application = SameOrigin(application, session_cookie=options.web.session_cookie)
    application = RequestLimits(application, options=options)
    application = SecurityHeaders(application, tls=options.tls)
    return Boundary(application)
