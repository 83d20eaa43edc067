"""What happens in a hospital's day: who is registered, ordered, scanned and reported, and when."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# A 600-bed hospital in 24 hours, and how much of it falls into each hour from midnight.
_REGISTRATIONS_PER_BED, _EXAMS_PER_BED = 15.0, 1.1
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 8, 7, 8, 8, 7, 6, 5, 4, 3, 3, 2, 2, 1)
_GIVEN = ("Ada", "Bruno", "Clara", "Diego", "Edda", "Faris", "Greta", "Hugo", "Ines", "Jonas")


class Act(StrEnum):
    """What happens to an exam or a patient."""

    REGISTER = "register"
    ORDER = "order"
    CANCEL = "cancel"
    SCAN = "scan"
    SCAN_LATE = "scan late"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that happens.

    Attributes:
        number: of the patient or, apart from that of registrations, the exam.
        mistyped: the scanner does not know the exam's number.
    """

    at: datetime
    act: Act
    number: int
    name: str = ""
    mistyped: bool = False


def drawn(seed: int) -> random.Random:
    """Chance that is the same in every run with the same seed."""
    return random.Random(seed)  # noqa: S311 - nothing secret


def deeds(begins: datetime, hours: float, beds: int, rng: random.Random) -> list[Deed]:
    """Everything that happens within these hours, in its order."""
    ends = begins + timedelta(hours=hours)
    found = [*_registrations(begins, ends, beds, rng), *_exams(begins, ends, beds, rng)]
    return sorted(found, key=lambda each: each.at)


def name_of(number: int, change: int = 0) -> str:
    """The name of a patient, after so many changes of it."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    middle = f"^{_GIVEN[change % len(_GIVEN)]}" if change else ""
    return f"Phantom^{_GIVEN[number % len(_GIVEN)]}{letters}{middle}"


def _moments(
    begins: datetime, ends: datetime, per_day: float, rng: random.Random
) -> Iterator[datetime]:
    at = begins
    while True:
        per_hour = per_day * _HOURS[at.hour] / sum(_HOURS)
        at += timedelta(hours=rng.expovariate(per_hour))
        if at >= ends:
            return
        yield at


def _registrations(
    begins: datetime, ends: datetime, beds: int, rng: random.Random
) -> Iterator[Deed]:
    changes: dict[int, int] = {}
    for at in _moments(begins, ends, beds * _REGISTRATIONS_PER_BED, rng):
        number = rng.randrange(beds * 4)
        changes[number] = changes.get(number, -1) + 1
        yield Deed(at, Act.REGISTER, number, name_of(number, changes[number]))


def _exams(begins: datetime, ends: datetime, beds: int, rng: random.Random) -> Iterator[Deed]:
    moments = _moments(begins, ends, beds * _EXAMS_PER_BED, rng)
    for number, ordered_at in enumerate(moments, 1):
        yield Deed(ordered_at, Act.ORDER, number)
        scanned_at = ordered_at + timedelta(minutes=rng.uniform(5, 90))
        if rng.random() < 0.05:
            yield Deed(ordered_at + timedelta(minutes=3), Act.CANCEL, number)
            continue
        if rng.random() < 0.03:  # an emergency: the order is entered afterwards
            scanned_at = ordered_at - timedelta(minutes=rng.uniform(1, 10))
        mistyped = rng.random() < 0.03
        yield Deed(scanned_at, Act.SCAN, number, mistyped=mistyped)
        late_at = scanned_at + timedelta(minutes=2)
        yield Deed(late_at, Act.SCAN_LATE, number, mistyped=mistyped)
        yield Deed(scanned_at + timedelta(minutes=rng.uniform(20, 120)), Act.REPORT, number)
