"""How long objects take to be made durable: whether another thread is worth its two hand-overs."""

from typing import Final

_WEIGHT: Final = 0.25  # one slow object is enough to doubt, some quick ones to trust again
_FIRST: Final = 8.0


class Pace:
    """A running mean that any thread may add to.

    Args:
        swift_s_max: up to this it is swift; 0: never.
    """

    __slots__ = ("_mean_s", "_swift_s_max")

    def __init__(self, swift_s_max: float) -> None:
        self._swift_s_max = swift_s_max
        self._mean_s = _FIRST * swift_s_max

    @property
    def is_swift(self) -> bool:
        """Whether the next object will probably take no longer than that. Not at first."""
        return 0.0 < self._swift_s_max >= self._mean_s

    def took(self, elapsed_s: float, objects: int) -> None:
        """So many objects together took so long."""
        self._mean_s += (elapsed_s / objects - self._mean_s) * _WEIGHT
