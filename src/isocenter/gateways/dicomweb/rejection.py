"""DELETE of studies, series and instances: our own extension, which hides and never erases.

Only administrators may, and only with a reason: the ``reason`` parameter, or the Isocenter-Reason
header. ``POST …/reject/{code}`` is what OHIF and dcm4chee call it; the code is the reason.

Standard: none; IHE RAD TF-2 4.66 for the meaning, PS3.16 CID 7011 for the codes
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from isocenter.domain.archive import service as archive
from isocenter.gateways.dicomweb.context import actor_of, context_of
from isocenter.gateways.dicomweb.errors import UnknownReason

# PS3.16 CID 7011, of which IHE IOCM uses these.
_CODES: Final = {
    "113001^DCM": "Rejected for Quality Reasons",
    "113037^DCM": "Rejected for Patient Safety Reasons",
    "113038^DCM": "Incorrect Modality Worklist Entry",
    "113039^DCM": "Data Retention Policy Expired",
}


async def delete(request: Request) -> Response:
    """Reject what the path names, for the reason that the client gives."""
    given = request.query_params.get("reason") or request.headers.get("isocenter-reason", "")
    return await _reject(request, given)


async def reject(request: Request) -> Response:
    """Reject what the path names, for the coded reason in the path."""
    code: str = request.path_params["code"]
    meaning = _CODES.get(code.upper())
    if meaning is None:
        raise UnknownReason(f"the reasons are {', '.join(_CODES)}")
    return await _reject(request, f"{meaning} ({code.upper()})")


async def _reject(request: Request, reason: str) -> Response:
    context, path = context_of(request), request.path_params
    count = await context.pool.run(
        archive.reject,
        actor_of(request),
        (path["study"], path.get("series"), path.get("instance")),
        reason=reason,
        now=context.clock(),
    )
    return JSONResponse({"rejected": count})
