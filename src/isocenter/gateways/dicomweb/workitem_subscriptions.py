"""Subscriptions to workitems and to the worklist, and their end.

Events are sent to a subscriber over a WebSocket (``workitem_channels``), also when it is a DICOM
peer: how it subscribes tells how it wants to be told.

Standard: PS3.18 11.10 to 11.12
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitems import (
    Channel,
    StateForbids,
    Subscriber,
    SubscriptionRequest,
)
from isocenter.gateways.dicomweb.context import actor_of, context_of, service_root
from isocenter.gateways.dicomweb.problems import problem
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching_keys import UnknownParameterError, filter_identifier
from isocenter.standards.dicom.unified_procedure_step import FILTERED_GLOBAL_SUBSCRIPTION
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicomweb.params import parse_ae_title

_OURS: Final = frozenset({"accept", "charset", "deletionlock", "filter"})


async def subscribe(request: Request) -> Response:
    """Have an application entity hear of the workitem, or of the worklist's.

    Standard: PS3.18 11.10
    """
    context, actor = context_of(request), actor_of(request)
    title = parse_ae_title(request.path_params["aetitle"])
    lock = request.query_params.get("deletionlock", "false").lower()
    if lock not in {"true", "false"}:
        raise UnknownParameterError("deletionlock", "must be true or false")
    uid = request.path_params["workitem"]
    keys = _keys(request) if uid == FILTERED_GLOBAL_SUBSCRIPTION else None
    subscriber = Subscriber(title, Channel.WEB)
    wanted = SubscriptionRequest(uid, subscriber, lock == "true", keys)
    await context.pool.run(
        worklist.subscribe, actor, wanted, zone=context.options.time_zone, now=context.clock()
    )
    # http becomes ws, and https wss.
    channel = f"ws{service_root(request).removeprefix('http')}/ws/subscribers/{title}"
    return Response(None, HTTPStatus.CREATED, {"Content-Location": channel})


def _keys(request: Request) -> DataSet:
    """The matching keys of the filter parameter, and those that are parameters themselves.

    Standard: PS3.18 11.10.1.2; PS3.18 2019a 6.9.7.1 (the latter)
    """
    pairs: list[tuple[str, str]] = []
    for name, value in request.query_params.multi_items():
        if name.lower() == "filter":
            for part in filter(None, value.split(",")):
                key, _, wanted = part.partition("=")
                pairs.append((key, wanted))
        elif name.lower() not in _OURS:
            pairs.append((name, value))
    return filter_identifier(pairs)


async def unsubscribe(request: Request) -> Response:
    """Have an application entity no longer hear of the workitem, or of any.

    Standard: PS3.18 11.11
    """

    def end(tx: Tx, uid: str, title: str) -> None:
        ended = worklist.unsubscribe(tx, actor_of(request), uid, title, now=context.clock())
        worklist.require_subscription(ended)

    context = context_of(request)
    title = parse_ae_title(request.path_params["aetitle"])
    await context.pool.run(end, request.path_params["workitem"], title)
    return Response(None, HTTPStatus.OK)


async def suspend(request: Request) -> Response:
    """Have an application entity hear of no new workitems.

    Standard: PS3.18 11.12
    """

    def end(tx: Tx, uid: str, title: str) -> None:
        now = context.clock()
        ended = worklist.suspend_subscription(tx, actor_of(request), uid, title, now=now)
        worklist.require_subscription(ended)

    context = context_of(request)
    title = parse_ae_title(request.path_params["aetitle"])
    try:
        await context.pool.run(end, request.path_params["workitem"], title)
    except StateForbids as error:
        return problem(HTTPStatus.BAD_REQUEST, error.message)
    return Response(None, HTTPStatus.OK)
