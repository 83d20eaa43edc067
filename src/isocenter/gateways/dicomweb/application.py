"""The DICOMweb application: which path leads to which handler.

Standard: PS3.18 10.1 (Studies Service), 11.1 (Worklist Service)
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, WebSocketRoute

from isocenter.errors import IsocenterError
from isocenter.gateways.dicomweb import (
    bulkdata,
    capabilities,
    describe,
    frames,
    rejection,
    rendered,
    resampled,
    retrieve,
    search,
    store,
    uri,
    workitem_channels,
    workitem_subscriptions,
    workitems,
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
_WORKITEM = "/workitems/{workitem}"


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


def end_channels(application: Starlette) -> None:
    """End the event channels, which would keep a stopping server waiting; in its event loop."""
    dicomweb: Dicomweb = application.state.dicomweb
    dicomweb.channels.close()


def _worklist() -> list[BaseRoute]:
    """The Worklist Service.

    Standard: PS3.18 11.1.1, 11.3
    """
    subscription = _WORKITEM + "/subscribers/{aetitle}"
    return [
        Route("/workitems", workitems.search),
        Route("/workitems", workitems.create, methods=["POST"]),
        Route(_WORKITEM, workitems.retrieve),
        Route(_WORKITEM, workitems.update, methods=["POST"]),
        Route(_WORKITEM + "/state", workitems.change_state, methods=["PUT"]),
        Route(_WORKITEM + "/cancelrequest", workitems.request_cancellation, methods=["POST"]),
        Route(subscription, workitem_subscriptions.subscribe, methods=["POST"]),
        Route(subscription, workitem_subscriptions.unsubscribe, methods=["DELETE"]),
        Route(subscription + "/suspend", workitem_subscriptions.suspend, methods=["POST"]),
        *(
            WebSocketRoute(path, workitem_channels.open_channel)
            for path in ("/ws/subscribers/{aetitle}", "/subscribers/{aetitle}", "/ws", "/")
        ),
    ]


def _routes() -> list[BaseRoute]:
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
        if (path, tail) not in {(_INSTANCE, "/metadata"), (_SERIES, "/metadata")}
    ]
    # Routes are tried in turn: what is asked for most comes first.
    hot = [
        Route(_INSTANCE + "/frames/{frames}", frames.frames),
        Route(_SERIES + "/metadata", describe.metadata),
    ]
    parts = [
        Route(_SERIES + "/resampled", resampled.resampled),
        Route(_INSTANCE + "/metadata", describe.one_instance_metadata),
        Route(_INSTANCE + "/bulkdata/{path:path}", bulkdata.bulk_data),
        Route(_INSTANCE + "/pixeldata", frames.pixel_data),
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
    return [*hot, *searches, *stores, *wholes, *parts, *rejections, *others, *_worklist()]
