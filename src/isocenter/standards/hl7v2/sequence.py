"""The sequence number protocol: what a receiver makes of MSH-13, and a sender of MSA-4.

Standard: HL7 v2.5.1 2.10.1, 2.15.9.13 (MSH-13), 2.15.8.4 (MSA-4).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UNKNOWN: Final = -1
"""MSA-4: whatever number comes next is taken."""
START: Final = 0
"""MSH-13 of what starts a link."""
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
        return UNKNOWN if self.last is None else after(self.last)


def judge(number: int, last: int | None) -> Verdict:
    """Return what a message with this MSH-13 is, after ``last`` was taken.

    Standard: HL7 v2.5.1 2.10.1
    """
    if number == START:
        return Verdict(Sequence.START, last)
    if number == UNKNOWN:
        return Verdict(Sequence.RESET, None)
    if last is None or number == Verdict(Sequence.NEXT, last).expected:
        return Verdict(Sequence.NEXT, number)
    return Verdict(Sequence.OUT_OF_ORDER, last)


def after(number: int) -> int:
    """Return the number of the next message."""
    return number % _NUMBER_MAX + 1


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a sender is with one receiver.

    Attributes:
        accepted: the number of the last message that the receiver is known to have taken; None: it
            was never asked.
        under_way: MSH-10 of the message that was sent with the number after that, and whose fate is
            not known; '' for none.
        is_frozen: the receiver expects what cannot be sent any more; the sequence begins anew.
    """

    accepted: int | None = None
    under_way: str = ""
    is_frozen: bool = False

    @property
    def next(self) -> int:
        """MSH-13 of the next message."""
        return after(self.accepted or START)

    @property
    def opening(self) -> int:
        """MSH-13 of what is sent before the first message over a connection."""
        return UNKNOWN if self.is_frozen else START


def started(sent: Sent, expected: int | None) -> Sent | None:
    """Return where a sender is after its link was started; None: the link is frozen.

    A receiver that expects the number behind the next one has taken the message that was under way.

    Args:
        sent: where it was.
        expected: MSA-4 of the answer; None: it says nothing, and takes any number.

    Standard: HL7 v2.5.1 2.10.1 b, d, e
    """
    if sent.is_frozen or expected is None or expected == UNKNOWN:
        return Sent(sent.accepted or START)
    if sent.accepted is None:  # the receiver knows a sequence of before: it goes on
        return Sent(max(expected - 1, START))
    if expected == sent.next:
        return Sent(sent.accepted)
    return Sent(sent.next) if expected == after(sent.next) else None


def answered(sent: Sent, expected: int | None, *, accepted: bool) -> Sent:
    """Return where a sender is after its next message was answered with this MSA-4.

    What is refused has no number, unless the receiver says that it expects the one behind it.

    Standard: HL7 v2.5.1 2.10.1 c
    """
    return Sent(sent.next if accepted or expected == after(sent.next) else sent.accepted)


def is_in_step(number: int, expected: int | None) -> bool:
    """Return whether MSA-4 fits a message: it repeats its number, or names the one behind it."""
    return expected in {None, UNKNOWN, number, after(number)}


def stated(text: str) -> int | None:
    """Return MSH-13 as a number; None when there is none, or it is no number of the protocol."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(text)
    return number if UNKNOWN <= number <= _NUMBER_MAX else None
