"""Users, their sessions and tokens, and signing in.

Secrets are handed out once and kept as digests, passwords as Argon2id hashes. Single sign-on is not
here.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from isocenter.domain.access import _store as store
from isocenter.domain.access.model import (
    Action,
    Actor,
    ActorKind,
    LastAdministrator,
    Launched,
    Role,
    SignIn,
    SignInRefused,
    Token,
    TokenUnknown,
    User,
    UserExists,
    UserUnknown,
    actions_of,
    authorize,
    check_password,
    check_user_name,
    lockout_s,
)
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry, Outcome
from isocenter.infra import ids
from isocenter.infra.crypto import hash_password, token_digest, verify_password
from isocenter.infra.db import Tx

SESSION_IDLE = timedelta(hours=12)
SESSION_LIFE = timedelta(days=7)
TOKEN_TTL_S_MAX = 10 * 365 * 86_400
_TYPED_LENGTH_MAX = 64
_NOTED_EVERY = timedelta(seconds=60)
_FAILURES_KEPT = timedelta(days=1)
_FIRST_USER_NAME = "admin"
_FIRST_PASSWORD_ENTROPY_BYTES = 15
_TOKEN_PREFIX = "isocenter_"  # noqa: S105 - lets scanners for leaked secrets know it


def add_user(
    tx: Tx,
    actor: Actor,
    user: tuple[str, str],
    *,
    roles: Sequence[Role],
    password: str,
    now: datetime,
) -> int:
    """The key of a new user of (user name, display name).

    Raises ``BadUserName``, ``WeakPassword``, ``UserExists``.
    """
    authorize(actor, Action.USER_WRITE)
    user_name, display_name = user
    check_user_name(user_name)
    check_password(password)
    row = (user_name, display_name or user_name, sorted(set(roles)), hash_password(password))
    key = store.insert_user(tx, row, now)
    if key is None:
        raise UserExists(f"there is a user {user_name} already")
    _record(tx, actor, "user.add", user_name, now=now)
    return key


def _record(
    tx: Tx,
    actor: Actor,
    action: str,
    user_name: str,
    *,
    outcome: Outcome = "success",
    now: datetime,
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="user",
        object_id=user_name,
        outcome=outcome,
    )
    audit.record(tx, entry, now=now)


def ensure_administrator(tx: Tx, *, now: datetime) -> str | None:
    """On the first start make user ``admin`` and give the password, this once; later None."""
    password = ids.new_token(_FIRST_PASSWORD_ENTROPY_BYTES)
    row = (_FIRST_USER_NAME, "Administrator", [Role.ADMINISTRATOR], hash_password(password))
    key = store.insert_user(tx, row, now, if_first=True)
    return password if key is not None else None


def list_users(tx: Tx, actor: Actor) -> list[User]:
    """All users by name."""
    authorize(actor, Action.USER_WRITE)
    return [_user(row) for row in store.users(tx)]


def _user(row: store.UserRow) -> User:
    return User(
        user_key=row.user_key,
        user_name=row.user_name,
        display_name=row.display_name,
        roles=tuple(Role(each) for each in row.roles),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def _lock(tx: Tx, user_name: str) -> store.UserRow:
    row = store.lock_user(tx, user_name)
    if row is None:
        raise UserUnknown(f"there is no user {user_name}")
    return row


def disable_user(tx: Tx, actor: Actor, user_name: str, *, now: datetime) -> None:
    """Close an account, its sessions and tokens. Raises ``UserUnknown``, ``LastAdministrator``."""
    authorize(actor, Action.USER_WRITE)
    administrators = store.lock_administrators(tx)
    row = _lock(tx, user_name)
    if administrators == [row.user_key]:
        raise LastAdministrator(f"{user_name} is the last administrator")
    store.disable_user(tx, row.user_key, now)
    store.delete_sessions(tx, row.user_key)
    _record(tx, actor, "user.disable", row.user_name, now=now)


def enable_user(tx: Tx, actor: Actor, user_name: str, *, now: datetime) -> None:
    """Open a closed account again. Raises ``UserUnknown``."""
    authorize(actor, Action.USER_WRITE)
    row = _lock(tx, user_name)
    store.enable_user(tx, row.user_key)
    _record(tx, actor, "user.enable", row.user_name, now=now)


def set_password(tx: Tx, actor: Actor, user_name: str, *, password: str, now: datetime) -> None:
    """Replace a password and close the user's sessions. Everybody may replace their own.

    Raises ``UserUnknown``, ``WeakPassword``, ``NotAuthorized``.
    """
    own = actor.kind is ActorKind.USER and actor.name.casefold() == user_name.casefold()
    if not own:
        authorize(actor, Action.USER_WRITE)
    check_password(password)
    row = _lock(tx, user_name)
    store.set_password(tx, row.user_key, hash_password(password), now)
    store.delete_sessions(tx, row.user_key)
    _record(tx, actor, "user.set_password", row.user_name, now=now)


@cache
def _nobody() -> str:
    """A hash to compare with when there is no such user, so that it takes as long."""
    return hash_password(ids.new_token())


def sign_in(
    tx: Tx, user_name: str, password: str, *, source: str, now: datetime
) -> SignIn | SignInRefused:
    """A new session, or a refusal that does not say whether name or password was wrong.

    Repeated failures of a name from a source make it wait longer and longer. A refusal is a result:
    the caller commits, so that failures count.
    """
    row = store.credentials(tx, user_name[:_TYPED_LENGTH_MAX], source)
    if row.last_failed_at is not None:
        waited_s = (now - row.last_failed_at).total_seconds()
        left_s = lockout_s(row.failures) - waited_s
        if left_s > 0:
            return SignInRefused(int(left_s) + 1)
    fits = verify_password(row.password_hash or _nobody(), password)
    actor = _user_actor(row, source)
    if not fits or actor is None or row.user_key is None or row.user_name is None:
        failures = store.count_failure(tx, user_name[:_TYPED_LENGTH_MAX], source, now)
        stranger = Actor(ActorKind.USER, user_name[:_TYPED_LENGTH_MAX], frozenset(), source)
        _record(tx, stranger, "user.sign_in", stranger.name, outcome="refused", now=now)
        return SignInRefused(lockout_s(failures))
    if row.failures:
        store.forget_failures(tx, user_name, source, now - _FAILURES_KEPT)
    secret = ids.new_token()
    store.insert_session(
        tx,
        token_digest(secret),
        row.user_key,
        source=source,
        now=now,
        expires_at=now + SESSION_IDLE,
    )
    _record(tx, actor, "user.sign_in", row.user_name, now=now)
    return SignIn(actor, secret)


def identify(tx: Tx, user_name: str, passcode: str, *, source: str, now: datetime) -> Actor | None:
    """Whom a name with a password, or with a token of that user, stands for, without a session.

    None when it stands for nobody, or after repeated failures not yet again: the caller commits, so
    that failures count, as in ``sign_in``.

    Standard: PS3.7 D.3.3.7 (user name and passcode)
    """
    row = store.credentials(tx, user_name[:_TYPED_LENGTH_MAX], source)
    if row.last_failed_at is not None:
        waited_s = (now - row.last_failed_at).total_seconds()
        if waited_s < lockout_s(row.failures):
            return None
    if passcode.startswith(_TOKEN_PREFIX):
        actor = token_actor(tx, passcode, source=source, now=now)
        fits = actor is not None and actor.user_key == row.user_key
    else:
        fits = verify_password(row.password_hash or _nobody(), passcode)
        actor = _user_actor(row, source)
    if not fits or actor is None:
        store.count_failure(tx, user_name[:_TYPED_LENGTH_MAX], source, now)
        stranger = Actor(ActorKind.USER, user_name[:_TYPED_LENGTH_MAX], frozenset(), source)
        _record(tx, stranger, "user.identify", stranger.name, outcome="refused", now=now)
        return None
    if row.failures:
        store.forget_failures(tx, user_name, source, now - _FAILURES_KEPT)
    _record(tx, actor, "user.identify", actor.name, now=now)
    return actor


def identify_by_token(tx: Tx, token: str, *, source: str, now: datetime) -> Actor | None:
    """Whom a token stands for; None when it stands for nobody. Both are on record."""
    actor = token_actor(tx, token, source=source, now=now)
    if actor is None:
        stranger = Actor(ActorKind.TOKEN, "", frozenset(), source)
        _record(tx, stranger, "user.identify", "", outcome="refused", now=now)
        return None
    _record(tx, actor, "user.identify", actor.name, now=now)
    return actor


def named_user(tx: Tx, user_name: str, *, source: str, now: datetime) -> Actor | None:
    """The user of a name that nothing proves; None when there is none. Both are on record."""
    actor = _user_actor(store.credentials(tx, user_name[:_TYPED_LENGTH_MAX], source), source)
    found = actor or Actor(ActorKind.USER, user_name[:_TYPED_LENGTH_MAX], frozenset(), source)
    outcome: Outcome = "success" if actor else "refused"
    _record(tx, found, "user.name", found.name, outcome=outcome, now=now)
    return actor


def _user_actor(row: store.CredentialRow, source: str) -> Actor | None:
    if row.user_key is None or row.user_name is None:
        return None
    return Actor(
        ActorKind.USER,
        row.user_name,
        actions_of(Role(each) for each in row.roles or ()),
        source,
        row.user_key,
        row.display_name or row.user_name,
    )


def session_actor(tx: Tx, session_secret: str, *, source: str, now: datetime) -> Actor | None:
    """Whom a session's secret stands for; None when it is unknown or has expired.

    Use keeps a session open for another 12 hours, up to 7 days after signing in.
    """
    digest = token_digest(session_secret)
    row = store.session(tx, digest, now)
    if row is None:
        return None
    if row.last_seen_at is None or now - row.last_seen_at >= _NOTED_EVERY:
        ends_at = row.ends_at or row.created_at + SESSION_LIFE
        store.extend_session(tx, digest, now, min(now + SESSION_IDLE, ends_at))
    actor = _bearer(ActorKind.USER, row, source)
    return replace(actor, launched=_launched(row)) if row.is_launched else actor


def _launched(row: store.SessionRow) -> Launched:
    uids = row.study_instance_uids
    return Launched(
        on_behalf_of=row.on_behalf_of,
        frame_origin=row.frame_origin,
        study_instance_uids=None if uids is None else frozenset(uids),
        accession_numbers=frozenset(row.accession_numbers or ()),
    )


def _bearer(kind: ActorKind, row: store.BearerRow, source: str) -> Actor:
    actions = actions_of((Role(e) for e in row.roles), (Action(e) for e in row.scope))
    return Actor(kind, row.user_name, actions, source, row.user_key, row.display_name)


def sign_out(tx: Tx, session_secret: str, *, now: datetime) -> str | None:
    """Close the session; gives the name of its user, or None when there was none."""
    store.delete_expired_sessions(tx, now)
    return store.delete_session(tx, token_digest(session_secret))


def create_token(
    tx: Tx,
    actor: Actor,
    user_name: str,
    *,
    scope: Sequence[Action] = (),
    ttl_s: int,
    now: datetime,
) -> str:
    """The secret of a new bearer token that acts as a user, limited to ``scope`` unless empty.

    Users may make tokens for themselves. Raises ``UserUnknown``, ``NotAuthorized``.
    """
    own = actor.kind is ActorKind.USER and actor.name.casefold() == user_name.casefold()
    if not own:
        authorize(actor, Action.USER_WRITE)
    row = _lock(tx, user_name)
    if row.disabled_at is not None:
        raise UserUnknown(f"user {user_name} is disabled")
    secret = _TOKEN_PREFIX + ids.new_token()
    expires_at = now + timedelta(seconds=max(1, min(ttl_s, TOKEN_TTL_S_MAX)))
    names = sorted({each.value for each in scope})
    store.insert_token(
        tx, token_digest(secret), row.user_key, scope=names, now=now, expires_at=expires_at
    )
    _record(tx, actor, "token.create", row.user_name, now=now)
    return secret


def token_actor(tx: Tx, secret: str, *, source: str, now: datetime) -> Actor | None:
    """Whom a bearer token stands for; None when it is unknown, expired or revoked."""
    digest = token_digest(secret)
    row = store.token(tx, digest, now)
    if row is None:
        return None
    if row.last_seen_at is None or now - row.last_seen_at >= _NOTED_EVERY:
        store.touch_token(tx, digest, now)
    return _bearer(ActorKind.TOKEN, row, source)


def list_tokens(tx: Tx, actor: Actor) -> list[Token]:
    """All tokens, newest first, without their secrets."""
    authorize(actor, Action.USER_WRITE)
    return [
        Token(
            token_key=row.token_key,
            user_name=row.user_name,
            scope=tuple(Action(each) for each in row.scope),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in store.tokens(tx)
    ]


def revoke_token(tx: Tx, actor: Actor, token_key: int, *, now: datetime) -> None:
    """End a token. Raises ``TokenUnknown``."""
    authorize(actor, Action.USER_WRITE)
    if not store.revoke_token(tx, token_key, now):
        raise TokenUnknown("there is no such valid token")
    _record(tx, actor, "token.revoke", str(token_key), now=now)
