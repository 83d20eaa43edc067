"""PostgreSQL: connections, transactions, errors.

SQL itself lives in the stages that own the tables.
"""

from isocenter.infra.db.errors import (
    ConstraintViolation,
    DatabaseBusy,
    DatabaseUnavailable,
    NoRow,
    StatementFailed,
    UniqueViolation,
    UnstorableValue,
)
from isocenter.infra.db.pool import Database
from isocenter.infra.db.tx import NO_ROUTES, Params, Route, Router, Sql, Tx, jsonb

__all__ = [
    "NO_ROUTES",
    "ConstraintViolation",
    "Database",
    "DatabaseBusy",
    "DatabaseUnavailable",
    "NoRow",
    "Params",
    "Route",
    "Router",
    "Sql",
    "StatementFailed",
    "Tx",
    "UniqueViolation",
    "UnstorableValue",
    "jsonb",
]
