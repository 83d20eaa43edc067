"""Work that many ask for at the same time and that is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Lets those who come while work is being done share its outcome, also its failure.

    Only for one event loop. The work goes on when those who wait for it are cancelled.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` gives, or what the same work under ``key`` that is going on gives."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: Hashable, done: asyncio.Task[T]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # it is raised where it is waited for; somebody may have gone


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
