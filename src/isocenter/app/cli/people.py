"""``isocenter user`` and ``isocenter token``."""

import secrets
import sys
from typing import Annotated

import typer

from isocenter.app.cli import session
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Action, Role
from isocenter.infra.clock import utc_now

user = typer.Typer(no_args_is_help=True, help="People who sign in.")
token = typer.Typer(no_args_is_help=True, help="Bearer tokens for programs.")

_TOKEN_TTL_S = 90 * 86_400

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@user.command("add")
@session.command
def add_user(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    *,
    role: Annotated[list[Role], typer.Option("--role", help="What the person is; repeatable.")],
    display_name: Annotated[str, typer.Option(help="Name that others see.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a user. Without --password-stdin a password is made and printed once.

    Example: isocenter user add reader1 --role radiologist
    """
    given = sys.stdin.readline().rstrip("\n") if password_stdin else None
    password = secrets.token_urlsafe(12) if given is None else given
    with session.database(session.settings()) as db, db.transaction() as tx:
        access.add_user(
            tx,
            session.actor(),
            (name, display_name or name),
            roles=role,
            password=password,
            now=utc_now(),
        )
    if given is None:
        sys.stdout.write(f"{password}\n")


@user.command("list")
@session.command
def list_users(*, as_json: AsJson = False) -> None:
    """List users.

    Example: isocenter user list --json
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        users = access.list_users(tx, session.actor())
    rows = [
        {
            "user_name": each.user_name,
            "display_name": each.display_name,
            "roles": ", ".join(each.roles),
            "created_at": each.created_at,
            "disabled_at": each.disabled_at,
        }
        for each in users
    ]
    session.show(rows, as_json=as_json, empty="There is no user yet.")


@user.command("disable")
@session.command
def disable_user(name: Annotated[str, typer.Argument(help="Name of the user.")]) -> None:
    """Close an account with its sessions and tokens.

    Example: isocenter user disable reader1
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        access.disable_user(tx, session.actor(), name, now=utc_now())


@token.command("create")
@session.command
def create_token(
    *,
    user_name: Annotated[str, typer.Option("--user", help="Whom the token acts as.")],
    scope: Annotated[
        list[Action] | None, typer.Option("--scope", help="Limit to this action; repeatable.")
    ] = None,
    ttl_s: Annotated[
        int, typer.Option("--ttl-s", min=1, help="Validity in seconds.")
    ] = _TOKEN_TTL_S,
) -> None:
    """Print a new bearer token, and nothing else. It cannot be shown again.

    Example: TOKEN=$(isocenter token create --user reader1 --scope exam.read --ttl-s 3600)
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        secret = access.create_token(
            tx, session.actor(), user_name, scope=scope or (), ttl_s=ttl_s, now=utc_now()
        )
    sys.stdout.write(f"{secret}\n")


@token.command("list")
@session.command
def list_tokens(*, as_json: AsJson = False) -> None:
    """List tokens, without their secrets.

    Example: isocenter token list
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        tokens = access.list_tokens(tx, session.actor())
    rows = [
        {
            "token_key": each.token_key,
            "user_name": each.user_name,
            "scope": ", ".join(each.scope) or "all",
            "created_at": each.created_at,
            "expires_at": each.expires_at,
            "revoked_at": each.revoked_at,
            "last_used_at": each.last_used_at,
        }
        for each in tokens
    ]
    session.show(rows, as_json=as_json, empty="There is no token yet.")


@token.command("revoke")
@session.command
def revoke_token(
    token_key: Annotated[int, typer.Argument(help="Key from `isocenter token list`.")],
) -> None:
    """End a token now.

    Example: isocenter token revoke 3
    """
    with session.database(session.settings()) as db, db.transaction() as tx:
        access.revoke_token(tx, session.actor(), token_key, now=utc_now())
