"""How long to wait: between attempts, for something to do, and how leases outlast the work.

For coroutines that send things to others until they are stopped. What they send, and to whom, is
not known here.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from isocenter.errors import IsocenterError
from isocenter.infra.log import get_logger

_log = get_logger(__name__)


class Backoff(Protocol):
    """How waits grow."""

    @property
    def backoff_first_s(self) -> float:
        """The wait after the first failure."""
        ...

    @property
    def backoff_max_s(self) -> float:
        """The longest wait."""
        ...


def backoff_s(options: Backoff, attempt: int) -> float:
    """The wait after an attempt, with jitter so that lanes do not march in step."""
    doubled = options.backoff_first_s * 2 ** min(attempt - 1, 16)
    jitter = 0.8 + 0.4 * secrets.randbelow(1000) / 1000
    return min(doubled, options.backoff_max_s) * jitter


async def wait_for(event: asyncio.Event, timeout_s: float) -> None:
    """Returns when the event is set, or the time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


async def repeat(
    step: Callable[[], Awaitable[bool]], stop: asyncio.Event, *, poll_s: float, failed: str
) -> None:
    """Do ``step`` until ``stop`` is set: at once again while it found something to do.

    A failure, be it a defect, costs one turn; ``failed`` is what the log says of it.
    """
    while not stop.is_set():
        try:
            busy = await step()
        except IsocenterError as error:
            _log.warning(failed, error_kind=error.kind.value)
            busy = False
        except Exception as error:  # noqa: BLE001 - a defect may cost one turn only
            _log.error(failed, exc_info=error)
            busy = False
        if not busy:
            await wait_for(stop, poll_s)


@asynccontextmanager
async def renewed(renew: Callable[[], Awaitable[None]], *, every_s: float) -> AsyncGenerator[None]:
    """While the block lasts, ``renew`` is awaited again and again: a lease ends soon after a crash.

    A renewal that fails is told in the log: whoever holds the lease finds out with its result.
    """

    async def keep() -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await renew()
            except IsocenterError as error:
                _log.warning("lease_not_renewed", error_kind=error.kind.value)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
