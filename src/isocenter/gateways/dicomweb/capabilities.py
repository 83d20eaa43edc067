"""What this service can do, for programs: a WADL document, or the same as JSON.

It is made of the routes themselves, so it names no resource that is not there.

Standard: PS3.18 8.9; W3C Web Application Description Language
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from isocenter.gateways.dicomweb import uri
from isocenter.gateways.dicomweb.context import service_root, viewer_of
from isocenter.gateways.dicomweb.errors import NotAcceptable
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.encoders import can_encode
from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    GIF,
    JPEG,
    MP4,
    OCTET_STREAM,
    PNG,
    ZIP,
    Offer,
)

_WADL: Final = "application/vnd.sun.wadl+xml"
_OFFERS: Final = (Offer(_WADL), Offer("application/json"), Offer("application/xml"))
_PICTURES: Final = (JPEG, PNG, GIF)
# By the last word of a path that is no parameter: what is answered with.
_ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "metadata": (DICOM_JSON, DICOM_XML),
    "rendered": (*_PICTURES, MP4),
    "thumbnail": _PICTURES,
    "frames": (OCTET_STREAM, JPEG, "image/jls", "image/jp2", "image/jphc", "image/dicom-rle"),
    "pixeldata": (OCTET_STREAM,),
    "bulkdata": (OCTET_STREAM,),
    "workitems": (DICOM_JSON, DICOM_XML),
}
_SEARCHES: Final = frozenset({"studies", "series", "instances"})
_NO_SEARCHES: Final = ("metadata", "{workitem}")
_SEARCH_PARAMETERS: Final = ("includefield", "fuzzymatching", "limit", "offset")


async def root(request: Request) -> Response:
    """WADO-URI requests, which may come to the service root; else the capabilities."""
    if "requestType" in request.query_params:
        return await uri.retrieve(request)
    return await capabilities(request)


async def capabilities(request: Request) -> Response:
    """The resources, their methods and media types, and the transfer syntaxes."""
    viewer_of(request)
    chosen = media_types.select(request.headers.get("accept"), _OFFERS)
    if chosen is None:
        raise NotAcceptable(f"capabilities are sent as {_WADL} or application/json")
    resources = _resources(request.app.routes)
    allow = {"Allow": "GET, HEAD, OPTIONS"}
    if chosen.name == "application/json":
        syntaxes = uids.transfer_syntaxes()
        body = {
            "base": service_root(request) + "/",
            "resources": resources,
            "transfer_syntaxes": {
                "decoded": sorted(each for each in syntaxes if can_decode(each)),
                "encoded": sorted(each for each in syntaxes if can_encode(each)),
            },
        }
        return JSONResponse(body, headers=allow)
    return Response(
        _wadl(service_root(request), resources), HTTPStatus.OK, allow, media_type=chosen.name
    )


def _resources(routes: Sequence[Any]) -> list[dict[str, Any]]:
    by_path: dict[str, set[str]] = {}
    for route in routes:
        if isinstance(route, Route):
            by_path.setdefault(route.path.replace(":path}", "}"), set()).update(route.methods or ())
    return [
        {"path": path, "methods": sorted(methods), "answers": list(_answers(path))}
        for path, methods in sorted(by_path.items())
    ]


def _answers(path: str) -> Sequence[str]:
    words = [each for each in path.split("/") if each and not each.startswith("{")]
    last = words[-1] if words else ""
    if last in _ANSWERS:
        return _ANSWERS[last]
    if last in _SEARCHES:
        return (DICOM, ZIP) if path.endswith("}") else (DICOM_JSON, DICOM_XML)
    return (DICOM, *_PICTURES) if last == "wado" else ()


def _wadl(base: str, resources: Sequence[dict[str, Any]]) -> bytes:
    """Standard: PS3.18 8.9.4 (the document is WADL)."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append('<application xmlns="http://wadl.dev.java.net/2009/02">')
    lines.append(f"<resources base={quoteattr(base + '/')}>")
    for each in resources:
        path = str(each["path"]).lstrip("/")
        lines.append(f"<resource path={quoteattr(path)}>")
        for method in each["methods"]:
            lines.append(f"<method name={quoteattr(method)}>")
            if (
                method == "GET"
                and DICOM_JSON in each["answers"]
                and not path.endswith(_NO_SEARCHES)
            ):
                lines.append("<request>")
                lines.extend(f'<param name="{name}" style="query"/>' for name in _SEARCH_PARAMETERS)
                lines.append("</request>")
            if each["answers"] and method == "GET":
                lines.append('<response status="200">')
                lines.extend(
                    f"<representation mediaType={quoteattr(kind)}/>" for kind in each["answers"]
                )
                lines.append("</response>")
            lines.append("</method>")
        lines.append("</resource>")
    lines.append("</resources></application>")
    return "\n".join(lines).encode()
