"""A process's connections to PostgreSQL, lent out one transaction at a time.

Connecting, limits and time-outs are decided here. What is said over a connection is not.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import psycopg
from psycopg import IsolationLevel, pq
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from isocenter.infra.db.errors import DatabaseUnavailable, translated
from isocenter.infra.db.tx import NO_ROUTES, Router, Tx

_Connection = psycopg.Connection[Any]
_STATEMENT_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Mode:
    """How transactions of a connection begin. It stays so until somebody wants it otherwise."""

    autocommit: bool = False
    isolation_level: IsolationLevel | None = None
    read_only: bool | None = None

    def set_on(self, connection: _Connection) -> None:
        """Change what is not so already: each change takes as long as a cursor."""
        if connection.autocommit is not self.autocommit:
            connection.autocommit = self.autocommit
        if connection.isolation_level is not self.isolation_level:
            connection.isolation_level = self.isolation_level
        if connection.read_only is not self.read_only:
            connection.read_only = self.read_only


_WRITING: Final = _Mode()
_EACH_ITS_OWN: Final = _Mode(autocommit=True)
_READING: Final = _Mode(isolation_level=IsolationLevel.REPEATABLE_READ, read_only=True)


class _Pool(ConnectionPool[_Connection]):
    """Lends the connection that came back last.

    Its server process has what it needs at hand, in its own memory and in the processor's; the
    package takes them in turn, so that as many as were ever needed at once stay half warm. Those
    that are left over are not used, and are closed after some minutes.
    """

    def _get_ready_connection(self, timeout: float | None) -> _Connection | None:
        self._pool.rotate(1)  # the next is taken from the left
        return super()._get_ready_connection(timeout)


class Database:
    """One process's pool of connections. Thread-safe.

    It connects in the background: a server that is away is an error of the first transaction.
    """

    def __init__(
        self,
        url: str,
        *,
        router: Router | None = None,
        connections_max: int = 8,
        application_name: str = "isocenter",
        wait_timeout_s: float = 10.0,
        plans_once: bool = False,
    ) -> None:
        """``wait_timeout_s`` limits each wait: for a connection, for a lock, for the server.

        ``plans_once`` is for processes whose statements are few and find their rows by keys: each
        is planned at its first use on a connection, whatever its parameters. Planning such a
        statement anew takes longer than doing it.
        """
        self.url = url
        self.router: Router = router or NO_ROUTES
        self.connections_max = connections_max
        self._lent = 0
        self._lent_lock = threading.Lock()
        self._settings = {
            "application_name": application_name,
            "TimeZone": "UTC",
            "client_encoding": "UTF8",
            "statement_timeout": f"{int(_STATEMENT_TIMEOUT_S * 1000)}",
            "lock_timeout": f"{int(wait_timeout_s * 1000)}",
            # A transaction that a handler keeps open while it talks to a peer is idle for as long
            # as the peer takes.
            "idle_in_transaction_session_timeout": f"{int(10 * _STATEMENT_TIMEOUT_S * 1000)}",
        }
        connecting: dict[str, Any] = {"connect_timeout": max(2, int(wait_timeout_s))}
        if plans_once:
            connecting["prepare_threshold"] = 0
            # A plan made while a table is small must be the one for when it is large.
            self._settings |= {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
        self._pool = _Pool(
            url,
            connection_class=_Connection,
            kwargs=connecting,
            min_size=1,
            max_size=connections_max,
            timeout=wait_timeout_s,
            max_waiting=100 * connections_max,
            reconnect_timeout=wait_timeout_s,
            num_workers=1,
            configure=self._configure,
            open=True,
            name=application_name,
        )

    def _configure(self, connection: _Connection) -> None:
        for name, value in self._settings.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        connection.commit()

    def _count_lent(self, change: int) -> None:
        with self._lent_lock:
            self._lent += change

    @contextmanager
    def transaction(self) -> Generator[Tx, None, None]:
        """A read-committed transaction: commits when the block ends, rolls back when it raises."""
        with self._borrowed(_WRITING) as connection:
            try:
                yield Tx(connection, self.router)
            except BaseException:
                self._undo(connection)
                raise
            self._commit(connection)

    @contextmanager
    def statement(self) -> Generator[Tx, None, None]:
        """A transaction of one statement, which the server commits with it: one round trip.

        Each further statement would be a transaction of its own.
        """
        with self._borrowed(_EACH_ITS_OWN) as connection:
            try:
                yield Tx(connection, self.router)
            except DatabaseUnavailable as error:
                if not connection.closed:
                    raise
                raise DatabaseUnavailable(error.message, outcome_unknown=True) from error

    @contextmanager
    def read(self) -> Generator[Tx, None, None]:
        """A read-only transaction that sees one unchanging moment (repeatable read)."""
        with self._borrowed(_READING) as connection:
            try:
                yield Tx(connection, self.router)
                self._end_reading(connection)
            finally:
                self._undo(connection)

    @contextmanager
    def _borrowed(self, mode: "_Mode") -> Generator[_Connection, None, None]:
        try:
            connection = self._pool.getconn()
        except (psycopg.Error, PoolTimeout, TooManyRequests) as error:
            if isinstance(error, PoolTimeout) and self._lent < self.connections_max:
                raise DatabaseUnavailable("the database does not answer") from error
            raise translated(error) from error
        self._count_lent(1)
        try:
            mode.set_on(connection)
            yield connection
        finally:
            lost = connection.closed
            self._count_lent(-1)
            self._pool.putconn(connection)
            if lost:  # the others were probably lost too: find out now and not one transaction each
                self._pool.check()

    @staticmethod
    def _undo(connection: _Connection) -> None:
        if not connection.closed:
            try:
                connection.rollback()
            except psycopg.Error:
                connection.close()

    @staticmethod
    def _end_reading(connection: _Connection) -> None:
        # There is nothing to undo, and when a transaction is rolled back psycopg has the server
        # forget every statement that is prepared on the connection. What was read counts,
        # whatever becomes of the connection now.
        if connection.info.transaction_status == pq.TransactionStatus.INTRANS:
            with suppress(psycopg.Error):
                connection.commit()

    @staticmethod
    def _commit(connection: _Connection) -> None:
        status = connection.info.transaction_status
        if status == pq.TransactionStatus.INERROR:
            # A statement failed and the error was swallowed: COMMIT would silently roll back.
            Database._undo(connection)
            raise DatabaseUnavailable("the transaction had failed and was rolled back")
        try:
            connection.commit()
        except psycopg.OperationalError as error:
            lost = cast("psycopg.Error", error).sqlstate is None
            if lost:
                raise DatabaseUnavailable(
                    "the connection was lost while committing", outcome_unknown=True
                ) from error
            raise translated(error) from error
        except psycopg.Error as error:  # deferred constraints speak up here
            raise translated(error) from error

    def close(self) -> None:
        """Close all connections; transactions in progress are cut off."""
        self._pool.close()
