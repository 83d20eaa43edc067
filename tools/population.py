"""A made-up population with the errors that registration makes: who is who is known.

Nobody in it exists: names are syllables put together, common and rare ones as uneven as names are
(Zipf). Families share a name, an address and a telephone; some children are twins; some sons are
called like their fathers. A share of the people is registered twice, the second time with errors.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_matching import Person

_ONSETS: Final[tuple[str, ...]] = (
    "b",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "dr",
    "fr",
    "gr",
    "kl",
    "kr",
    "pl",
    "pr",
    "sch",
    "st",
    "th",
    "tr",
)
_VOWELS: Final[tuple[str, ...]] = ("a", "e", "i", "o", "u", "ae", "oe", "ue", "ai", "ei", "ia")
_CODAS: Final[tuple[str, ...]] = (
    "n",
    "r",
    "l",
    "s",
    "t",
    "m",
    "k",
    "nn",
    "rt",
    "nd",
    "ck",
    "tz",
    "ff",
    "nk",
)
_ENDINGS_F: Final = ("a", "e", "ine", "ika", "ette")
_ENDINGS_M: Final = ("o", "us", "an", "ik", "er")
_STREETS: Final = ("Phantom Way", "Kernel Street", "Voxel Lane", "Matrix Road", "Echo Alley")
_BORN_FROM: Final = date(1925, 1, 1)
_DAYS: Final = 36_500
_NEIGHBOURS: Final = dict(
    zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopoasdfghjklkxcvbnmn", strict=False)
)


_UMLAUTS: Final = (("ae", "\u00e4"), ("oe", "\u00f6"), ("ue", "\u00fc"))
_SOUNDS: Final = (("ck", "k"), ("th", "t"), ("tz", "z"), ("f", "ph"), ("v", "w"), ("nn", "n"))


@dataclass(frozen=True, slots=True)
class Registered:
    """One record, and the person that it is really of.

    Attributes:
        errors: what went wrong when a person was registered again, by kind.
    """

    person: Person
    truth: int
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things happen.

    Attributes:
        twice: people with a second record.
        twins: of children.
        namesakes: sons with their father's whole name.
    """

    twice: float = 0.03
    twins: float = 0.015
    namesakes: float = 0.01


class Population:
    """People, a household at a time. The same seed makes the same people."""

    def __init__(self, seed: int, rates: Rates | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        self._rates = rates or Rates()
        self._truth = 0
        self._families = [self._word(2) for _ in range(12_000)]
        self._given = {
            "F": [self._word(1) + self._pick(_ENDINGS_F) for _ in range(1_500)],
            "M": [self._word(1) + self._pick(_ENDINGS_M) for _ in range(1_500)],
        }

    def records(self, count: int) -> Iterator[Registered]:
        """At least ``count`` records."""
        made = 0
        while made < count:
            for record in self._household():
                made += 1
                yield record
                if self._random.random() < self._rates.twice:
                    made += 1
                    again, errors = self._again(record.person)
                    yield Registered(again, record.truth, errors)

    def _pick(self, options: Sequence[str]) -> str:
        return options[self._random.randrange(len(options))]

    def _word(self, syllables: int) -> str:
        text = "".join(self._pick(_ONSETS) + self._pick(_VOWELS) for _ in range(syllables))
        return (text + self._pick(_CODAS)).capitalize()

    def _uneven(self, options: list[str]) -> str:
        """The first ones far more often than the last ones."""
        rank = int(len(options) ** self._random.random()) - 1
        return options[rank]

    def _household(self) -> list[Registered]:
        family = self._uneven(self._families)
        address = self._address()
        phone = f"0{self._random.randrange(10**8, 10**9)}"
        size = self._random.choices((1, 2, 3, 4, 5), (30, 30, 17, 16, 7))[0]
        born = _BORN_FROM + timedelta(days=self._random.randrange(_DAYS - 9_000))
        adults = [
            self._individual(family, sex, born + timedelta(days=self._random.randrange(2_000)))
            for sex in ("M", "F")[: min(size, 2)]
        ]
        children = self._children(family, born, size - len(adults), adults[0])
        return [
            Registered(replace(each, address=address, phone=phone), self._next_truth())
            for each in (*adults, *children)
        ]

    def _children(self, family: str, born: date, count: int, father: Person) -> list[Person]:
        found: list[Person] = []
        for _ in range(count):
            birth = born + timedelta(days=8_000 + self._random.randrange(6_000))
            sex = self._pick(("F", "M"))
            if found and self._random.random() < self._rates.twins:
                twin = self._twin(family, found[-1], birth)
                # Registration marks some of them, and some have like names.
                marked = 2 if self._random.random() < 0.5 else None
                found.append(replace(twin, birth_order=marked))
                continue
            child = self._individual(family, sex, birth)
            if sex == "M" and self._random.random() < self._rates.namesakes:
                child = replace(child, names=father.names)
            found.append(child)
        return found

    def _twin(self, family: str, sibling: Person, birth: date) -> Person:
        """Of one birth and sex, often alike in name, never of the same name."""
        while True:
            twin = self._individual(family, sibling.sex or "F", sibling.birth_date or birth)
            if twin.names[0].split("^")[1] != sibling.names[0].split("^")[1]:
                return twin

    def _individual(self, family: str, sex: str, born: date) -> Person:
        given = self._uneven(self._given[sex])
        if self._random.random() < 0.06:
            family = f"{family}-{self._uneven(self._families)}"
        numbers = [PatientIdentifier(f"H{self._random.randrange(10**9)}", "HOSP")]
        if self._random.random() < 0.6:
            number = f"{self._random.randrange(10**9, 10**10)}"
            numbers.append(PatientIdentifier(number, "NATION", "NI"))
        return Person(
            names=(f"{family}^{given}",), birth_date=born, sex=sex, identifiers=tuple(numbers)
        )

    def _next_truth(self) -> int:
        self._truth += 1
        return self._truth

    def _again(self, person: Person) -> tuple[Person, tuple[str, ...]]:
        """The same person, registered in a hurry at another desk; and what went wrong."""
        chance = self._random.random
        numbers = [PatientIdentifier(f"H{self._random.randrange(10**9)}", "HOSP")]
        for each in person.identifiers[1:]:
            if chance() < 0.5:
                value = self._typo(each.value) if chance() < 0.08 else each.value
                numbers.append(replace(each, value=value))
        named, name_error = self._misnamed(person.names[0], person.sex or "")
        again = Person(
            names=(named,),
            birth_date=self._misdated(person.birth_date),
            sex=person.sex if chance() > 0.01 else None,
            address=self._moved(person.address or ""),
            phone=self._redialled(person.phone or ""),
            identifiers=tuple(numbers),
        )
        return again, tuple(_errors(person, again, name_error))

    def _misnamed(self, name: str, sex: str) -> tuple[str, str]:
        family, given = name.split("^")
        found = [
            (0.06, self._typo(family), given, "family: typing error"),
            (0.05, family, self._typo(given), "given: typing error"),
            (0.02, given, family, "names exchanged"),
            (0.02, f"{family}-{self._uneven(self._families)}", given, "family: a second part"),
            (0.02, family.split("-")[0], given, "family: one part of two"),
            (0.02, family, given[0], "given: initial"),
            (
                0.03,
                self._uneven(self._families) if sex == "F" else family,
                given,
                "family: another one",
            ),
            (0.05, _respelt(family, _UMLAUTS), _respelt(given, _UMLAUTS), "umlauts"),
            (0.04, _respelt(family, _SOUNDS), given, "family: as it sounds"),
            (0.02, family, _respelt(given, _SOUNDS), "given: as it sounds"),
            (0.10, family.upper(), given.upper(), ""),
            (0.57, family, given, ""),
        ]
        [(_, family, given, kind)] = self._random.choices(found, [each[0] for each in found])
        return f"{family}^{given}", kind if f"{family}^{given}" != name else ""

    def _misdated(self, born: date | None) -> date | None:
        if born is None or (chance := self._random.random()) > 0.07:
            return born
        if chance < 0.01:
            return None
        if chance < 0.03 and born.day <= 12:
            return date(born.year, born.day, born.month)
        if chance < 0.05:
            return date(born.year, born.month, min(born.day + self._random.choice((1, 10)), 28))
        return born.replace(year=born.year + self._random.choice((-10, -1, 1, 10)), day=1)

    def _address(self) -> str:
        street, number = self._pick(_STREETS), self._random.randrange(1, 400)
        return f"{street} {number}, {self._random.randrange(10_000, 99_999)} Voxelton"

    def _moved(self, address: str) -> str | None:
        chance = self._random.random()
        if chance < 0.12:
            return None
        if chance < 0.32:
            return self._address()
        return address.replace("Street", "Str.") if chance < 0.42 else address

    def _redialled(self, phone: str) -> str | None:
        chance = self._random.random()
        if chance < 0.15:
            return None
        if chance < 0.40:
            return f"0{self._random.randrange(10**8, 10**9)}"
        return self._typo(phone) if chance < 0.42 else phone

    def _typo(self, text: str) -> str:
        at = self._random.randrange(max(len(text) - 1, 1))
        match self._random.randrange(4):
            case 0:
                return text[:at] + text[at + 1 :]
            case 1:
                return text[:at] + text[at] * 2 + text[at + 1 :]
            case 2:
                return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
            case _:
                letter = text[at].lower()
                other = str((int(letter) + 1) % 10) if letter.isdigit() else _NEIGHBOURS.get(letter)
                return text[:at] + (other or letter) + text[at + 1 :]


def _respelt(name: str, spellings: Sequence[tuple[str, str]]) -> str:
    for one, other in spellings:
        name = name.replace(one, other)
    return name


def _errors(person: Person, again: Person, name_error: str) -> Iterator[str]:
    """In what the second record differs from the first, by kind."""
    found = (
        name_error,
        _birth_date_error(person.birth_date, again.birth_date),
        "" if again.sex else "sex: missing",
        _address_error(person.address, again.address),
        _phone_error(person.phone, again.phone),
        _number_error(person.identifiers[1:], again.identifiers[1:]),
    )
    return (each for each in found if each)


def _birth_date_error(before: date | None, after: date | None) -> str:
    if before is None or before == after:
        return ""
    if after is None:
        return "birth date: missing"
    if before.year != after.year:
        return "birth date: another year"
    exchanged = (before.month, before.day) == (after.day, after.month)
    return "birth date: day and month exchanged" if exchanged else "birth date: another day"


def _address_error(before: str | None, after: str | None) -> str:
    if after is None:
        return "address: missing"
    moved = after not in {before, (before or "").replace("Street", "Str.")}
    return "address: another one" if moved else ""


def _phone_error(before: str | None, after: str | None) -> str:
    if after is None:
        return "telephone: missing"
    return "" if before == after else "telephone: another one or mistyped"


def _number_error(before: Sequence[PatientIdentifier], after: Sequence[PatientIdentifier]) -> str:
    if not before:
        return "personal number: has none"
    if not after:
        return "personal number: not said"
    return "" if before == after else "personal number: typing error"
