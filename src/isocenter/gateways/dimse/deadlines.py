"""The two timers of an association: ARTIM and silence. Cheap to touch with every byte received."""

import asyncio
from collections.abc import Callable


class Deadlines:
    """Calls back when a timer runs out.

    Attributes:
        touched: set it when the peer has shown life; the silence timer looks when it runs out.
    """

    __slots__ = (
        "_artim_epoch", "_artim_handle", "_loop", "_on_artim", "_on_silence", "_silence_handle",
        "_silence_s", "touched",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_artim: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_artim = on_artim
        self._on_silence = on_silence
        self._artim_epoch: int | None = None
        self._artim_handle: asyncio.TimerHandle | None = None
        self._silence_handle: asyncio.TimerHandle | None = None
        self._silence_s: float | None = None
        self.touched = False

    def artim(self, epoch: int | None, timeout_s: float) -> None:
        """Follows the ARTIM timer that the upper layer names with ``epoch``.

        Standard: PS3.8 9.1.5
        """
        if epoch == self._artim_epoch:
            return
        self._artim_epoch = epoch
        if self._artim_handle is not None:
            self._artim_handle.cancel()
            self._artim_handle = None
        if epoch is not None:
            self._artim_handle = self._loop.call_later(timeout_s, self._on_artim)

    def silence(self, timeout_s: float | None) -> None:
        """Expects life within each ``timeout_s``; ``None`` expects nothing.

        A period that has begun ends with the length that it began with, unless the new one is
        shorter.
        """
        if timeout_s == self._silence_s:
            return
        shorter = self._silence_s is None or (timeout_s is not None and timeout_s < self._silence_s)
        self._silence_s = timeout_s
        if timeout_s is None:
            self._cancel_silence()
        elif shorter:
            self._cancel_silence()
            self._silence_handle = self._loop.call_later(timeout_s, self._silent)

    def stop(self) -> None:
        """Forgets both."""
        self.artim(None, 0)
        self.silence(None)

    def _cancel_silence(self) -> None:
        if self._silence_handle is not None:
            self._silence_handle.cancel()
            self._silence_handle = None

    def _silent(self) -> None:
        touched, self.touched = self.touched, False
        if not touched:
            self._on_silence()
        if self._silence_s is not None:
            self._silence_handle = self._loop.call_later(self._silence_s, self._silent)
