"""How long to wait: between attempts, for something to do, and how leases outlast the work."""

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
