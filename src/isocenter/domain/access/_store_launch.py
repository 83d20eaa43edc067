"""The SQL of launch codes and of the sessions they open. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What an unused code opens, and for whom."""

    user_key: int
    user_name: str
    issued_by: str
    target: str
    scope: list[str]
    session_s: int
    on_behalf_of: str
    frame_origin: str | None
    study_instance_uids: list[str] | None
    accession_numbers: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a session that a code opens is limited to."""

    target: str
    scope: Sequence[str]
    session_s: int
    on_behalf_of: str
    frame_origin: str | None
    study_instance_uids: Sequence[str] | None
    accession_numbers: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """A code to be kept. ``redeemed_at`` is set where it is used at once."""

    digest: bytes
    user_key: int
    issued_by: str
    now: datetime
    expires_at: datetime
    redeemed_at: datetime | None
    limits: Limits


def insert_code(tx: Tx, code: NewCode) -> int:
    """Keep a code; 0 when this one was kept before."""
    limits = code.limits
    return tx.run(
        """
        insert into access.launch_code
               (code_digest, user_key, issued_by, created_at, expires_at, redeemed_at, target,
                scope, session_s, on_behalf_of, frame_origin, study_instance_uids,
                accession_numbers)
        values (%s, %s, %s, %s, %s, %s, %s, %s::text[], %s, %s, %s, %s::text[], %s::text[])
            on conflict do nothing
        """,
        (
            code.digest,
            code.user_key,
            code.issued_by,
            code.now,
            code.expires_at,
            code.redeemed_at,
            limits.target,
            list(limits.scope),
            limits.session_s,
            limits.on_behalf_of,
            limits.frame_origin,
            None if limits.study_instance_uids is None else list(limits.study_instance_uids),
            list(limits.accession_numbers),
        ),
    )


def redeem_code(tx: Tx, digest: bytes, now: datetime) -> CodeRow | None:
    """What a code opens, which is used up by this; None when it cannot be used (any more)."""
    return tx.maybe(
        CodeRow,
        """
        update access.launch_code c set redeemed_at = %(now)s
          from access.user_account u
         where c.code_digest = %(digest)s and c.redeemed_at is null and c.expires_at > %(now)s
           and u.user_key = c.user_key and u.disabled_at is null
        returning c.user_key, u.user_name, c.issued_by, c.target, c.scope, c.session_s,
                  c.on_behalf_of, c.frame_origin, c.study_instance_uids, c.accession_numbers
        """,
        {"digest": digest, "now": now},
    )


def delete_codes_before(tx: Tx, before: datetime) -> int:
    """Forget codes that expired before then; gives how many."""
    return tx.run("delete from access.launch_code where expires_at < %s", (before,))


def insert_launched_session(
    tx: Tx, digest: bytes, code: CodeRow, *, source: str, now: datetime, ends_at: datetime
) -> None:
    """Open the session of a code."""
    tx.run(
        """
        insert into access.session
               (session_digest, user_key, source, created_at, last_seen_at, expires_at, ends_at,
                scope, on_behalf_of, frame_origin, study_instance_uids, accession_numbers)
        values (%(digest)s, %(user_key)s, %(source)s, %(now)s, %(now)s, %(ends_at)s, %(ends_at)s,
                %(scope)s::text[], %(on_behalf_of)s, %(frame_origin)s,
                %(study_instance_uids)s::text[], %(accession_numbers)s::text[])
        """,
        {
            "digest": digest,
            "user_key": code.user_key,
            "source": source,
            "now": now,
            "ends_at": ends_at,
            "scope": code.scope,
            "on_behalf_of": code.on_behalf_of,
            "frame_origin": code.frame_origin,
            "study_instance_uids": code.study_instance_uids,
            "accession_numbers": code.accession_numbers,
        },
    )
