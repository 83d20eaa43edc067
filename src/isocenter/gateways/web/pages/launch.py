"""The doors by which other systems open our pages: codes, signed addresses, IHE's invocation."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from isocenter.domain.access import service_launch as launches
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.access.model_launch import (
    SESSION_S_DEFAULT,
    SESSION_S_MAX,
    BadLaunch,
    LaunchRefused,
    Opened,
    SignedLaunch,
    invocation_of,
    signed_launch_of,
)
from isocenter.gateways.web.launching import (
    LIST_PATH,
    Confine,
    View,
    Wish,
    found_studies,
    grant_of,
    is_framed,
    set_session_cookie,
    target_of,
)
from isocenter.gateways.web.web import InWeb, StudyViewer, Web
from isocenter.infra.db import Tx
from isocenter.readmodels.launch_targets import InvokedStudy

router = APIRouter(include_in_schema=False)


@router.get("/launch")
async def open_code(request: Request, web: InWeb, code: str = "") -> Response:
    """The page that a code opens, with its session."""
    if "prefetch" in request.headers.get("sec-purpose", ""):  # looking ahead must not use it up
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    source: str = request.state.source
    opened = await web.pool.run(
        launches.redeem_launch,
        code[:200],
        framed=is_framed(request),
        source=source,
        now=web.clock(),
    )
    return _answer(request, web, opened)


@router.get("/launch/signed")
async def open_signed(request: Request, web: InWeb) -> Response:
    """The page that a signed address opens, with its session."""
    try:
        launch = signed_launch_of(request.url.path, request.scope["query_string"].decode("ascii"))
    except UnicodeDecodeError as error:
        raise BadLaunch("an address is written in ASCII") from error
    opened = await web.pool.run(
        _signed, launch, web=web, source=request.state.source, framed=is_framed(request)
    )
    return _answer(request, web, opened)


def _signed(
    tx: Tx, launch: SignedLaunch, *, web: Web, source: str, framed: bool
) -> Opened | LaunchRefused:
    look = web.look()
    keys = web.options.launch_keys
    actor = launches.signed_actor(tx, keys, launch, source=source, now=look.now)
    if actor is None:
        return LaunchRefused("the signature does not hold, or the address is too old")
    wish = _wish(launch.parameters)
    if framed and wish.frame_origin is None:
        return LaunchRefused("the address was not made for a frame")
    viewer = Viewer.of(actor, Action.STUDY_READ)
    grant = grant_of(tx, viewer, wish, options=web.options, look=look)
    return launches.open_signed(tx, actor, launch, grant, now=look.now)


def _wish(parameters: Mapping[str, str]) -> Wish:
    """The wish of an address: the invocation, and our own parameters beside it."""
    session_s = parameters.get("sessionSeconds", str(SESSION_S_DEFAULT))
    try:
        confine = Confine(parameters.get("confine", Confine.STUDY))
        view = View(parameters["view"]) if "view" in parameters else None
        seconds = int(session_s)
    except ValueError as error:
        raise BadLaunch("confine, view or sessionSeconds has no value that is known") from error
    return Wish(
        invocation=invocation_of(parameters),
        parameters={
            name: value
            for name, value in parameters.items()
            if name not in {"user", "expires", "confine", "onBehalfOf", "frameOrigin"}
        },
        confine=confine,
        view=view,
        session_s=max(1, min(seconds, SESSION_S_MAX)),
        on_behalf_of=parameters.get("onBehalfOf", ""),
        frame_origin=parameters.get("frameOrigin"),
    )


def _answer(request: Request, web: Web, opened: Opened | LaunchRefused) -> Response:
    if isinstance(opened, LaunchRefused):
        detail = (
            "This address was used before or is too old. Open the images again from where you came."
        )
        return web.problem_page(request, HTTPStatus.FORBIDDEN, detail)
    answer = RedirectResponse(opened.target, HTTPStatus.SEE_OTHER)
    set_session_cookie(
        request, answer, opened.session_secret, options=web.options, max_age_s=opened.session_s
    )
    return answer


@router.get(LIST_PATH)
async def invoke(request: Request, web: InWeb, viewer: StudyViewer) -> Response:
    """What the parameters mean: at once where it is one, else to choose from.

    Standard: IHE Radiology Technical Framework, Volume 2, 4.106
    """
    parameters = dict(request.query_params)
    wanted = invocation_of(parameters)
    found: list[InvokedStudy] = await web.pool.run(found_studies, viewer, wanted, look=web.look())
    view = View.CLINICIAN if parameters.get("view") == View.CLINICIAN else None
    target = target_of(wanted, found, view=view)
    if target:
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)
    clinician = view is View.CLINICIAN or wanted.diagnostic is False
    tail = "embed" if clinician else "read"
    if wanted.key_images_only:
        tail += "?keyImagesOnly=true"
    context = {"found": found, "tail": tail, "bare": clinician, "section": "/"}
    return web.page(request, "invoked.html", context)
