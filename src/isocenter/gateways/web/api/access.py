"""Users and tokens."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from isocenter.domain.access import service as access
from isocenter.domain.access.model import Action, Actor, ActorKind, Role, User, UserUnknown
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, SignedIn
from isocenter.infra.db import Tx

router = APIRouter(prefix="/api", tags=["users"])

_TTL_MAX_S = 366 * 24 * 3600


class MyselfAnswer(Shape):
    """Who the caller is and may do."""

    kind: ActorKind
    name: str
    display_name: str
    actions: list[Action]


class UserAnswer(Shape):
    """An account. ``disabled_at`` set: nobody can act as this user."""

    user_key: int
    user_name: str
    display_name: str
    roles: list[Role]
    created_at: datetime
    disabled_at: datetime | None


class UserRequest(BaseModel):
    """A new account."""

    user_name: str
    display_name: str = ""
    password: str
    roles: list[Role]


class PasswordRequest(BaseModel):
    """A new password."""

    password: str


class TokenAnswer(Shape):
    """A token without its secret. An empty ``scope``: all that the user may."""

    token_key: int
    user_name: str
    scope: list[Action]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class TokenRequest(BaseModel):
    """A new token that acts as a user."""

    user_name: str
    scope: list[Action] = []
    ttl_s: int = Field(gt=0, le=_TTL_MAX_S)


class SecretAnswer(Shape):
    """The secret, which is given only now."""

    token: str


@router.get("/me", summary="Who I am")
async def myself(actor: SignedIn) -> MyselfAnswer:
    """The caller."""
    return MyselfAnswer(
        kind=actor.kind,
        name=actor.name,
        display_name=actor.display_name,
        actions=sorted(actor.actions),
    )


@router.get("/users", summary="Users")
async def users(web: InWeb, actor: SignedIn) -> list[UserAnswer]:
    """All users by name."""
    found = await web.pool.read(access.list_users, actor)
    return [UserAnswer.model_validate(each) for each in found]


@router.post("/users", status_code=201, summary="Add a user")
async def add_user(web: InWeb, actor: SignedIn, body: UserRequest) -> UserAnswer:
    """The user as added."""
    made = await web.pool.run(_add, actor, body, now=web.clock())
    return UserAnswer.model_validate(made)


def _add(tx: Tx, actor: Actor, body: UserRequest, *, now: datetime) -> User:
    key = access.add_user(
        tx,
        actor,
        (body.user_name, body.display_name),
        roles=body.roles,
        password=body.password,
        now=now,
    )
    for each in access.list_users(tx, actor):
        if each.user_key == key:
            return each
    raise UserUnknown("there is no such user")


@router.put("/users/{user_name}/password", status_code=204, summary="Set a password")
async def set_password(web: InWeb, actor: SignedIn, user_name: str, body: PasswordRequest) -> None:
    """The password replaced; the user's sessions end."""
    await web.pool.run(
        access.set_password, actor, user_name, password=body.password, now=web.clock()
    )


@router.post("/users/{user_name}/disable", status_code=204, summary="Close an account")
async def disable_user(web: InWeb, actor: SignedIn, user_name: str) -> None:
    """The account closed, with its sessions and tokens."""
    await web.pool.run(access.disable_user, actor, user_name, now=web.clock())


@router.post("/users/{user_name}/enable", status_code=204, summary="Open an account again")
async def enable_user(web: InWeb, actor: SignedIn, user_name: str) -> None:
    """The account open again."""
    await web.pool.run(access.enable_user, actor, user_name, now=web.clock())


@router.get("/tokens", summary="Tokens")
async def tokens(web: InWeb, actor: SignedIn) -> list[TokenAnswer]:
    """All tokens, newest first."""
    found = await web.pool.read(access.list_tokens, actor)
    return [TokenAnswer.model_validate(each) for each in found]


@router.post("/tokens", status_code=201, summary="Make a token")
async def create_token(web: InWeb, actor: SignedIn, body: TokenRequest) -> SecretAnswer:
    """The token's secret."""
    secret = await web.pool.run(
        access.create_token,
        actor,
        body.user_name,
        scope=body.scope,
        ttl_s=body.ttl_s,
        now=web.clock(),
    )
    return SecretAnswer(token=secret)


@router.delete("/tokens/{token_key}", status_code=204, summary="Revoke a token")
async def revoke_token(web: InWeb, actor: SignedIn, token_key: int) -> None:
    """The token ended."""
    await web.pool.run(access.revoke_token, actor, token_key, now=web.clock())
