"""What can go wrong with the database, in words that need no driver.

Services catch these and never see psycopg.
"""

from typing import ClassVar

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout, TooManyRequests

from isocenter.errors import IsocenterError, Kind


class DatabaseUnavailable(IsocenterError):
    """The database is away, or asks for the transaction to be repeated.

    Attributes:
        outcome_unknown: the connection was lost while committing: the transaction may have
        happened. repeatable: the transaction certainly did not happen and may succeed when repeated
        at once.
    """

    kind: ClassVar[Kind] = Kind.UNAVAILABLE

    def __init__(
        self, message: str, *, outcome_unknown: bool = False, repeatable: bool = False
    ) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown
        self.repeatable = repeatable


class DatabaseBusy(IsocenterError):
    """No connection came free, or a lock or statement took longer than its limit."""

    kind: ClassVar[Kind] = Kind.BUSY


class UniqueViolation(IsocenterError):
    """A row with the same key exists already.

    Attributes:
        constraint_name: name of the violated constraint or unique index.
    """

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, constraint_name: str) -> None:
        super().__init__(f"a row with this key exists already ({constraint_name})")
        self.constraint_name = constraint_name


class ConstraintViolation(IsocenterError):
    """The row contradicts a rule of its table: a foreign key, a check, a missing value.

    Attributes:
        constraint_name: name of the violated constraint, or of the column that may not be null.
    """

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, constraint_name: str) -> None:
        super().__init__(f"the row contradicts {constraint_name}")
        self.constraint_name = constraint_name


class UnstorableValue(IsocenterError):
    """A value that PostgreSQL has no room for: U+0000 in text, a number or date out of range."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NoRow(IsocenterError):
    """A row that must exist was not found."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class StatementFailed(IsocenterError):
    """PostgreSQL refused a statement: a defect in our SQL or schema.

    Attributes:
        sqlstate: PostgreSQL's five-character code.
    """

    kind: ClassVar[Kind] = Kind.FAULT

    def __init__(self, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def translated(error: psycopg.Error | PoolTimeout | TooManyRequests) -> IsocenterError:
    """The error of this module that stands for the driver's ``error``."""
    match error:
        case PoolTimeout() | TooManyRequests():
            return DatabaseBusy("no database connection came free in time")
        case pg.UniqueViolation() | pg.ExclusionViolation():
            return UniqueViolation(error.diag.constraint_name or "unnamed constraint")
        case pg.IntegrityError():
            return ConstraintViolation(
                error.diag.constraint_name or error.diag.column_name or "a constraint"
            )
        case pg.SerializationFailure() | pg.DeadlockDetected():
            return DatabaseUnavailable("concurrent transactions collided", repeatable=True)
        case pg.LockNotAvailable() | pg.QueryCanceled() | pg.TooManyConnections():
            return DatabaseBusy("the database was too busy to answer in time")
        case psycopg.DataError():
            return UnstorableValue("a value cannot be stored")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return DatabaseUnavailable("the database connection was lost", repeatable=True)
        case _:
            # The primary message names tables and types, never values: those are in the detail.
            return StatementFailed(
                error.sqlstate, error.diag.message_primary or type(error).__name__
            )
