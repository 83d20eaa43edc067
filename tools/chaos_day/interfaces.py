"""The product's HL7 process, in and out, as it runs: on an event loop of its own, and killable."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, TypeVar

from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.admission import Admission
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.receive import Caller, Reply
from isocenter.gateways.hl7.sender import Hl7Sender, SenderOptions
from isocenter.infra.clock import Clock
from isocenter.infra.pools import Pool
from tools.chaos_day.mortal import Killed, MortalDatabase

T = TypeVar("T")

_OPTIONS = SenderOptions(poll_s=0.03, backoff_first_s=2.0, backoff_max_s=120.0, stop_grace_s=0.5)


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, __: None)  # who dies says nothing
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Listening:
    """Takes messages; a new process takes the place of one that died."""

    def __init__(self, made: Callable[[], MortalDatabase], loop: Loop, clock: Clock) -> None:
        self._made, self._loop, self._clock = made, loop, clock
        self._begin()

    def say(self, message: bytes, peer: Hl7Peer) -> Reply | None:
        """What is answered; None when the process died of it."""
        caller = Caller("127.0.0.1", (peer,))
        try:
            return self._loop.run(self._admission.answer(message, caller))
        except (Killed, asyncio.CancelledError, futures.CancelledError):
            self.close()
            self._begin()
            return None

    def close(self) -> None:
        """End the process."""
        self._pool.close()
        self._database.close()

    def _begin(self) -> None:
        self._database = self._made()
        self._pool = Pool(self._database, threads=1)
        self._admission = Admission(self._pool, ReceiveOptions(), self._clock)


class Sending:
    """Sends messages; a new process takes the place of one that died."""

    def __init__(self, made: Callable[[], MortalDatabase], loop: Loop, clock: Clock) -> None:
        self._made, self._loop, self._clock = made, loop, clock
        self.deaths = 0
        self._begin()

    def look(self) -> bool:
        """Whether the process lives; one that died is replaced."""
        if not (self._database.dead or self._running.done()):
            return True
        self.deaths += 1
        self.close()
        self._begin()
        return False

    def close(self) -> None:
        """End the process."""
        self._loop.run(self._end())
        self._pool.close()
        self._database.close()

    def _begin(self) -> None:
        self._database = self._made()
        self._pool = Pool(self._database, threads=4)
        self._loop.run(self._start())

    async def _start(self) -> None:
        sender = Hl7Sender(self._pool, _OPTIONS, clock=self._clock)
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(sender.run(self._stop))

    async def _end(self) -> None:
        self._stop.set()
        await asyncio.wait([self._running], timeout=5)
        if self._running.done() and not self._running.cancelled():
            self._running.exception()
