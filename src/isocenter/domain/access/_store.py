"""The SQL of schema ``access``. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class UserRow:
    """One account, without its password's hash."""

    user_key: int
    user_name: str
    display_name: str
    roles: list[str]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """What a sign-in is judged by; the user's columns are None when there is no such user."""

    user_key: int | None
    user_name: str | None
    display_name: str | None
    roles: list[str] | None
    password_hash: str | None
    failures: int
    last_failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class BearerRow:
    """Who a session or token stands for."""

    user_key: int
    user_name: str
    display_name: str
    roles: list[str]
    scope: list[str]
    created_at: datetime
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow(BearerRow):
    """Whose a session is, and what a launch limits it to; see ``model.Launched``."""

    ends_at: datetime | None
    on_behalf_of: str
    frame_origin: str | None
    study_instance_uids: list[str] | None
    accession_numbers: list[str] | None
    is_launched: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token, without its digest."""

    token_key: int
    user_name: str
    scope: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


def insert_user(
    tx: Tx, user: tuple[str, str, Sequence[str], str], now: datetime, *, if_first: bool = False
) -> int | None:
    """The key of a new user of (name, display name, roles, password hash).

    None when the name is taken or, with ``if_first``, when there is any user.
    """
    user_name, display_name, roles, password_hash = user
    return tx.value(
        """
        insert into access.user_account
               (user_name, display_name, roles, password_hash, created_at, password_changed_at)
        select %(user_name)s, %(display_name)s, %(roles)s::text[], %(password_hash)s, %(now)s,
               %(now)s
         where not %(if_first)s or not exists (select from access.user_account)
            on conflict do nothing
        returning user_key
        """,
        {
            "user_name": user_name,
            "display_name": display_name,
            "roles": list(roles),
            "password_hash": password_hash,
            "now": now,
            "if_first": if_first,
        },
    )


def users(tx: Tx) -> list[UserRow]:
    """All accounts by name."""
    return tx.all(
        UserRow,
        """
        select user_key, user_name, display_name, roles, created_at, disabled_at
          from access.user_account order by lower(user_name)
        """,
    )


def lock_user(tx: Tx, user_name: str) -> UserRow | None:
    """The account of a name, in any letter case, locked."""
    return tx.maybe(
        UserRow,
        """
        select user_key, user_name, display_name, roles, created_at, disabled_at
          from access.user_account where lower(user_name) = lower(%s) for no key update
        """,
        (user_name,),
    )


def lock_administrators(tx: Tx) -> list[int]:
    """The keys of the users who can administer, locked in their order."""
    return tx.values(
        """
        select user_key from access.user_account
         where 'administrator' = any(roles) and disabled_at is null
         order by user_key for no key update
        """
    )


def disable_user(tx: Tx, user_key: int, now: datetime) -> int:
    """Close the account; 0 when it was closed before."""
    return tx.run(
        """
        update access.user_account set disabled_at = %s
         where user_key = %s and disabled_at is null
        """,
        (now, user_key),
    )


def enable_user(tx: Tx, user_key: int) -> int:
    """Open a closed account again; 0 when it was open."""
    return tx.run(
        """
        update access.user_account set disabled_at = null
         where user_key = %s and disabled_at is not null
        """,
        (user_key,),
    )


def set_password(tx: Tx, user_key: int, password_hash: str, now: datetime) -> None:
    """Replace the password."""
    tx.run(
        """
        update access.user_account set password_hash = %s, password_changed_at = %s
         where user_key = %s
        """,
        (password_hash, now, user_key),
    )


def credentials(tx: Tx, user_name: str, source: str) -> CredentialRow:
    """What is known of a name and of failures to sign in with it from a source."""
    return tx.one(
        CredentialRow,
        """
        select u.user_key, u.user_name, u.display_name, u.roles, u.password_hash,
               coalesce(f.failures, 0) as failures, f.last_failed_at
          from (select lower(%(user_name)s) as user_name) asked
          left join access.user_account u
            on lower(u.user_name) = asked.user_name and u.disabled_at is null
          left join access.sign_in_failure f
            on f.user_name = asked.user_name and f.source = %(source)s
        """,
        {"user_name": user_name, "source": source},
    )


def count_failure(tx: Tx, user_name: str, source: str, now: datetime) -> int:
    """One more failure; gives how many there are in a row."""
    return tx.value(
        """
        insert into access.sign_in_failure (user_name, source, failures, last_failed_at)
        values (lower(%(user_name)s), %(source)s, 1, %(now)s)
            on conflict (user_name, source) do update
           set failures = sign_in_failure.failures + 1, last_failed_at = excluded.last_failed_at
        returning failures
        """,
        {"user_name": user_name, "source": source, "now": now},
    )


def forget_failures(tx: Tx, user_name: str, source: str, older_than: datetime) -> None:
    """Forget this name's failures from this source, and everybody's old ones."""
    tx.run(
        """
        delete from access.sign_in_failure
         where (user_name = lower(%s) and source = %s) or last_failed_at < %s
        """,
        (user_name, source, older_than),
    )


def insert_session(
    tx: Tx, digest: bytes, user_key: int, *, source: str, now: datetime, expires_at: datetime
) -> None:
    """Open a session."""
    tx.run(
        """
        insert into access.session
               (session_digest, user_key, source, created_at, last_seen_at, expires_at)
        values (%s, %s, %s, %s, %s, %s)
        """,
        (digest, user_key, source, now, now, expires_at),
    )


def session(tx: Tx, digest: bytes, now: datetime) -> SessionRow | None:
    """Whom an open session belongs to."""
    return tx.maybe(
        SessionRow,
        """
        select u.user_key, u.user_name, u.display_name, u.roles, s.scope,
               s.created_at, s.last_seen_at, s.ends_at, s.on_behalf_of, s.frame_origin,
               s.study_instance_uids, s.accession_numbers, s.ends_at is not null as is_launched
          from access.session s join access.user_account u using (user_key)
         where s.session_digest = %s and s.expires_at > %s and u.disabled_at is null
        """,
        (digest, now),
    )


def extend_session(tx: Tx, digest: bytes, now: datetime, expires_at: datetime) -> None:
    """Note that a session is in use."""
    tx.run(
        "update access.session set last_seen_at = %s, expires_at = %s where session_digest = %s",
        (now, expires_at, digest),
    )


def delete_session(tx: Tx, digest: bytes) -> str | None:
    """Close a session; gives the name of its user."""
    return tx.value(
        """
        delete from access.session s using access.user_account u
         where s.session_digest = %s and u.user_key = s.user_key
        returning u.user_name
        """,
        (digest,),
    )


def delete_sessions(tx: Tx, user_key: int) -> None:
    """Close all sessions of a user."""
    tx.run("delete from access.session where user_key = %s", (user_key,))


def delete_expired_sessions(tx: Tx, now: datetime) -> int:
    """Remove what has expired; gives how many."""
    return tx.run("delete from access.session where expires_at <= %s", (now,))


def insert_token(
    tx: Tx,
    digest: bytes,
    user_key: int,
    *,
    scope: Sequence[str],
    now: datetime,
    expires_at: datetime,
) -> int:
    """The key of a new token."""
    return tx.value(
        """
        insert into access.token (token_digest, user_key, scope, created_at, expires_at)
        values (%s, %s, %s::text[], %s, %s) returning token_key
        """,
        (digest, user_key, list(scope), now, expires_at),
    )


def token(tx: Tx, digest: bytes, now: datetime) -> BearerRow | None:
    """Whom a valid token stands for."""
    return tx.maybe(
        BearerRow,
        """
        select u.user_key, u.user_name, u.display_name, u.roles, t.scope, t.created_at,
               t.last_used_at as last_seen_at
          from access.token t join access.user_account u using (user_key)
         where t.token_digest = %s and t.expires_at > %s and t.revoked_at is null
           and u.disabled_at is null
        """,
        (digest, now),
    )


def touch_token(tx: Tx, digest: bytes, now: datetime) -> None:
    """Note that a token is in use."""
    tx.run("update access.token set last_used_at = %s where token_digest = %s", (now, digest))


def tokens(tx: Tx) -> list[TokenRow]:
    """All tokens, newest first."""
    return tx.all(
        TokenRow,
        """
        select t.token_key, u.user_name, t.scope, t.created_at, t.expires_at, t.revoked_at,
               t.last_used_at
          from access.token t join access.user_account u using (user_key)
         order by t.token_key desc
        """,
    )


def revoke_token(tx: Tx, token_key: int, now: datetime) -> int:
    """End a token; 0 when there is no such valid one."""
    return tx.run(
        "update access.token set revoked_at = %s where token_key = %s and revoked_at is null",
        (now, token_key),
    )
