"""One thread that looks whether there is something to do, for all that would do it.

Each of them looks again by itself as well, though rarely: whatever happens here can delay a
delivery, and lose none. What is done is not known here.
"""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, DatabaseBusy, DatabaseUnavailable
from isocenter.infra.log import get_logger
from isocenter.infra.outbox.claim import DUE_LOOKED_AT_MAX, due

_LOOK_S: Final = 0.1
_AWAY_S: Final = 1.0
_UNSEEN_S: Final = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one thread does again and again.

    Attributes:
        step: does some of it; gives how much.
        most: how much it does at a time.
        names: of the subscribers or timers whose business it is.
        overdue: how long something is due before it is.
        called: set when there is something, cleared by the thread when it finds nothing.
    """

    step: Callable[[], int]
    most: int
    names: Collection[str]
    overdue: timedelta = timedelta()
    called: threading.Event = field(default_factory=threading.Event)

    def rest(self, stop: threading.Event, at_least_s: float) -> None:
        """Wait until there is something, but not for ever."""
        self.called.clear()
        if not stop.wait(at_least_s):
            self.called.wait(_UNSEEN_S)


def look_out(turns: Collection[Turn], stop: threading.Event, *, db: Database, clock: Clock) -> None:
    """Call whose turn it is, again and again until ``stop`` is set; then call all."""
    pause_s = _LOOK_S
    while not stop.wait(pause_s):
        pause_s = _LOOK_S
        resting = [each for each in turns if not each.called.is_set()]
        if not resting:
            continue
        try:
            call_due(resting, db, now=clock())
        except (DatabaseUnavailable, DatabaseBusy):  # which they find out by themselves
            pause_s = _AWAY_S
        except Exception:
            log.exception("lookout_failed")
            pause_s = _AWAY_S
    for each in turns:
        each.called.set()


def call_due(turns: Collection[Turn], db: Database, *, now: datetime) -> None:
    """Call those whose turn it is."""
    with db.statement() as tx:
        found = {each.name: each for each in due(tx, now=now)}
    looked_at = sum(each.deliveries for each in found.values())
    for turn in turns:
        since = [found[name].due_at for name in turn.names if name in found]
        is_due = bool(since) and min(since) <= now - turn.overdue
        if is_due or looked_at >= DUE_LOOKED_AT_MAX:
            turn.called.set()
