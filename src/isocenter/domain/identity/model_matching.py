"""Whether two records are one person: compared field by field, weighed, and explained.

Fellegi and Sunter: how two records agree in a field is likelier among records of one person than
among others by a factor, whose binary logarithm is the weight of that agreement. Weights add up.
The measured factors are in ``model_weights``; that two people share a rare name says more than that
they share a common one. What the sum may decide by itself is bounded by plain rules.

Finding the records that are worth comparing is by ``search_keys``: two records of one person nearly
always share one of these, two others hardly ever.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from math import log2
from typing import Final

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_names import (
    NameParts,
    are_close,
    is_newborn,
    is_nobody,
    latin,
    name_parts,
    similarity,
    sound,
)
from isocenter.domain.identity.model_weights import LINK_MIN, PRIOR, REVIEW_MIN, WEIGHTS

KEYS_MAX: Final = 40
_NAMES_MAX: Final = 3
_GENERATION_YEARS: Final = 10
_PHONE_DIGITS: Final = 8
_NO_DIGITS: Final = re.compile(r"[^0-9]+")
_IDENTIFIER_LENGTH_MIN: Final = 6
# Table 0203: numbers that one person has one of, whoever writes them down.
PERSONAL_NUMBERS: Final = frozenset({"NI", "SS", "PPN", "NIIP", "HC", "MC", "JHN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What is known of a person, as it is compared.

    Attributes:
        names: DICOM PN texts, the one in use first.
    """

    names: tuple[str, ...] = ()
    birth_date: date | None = None
    sex: str | None = None
    address: str | None = None
    phone: str | None = None
    identifiers: tuple[PatientIdentifier, ...] = ()
    mother_name: str | None = None
    birth_order: int | None = None
    vip: bool = False
    unidentified: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """How two records agree in one field, and what that weighs."""

    field: str
    level: str
    weight: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether two records are one person.

    Attributes:
        weight: binary logarithm of how much likelier this agreement is among records of one person.
        grounds: field by field; fields that one of the two says nothing about are left out.
        vetoes: why the records are not linked without a person, whatever the weight.
        rule: that says who it is before anything is weighed; "" for none.
    """

    weight: float
    grounds: tuple[Ground, ...]
    vetoes: tuple[str, ...]
    rule: str = ""

    @property
    def probability(self) -> float:
        """That they are one person, in an index of a million where few are there twice."""
        return 1 / (1 + 2 ** min(-(self.weight + PRIOR), 1000))

    @property
    def is_candidate(self) -> bool:
        """Whether a person should look.

        Families share names, addresses and telephones, twins the birth date as well, and a father
        his name with his son: these are no question unless a personal number says otherwise.
        """
        levels = {each.field: each.level for each in self.grounds}
        relatives = "differs" in {levels.get("given"), levels.get("birth_date")}
        personal = levels.get("identifier") in {"same", "close"}
        return self.weight >= REVIEW_MIN and (personal or not relatives)

    @property
    def is_certain(self) -> bool:
        """Whether they may be linked without a person."""
        enough = self.weight >= LINK_MIN and self.is_candidate
        return (enough or bool(self.rule)) and not self.vetoes


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How common names are: the share of people who have it; rarer ones are left out."""

    family: Mapping[str, float] = field(default_factory=dict[str, float])
    given: Mapping[str, float] = field(default_factory=dict[str, float])


def assess(one: Person, other: Person, frequencies: Frequencies | None = None) -> Assessment:
    """How two records compare. It is the same both ways round."""
    grounds = [*_compare_names(one, other, frequencies or Frequencies())]
    for name, level in (
        ("birth_date", _birth_date_level(one.birth_date, other.birth_date)),
        ("sex", _sex_level(one.sex, other.sex)),
        ("address", _address_level(one.address, other.address)),
        ("phone", _phone_level(one.phone, other.phone)),
        ("identifier", _identifier_level(one.identifiers, other.identifiers)),
        ("mother_name", _mother_level(one.mother_name, other.mother_name)),
    ):
        if level:
            grounds.append(Ground(name, level, WEIGHTS[name][level]))
    levels = {each.field: each.level for each in grounds}
    weight = round(sum(each.weight for each in grounds), 2)
    return Assessment(weight, tuple(grounds), _vetoes(one, other, levels))


def _vetoes(one: Person, other: Person, levels: Mapping[str, str]) -> tuple[str, ...]:
    corroborating = [
        levels.get("address") == "same",
        levels.get("phone") == "same",
        levels.get("identifier") in {"same", "close"},
    ]
    personal = levels.get("identifier") in {"same", "close"}
    exact = {"exact", "swapped"}
    names = (levels.get("family"), levels.get("given"))
    like_names = set(names) <= exact | {"close", "sound", "part"}
    facts = (
        (one.unidentified or other.unidentified, "one of them is not identified"),
        (one.vip or other.vip, "one of them is a VIP"),
        (bool(one.birth_order or other.birth_order), "one of several children of one birth"),
        (any(is_newborn(name_parts(n)) for n in (*one.names, *other.names)), "a newborn"),
        (
            levels.get("birth_date") != "exact" and not _is_misdated(one, other, levels),
            "the birth dates are not the same",
        ),
        (levels.get("sex") == "differs", "the sexes differ"),
        (names[1] not in exact and not personal, "the given names are not the same"),
        (not like_names and not _is_renamed(levels), "the names differ"),
        (levels.get("identifier") == "differs", "each has a personal number of its own"),
        (not any(corroborating), "nothing beside name and birth date agrees"),
    )
    return tuple(text for holds, text in facts if holds)


def _is_misdated(one: Person, other: Person, levels: Mapping[str, str]) -> bool:
    """Whether the birth date is all that is wrong: as typing errors are, or not said."""
    whole = {levels.get("family"), levels.get("given")} <= {"exact", "swapped"}
    if one.birth_date is None or other.birth_date is None:
        return whole and levels.get("identifier") == "same"
    # Fathers and sons may share all the rest, and of the date all but a digit of the year.
    apart = abs(one.birth_date.year - other.birth_date.year)
    mistyped = levels.get("birth_date") in {"swapped", "close"} and apart < _GENERATION_YEARS
    return whole and mistyped and _is_sure(levels)


def _is_renamed(levels: Mapping[str, str]) -> bool:
    """Whether the family name is all that is another one, as after a marriage."""
    alike = (levels.get("given"), levels.get("birth_date")) == ("exact", "exact")
    return alike and levels.get("family") == "differs" and _is_sure(levels)


def _is_sure(levels: Mapping[str, str]) -> bool:
    """Whether more than one thing beside name and birth date agrees, or the personal number."""
    at_home = (levels.get("address"), levels.get("phone")) == ("same", "same")
    return at_home or levels.get("identifier") == "same"


def _compare_names(one: Person, other: Person, frequencies: Frequencies) -> Sequence[Ground]:
    """The grounds of the pair of names that agrees best."""
    best: Sequence[Ground] = ()
    for mine in one.names[:_NAMES_MAX]:
        for theirs in other.names[:_NAMES_MAX]:
            found = _name_grounds(name_parts(mine), name_parts(theirs), frequencies)
            if found and (not best or _sum(found) > _sum(best)):
                best = found
    return best


def _sum(grounds: Sequence[Ground]) -> float:
    return sum(each.weight for each in grounds)


def _name_grounds(one: NameParts, other: NameParts, frequencies: Frequencies) -> Sequence[Ground]:
    if is_nobody(one) or is_nobody(other):
        return ()
    family = _ground("family", one.family, other.family, frequencies.family)
    given = None
    if not (is_newborn(one) or is_newborn(other)):
        given = _ground("given", one.given, other.given, frequencies.given)
    straight = tuple(each for each in (family, given) if each)
    crossed = tuple(
        Ground(part, "swapped", WEIGHTS[part]["swapped"]) for part in ("family", "given")
    )
    alike = {"exact", "close"}
    if (
        _level(one.family, other.given) in alike
        and _level(one.given, other.family) in alike
        and _sum(crossed) > _sum(straight)
    ):
        return crossed
    return straight


def _ground(
    part: str, one: Sequence[str], other: Sequence[str], shares: Mapping[str, float]
) -> Ground | None:
    if not one or not other:
        return None
    level = _level(one, other)
    weight = WEIGHTS[part][level]
    if level == "exact":
        share = shares.get(" ".join(one))
        if share is not None:  # as common as it is, instead of as names are on average
            weight = min(weight, max(log2(0.95 / share), 0.0))
    return Ground(part, level, round(weight, 2))


def _level(one: Sequence[str], other: Sequence[str]) -> str:
    """How the words of one part of a name agree."""
    mine, theirs = "".join(one), "".join(other)
    if mine == theirs or (len(one) > 1 and sorted(one) == sorted(other)):
        return "exact"
    if not mine or not theirs:
        return "differs"
    shorter = min(len(mine), len(theirs))
    if shorter >= 4 and are_close(mine, theirs):
        return "close"
    if (
        shorter >= 5
        and mine[0] == theirs[0]  # without that few reach it, and they are not worth the time
        and similarity(*sorted((mine, theirs))) >= 0.93
    ):
        return "close"
    if sound(mine) == sound(theirs):
        return "sound"
    if set(one) & set(other) or _is_initial(one, other):
        return "part"
    return "differs"


def _is_initial(one: Sequence[str], other: Sequence[str]) -> bool:
    first, second = one[0], other[0]
    return first[0] == second[0] and 1 in {len(first), len(second)}


def _birth_date_level(one: date | None, other: date | None) -> str:
    if one is None or other is None:
        return ""
    if one == other:
        return "exact"
    if (one.year, one.month, one.day) == (other.year, other.day, other.month):
        return "swapped"
    if are_close(one.isoformat().replace("-", ""), other.isoformat().replace("-", "")):
        return "close"
    return "near" if one.year == other.year else "differs"


def _sex_level(one: str | None, other: str | None) -> str:
    if not one or not other or "O" in {one, other}:
        return ""
    return "same" if one == other else "differs"


def _address_level(one: str | None, other: str | None) -> str:
    if not one or not other:
        return ""
    mine, theirs = _address_words(one), _address_words(other)
    if not mine or not theirs:
        return ""
    if mine == theirs:
        return "same"
    share = len(mine & theirs) / len(mine | theirs)
    return "same" if share >= 0.8 else "close" if share >= 0.5 else "differs"


@lru_cache(maxsize=4096)
def _address_words(address: str) -> frozenset[str]:
    folded = latin(address).replace(",", " ").replace(".", " ").replace("-", " ")
    return frozenset(sound(each) if each.isalpha() else each for each in folded.split())


def _phone_level(one: str | None, other: str | None) -> str:
    mine, theirs = _phone_digits(one), _phone_digits(other)
    if len(mine) < 6 or len(theirs) < 6:
        return ""
    if mine == theirs:
        return "same"
    return "close" if are_close(mine, theirs) else "differs"


def _phone_digits(phone: str | None) -> str:
    return _NO_DIGITS.sub("", phone or "")[-_PHONE_DIGITS:]


def _identifier_level(one: Sequence[PatientIdentifier], other: Sequence[PatientIdentifier]) -> str:
    """By numbers that a person has one of; two record numbers of one hospital say nothing."""
    close = differs = False
    for mine in one:
        for theirs in other:
            if mine.type_code != theirs.type_code or not _is_personal(mine):
                continue
            if min(len(mine.value), len(theirs.value)) < _IDENTIFIER_LENGTH_MIN:
                continue
            if mine.value == theirs.value:
                return "same"
            if are_close(mine.value, theirs.value):
                close = True
            elif mine.assigning_authority == theirs.assigning_authority:
                differs = True
    return "close" if close else "differs" if differs else ""


def _is_personal(identifier: PatientIdentifier) -> bool:
    # NN and the three letters of a country is a national number as well.
    code = identifier.type_code
    return code in PERSONAL_NUMBERS or (code.startswith("NN") and len(code) == 5)


def _mother_level(one: str | None, other: str | None) -> str:
    if not one or not other:
        return ""
    level = _level(name_parts(one).words or ("",), name_parts(other).words or ("",))
    return "same" if level in {"exact", "close", "sound"} else "differs"


def search_keys(person: Person) -> frozenset[int]:
    """What records of this person are found by, as signed 32-bit hashes; at most ``KEYS_MAX``."""
    return frozenset(_hash(each) for each in sorted(_texts(person))[:KEYS_MAX])


def _texts(person: Person) -> set[str]:
    found: set[str] = set()
    phone = _phone_digits(person.phone)
    if len(phone) >= 6:
        found.add(f"t{phone}")
    for each in person.identifiers:
        if _is_personal(each) and len(each.value) >= _IDENTIFIER_LENGTH_MIN:
            # Digits in order of size: exchanged neighbours stay together.
            found |= {
                f"i{''.join(sorted(each.value))}",
                f"j{each.value[:-2]}",
                f"j{each.value[2:]}",
            }
    born = person.birth_date
    place = "".join(sorted(each for each in _address_words(person.address or "") if each.isdigit()))
    for pair in _pairs(person.names):
        if born:
            found |= {f"y{pair}{born:%Y}", f"d{pair}{born:%m%d}", f"d{pair}{born:%d%m}"}
        if place:
            found.add(f"a{pair}{place}")
    for word in _singles(person.names):
        if born:
            found.add(f"b{word}{born:%Y%m%d}")
        if place:
            found.add(f"c{word}{place}{person.sex or ''}")
    return found


def _pairs(names: Iterable[str]) -> set[str]:
    """The sounds of each family with each given name, in one order for swapped names."""
    found: set[str] = set()
    for name in list(names)[:_NAMES_MAX]:
        parts = name_parts(name)
        if is_nobody(parts) or is_newborn(parts):
            continue
        families = (*parts.family[:3], *(["".join(parts.family)] if len(parts.family) > 1 else []))
        found |= {
            "|".join(sorted((sound(family), sound(given))))
            for family in families
            for given in parts.given[:2]
        }
    return found


def _singles(names: Iterable[str]) -> set[str]:
    """The sound of each word of the names, for one of which a typing error ruins the pairs."""
    found: set[str] = set()
    for name in list(names)[:_NAMES_MAX]:
        parts = name_parts(name)
        if not is_nobody(parts):
            given = () if is_newborn(parts) else parts.given[:1]
            found |= {sound(each) for each in (*parts.family[:2], *given)}
    return found


def _hash(text: str) -> int:
    return zlib.crc32(text.encode()) - 2**31
