r"""The matching algebra of searches: what a key asks of an attribute.

One vocabulary serves C-FIND, the modality worklist and QIDO-RS. ``matching_keys`` makes conditions
from identifiers and query parameters, the SQL compiler turns them into SQL, and ``matches`` in
``matching_reference`` says what they mean. Nothing here knows tables or levels.

Normal form of names: ``person_name_key`` and ``words`` fold case and accents; a store that
keeps these keys in columns can compare by equality and pattern.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

_MARKS: Final = re.compile("[\u0300-\u036f]")
# Letters that Unicode does not decompose, folded the way machines print them.
_LETTERS: Final = str.maketrans({
    "\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u00f0": "d", "\u0131": "i", "\u00fe": "th",
    "\u00e6": "ae", "\u0153": "oe", "\u0127": "h", "\u0167": "t",
})  # fmt: skip
_WORD: Final = re.compile(r"[^\s^=,.*?]+")
_SOUNDS: Final = {
    letter: str(digit)
    for digit, letters in enumerate(("bfpv", "cgjkqsxz", "dt", "l", "mn", "r"), start=1)
    for letter in letters
}


@dataclass(frozen=True, slots=True)
class Universal:
    """No constraint: the attribute is asked to be returned.

    Standard: PS3.4 C.2.2.2.3
    """

    tag: int


@dataclass(frozen=True, slots=True)
class SingleValue:
    """Equality with one value, case-sensitive; of a multi-valued attribute any value may match.

    Attributes:
        value: without padding; a number for IS and DS is compared as number, see ``vr``.

    Standard: PS3.4 C.2.2.2.1
    """

    tag: int
    vr: str
    value: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A pattern: * stands for any sequence of characters, none included, ? for any one.

    Standard: PS3.4 C.2.2.2.4
    """

    tag: int
    vr: str
    pattern: str


@dataclass(frozen=True, slots=True)
class ListOfUid:
    """Any of these UIDs.

    Standard: PS3.4 C.2.2.2.2
    """

    tag: int
    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DateRange:
    """A date between two, both included; None leaves an end open. One date is a range of itself.

    Standard: PS3.4 C.2.2.2.5.1
    """

    tag: int
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time of day between two, both included; a partial time covers the hour or minute it names.

    Standard: PS3.4 C.2.2.2.5.2
    """

    tag: int
    earliest: time | None
    latest: time | None


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """A moment between two, both included; aware when the key gave an offset from UTC.

    Standard: PS3.4 C.2.2.2.5.3
    """

    tag: int
    earliest: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class CombinedDateTimeRange:
    """A date and a time attribute taken together as one moment between two.

    "Yesterday 22:00 to today 06:00" is one span of eight hours, and not the hours 22 to 06 of each
    day, which would be empty.

    Standard: PS3.4 C.2.2.2.5.4, K.2.2.1.2
    """

    date_tag: int
    time_tag: int
    earliest: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class EmptyValue:
    """The attribute is empty or absent: the key was two double quotes.

    Standard: PS3.4 C.2.2.2.7
    """

    tag: int


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name pattern, compared without regard to case and accents.

    Attributes:
        groups: a normal-form pattern (see ``person_name_key``) with * and ? for each component
            group that is asked for: alphabetic, ideographic, phonetic; "" asks nothing.
        any_group: the key did not tell groups apart: ``groups`` has one pattern, and any group
            of the name may match it.

    Standard: PS3.4 C.2.2.2.1.1, C.2.2.2.4; PS3.5 6.2.1
    """

    tag: int
    groups: tuple[str, ...]
    any_group: bool


@dataclass(frozen=True, slots=True)
class FuzzyName:
    """Every word begins a word of the name, or sounds like one.

    Attributes:
        words: in normal form, as ``words`` gives them.

    Standard: PS3.18 8.3.4.2 (what is fuzzy is the server's choice)
    """

    tag: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SequenceMatch:
    """One item of the sequence fulfils all ``conditions``.

    Standard: PS3.4 C.2.2.2.6
    """

    tag: int
    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of ``options`` holds; all of them ask about ``tag``.

    Standard: PS3.4 C.2.2.2.8 (multiple value matching)
    """

    tag: int
    options: "tuple[Condition, ...]"


Condition = (
    Universal
    | SingleValue
    | Wildcard
    | ListOfUid
    | DateRange
    | TimeRange
    | DateTimeRange
    | CombinedDateTimeRange
    | EmptyValue
    | PersonName
    | FuzzyName
    | SequenceMatch
    | AnyOf
)


@dataclass(frozen=True, slots=True)
class Query:
    """A search: all ``conditions`` must hold.

    Attributes:
        conditions: those that constrain; universal keys are in ``returned`` only.
        returned: every tag asked for, matching keys included; tags of sequences as a whole.
        all_fields: everything known is to be returned (includefield=all).
        fuzzy: names were asked to match by sound.
        limit: at most so many answers; None when not said.
        offset: so many answers to pass over.
    """

    conditions: tuple[Condition, ...]
    returned: frozenset[int]
    all_fields: bool = False
    fuzzy: bool = False
    limit: int | None = None
    offset: int = 0


def fold(text: str) -> str:
    """``text`` without case and accents, spaces single: the normal form of names and words.

    Only the accents of Latin, Greek and Cyrillic letters go; the voicing marks of kana, which
    Unicode also decomposes, make other letters and stay.
    """
    lowered = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFC", _MARKS.sub("", lowered)).translate(_LETTERS)
    return " ".join(plain.split())


def person_name_key(name: str) -> str:
    """The normal form of a person name: folded, without empty components and groups at the end.

    "Doe^John^^^" and "DOE^john" give the same key. Works for patterns as well.

    Standard: PS3.5 6.2.1, PS3.4 C.2.2.2.1.1
    """
    groups = [
        "^".join(fold(component) for component in group.split("^")).rstrip("^")
        for group in name.split("=")
    ]
    return "=".join(groups).rstrip("=")


def words(name: str) -> tuple[str, ...]:
    """The folded words of a name or phrase, in order, without delimiters and wildcards."""
    return tuple(_WORD.findall(fold(name)))


def phonetic_key(word: str) -> str:
    """What a folded Latin word sounds like (American Soundex); other scripts unchanged.

    Two words sound alike when their keys are equal.
    """
    if not word or not word[0].isascii() or not word[0].isalpha():
        return word
    digits: list[str] = []
    last = _SOUNDS.get(word[0], "")
    for letter in word[1:]:
        sound = _SOUNDS.get(letter, "")
        if sound and sound != last:
            digits.append(sound)
        # h and w do not part two letters of one sound, vowels do.
        if letter not in "hw":
            last = sound
    return (word[0] + "".join(digits) + "000")[:4]


def phonetic_keys(name: str) -> tuple[str, ...]:
    """The phonetic key of each word of a name."""
    return tuple(phonetic_key(word) for word in words(name))


def tags_of(conditions: Sequence[Condition]) -> frozenset[int]:
    """Every tag that ``conditions`` ask about, those inside sequences not included."""
    tags: set[int] = set()
    for condition in conditions:
        if isinstance(condition, CombinedDateTimeRange):
            tags |= {condition.date_tag, condition.time_tag}
        else:
            tags.add(condition.tag)
    return frozenset(tags)
