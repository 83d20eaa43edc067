"""Failures as HTTP answers: one table from kind to status, one body (problem+json), one page.

Standard: RFC 9457
"""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from isocenter.errors import IsocenterError, Kind

STATUS: Mapping[Kind, HTTPStatus] = {
    Kind.INCORRECT: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.UNSUPPORTED: HTTPStatus.NOT_IMPLEMENTED,
    Kind.BUSY: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.FAULT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
RETRY_AFTER_S = "5"


def problem(
    status: HTTPStatus, detail: str, *, kind: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem+json answer; ``detail`` must hold no patient data."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    if kind:
        body["kind"] = kind
    return JSONResponse(
        body, status_code=status, headers=headers, media_type="application/problem+json"
    )


def problem_of(error: IsocenterError) -> JSONResponse:
    """The answer for an anticipated failure."""
    status = STATUS[error.kind]
    headers = (
        {"Retry-After": RETRY_AFTER_S} if error.kind in {Kind.BUSY, Kind.UNAVAILABLE} else None
    )
    return problem(status, error.message, kind=error.kind.value, headers=headers)


def wants_page(request: Request) -> bool:
    """True when a person's browser asks for a page, rather than a program for data."""
    if request.url.path.startswith("/api/"):
        return False
    return "text/html" in request.headers.get("accept", "")


def answer_error(request: Request, error: Exception) -> Response:
    """The answer to an ``IsocenterError``: a page for people, problem+json for programs."""
    if not isinstance(error, IsocenterError):
        raise error
    if not wants_page(request):
        return problem_of(error)
    return request.app.state.web.problem_page(request, STATUS[error.kind], error.message)


def answer_http_error(request: Request, error: Exception) -> Response:
    """The same for what the router refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    if wants_page(request):
        return request.app.state.web.problem_page(request, status, f"{status.phrase}.")
    return problem(status, status.phrase, headers=error.headers)


def answer_invalid(request: Request, error: Exception) -> Response:
    """The same for parameters or a body that do not fit; their values are not repeated."""
    if not isinstance(error, RequestValidationError):
        raise error
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors()
    )
    if wants_page(request):
        return request.app.state.web.problem_page(request, STATUS[Kind.INCORRECT], faults)
    return problem(STATUS[Kind.INCORRECT], faults, kind=Kind.INCORRECT.value)


def answer_fault(request: Request, error: Exception) -> Response:
    """The answer to a defect of ours, without its text, which may quote data."""
    del error  # logged by the outermost layer
    detail = "Something failed on our side. It is recorded."
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if wants_page(request):
        return request.app.state.web.problem_page(request, status, detail)
    return problem(status, detail, kind=Kind.FAULT.value)
