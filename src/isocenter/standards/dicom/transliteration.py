"""Text for readers that lack characters: the nearest ones that they have.

Accents go, ligatures are spelled out, and what has no near letter becomes a question mark. A name
is then not the one that was meant: only for peers that cannot show the true one.

Standard: PS3.5 6.1.2.3 (what an application does with characters that it lacks is its own choice)
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

from isocenter.standards.dicom import character_sets

_UNKNOWN: Final = "?"
# Letters that Unicode does not decompose.
_LETTERS: Final = {
    "ß": "ss", "ẞ": "SS", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ø": "O", "ø": "o",
    "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Þ": "Th", "þ": "th",
    "Ħ": "H", "ħ": "h", "Ŧ": "T", "ŧ": "t", "\u0131": "i", "\u2018": "'", "\u2019": "'",
    "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "…": "...", "€": "EUR",
}  # fmt: skip


def nearest(text: str, specific_character_set: Sequence[str]) -> str:
    """``text`` in characters of these defined terms alone; none are ASCII."""
    if character_sets.can_encode(text, specific_character_set):
        return text
    return "".join(_nearest(each, specific_character_set) for each in _composed(text))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _nearest(character: str, specific_character_set: Sequence[str]) -> str:
    plain = unicodedata.normalize("NFKD", character)
    without_marks = "".join(each for each in plain if not unicodedata.combining(each))
    for candidate in (character, _LETTERS.get(character, ""), without_marks):
        if candidate and character_sets.can_encode(candidate, specific_character_set):
            return candidate
    return "" if unicodedata.combining(character) else _UNKNOWN
