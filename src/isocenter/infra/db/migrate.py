"""Brings a database's schema to the version of this code.

A migration is a file ``migrations/NNNN_name.pre.sql`` (expands: safe while the old code still runs)
or ``….post.sql`` (contracts: run when no old code runs any more). Each is applied once, in its own
transaction, in order of number, under an advisory lock so that any number of processes may start at
once. Applied files are recorded with their digest; one that was edited afterwards is refused. There
is no downgrade: a mistake is corrected by the next migration.
"""

import hashlib
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar, Literal, LiteralString, TypeAlias, cast

import psycopg

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db.errors import translated
from isocenter.infra.log import get_logger

Phase: TypeAlias = Literal["all", "pre", "post"]

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<title>[a-z0-9_]+)\.(?P<phase>pre|post)\.sql")
_ADVISORY_LOCK = 0x15_0CE1_7E12  # any constant: what all processes of this program agree on
_LOCK_TIMEOUT = "30s"

log = get_logger(__name__)


class EditedMigration(IsocenterError):
    """A migration file differs from what was applied under its name."""

    kind: ClassVar[Kind] = Kind.FAULT


class MigrationFailed(IsocenterError):
    """PostgreSQL refused a migration; the database is as it was before that file."""

    kind: ClassVar[Kind] = Kind.FAULT


class SchemaOutdated(IsocenterError):
    """The database lacks migrations that this code needs."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file. ``name`` is the file name without ``.sql``."""

    version: int
    phase: str
    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def packaged_migrations() -> list[Migration]:
    """All migrations of this code, in the order in which they apply."""
    found: list[Migration] = []
    for entry in resources.files("isocenter.infra.db").joinpath("migrations").iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            name = entry.name.removesuffix(".sql")
            found.append(
                Migration(int(match["version"]), match["phase"], name, entry.read_text("utf-8"))
            )
    return in_order(found)


def in_order(migrations: Sequence[Migration]) -> list[Migration]:
    """By number; at the same number what expands comes before what contracts."""
    return sorted(migrations, key=lambda each: (each.version, each.phase != "pre", each.name))


def pending(url: str, *, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Names of the migrations that the database at ``url`` lacks, in order. Changes nothing."""
    known = packaged_migrations() if migrations is None else in_order(migrations)
    with _connected(url) as connection:
        return [each.name for each in _missing(connection, known)]


def require_current(url: str) -> None:
    """Raise ``SchemaOutdated`` when the database lacks a ``pre`` migration of this code."""
    missing = [name for name in pending(url) if name.endswith(".pre")]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SchemaOutdated(f"run `isocenter migrate`: the database lacks {missing[0]}{more}")


def migrate(
    url: str, *, phase: Phase = "all", migrations: Sequence[Migration] | None = None
) -> list[str]:
    """Apply what is missing and give the names applied, in order.

    Waits while another process migrates the same database. Raises ``EditedMigration`` before
    changing anything, and ``MigrationFailed`` with all earlier files of this call applied.
    """
    known = packaged_migrations() if migrations is None else in_order(migrations)
    applied: list[str] = []
    with _connected(url) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        connection.execute(_HISTORY_TABLE)
        for each in _missing(connection, known):
            if phase in {"all", each.phase}:
                _apply(connection, each)
                applied.append(each.name)
                log.info("migration_applied", migration=each.name)
    return applied


_HISTORY_TABLE = """
create table if not exists public.schema_migration (
    name       text primary key,
    version    int not null,
    digest     text not null,
    applied_at timestamptz not null default clock_timestamp()
)
"""


def _missing(connection: psycopg.Connection[Any], known: Sequence[Migration]) -> list[Migration]:
    exists = connection.execute("select to_regclass('public.schema_migration')").fetchone()
    applied: dict[str, str] = {}
    if exists and exists[0]:
        applied = dict(
            connection.execute("select name, digest from public.schema_migration").fetchall()
        )
    for each in known:
        if applied.get(each.name, each.digest) != each.digest:
            raise EditedMigration(
                f"{each.name} was edited after it was applied: write a new migration instead"
            )
    return [each for each in known if each.name not in applied]


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> None:
    # The text comes from a file of this package, so it is as literal as a statement in the source.
    statements = cast("LiteralString", migration.text)
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
            connection.execute(statements)
            connection.execute(
                "insert into public.schema_migration (name, version, digest) values (%s, %s, %s)",
                (migration.name, migration.version, migration.digest),
            )
    except psycopg.Error as error:
        reason = error.diag.message_primary or "the connection was lost"
        raise MigrationFailed(f"{migration.name}: {reason}") from error


@contextmanager
def _connected(url: str) -> Generator[psycopg.Connection[Any], None, None]:
    try:
        with psycopg.connect(
            url, autocommit=True, application_name="isocenter migrate"
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise translated(error) from error
