"""The sequence number protocol: what a receiver makes of MSH-13.

Standard: HL7 v2.5.1 2.10.1, 2.15.9.13 (MSH-13), 2.15.8.4 (MSA-4).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UNKNOWN: Final = -1
"""MSA-4: whatever number comes next is taken."""
_START: Final = 0
_NUMBER_MAX: Final = 2**31 - 1


class Sequence(StrEnum):
    """What a message is in its sequence."""

    NEXT = "next"
    START = "start"  # of the link: it has no other content
    RESET = "reset"  # the sender does not know where it was: it has no other content
    OUT_OF_ORDER = "out of order"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message.

    Attributes:
        last: the number of the last message that was taken, from now on; None: not known.
    """

    sequence: Sequence
    last: int | None

    @property
    def expected(self) -> int:
        """MSA-4."""
        return UNKNOWN if self.last is None else self.last % _NUMBER_MAX + 1


def judge(number: int, last: int | None) -> Verdict:
    """Return what a message with this MSH-13 is, after ``last`` was taken.

    Standard: HL7 v2.5.1 2.10.1
    """
    if number == _START:
        return Verdict(Sequence.START, last)
    if number == UNKNOWN:
        return Verdict(Sequence.RESET, None)
    if last is None or number == Verdict(Sequence.NEXT, last).expected:
        return Verdict(Sequence.NEXT, number)
    return Verdict(Sequence.OUT_OF_ORDER, last)


def stated(text: str) -> int | None:
    """Return MSH-13 as a number; None when there is none, or it is no number of the protocol."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(text)
    return number if UNKNOWN <= number <= _NUMBER_MAX else None
