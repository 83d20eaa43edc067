"""What one association waits for before it goes on: that what it stored is visible.

A scanner that asks for commitment, or searches, or releases and lets another system ask, finds what
it was told is stored. Further objects do not wait.
"""

import asyncio
from collections.abc import Callable

from isocenter.gateways.dimse.services import Receiver
from isocenter.infra.log import get_logger

_log = get_logger(__name__)


class Settling:
    """Counts the objects of one association that were answered and are not visible yet.

    Args:
        loop: everything happens on it.
        timeout_s: nobody waits longer: the database is away.
        done: called when nothing is left to wait for.
    """

    __slots__ = (
        "_count",
        "_done",
        "_given_up",
        "_hurry",
        "_loop",
        "_timeout_s",
        "_timer",
        "_waiting",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout_s: float, done: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._done = done
        self._count = 0
        self._given_up = False
        self._hurry: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[Receiver] = []

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to wait for."""
        return self._count <= 0 or self._given_up

    def begin(self, hurry: Callable[[], None]) -> None:
        """One more object; ``hurry`` has all of them made visible at once."""
        self._count += 1
        self._hurry = hurry
        self._given_up = False

    def end(self) -> None:
        """One object is visible."""
        self._count -= 1
        if self._count <= 0 and self._timer is not None:
            self._timer.cancel()
            self._go_on()

    def then(self, receiver: Receiver) -> None:
        """Finish ``receiver`` when all objects are visible: at once, mostly."""
        if self.is_done:
            receiver.finish()
        else:
            self._waiting.append(receiver)
            self.press()

    def abandon(self) -> None:
        """The association is over: nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for receiver in waiting:
            receiver.abandon()

    def press(self) -> None:
        """Somebody waits."""
        if self._timer is None and self._hurry is not None:
            self._timer = self._loop.call_later(self._timeout_s, self._give_up)
            self._hurry()

    def _give_up(self) -> None:
        _log.warning("instances_not_visible_in_time", instances=self._count)
        self._given_up = True
        self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for receiver in waiting:
            receiver.finish()
        self._done()
