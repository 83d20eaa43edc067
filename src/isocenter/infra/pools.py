"""The bridge from coroutines to synchronous services.

One call is one thread, one connection, one transaction. Gateways live on an event loop and must
never block it; services are plain functions that may block. Nothing else is here: no queueing
policy beyond the bound, no scheduling.
"""

from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from isocenter.infra.db import Database, DatabaseUnavailable, Tx
from isocenter.infra.threads import Threads

P = ParamSpec("P")
R = TypeVar("R")


class Pool:
    """A bounded number of threads in front of a database. One per process."""

    def __init__(self, db: Database, *, threads: int) -> None:
        self.db = db
        self._threads = Threads(threads, name="pool")

    async def run(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What ``fn(tx, …)`` returns, after its transaction is committed.

        A transaction that certainly did not happen because of a collision or a lost connection is
        repeated once, so ``fn`` may act on ``tx`` only. A caller that is cancelled does not undo a
        transaction that already runs.
        """
        return await self._threads.call(lambda: self.run_here(lambda tx: fn(tx, *args, **kwargs)))

    async def read(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What ``fn(tx, …)`` returns from a read-only transaction that sees one moment."""
        return await self._threads.call(lambda: self._read_here(lambda tx: fn(tx, *args, **kwargs)))

    async def each(
        self, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """What ``fn(tx, …)`` returns, every statement of it a transaction of its own.

        For what one statement reads, and what is then put on record: it saves the round trips
        that open and end a transaction, half of all. What ``fn`` did before it raised stays.
        """
        return await self._threads.call(lambda: self.each_here(lambda tx: fn(tx, *args, **kwargs)))

    async def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``fn(…)`` returns, from a thread without a transaction: file and network work."""
        return await self._threads.call(partial(fn, *args, **kwargs))

    def run_here(self, fn: Callable[[Tx], R]) -> R:
        """As ``run``, in the calling thread: for callers that are threads themselves."""
        try:
            with self.db.transaction() as tx:
                return fn(tx)
        except DatabaseUnavailable as error:
            if not error.repeatable or error.outcome_unknown:
                raise
        with self.db.transaction() as tx:
            return fn(tx)

    def each_here(self, fn: Callable[[Tx], R]) -> R:
        """As ``each``, in the calling thread."""
        with self.db.statement() as tx:
            return fn(tx)

    def _read_here(self, fn: Callable[[Tx], R]) -> R:
        try:
            with self.db.read() as tx:
                return fn(tx)
        except DatabaseUnavailable as error:
            if not error.repeatable:
                raise
        with self.db.read() as tx:
            return fn(tx)

    def close(self) -> None:
        """End the threads after the calls in progress. The database is the owner's to close."""
        self._threads.close()
