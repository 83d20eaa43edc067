"""Workitems as bodies: what requests of the Worklist Service carry, and what is answered.

Standard: PS3.18 11.1.3, 8.7.3.2
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.worklist.model_workitems import StateForbids
from isocenter.gateways.dicomweb.bodies import xml_parts
from isocenter.gateways.dicomweb.context import context_of
from isocenter.gateways.dicomweb.errors import NotAcceptable, TooLarge, UnsupportedBody
from isocenter.gateways.dicomweb.problems import problem
from isocenter.gateways.dicomweb.retrieve import accepted
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.json_model import JsonObject, from_json
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.xml_model import from_xml, to_xml
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM_JSON, DICOM_XML, MediaType, Offer
from isocenter.standards.dicomweb.multipart import (
    MultipartReader,
    PartData,
    PartEnd,
    content_type,
    stable_boundary,
)

_JSON: Final = frozenset({DICOM_JSON, "application/json"})
_OFFERS: Final = (
    Offer(DICOM_JSON),
    Offer("application/json"),
    Offer(DICOM_XML, multipart=True),
    Offer(DICOM_XML),
)
_UID: Final = re.compile(r"[0-9.]{1,64}")


async def read_dataset(request: Request) -> DataSet:
    """The one data set of the body; an empty one when there is no body.

    Raises:
        TooLarge: the body is larger than is taken.
        UnsupportedBody: it is of no media type of the service.
        RemoteProtocolError: it is not one data set of that media type.
    """
    context = context_of(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > context.options.workitem_bytes_max:
            raise TooLarge(f"a workitem has at most {context.options.workitem_bytes_max} bytes")
    if not body:
        return DataSet()
    header = request.headers.get("content-type")
    if header is None:
        raise UnsupportedBody(f"say whether this is {DICOM_JSON} or {DICOM_XML}")
    kind = media_types.parse_media_type(header)
    return await context.pool.call(_decoded, bytes(body), kind)


def _decoded(body: bytes, kind: MediaType) -> DataSet:
    if kind.is_multipart:
        body = _only_part(body, kind.parameters.get("boundary", ""))
    if kind.part_name in _JSON:
        return from_json(_one_object(body))
    if kind.part_name == DICOM_XML:
        return from_xml_body(body)
    raise UnsupportedBody(f"send {DICOM_JSON} or {DICOM_XML}")


def from_xml_body(body: bytes) -> DataSet:
    """The data set of a Native DICOM Model."""
    return from_json(from_xml(body))


def _only_part(body: bytes, boundary: str) -> bytes:
    part, ended = bytearray(), False
    for event in MultipartReader(boundary).receive(body):
        match event:
            case PartData(data):
                if ended:
                    raise RemoteProtocolError("the body has more than one part")
                part += data
            case PartEnd():
                ended = True
            case _:
                pass
    return bytes(part)


def _one_object(body: bytes) -> Mapping[str, Any]:
    try:
        said: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("the body is no JSON") from error
    objects = cast("list[object]", said) if isinstance(said, list) else [said]
    if len(objects) != 1 or not isinstance(objects[0], dict):
        raise RemoteProtocolError("the body is not one workitem")
    return cast("Mapping[str, Any]", objects[0])


def named_uid(request: Request, *names: str) -> str:
    """The UID that is the query itself, or the value of one of these parameters; "" for none.

    PS3.18 writes the first, and clients the second as well.

    Standard: PS3.18 11.4.1.1, 11.6.1
    """
    for name, value in request.query_params.multi_items():
        if name.lower() in names:
            return value
        if not value and _UID.fullmatch(name):
            return name
    return ""


def chosen_offer(request: Request) -> Offer:
    """How the client wants workitems. Raises ``NotAcceptable``."""
    chosen = media_types.select(accepted(request), _OFFERS)
    if chosen is None:
        raise NotAcceptable(f"workitems are sent as {DICOM_JSON} or {DICOM_XML}")
    return chosen


async def answer(
    request: Request,
    models: Sequence[JsonObject],
    offer: Offer,
    headers: Mapping[str, str],
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Workitems as the client wants them; parts without a multipart body only when it is one."""
    call = context_of(request).pool.call
    if offer.multipart or (offer.name == DICOM_XML and len(models) != 1):
        boundary = stable_boundary(request.url.path)
        content = await call(xml_parts, models, boundary)
        return Response(content, status, headers, content_type(DICOM_XML, boundary))
    if offer.name == DICOM_XML:
        return Response(await call(to_xml, models[0]), status, headers, DICOM_XML)
    return Response(await call(msgspec.json.encode, models), status, headers, offer.name)


def warned(request: Request, *texts: str) -> dict[str, str]:
    """The Warning header with these texts; no header without any.

    Standard: PS3.18 8.4.2, RFC 7234 5.5
    """
    values = [f'299 {request.url.netloc} "{text}"' for text in texts]
    return {"Warning": ", ".join(values)} if values else {}


def refusal(request: Request, error: StateForbids, status: HTTPStatus, warning: str) -> Response:
    """The answer to what the state or the Transaction UID of a workitem forbids."""
    return problem(status, error.message, warned(request, warning))
