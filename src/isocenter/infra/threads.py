"""Threads for work that blocks, a short way to them and back.

An executor of the standard library passes a result through two futures, each with locks of its own:
0.1 ms of the event loop for each call, half of what it does for a small answer. Here are a queue
and one future of the event loop.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class _Call(Generic[R]):
    """One piece of work, and the future of whoever waits for it on an event loop."""

    __slots__ = ("_loop", "_work", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], R]) -> None:
        self._loop = loop
        self._work = work
        self.future: asyncio.Future[R] = loop.create_future()

    def __call__(self) -> None:
        """Do it, in a thread, unless nobody waits any more."""
        if self.future.cancelled():
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            self._tell(self._fail, error)
        else:
            self._tell(self._succeed, result)

    def cancel(self) -> None:
        """Tell whoever waits that it will not be done."""
        self._tell(self.future.cancel)

    def _succeed(self, result: R) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and who waited with it
            self._loop.call_soon_threadsafe(callback, *args)


class Threads:
    """At most so many threads, begun when they are needed; more work waits in its order."""

    def __init__(self, most: int, *, name: str) -> None:
        self._most = most
        self._name = name
        self._waiting: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._idle: deque[None] = deque()  # as many as threads wait for work
        self._threads: list[threading.Thread] = []
        self._beginning = threading.Lock()
        self._closed = False

    def call(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """What ``work`` returns in a thread, where it goes at once.

        Whoever is cancelled while waiting for it does not stop it, once it has begun.
        """
        call = _Call(asyncio.get_running_loop(), work)
        self._put(call)
        return call.future

    def close(self, *, wait: bool = True) -> None:
        """End the threads after the work under way; what still waits for one is cancelled.

        Args:
            wait: return when they have ended.
        """
        with self._beginning:
            self._closed = True
        self._cancel_waiting()
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for each in self._threads:
                each.join()
            self._cancel_waiting()  # what another thread put there meanwhile

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while True:
                waiting = self._waiting.get_nowait()
                if waiting is not None:
                    waiting.cancel()

    def _put(self, call: _Call[Any]) -> None:
        try:
            self._idle.pop()
        except IndexError:
            self._begin()
        if self._closed:
            raise RuntimeError("the threads have ended")
        self._waiting.put(call)

    def _begin(self) -> None:
        """One thread more, as long as there may be one."""
        with self._beginning:
            if len(self._threads) < self._most and not self._closed:
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self) -> None:
        while (call := self._waiting.get()) is not None:
            call()
            del call  # nothing of it is kept while waiting for the next
            self._idle.append(None)
