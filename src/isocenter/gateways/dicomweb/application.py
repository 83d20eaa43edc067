"""The DICOMweb application: which path leads to which handler.

Standard: PS3.18 10.1 (Studies Service)
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from isocenter.errors import IsocenterError
from isocenter.gateways.dicomweb import (
    bulkdata,
    capabilities,
    describe,
    frames,
    rejection,
    rendered,
    retrieve,
    search,
    store,
    uri,
)
from isocenter.gateways.dicomweb.context import Dicomweb
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.dicomweb.problems import (
    answer_bad_request,
    answer_error,
    answer_http_error,
)
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.pools import Pool
from isocenter.standards import RemoteProtocolError

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def application(
    pool: Pool, blobs: BlobStore, *, options: DicomwebOptions, clock: Clock
) -> Starlette:
    """The ASGI application, to be mounted where the service root is.

    It expects the actor of each request in ``scope["state"]["actor"]``.
    """
    made = Starlette(
        routes=_routes(),
        exception_handlers={
            IsocenterError: answer_error,
            RemoteProtocolError: answer_bad_request,
            HTTPException: answer_http_error,
        },
    )
    made.state.dicomweb = Dicomweb(pool, blobs, options=options, clock=clock)
    return made


def _routes() -> list[Route]:
    searches = [
        Route("/studies", search.studies),
        Route("/series", search.series),
        Route("/instances", search.instances),
        Route(_STUDY + "/series", search.series),
        Route(_STUDY + "/instances", search.instances),
        Route(_SERIES + "/instances", search.instances),
    ]
    stores = [
        Route("/studies", store.store, methods=["POST"]),
        Route(_STUDY, store.store, methods=["POST"]),
    ]
    wholes = [
        Route(path + tail, handler)
        for path in (_STUDY, _SERIES, _INSTANCE)
        for tail, handler in (
            ("", retrieve.instances),
            ("/metadata", describe.metadata),
            ("/rendered", rendered.rendered),
            ("/thumbnail", rendered.thumbnail),
        )
        if (path, tail) != (_INSTANCE, "/metadata")
    ]
    parts = [
        Route(_INSTANCE + "/metadata", describe.one_instance_metadata),
        Route(_INSTANCE + "/bulkdata/{path:path}", bulkdata.bulk_data),
        Route(_INSTANCE + "/pixeldata", frames.pixel_data),
        Route(_INSTANCE + "/frames/{frames}", frames.frames),
        Route(_INSTANCE + "/frames/{frames}/rendered", rendered.rendered),
        Route(_INSTANCE + "/frames/{frames}/thumbnail", rendered.thumbnail),
    ]
    rejections = [
        route
        for path in (_STUDY, _SERIES, _INSTANCE)
        for route in (
            Route(path, rejection.delete, methods=["DELETE"]),
            Route(path + "/reject/{code}", rejection.reject, methods=["POST"]),
            Route(path + "/restore", rejection.restore, methods=["POST"]),
        )
    ]
    rejections.append(Route(_STUDY + "/rejections", rejection.rejections))
    others = [
        Route("/wado", uri.retrieve),
        Route("/", capabilities.root, methods=["GET", "OPTIONS"]),
    ]
    return [*searches, *stores, *wholes, *parts, *rejections, *others]
