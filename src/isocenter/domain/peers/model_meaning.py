"""What a message means, told so that a person can read it and two tellings can be compared.

Pure values: reading messages is a gateway's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message asks for.

    Attributes:
        answer: the acknowledgement code that reading it alone leads to.
        refusal: why it would be refused; '' when it can be read.
        facts: what it says, by path: ``orders[1].order.priority``.
    """

    answer: str
    refusal: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Influence:
    """What one field of a message is for.

    Attributes:
        place: as ``PID-5``, or ``OBX[2]-5``.
        facts: paths of the facts that it sets, or that are different without it.
        required: without it the message is refused.
    """

    place: str
    facts: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that two readings of the same message tell differently; '' is not told."""

    path: str
    before: str
    after: str


def changes(before: Meaning, after: Meaning) -> list[Change]:
    """What the second tells differently from the first, in the order of the first's facts."""
    if after.refusal or before.refusal:
        old, new = _answer(before), _answer(after)
        return [] if old == new else [Change("answer", old, new)]
    paths = dict.fromkeys((*before.facts, *after.facts))
    told = ((path, before.facts.get(path, ""), after.facts.get(path, "")) for path in paths)
    return [Change(path, old, new) for path, old, new in told if old != new]


def _answer(meaning: Meaning) -> str:
    return f"{meaning.answer}: {meaning.refusal}" if meaning.refusal else meaning.answer
