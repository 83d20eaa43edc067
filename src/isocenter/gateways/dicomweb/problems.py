"""Failures as DICOMweb answers: one table from kind to status.

Standard: PS3.18 8.5; RFC 9457
"""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from isocenter.domain.worklist.model_workitems import WorkitemGone
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dicomweb.errors import TooLarge, UnsupportedBody
from isocenter.infra.blobs import BlobMissing
from isocenter.infra.log import get_logger
from isocenter.standards import RemoteProtocolError

STATUS: Mapping[Kind, HTTPStatus] = {
    Kind.INCORRECT: HTTPStatus.BAD_REQUEST,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.UNSUPPORTED: HTTPStatus.NOT_ACCEPTABLE,
    Kind.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.FAULT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# Situations for which HTTP has a word of its own.
_SPECIAL: Mapping[type[IsocenterError], HTTPStatus] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    WorkitemGone: HTTPStatus.GONE,
    # What our rows name is missing: the client asked for something that should be here.
    BlobMissing: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_RETRY_AFTER_S = "5"
_log = get_logger(__name__)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem+json answer; ``detail`` must hold no patient data."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def answer_error(_request: Request, error: Exception) -> Response:
    """The answer for an anticipated failure of ours."""
    if not isinstance(error, IsocenterError):
        raise error
    status = _SPECIAL.get(type(error)) or STATUS[error.kind]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request_failed", error_type=type(error).__name__, http_status=int(status))
    busy = status is HTTPStatus.SERVICE_UNAVAILABLE
    return problem(status, error.message, {"Retry-After": _RETRY_AFTER_S} if busy else None)


def answer_bad_request(_request: Request, error: Exception) -> Response:
    """The answer for a request that breaks the rules of the standard."""
    if not isinstance(error, RemoteProtocolError):
        raise error
    return problem(HTTPStatus.BAD_REQUEST, str(error))


def answer_http_error(_request: Request, error: Exception) -> Response:
    """The answer for what the router refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return problem(status, str(error.detail or status.phrase), error.headers)
