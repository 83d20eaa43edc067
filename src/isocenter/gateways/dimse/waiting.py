"""How long to wait: between attempts, and for something to do."""

import asyncio
import secrets
from typing import Protocol


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
