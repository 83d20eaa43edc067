"""The memory that a connection receives into: one piece that grows to a bound and is reused.

Whole PDUs are used in place. What is left of an unfinished one is moved to the front when the
room behind it gets small.
"""

from typing import Final

_FIRST_SIZE_BYTES: Final = 1 << 16
_EMPTY: Final = bytearray()


class ReceiveBuffer:
    """Bytes that were received and not used yet, and room for more.

    Args:
        size_bytes_max: it never grows beyond; the caller refuses longer PDUs.
    """

    __slots__ = ("_end", "_size_bytes_max", "_start", "_view")

    def __init__(self, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._view = memoryview(_EMPTY)
        self._start = 0
        self._end = 0

    def free(self) -> memoryview:
        """Room for the next bytes, never empty while the caller uses up what it can."""
        size = len(self._view)
        if self._start == self._end:
            self._start = self._end = 0
        if size - self._end < size >> 1 or not size:
            self._make_room(size)
        return self._view[self._end :]

    def received(self, size_bytes: int) -> memoryview:
        """All unused bytes after ``size_bytes`` have been put into the room of ``free``."""
        self._end += size_bytes
        return self._view[self._start : self._end]

    def consumed(self, size_bytes: int) -> None:
        """The first ``size_bytes`` of the unused are done with."""
        self._start += size_bytes

    def release(self) -> None:
        """Gives the memory back."""
        self._view = memoryview(_EMPTY)
        self._start = self._end = 0

    def _make_room(self, size: int) -> None:
        rest = self._end - self._start
        target = self._view
        if rest > size >> 1 or not size:
            # Half of it is one unfinished PDU: views into the old memory may live, so take new.
            bigger = min(max(size * 4, _FIRST_SIZE_BYTES), self._size_bytes_max)
            if bigger > size:
                target = memoryview(bytearray(bigger))
        if rest:
            target[:rest] = self._view[self._start : self._end]
        self._view, self._start, self._end = target, 0, rest
