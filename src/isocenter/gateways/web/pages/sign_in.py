"""Signing in and out, and the appearance a person prefers."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from isocenter.domain.access import service as access
from isocenter.domain.access.model import SignInRefused
from isocenter.gateways.web.launching import set_session_cookie
from isocenter.gateways.web.web import THEME_COOKIE, THEMES, InWeb, Web, local_path

router = APIRouter(include_in_schema=False)

_THEME_KEPT_S = 365 * 24 * 3600
_FIELD_LENGTH_MAX = 600


@router.get("/sign-in")
async def show(request: Request, web: InWeb, next: str = "/") -> Response:  # noqa: A002 - the form's field
    """The sign-in page."""
    return web.page(request, "sign_in.html", {"next": local_path(next), "user_name": ""})


@router.post("/sign-in")
async def sign_in(
    request: Request,
    web: InWeb,
    user_name: Annotated[str, Form(max_length=_FIELD_LENGTH_MAX)],
    password: Annotated[str, Form(max_length=_FIELD_LENGTH_MAX)],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the form's field
) -> Response:
    """A fresh session, whatever session the browser brought along: that one ends here."""
    source: str = request.state.source
    await _end_session(request, web)
    result = await web.pool.run(access.sign_in, user_name, password, source=source, now=web.clock())
    if isinstance(result, SignInRefused):
        return _refused(request, web, result, user_name, local_path(next))
    answer = RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    set_session_cookie(request, answer, result.session_secret, options=web.options, max_age_s=None)
    return answer


def _refused(
    request: Request, web: Web, result: SignInRefused, user_name: str, target: str
) -> Response:
    context = {"next": target, "user_name": user_name}
    if result.retry_after_s:
        context["trouble"] = f"Too many attempts. Wait {result.retry_after_s} s, then try again."
        answer = web.page(request, "sign_in.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
        answer.headers["Retry-After"] = str(result.retry_after_s)
        return answer
    context["trouble"] = "User name and password do not fit together."
    return web.page(request, "sign_in.html", context, status=HTTPStatus.UNAUTHORIZED)


@router.post("/sign-out")
async def sign_out(request: Request, web: InWeb) -> Response:
    """The session ended here and everywhere, and the way to the sign-in page."""
    await _end_session(request, web)
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    set_session_cookie(request, answer, "", options=web.options, max_age_s=0)
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


async def _end_session(request: Request, web: Web) -> None:
    secret = request.cookies.get(web.options.session_cookie)
    if secret:
        await web.pool.run(access.sign_out, secret, now=web.clock())


@router.post("/preferences/theme")
async def choose_theme(
    request: Request,
    web: InWeb,
    theme: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the form's field
) -> Response:
    """The same page in another appearance, from now on."""
    answer = RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    if theme in THEMES:
        answer.set_cookie(
            THEME_COOKIE,
            theme,
            max_age=_THEME_KEPT_S,
            httponly=True,
            samesite="lax",
            secure=web.options.secure_cookies,
        )
    return answer
