"""The clock of the day: it stands until it is moved."""

from datetime import datetime


class MovedClock:
    """Callable like ``infra.clock.utc_now``."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now
