"""Names of people as they are compared: normal form, sound, distance, and what is no name at all.

Case, accents, script (Cyrillic and Greek are written in Latin letters), the two spellings of
umlauts, particles and punctuation do not part two names. Names in Han characters, Hangul and kana
are compared as they are written; their alphabetic group, where there is one, goes first.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from isocenter.standards.dicom.matching import fold

_CYRILLIC: Final = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ",
        (
            *("a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "i", "k", "l", "m", "n", "o", "p"),
            *("r", "s", "t", "u", "f", "kh", "ts", "ch", "sh", "shch", "", "y", "", "e", "iu"),
            *("ia", "i", "i", "ie", "g"),
        ),
        strict=True,
    )
)
_GREEK: Final = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψω",
        (
            *("a", "v", "g", "d", "e", "z", "i", "th", "i", "k", "l", "m", "n", "x", "o", "p", "r"),
            *("s", "s", "t", "y", "f", "ch", "ps", "o"),
        ),
        strict=True,
    )
)
_TO_LATIN: Final = str.maketrans(_CYRILLIC | _GREEK)
_UMLAUTS: Final = re.compile(r"([aou])e")
_APART: Final = re.compile(r"[\s\-\u2010\u2011'\u2019.,]+")
# Words that may be written apart, joined or left away.
_PARTICLES: Final = frozenset({
    "von",
    "van",
    "de",
    "der",
    "den",
    "di",
    "da",
    "del",
    "della",
    "la",
    "le",
    "al",
    "el",
    "ter",
})
# What registration writes where a name is not known yet.
_NOBODY: Final = frozenset(
    {"unknown", "unbekannt", "inconnu", "inconnue", "desconocido", "desconocida", "nn", "noname"}
    | {"unidentified", "trauma", "xxx", "test", "nobody", "anonymous", "anonym"}
)
_NEWBORN: Final = frozenset(
    {"baby", "newborn", "neonate", "neugeborenes", "bb", "bg", "babyboy", "babygirl", "infant"}
    | {"nouveaune", "boy", "girl"}
)
_SPELLINGS: Final = (
    ("shch", "s"),
    ("sch", "s"),
    ("tch", "s"),
    ("ch", "s"),
    ("sh", "s"),
    ("zh", "s"),
    ("ph", "f"),
    ("th", "t"),
    ("kh", "k"),
    ("gh", "k"),
    ("ck", "k"),
    ("tz", "s"),
    ("ts", "s"),
    ("cz", "s"),
    ("dt", "t"),
    ("x", "ks"),
)
_CLASSES: Final = str.maketrans("bpdtgkqcjzsfvwlmnr", "ppttkkkkissfffl" + "nnr")
_VOWELS: Final = frozenset("aeiouyh")
PHONETIC_LENGTH_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class NameParts:
    """The words of one name in normal form."""

    family: tuple[str, ...]
    given: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.family, *self.given)


def latin(text: str) -> str:
    """The normal form of one word or phrase: folded, in Latin letters, umlauts in one spelling."""
    if text.isascii():
        return _UMLAUTS.sub(r"\1", " ".join(text.casefold().split()))
    return _UMLAUTS.sub(r"\1", fold(text.casefold().translate(_TO_LATIN)).translate(_TO_LATIN))


@lru_cache(maxsize=4096)
def name_parts(person_name: str) -> NameParts:
    """The words of a DICOM PN, particles left out where other words are left."""
    groups = person_name.split("=")
    group = next((each for each in groups if each.strip("^ ")), "")
    components = [*group.split("^"), "", ""]
    middle = components[2] if len(components) > 2 else ""
    return NameParts(_words(components[0]), _words(f"{components[1]} {middle}"))


def _words(component: str) -> tuple[str, ...]:
    found = tuple(each for each in _APART.split(latin(component)) if each)
    return tuple(each for each in found if each not in _PARTICLES) or found


def is_nobody(parts: NameParts) -> bool:
    """Whether the name stands for somebody whom nobody knows yet."""
    words = set(parts.words)
    if not words or words & _NOBODY:
        return True
    # "Doe" in normal form.
    return "do" in words and bool(words & {"john", "jane", "j"})


def is_newborn(parts: NameParts) -> bool:
    """Whether the given name stands for a child that has none yet."""
    return bool(set(parts.given) & _NEWBORN)


@lru_cache(maxsize=8192)
def sound(word: str) -> str:
    """What a word in normal form sounds like in most languages; other scripts unchanged."""
    if not word.isascii():
        return word
    for spelling, said in _SPELLINGS:
        word = word.replace(spelling, said)
    said = "".join(each for each in word if each.isalpha())
    if not said:
        return word
    first = "a" if said[0] in "aeiouyh" else said[0].translate(_CLASSES)
    found = [first]
    last = first
    for letter in said[1:]:
        if letter in _VOWELS:
            last = ""
            continue
        kind = letter.translate(_CLASSES)
        if kind != last:
            found.append(kind)
        last = kind
    return "".join(found)[:PHONETIC_LENGTH_MAX]


def are_close(one: str, other: str) -> bool:
    """Whether at most one letter is changed, added, left away or exchanged with its neighbour."""
    if one == other:
        return True
    if abs(len(one) - len(other)) > 1:
        return False
    one, other = _where_they_differ(one, other)
    exchanged = len(one) == len(other) == 2 and one == other[::-1]
    return exchanged or max(len(one), len(other)) == 1


def _where_they_differ(one: str, other: str) -> tuple[str, str]:
    """Two different words without what they begin and end with alike."""
    shorter = min(len(one), len(other))
    head = 0
    while head < shorter and one[head] == other[head]:
        head += 1
    tail = 0
    while tail < shorter - head and one[-1 - tail] == other[-1 - tail]:
        tail += 1
    return one[head : len(one) - tail], other[head : len(other) - tail]


@lru_cache(maxsize=8192)
def similarity(one: str, other: str) -> float:
    """Jaro-Winkler: 1.0 for equal words, 0.0 for words without a common letter."""
    if one == other:
        return 1.0
    reach = max(max(len(one), len(other)) // 2 - 1, 0)
    taken = [False] * len(other)
    common: list[str] = []
    for i, letter in enumerate(one):
        for j in range(max(0, i - reach), min(len(other), i + reach + 1)):
            if not taken[j] and other[j] == letter:
                taken[j] = True
                common.append(letter)
                break
    if not common:
        return 0.0
    theirs = [letter for letter, held in zip(other, taken, strict=True) if held]
    exchanged = sum(a != b for a, b in zip(common, theirs, strict=True)) / 2
    size = len(common)
    jaro = (size / len(one) + size / len(other) + (size - exchanged) / size) / 3
    prefix = 0
    for a, b in zip(one[:4], other[:4], strict=False):
        if a != b:
            break
        prefix += 1
    return jaro + prefix * 0.1 * (1 - jaro)
