"""The Worklist Service (UPS-RS): workitems are created, read, set, claimed, ended and found.

A request has the same effect as its DIMSE counterpart; what it means is the business of
``domain.worklist``. Subscriptions are in ``workitem_subscriptions``, events in
``workitem_channels``.

Standard: PS3.18 11; PS3.4 CC.1
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitems import StateForbids, WorkitemUidInvalid
from isocenter.gateways.dicomweb.context import actor_of, context_of, service_root
from isocenter.gateways.dicomweb.workitem_bodies import (
    answer,
    chosen_offer,
    named_uid,
    read_dataset,
    refusal,
    warned,
)
from isocenter.infra.ids import new_uid
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.matching import Query
from isocenter.standards.dicom.matching_keys import parse_params
from isocenter.standards.dicom.unified_procedure_step import State, UpsStatus
from isocenter.standards.dicom.values import DataSet

_AE_CHARACTERS_MAX: Final = 16
_PARAMETERS_OF_OURS: Final = frozenset({"accept", "charset"})
# PS3.4 Table CC.2.5-3: return keys of types 1 and 2, and of 1C and 2C where there is a value.
_RETURNED: Final = frozenset({
    "00080005", "00080016", "00080018", "00081080", "00081084", "00100010", "00100020", "00100021",
    "00100024", "00100030", "00100040", "00101002", "00102000", "001021C0", "0020000D", "00380010",
    "00380014", "00380050", "00404005", "00404018", "00404021", "00404025", "00404026", "00404027",
    "00404034", "00404041", "0040A370", "00741000", "00741002", "00741200", "00741202", "00741204",
    "00741210",
})  # fmt: skip
_INCONSISTENT: Final = (
    "The submitted request is inconsistent with the current state of the Workitem."
)
_INCONSISTENT_STATE: Final = (
    "The submitted request is inconsistent with the state of the UPS Instance."
)
_ALREADY: Final[Mapping[int, str]] = {
    UpsStatus.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    UpsStatus.ALREADY_IN_STATE_COMPLETED: (
        "The UPS is already in the requested state of COMPLETED."
    ),
}
_CANNOT_CANCEL: Final[Mapping[UpsStatus, str]] = {
    UpsStatus.ALREADY_COMPLETED: "The UPS is already COMPLETED.",
    UpsStatus.PERFORMER_CANNOT_BE_CONTACTED: "The performer cannot be contacted.",
}


async def create(request: Request) -> Response:
    """Create the workitem of the body.

    Standard: PS3.18 11.4
    """
    context, actor = context_of(request), actor_of(request)
    attributes = await read_dataset(request)
    named = named_uid(request, "affectedsopinstanceuid", "workitem")
    inside = attributes.text(ups.SOP_INSTANCE_UID)
    if named and inside and named != inside:
        raise WorkitemUidInvalid("the query and the workitem have different UIDs")
    uid = named or inside or new_uid()
    filled = await context.pool.run(
        worklist.create_workitem,
        actor,
        uid,
        attributes,
        zone=context.options.time_zone,
        now=context.clock(),
    )
    url = f"{service_root(request)}/workitems/{uid}"
    headers = {"Location": url, "Content-Location": url}
    if filled:
        headers |= warned(request, "The Workitem was created with modifications.")
    return Response(None, HTTPStatus.CREATED, headers)


async def retrieve(request: Request) -> Response:
    """The workitem, without its Transaction UID.

    Standard: PS3.18 11.5
    """
    context, actor, offer = context_of(request), actor_of(request), chosen_offer(request)
    uid = request.path_params["workitem"]
    model = await context.pool.run(worklist.read_workitem, actor, uid, now=context.clock())
    headers = {
        "Content-Location": f"{service_root(request)}/workitems/{uid}",
        "Cache-Control": "no-cache",
    }
    return await answer(request, [model], offer, headers)


async def update(request: Request) -> Response:
    """Set attributes of the workitem.

    Standard: PS3.18 11.6
    """
    context, actor = context_of(request), actor_of(request)
    changes = await read_dataset(request)
    transaction_uid = named_uid(request, "transaction-uid", "transaction", "transactionuid")
    if transaction_uid:
        changes.put(ups.TRANSACTION_UID, transaction_uid)
    uid = request.path_params["workitem"]
    try:
        await context.pool.run(
            worklist.update_workitem,
            actor,
            uid,
            changes,
            zone=context.options.time_zone,
            now=context.clock(),
        )
    except StateForbids as error:
        if error.status is UpsStatus.NOT_IN_PROGRESS:
            unclaimed = "The target URI did not reference a claimed Workitem."
            return refusal(request, error, HTTPStatus.CONFLICT, unclaimed)
        return refusal(request, error, HTTPStatus.BAD_REQUEST, _INCONSISTENT)
    url = f"{service_root(request)}/workitems/{uid}"
    return Response(None, HTTPStatus.OK, {"Content-Location": url})


async def change_state(request: Request) -> Response:
    """Claim, complete or cancel the workitem.

    Standard: PS3.18 11.7
    """
    context, actor = context_of(request), actor_of(request)
    said = await read_dataset(request)
    try:
        state = State(said.text(ups.STATE))
    except ValueError as error:
        raise RemoteProtocolError("this is no Procedure Step State") from error
    transaction_uid = said.text(ups.TRANSACTION_UID)
    try:
        status = await context.pool.run(
            worklist.change_workitem_state,
            actor,
            request.path_params["workitem"],
            state,
            transaction_uid=transaction_uid,
            now=context.clock(),
        )
    except StateForbids as error:
        return _state_refusal(request, error, given=bool(transaction_uid))
    warnings = [_ALREADY[status]] if status in _ALREADY else []
    return Response(None, HTTPStatus.OK, warned(request, *warnings))


def _state_refusal(request: Request, error: StateForbids, *, given: bool) -> Response:
    if error.status is UpsStatus.WRONG_TRANSACTION_UID:
        wrong = "incorrect" if given else "missing"
        text = f"The Transaction UID is {wrong}."
        return refusal(request, error, HTTPStatus.BAD_REQUEST, text)
    if error.status is UpsStatus.SCHEDULED_ONLY_BY_CREATION:
        return refusal(request, error, HTTPStatus.BAD_REQUEST, _INCONSISTENT_STATE)
    return refusal(request, error, HTTPStatus.CONFLICT, _INCONSISTENT_STATE)


async def request_cancellation(request: Request) -> Response:
    """Ask for the workitem to be canceled.

    Standard: PS3.18 11.8
    """
    context, actor = context_of(request), actor_of(request)
    said = await read_dataset(request)
    try:
        status = await context.pool.run(
            worklist.request_cancellation,
            actor,
            request.path_params["workitem"],
            said,
            requesting_ae_title=_requester(request, actor),
            now=context.clock(),
        )
    except StateForbids as error:
        warning = _CANNOT_CANCEL.get(error.status, _INCONSISTENT_STATE)
        return refusal(request, error, HTTPStatus.CONFLICT, warning)
    warnings = [_ALREADY[status]] if status in _ALREADY else []
    return Response(None, HTTPStatus.ACCEPTED, warned(request, *warnings))


def _requester(request: Request, actor: Actor) -> str:
    """The AE title of who asks; the name of the user where there is none."""
    given: str = request.query_params.get("requester") or actor.name
    title = "".join(each for each in given if each.isascii() and each.isprintable())
    return title.replace("\\", "")[:_AE_CHARACTERS_MAX].strip() or "WEB"


async def search(request: Request) -> Response:
    """The workitems that match, the earliest first.

    Standard: PS3.18 11.9
    """
    context, actor, offer = context_of(request), actor_of(request), chosen_offer(request)
    query = parse_params(request.query_params.multi_items(), ignored=_PARAMETERS_OF_OURS)
    most = context.options.search_results_max
    limit = min(query.limit if query.limit is not None else most, most)
    zone = worklist.zone_of(DataSet(), context.options.time_zone)
    found = await context.pool.run(
        worklist.search_workitems, actor, query, limit=limit + 1, zone=zone, now=context.clock()
    )
    models = [_returned(each.attributes, query) for each in found.workitems[:limit]]
    partial = len(found.workitems) > limit and query.limit != limit
    warnings: list[str] = []
    if found.passed_over:
        names = " ".join(f"{tag:08X}" for tag in sorted(found.passed_over))
        warnings.append(f"These attributes are not matched: {names}")
    headers = {"Cache-Control": "no-cache", **warned(request, *warnings)}
    empty = HTTPStatus.NO_CONTENT if offer.multipart else context.options.empty_search_status
    if not models and empty is HTTPStatus.NO_CONTENT:
        return Response(None, empty, headers)
    status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
    return await answer(request, models, offer, headers, status)


def _returned(attributes: dict[str, Any], query: Query) -> dict[str, Any]:
    if query.all_fields:
        return attributes
    asked = {f"{tag:08X}" for tag in query.returned}
    return {key: value for key, value in attributes.items() if key in _RETURNED or key in asked}
