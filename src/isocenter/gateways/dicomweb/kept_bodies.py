"""Finished bodies of answers, kept in memory for those who ask for the same soon after.

Who may have one, and whether it is still what would be made now, is decided before it is looked
for: the key names all that the body was made of.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Final

_SHARE_OF_ONE: Final = 8  # one body takes at most this part of the room


@dataclass(frozen=True, slots=True)
class Coded:
    """A body as it is sent; ``coding`` is "" where it is plain."""

    content: bytes
    coding: str = ""


class KeptBodies:
    """The bodies used last, of limited size together. Thread-safe; one per process."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._bodies: OrderedDict[Hashable, Coded] = OrderedDict()
        self._lock = Lock()

    def find(self, key: Hashable) -> Coded | None:
        """The body that was kept under ``key``; None where there is none any more."""
        with self._lock:
            found = self._bodies.get(key)
            if found is not None:
                self._bodies.move_to_end(key)
            return found

    def keep(self, key: Hashable, body: Coded) -> None:
        """Keep the body in place of those not used for longest; not one that is large itself."""
        if len(body.content) * _SHARE_OF_ONE > self._bytes_max:
            return
        with self._lock:
            before = self._bodies.pop(key, None)
            self._bytes += len(body.content) - (len(before.content) if before is not None else 0)
            self._bodies[key] = body
            while self._bytes > self._bytes_max:
                _, oldest = self._bodies.popitem(last=False)
                self._bytes -= len(oldest.content)
