"""Users, their roles and passwords, and the tokens of programs."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from isocenter.domain.access import service as access
from isocenter.domain.access.model import (
    PASSWORD_LENGTH_MIN,
    Action,
    Actor,
    Role,
    Token,
    User,
    authorize,
)
from isocenter.gateways.web.web import InWeb, SignedIn, Web, seen_after
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)

_TOKEN_TTL_MAX_S = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that is shown once."""

    label: str
    value: str


class UserForm(BaseModel):
    """A new user."""

    user_name: str
    display_name: str = ""
    password: str
    roles: list[Role] = []


class TokenForm(BaseModel):
    """A new token: how long it is valid, and what it is limited to."""

    ttl_s: int = Field(gt=0, le=_TOKEN_TTL_MAX_S)
    scope: list[Action] = []


@router.get("/users")
async def show(request: Request, web: InWeb, actor: SignedIn) -> Response:
    """All users and valid tokens."""
    authorize(actor, Action.USER_WRITE)
    return await _page(request, web, actor)


async def _page(
    request: Request,
    web: Web,
    actor: Actor,
    secret: Secret | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    users, tokens = await web.pool.read(_load, actor)
    now = web.clock()
    context = {
        "section": "/users",
        "users": users,
        "tokens": [each for each in tokens if each.revoked_at is None and each.expires_at > now],
        "roles": [each.value for each in Role],
        "secret": secret,
        "password_length_min": PASSWORD_LENGTH_MIN,
    }
    return web.page(request, "users.html", context, status=status)


def _load(tx: Tx, actor: Actor) -> tuple[list[User], list[Token]]:
    return access.list_users(tx, actor), access.list_tokens(tx, actor)


@router.post("/users")
async def add(web: InWeb, actor: SignedIn, form: Annotated[UserForm, Form()]) -> Response:
    """The user added."""
    await web.pool.run(
        access.add_user,
        actor,
        (form.user_name.strip(), form.display_name.strip()),
        roles=form.roles,
        password=form.password,
        now=web.clock(),
    )
    return seen_after("/users", "user_added")


@router.post("/users/{user_name}/disable")
async def disable(web: InWeb, actor: SignedIn, user_name: str) -> Response:
    """The account closed."""
    await web.pool.run(access.disable_user, actor, user_name, now=web.clock())
    return seen_after("/users", "user_disabled")


@router.post("/users/{user_name}/enable")
async def enable(web: InWeb, actor: SignedIn, user_name: str) -> Response:
    """The account open again."""
    await web.pool.run(access.enable_user, actor, user_name, now=web.clock())
    return seen_after("/users", "user_enabled")


@router.post("/users/{user_name}/password")
async def set_password(
    web: InWeb, actor: SignedIn, user_name: str, password: Annotated[str, Form()]
) -> Response:
    """The password replaced."""
    await web.pool.run(access.set_password, actor, user_name, password=password, now=web.clock())
    return seen_after("/users", "password_set")


@router.post("/users/{user_name}/tokens")
async def create_token(
    request: Request,
    web: InWeb,
    actor: SignedIn,
    user_name: str,
    form: Annotated[TokenForm, Form()],
) -> Response:
    """The page with the token's secret on it, this once."""
    secret = await web.pool.run(
        access.create_token,
        actor,
        user_name,
        scope=form.scope,
        ttl_s=form.ttl_s,
        now=web.clock(),
    )
    shown = Secret(f"Token of {user_name}.", secret)
    return await _page(request, web, actor, shown, HTTPStatus.CREATED)


@router.post("/tokens/{token_key}/revoke")
async def revoke_token(web: InWeb, actor: SignedIn, token_key: int) -> Response:
    """The token ended."""
    await web.pool.run(access.revoke_token, actor, token_key, now=web.clock())
    return seen_after("/users", "token_revoked")
