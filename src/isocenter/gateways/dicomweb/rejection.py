"""DELETE of studies, series and instances: our own extension, which hides and never erases.

Only administrators may, and only with a reason: the ``reason`` parameter, or the Isocenter-Reason
header. ``POST …/reject/{code}`` is what OHIF and dcm4chee call it; the code is the kind of reason,
beside which one in words may be given. DELETE takes the code as the parameter ``code``; without one
it is for patient safety, which no archive may show in spite of it. ``POST …/restore`` undoes.

Standard: none; IHE RAD TF-3 4.66 for the meaning, PS3.16 CID 7010 for the codes
"""

from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.dicomweb.context import actor_of, context_of
from isocenter.gateways.dicomweb.errors import UnknownReason
from isocenter.standards.dicom.key_object import Title

_CODES: Final = {f"{each.value}^{each.scheme}": each for each in Title if each is not Title.REVOKED}
_Path = tuple[str, str | None, str | None]


async def delete(request: Request) -> Response:
    """Reject what the path names, for the reason that the client gives."""
    code = request.query_params.get("code")
    title = Title.PATIENT_SAFETY if code is None else _title(code)
    return await _reject(request, _reason(request), title)


async def reject(request: Request) -> Response:
    """Reject what the path names, for the coded reason in the path."""
    title = _title(request.path_params["code"])
    return await _reject(request, _reason(request) or title.meaning, title)


async def restore(request: Request) -> Response:
    """Bring back what the path names, for the reason that the client gives."""
    context = context_of(request)
    count = await context.pool.run(
        archive.restore,
        actor_of(request),
        context.blobs,
        _path(request),
        reason=_reason(request),
        now=context.clock(),
    )
    return JSONResponse({"restored": count})


async def rejections(request: Request) -> Response:
    """What of the study was rejected, why and by whom, the newest first."""
    viewer = Viewer.of(actor_of(request), Action.STUDY_REJECT)
    study = request.path_params["study"]
    found = await context_of(request).pool.read(archive.rejections, viewer, study)
    return JSONResponse([
        {**asdict(each), "rejected_at": each.rejected_at.isoformat()} for each in found
    ])


def _reason(request: Request) -> str:
    return request.query_params.get("reason") or request.headers.get("isocenter-reason", "")


def _title(code: str) -> Title:
    title = _CODES.get(code.upper())
    if title is None:
        raise UnknownReason(f"the reasons are {', '.join(_CODES)}")
    return title


def _path(request: Request) -> _Path:
    path = request.path_params
    return path["study"], path.get("series"), path.get("instance")


async def _reject(request: Request, reason: str, title: Title) -> Response:
    context = context_of(request)
    count = await context.pool.run(
        archive.reject,
        actor_of(request),
        _path(request),
        reason=reason,
        title=title,
        now=context.clock(),
    )
    return JSONResponse({"rejected": count})
