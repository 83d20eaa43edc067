"""Launch codes: one-time secrets by which another system opens a session of ours for a person.

The issuer proves who it is by its token, or signs the address with a key that an administrator has
given it. Codes are kept as digests, work once and within a minute, and both making and using them
is on record. Which studies a request names is not found here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from isocenter.domain.access import _store as store
from isocenter.domain.access import _store_launch as codes
from isocenter.domain.access.model import (
    Action,
    Actor,
    ActorKind,
    Role,
    UserUnknown,
    actions_of,
    authorize,
)
from isocenter.domain.access.model_launch import (
    CODE_TTL_S,
    CONFINED_ACTIONS,
    ON_BEHALF_OF_LENGTH_MAX,
    SESSION_S_MAX,
    SIGNED_TTL_S_MAX,
    BadLaunch,
    LaunchGrant,
    LaunchRefused,
    Opened,
    SignedLaunch,
    signature_of,
)
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.infra import ids
from isocenter.infra.crypto import constant_time_equal, token_digest
from isocenter.infra.db import Tx

_CODES_KEPT = timedelta(days=1)


def issue_launch(
    tx: Tx, actor: Actor, grant: LaunchGrant, *, user_name: str = "", now: datetime
) -> str:
    """A code that opens ``grant`` once within a minute, for the actor or the user named.

    The session may never do more than both its user and the grant allow, and one that is confined
    only reads. Raises ``UserUnknown``, ``BadLaunch``, ``NotAuthorized``.
    """
    if actor.launched is not None or actor.user_key is None:
        raise LaunchRefused("only a user or a token can make launch codes")
    own = not user_name or actor.name.casefold() == user_name.casefold()
    if not own:
        authorize(actor, Action.USER_WRITE)
    row = store.lock_user(tx, user_name or actor.name)
    if row is None or row.disabled_at is not None:
        raise UserUnknown(f"there is no user {user_name} who may sign in")
    permitted = actor.actions if own else actions_of(Role(each) for each in row.roles)
    code = ids.new_token()
    codes.delete_codes_before(tx, now - _CODES_KEPT)
    codes.insert_code(
        tx,
        codes.NewCode(
            digest=token_digest(code),
            user_key=row.user_key,
            issued_by=actor.name,
            now=now,
            expires_at=now + timedelta(seconds=CODE_TTL_S),
            redeemed_at=None,
            limits=_limits(grant, permitted),
        ),
    )
    _record(tx, actor, row.user_name, grant, now=now)
    return code


def _limits(grant: LaunchGrant, permitted: frozenset[Action]) -> codes.Limits:
    """What a session is kept with. Raises ``BadLaunch`` when nothing would be left of it."""
    confined = grant.study_instance_uids is not None
    actions = permitted & (grant.scope or permitted)
    if confined:
        actions &= CONFINED_ACTIONS
    if Action.STUDY_READ not in actions and Action.REPORT_READ not in actions:
        raise BadLaunch("the session could read neither images nor reports")
    if len(grant.on_behalf_of) > ON_BEHALF_OF_LENGTH_MAX or not grant.on_behalf_of.isprintable():
        raise BadLaunch(f"on_behalf_of has at most {ON_BEHALF_OF_LENGTH_MAX} printable characters")
    return codes.Limits(
        target=grant.target,
        scope=sorted(each.value for each in actions),
        session_s=max(1, min(grant.session_s, SESSION_S_MAX)),
        on_behalf_of=grant.on_behalf_of,
        frame_origin=grant.frame_origin,
        study_instance_uids=grant.study_instance_uids,
        accession_numbers=grant.accession_numbers,
    )


def redeem_launch(
    tx: Tx, code: str, *, framed: bool, source: str, now: datetime
) -> Opened | LaunchRefused:
    """The session that a code opens; the code is used up.

    ``framed``: a frame of another page asks, which only codes made for a frame may open. A refusal
    is a result: the caller commits, so that it is on record.
    """
    row = codes.redeem_code(tx, token_digest(code), now)
    if row is None or (framed and row.frame_origin is None):
        _refused(tx, source=source, now=now)
        return LaunchRefused("the code is unknown, was used, or is older than a minute")
    return _opened(tx, row, source=source, now=now)


def _opened(tx: Tx, row: codes.CodeRow, *, source: str, now: datetime) -> Opened:
    secret = ids.new_token()
    ends_at = now + timedelta(seconds=row.session_s)
    codes.insert_launched_session(
        tx, token_digest(secret), row, source=source, now=now, ends_at=ends_at
    )
    entry = AuditEntry(
        action="launch.open",
        actor=row.user_name,
        actor_kind=ActorKind.USER,
        source=source,
        object_type="user",
        object_id=row.user_name,
        detail={"issued_by": row.issued_by, "on_behalf_of": row.on_behalf_of},
    )
    audit.record(tx, entry, now=now)
    return Opened(secret, row.target, row.frame_origin, row.session_s)


def _refused(tx: Tx, *, source: str, now: datetime) -> None:
    entry = AuditEntry(
        action="launch.open",
        actor="",
        actor_kind=ActorKind.USER,
        source=source,
        object_type="user",
        object_id="",
        outcome="refused",
    )
    audit.record(tx, entry, now=now)


def signed_actor(
    tx: Tx, keys: Mapping[str, str], launch: SignedLaunch, *, source: str, now: datetime
) -> Actor | None:
    """The user in whose name an address was signed with that user's key, while it is fresh.

    ``keys`` gives the key of each user. None, and on record, when it does not hold; the caller
    commits.
    """
    user_name = launch.parameters.get("user", "")
    key = keys.get(user_name, "")
    expires = launch.parameters.get("expires", "")
    fresh = False
    if expires.isdecimal() and len(expires) <= 12:
        left_s = int(expires) - now.astimezone(UTC).timestamp()
        fresh = 0 < left_s <= SIGNED_TTL_S_MAX
    expected = signature_of(key or ids.new_token(), launch.signed)
    if not (constant_time_equal(expected, launch.signature) and key and fresh):
        _refused(tx, source=source, now=now)
        return None
    row = store.lock_user(tx, user_name)
    if row is None or row.disabled_at is not None:
        _refused(tx, source=source, now=now)
        return None
    actions = actions_of(Role(each) for each in row.roles)
    return Actor(ActorKind.USER, row.user_name, actions, source, row.user_key, row.display_name)


def open_signed(
    tx: Tx, actor: Actor, launch: SignedLaunch, grant: LaunchGrant, *, now: datetime
) -> Opened | LaunchRefused:
    """The session that a signed address opens, once: the signature is used up.

    ``actor`` is what ``signed_actor`` gave. Raises ``BadLaunch``.
    """
    if actor.user_key is None:
        raise LaunchRefused("nobody has signed the address")
    limits = _limits(grant, actor.actions)
    new = codes.NewCode(
        digest=token_digest(launch.signature),
        user_key=actor.user_key,
        issued_by=actor.name,
        now=now,
        expires_at=now + timedelta(seconds=SIGNED_TTL_S_MAX),
        redeemed_at=now,
        limits=limits,
    )
    codes.delete_codes_before(tx, now - _CODES_KEPT)
    if not codes.insert_code(tx, new):
        _refused(tx, source=actor.source, now=now)
        return LaunchRefused("the address was used before")
    _record(tx, actor, actor.name, grant, now=now)
    row = codes.CodeRow(
        user_key=actor.user_key,
        user_name=actor.name,
        issued_by=actor.name,
        target=grant.target,
        scope=list(limits.scope),
        session_s=limits.session_s,
        on_behalf_of=grant.on_behalf_of,
        frame_origin=grant.frame_origin,
        study_instance_uids=None
        if grant.study_instance_uids is None
        else list(grant.study_instance_uids),
        accession_numbers=list(grant.accession_numbers),
    )
    return _opened(tx, row, source=actor.source, now=now)


def _record(
    tx: Tx,
    actor: Actor,
    user_name: str,
    grant: LaunchGrant,
    *,
    now: datetime,
) -> None:
    entry = AuditEntry(
        action="launch.issue",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="user",
        object_id=user_name,
        detail={
            "on_behalf_of": grant.on_behalf_of,
            "study_instance_uids": list(grant.study_instance_uids or ()),
            "confined": grant.study_instance_uids is not None,
            "frame_origin": grant.frame_origin or "",
        },
    )
    audit.record(tx, entry, now=now)
