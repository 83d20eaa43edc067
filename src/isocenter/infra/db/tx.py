"""One open transaction, as services see it.

Statements are constants (LiteralString, checked by the type checker) or composed by
``infra.db.where``; values travel separately. Rows come back as dataclasses whose fields are named
like the columns. Committing is not here: whoever opened the transaction commits it.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, Protocol, TypeAlias, TypeVar

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb, set_json_loads

from isocenter.infra.db.errors import NoRow, translated

Sql: TypeAlias = LiteralString | sql.Composed
Params: TypeAlias = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")

set_json_loads(msgspec.json.decode)


def jsonb(value: Any) -> Jsonb:
    """A parameter for a ``jsonb`` column: any JSON value, dataclass, datetime, enum or UUID."""
    return Jsonb(value, dumps=msgspec.json.encode)


class Route(Protocol):
    """Where one kind of event goes: as much of a subscription as writing its delivery needs."""

    @property
    def subscriber(self) -> str:
        """Name of the reaction, ``reconcile.match``."""
        ...

    def lane_of(self, event: Any) -> str:
        """The lane within which this event's deliveries keep their order."""
        ...


class Router(Protocol):
    """Who wants to know of which event; carried by the transaction."""

    def for_event(self, name: str) -> Sequence[Route]:
        """The routes of the event called ``name``; none when nobody subscribed."""
        ...


Writer: TypeAlias = Callable[["Tx", Sequence[Any]], object]
"""Writes rows of one kind in one statement. It adds none itself."""


class _NoRoutes:
    def for_event(self, name: str) -> Sequence[Route]:
        del name
        return ()


NO_ROUTES: Router = _NoRoutes()


class Tx:
    """One open transaction. Not thread-safe; ends with the ``with`` block that made it.

    Parameters of a statement are a sequence for ``%s`` or a mapping for ``%(name)s``. Every method
    raises the errors of ``infra.db``; after one of them only a rolled-back ``savepoint`` or the end
    of the transaction may follow.
    """

    __slots__ = ("_connection", "_gathered", "router")

    def __init__(self, connection: psycopg.Connection[Any], router: Router = NO_ROUTES) -> None:
        self._connection = connection
        self._gathered: dict[Writer, list[Any]] | None = None
        self.router = router

    def run(self, statement: Sql, params: Params = ()) -> int:
        """The number of rows that ``statement`` changed."""
        try:
            return self._connection.execute(statement, params).rowcount
        except psycopg.Error as error:
            raise translated(error) from error

    def run_many(self, statement: Sql, params_seq: Iterable[Params]) -> None:
        """Run ``statement`` once per element of ``params_seq``, in one network round trip."""
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(statement, params_seq)
        except psycopg.Error as error:
            raise translated(error) from error

    def one(self, row: type[T], statement: Sql, params: Params = ()) -> T:
        """The first row; raises ``NoRow`` when there is none."""
        found = self.maybe(row, statement, params)
        if found is None:
            raise NoRow(f"no {row.__name__} where one must be")
        return found

    def maybe(self, row: type[T], statement: Sql, params: Params = ()) -> T | None:
        """The first row, or None."""
        try:
            with self._connection.cursor(row_factory=class_row(row)) as cursor:
                return cursor.execute(statement, params).fetchone()
        except psycopg.Error as error:
            raise translated(error) from error

    def all(self, row: type[T], statement: Sql, params: Params = ()) -> list[T]:
        """All rows, in the statement's order."""
        try:
            with self._connection.cursor(row_factory=class_row(row)) as cursor:
                return cursor.execute(statement, params).fetchall()
        except psycopg.Error as error:
            raise translated(error) from error

    def value(self, statement: Sql, params: Params = ()) -> Any:
        """The first column of the first row; None when there is no row."""
        try:
            with self._connection.cursor(row_factory=scalar_row) as cursor:
                return cursor.execute(statement, params).fetchone()
        except psycopg.Error as error:
            raise translated(error) from error

    def values(self, statement: Sql, params: Params = ()) -> list[Any]:
        """The first column of all rows."""
        try:
            with self._connection.cursor(row_factory=scalar_row) as cursor:
                return cursor.execute(statement, params).fetchall()
        except psycopg.Error as error:
            raise translated(error) from error

    def stream(
        self, row: type[T], statement: Sql, params: Params = (), *, rows_at_once: int = 500
    ) -> Generator[T, None, None]:
        """The rows in the statement's order, fetched while they are taken: never all in memory.

        They come as fast as they are taken, without a server's cursor. Nothing else is asked in the
        transaction until the stream has ended; end it early with ``close``.
        """
        try:
            # It takes as long as whoever takes the rows.
            self._connection.execute("set local statement_timeout = 0")
            with self._connection.cursor(row_factory=class_row(row)) as cursor:
                yield from cursor.stream(statement, params, size=rows_at_once)
        except psycopg.Error as error:
            raise translated(error) from error

    def add(self, write: Writer, row: Any) -> None:
        """Have ``write`` write ``row``: at once, or at the end of the ``gathered`` part around."""
        if self._gathered is None:
            write(self, [row])
        else:
            self._gathered.setdefault(write, []).append(row)

    @contextmanager
    def gathered(self) -> Generator[None, None, None]:
        """A part of the transaction that writes what was added in it at its end, in few statements.

        Whatever only follows from what is done (events, audit records) is added and not waited for.
        It is written while all locks are held and in the order in which it was added, but the
        part's own statements do not see it. Of parts in each other the outermost writes.
        """
        if self._gathered is not None:
            yield
            return
        self._gathered = {}
        try:
            yield
            for write, rows in self._gathered.items():
                write(self, rows)
        finally:
            self._gathered = None

    @contextmanager
    def savepoint(self) -> Generator[None, None, None]:
        """A part of the transaction that is undone alone when the block raises."""
        before = {write: len(rows) for write, rows in (self._gathered or {}).items()}
        try:
            with self._connection.transaction():
                yield
        except BaseException as error:
            for write, rows in (self._gathered or {}).items():
                del rows[before.get(write, 0) :]
            if isinstance(error, psycopg.Error):
                raise translated(error) from error
            raise
