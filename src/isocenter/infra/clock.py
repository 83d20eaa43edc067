"""The one place that reads the clock.

Everything else takes ``now`` as an argument, so that time is data and a test can choose it. Waiting
is not here: that is the business of the loop that waits.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the clock itself
