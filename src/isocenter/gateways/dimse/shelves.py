"""Where objects are put whose senders are answered before the index has them.

An object on a shelf that the database knows is not lost when this process is: whoever finds that a
shelf is not renewed any more takes in what lies there. Without a database there is no new shelf,
and soon none at all: objects then wait for their transaction again, and are refused without one.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.errors import IsocenterError
from isocenter.gateways.dimse.ports import ShelfRegister
from isocenter.infra.blobs import BlobStore
from isocenter.infra.blobs.store import Shelf
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
# No directory gets large, and a new one is made ready before the old one is full.
_KEYS_MAX: Final = 512
_KEYS_ENOUGH: Final = 384
# So the day in a key is that on which the object came.
_AGE_MAX_S: Final = 300.0
_IDLE_MAX_S: Final = 60.0
_RENEW_S: Final = 3.0
_RETRY_S: Final = 1.0


@dataclass(slots=True)
class _Kept:
    shelf: Shelf
    opened_s: float
    used_s: float
    keys: int = 0
    unsettled: int = 0


class Shelves:
    """The shelves of one process. Some threads take keys, another one tends.

    Args:
        store: makes them.
        register: makes them known; None: there are none.
        unsettled_max: objects that may lie there and not be visible.
        monotonic: seconds.
    """

    def __init__(
        self,
        store: BlobStore,
        register: ShelfRegister | None,
        *,
        unsettled_max: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._register = register
        self._unsettled_max = unsettled_max
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._current: _Kept | None = None
        self._by_mark: dict[str, _Kept] = {}
        self._renewed_s = self._tried_s = float("-inf")

    def take(self, count: int) -> list[str] | None:
        """Keys for so many objects; None when they have to wait for their transaction."""
        with self._lock:
            kept = self._current
            if (
                kept is None
                or kept.keys + count > _KEYS_MAX
                or self.unsettled + count > self._unsettled_max
            ):
                return None
            kept.keys += count
            kept.unsettled += count
            kept.used_s = self._monotonic()
            return [kept.shelf.new_key() for _ in range(count)]

    def settled(self, keys: Sequence[str]) -> None:
        """The objects under these keys are visible, or were never durable."""
        with self._lock:
            for key in keys:
                for kept in self._by_mark.values():
                    if kept.shelf.holds(key):
                        kept.unsettled -= 1
                        break

    @property
    def unsettled(self) -> int:
        """Objects that lie on shelves and are not visible."""
        return sum(each.unsettled for each in list(self._by_mark.values()))

    def tend(self, *, is_wanted: bool) -> None:
        """Open a shelf when one is needed, renew those in use, give up those that are done with.

        Args:
            is_wanted: objects are coming.
        """
        if self._register is None:
            return
        now = self._monotonic()
        self._retire(now)
        try:
            if is_wanted and self._needs_one() and now - self._tried_s >= _RETRY_S:
                self._open(self._register, now)
            with self._lock:
                done = [mark for mark, each in self._by_mark.items() if self._is_done(each)]
                going_on = [mark for mark in self._by_mark if mark not in done]
            if done:
                self._register.close(done)
                with self._lock:
                    for mark in done:
                        del self._by_mark[mark]
            if going_on and now - self._renewed_s >= _RENEW_S:
                self._register.renew(going_on)
                self._renewed_s = now
        except IsocenterError as error:
            self._tried_s = now
            _log.warning("shelves_not_tended", error_kind=error.kind.value)

    def close(self) -> None:
        """Give up all shelves on which nothing is left to be done."""
        self._current = None
        self.tend(is_wanted=False)

    def _retire(self, now: float) -> None:
        with self._lock:
            kept = self._current
            if kept is not None and (
                now - kept.opened_s > _AGE_MAX_S or now - kept.used_s > _IDLE_MAX_S
            ):
                self._current = None

    def _needs_one(self) -> bool:
        return self._current is None or self._current.keys >= _KEYS_ENOUGH

    def _is_done(self, kept: _Kept) -> bool:
        return kept is not self._current and kept.unsettled <= 0

    def _open(self, register: ShelfRegister, now: float) -> None:
        shelf = self._store.new_shelf()
        register.open(shelf.directory, shelf.mark)
        with self._lock:
            self._current = self._by_mark[shelf.mark] = _Kept(shelf, now, now)
            self._renewed_s = now if len(self._by_mark) == 1 else self._renewed_s
