"""STOW-RS: objects come in as the parts of a body of any size, or as one body.

The answer is DICOM JSON, or a Native DICOM Model for those who prefer that. It is never refused:
objects must not be lost for the language of their receipt.

Standard: PS3.18 10.5
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Action, authorize
from isocenter.gateways.dicomweb.context import actor_of, context_of, service_root
from isocenter.gateways.dicomweb.errors import NothingSent, UnsupportedBody
from isocenter.gateways.dicomweb.retrieve import accepted
from isocenter.gateways.dicomweb.upload import METADATA_TYPES, OUT_OF_RESOURCES, Fate, Upload
from isocenter.standards.dicom.xml_model import to_xml
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM, DICOM_JSON, DICOM_XML, MediaType, Offer

# Bytes that are worth a hop to a thread.
_PORTION_BYTES: Final = 1 << 20


async def store(request: Request) -> Response:
    """Store the objects of the body; the answer tells what became of each.

    Standard: PS3.18 10.5.1, 10.5.3
    """
    context, actor = context_of(request), actor_of(request)
    authorize(actor, Action.STUDY_STORE)
    kind = media_types.parse_media_type(request.headers.get("content-type", ""))
    call = context.pool.call
    upload = Upload(context, actor, request.path_params.get("study"))
    try:
        await call(_expect, upload, kind)
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _PORTION_BYTES:
                await call(upload.feed, memoryview(waiting))
                waiting = bytearray()
        await call(upload.feed, memoryview(waiting))
        await call(upload.finish)
    except BaseException:
        # A cancelled request may leave a thread at work: abandoning waits for it, off this loop.
        await asyncio.shield(call(upload.abandon))
        raise
    if not upload.fates:
        raise NothingSent("the body holds no object")
    return _response(upload.fates, service_root(request), as_xml=_prefers_xml(request))


def _prefers_xml(request: Request) -> bool:
    offers = [Offer(DICOM_JSON), Offer("application/json"), Offer(DICOM_XML)]
    chosen = media_types.select(accepted(request), offers)
    return chosen is not None and chosen.name == DICOM_XML


def _expect(upload: Upload, kind: MediaType) -> None:
    known = {DICOM, "*/*", *(METADATA_TYPES if kind.is_multipart else ())}
    if kind.part_name not in known or (kind.name != DICOM and not kind.is_multipart):
        kinds = ", ".join(sorted({DICOM} | METADATA_TYPES))
        raise UnsupportedBody(f"send {DICOM}, or multipart/related with a type of {kinds}")
    if kind.is_multipart:
        upload.expect_parts(kind.parameters.get("boundary", ""), kind.part_name)
    else:
        upload.expect_one()


def _response(fates: Sequence[Fate], root: str, *, as_xml: bool) -> Response:
    """The store instances response.

    Standard: PS3.18 10.5.3, Table 10.5.3-1, Annex I
    """
    stored = [each for each in fates if each.failure is None]
    failed = [each for each in fates if each.failure is not None and each.sop_instance_uid]
    others = [each for each in fates if each.failure is not None and not each.sop_instance_uid]
    body: dict[str, Any] = {}
    studies = {each.study_instance_uid for each in stored}
    if len(studies) == 1:
        body["00081190"] = _value("UR", f"{root}/studies/{studies.pop()}")
    if failed:
        body["00081198"] = _sequence([_failed_item(each) for each in failed])
    if stored:
        body["00081199"] = _sequence([_stored_item(each, root) for each in stored])
    if others:
        # Objects of which not even the UID is known have a sequence of their own.
        body["0008119A"] = _sequence([{"00081197": _reason(each)} for each in others])
    if as_xml:
        return Response(to_xml(body), _status(fates), media_type=DICOM_XML)
    return Response(msgspec.json.encode(body), _status(fates), media_type=DICOM_JSON)


def _status(fates: Sequence[Fate]) -> HTTPStatus:
    """Standard: PS3.18 Table 10.5.3-1."""
    failures = {each.failure for each in fates}
    if None in failures:
        plain = failures == {None} and all(each.warning is None for each in fates)
        return HTTPStatus.OK if plain else HTTPStatus.ACCEPTED
    if failures == {OUT_OF_RESOURCES}:  # nothing but objects that are too large
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.CONFLICT


def _sequence(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": items}


def _value(vr: str, value: str) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value else {"vr": vr}


def _reason(fate: Fate) -> dict[str, Any]:
    return {"vr": "US", "Value": [fate.failure]}


def _warned(fate: Fate) -> dict[str, Any]:
    return {} if fate.warning is None else {"00081196": {"vr": "US", "Value": [fate.warning]}}


def _stored_item(fate: Fate, root: str) -> dict[str, Any]:
    url = (
        f"{root}/studies/{fate.study_instance_uid}/series/{fate.series_instance_uid}"
        f"/instances/{fate.sop_instance_uid}"
    )
    return {
        "00081150": _value("UI", fate.sop_class_uid),
        "00081155": _value("UI", fate.sop_instance_uid),
        "00081190": _value("UR", url),
        **_warned(fate),
    }


def _failed_item(fate: Fate) -> dict[str, Any]:
    return {
        "00081150": _value("UI", fate.sop_class_uid),
        "00081155": _value("UI", fate.sop_instance_uid),
        "00081197": _reason(fate),
    }
