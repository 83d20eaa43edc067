"""The words of a message by which people look for it: names, numbers, codes and texts.

Not a search engine: no stems, no languages, no ranking. A number with punctuation is a word as a
whole, so that it is found as it is written, and each of its parts is one too.
"""

import re
from typing import Final

from isocenter.standards.hl7v2.er7 import Message, Segment

WORDS_MAX: Final = 4_000
WORD_LENGTH_MAX: Final = 64
# Longer without a blank it is encoded data, a picture or a PDF.
_DATA_LENGTH: Final = 256
_PARTS: Final = re.compile(r"[^\W_]+")
_WHOLE: Final = re.compile(r"\S+")
# Where an order is named: placer and filler number; SCH-26 and SCH-27 name the orders of a booking.
_ORDER_FIELDS: Final = {"ORC": (2, 3), "OBR": (2, 3), "SCH": (26, 27), "FT1": (23,)}
_ORDER_MARK: Final = "order:"


def words_of(message: Message) -> list[str]:
    """The distinct words of a message, in small letters, at most ``WORDS_MAX``."""
    found: dict[str, None] = {}
    for segment in message.segments:
        for text in _texts(segment):
            if len(found) >= WORDS_MAX:
                return list(found)
            found.update(dict.fromkeys(words_in(text)))
        for number in _ORDER_FIELDS.get(segment.name, ()):
            for field in segment.fields(number):
                if field.text():
                    found[order_word(field.text())] = None
    return list(found)


def words_in(text: str) -> list[str]:
    """The words of a text, as a message has them and as somebody types them."""
    if len(text) > _DATA_LENGTH and not any(each.isspace() for each in text[:_DATA_LENGTH]):
        return []
    found: dict[str, None] = {}
    for whole in _WHOLE.findall(text.casefold()):
        parts = _PARTS.findall(whole)
        if not parts:
            continue
        kept = [whole.strip(".,;:!?()[]\"'")] if len(parts) > 1 else []
        found.update(dict.fromkeys(each for each in (*kept, *parts) if _is_kept(each)))
    return list(found)


def _is_kept(word: str) -> bool:
    return len(word) <= WORD_LENGTH_MAX and word.isprintable()


def sought_words(text: str) -> list[str]:
    """What to look for when somebody types ``text``: each of its words, as it is written."""
    sought: dict[str, None] = {}
    for typed in _WHOLE.findall(text):
        words = words_in(typed)
        if words:
            sought[words[0]] = None
    return list(sought)


def order_word(number: str) -> str:
    """The word by which an order number is found wherever a message names an order."""
    return _ORDER_MARK + number.strip().casefold()[:WORD_LENGTH_MAX]


def _texts(segment: Segment) -> list[str]:
    """The values of a segment, or all of them as one text where that has the same words."""
    syntax = segment.syntax
    first = 3 if segment.name == "MSH" else 1
    before = max(first - 1, 1)  # MSH-1 is a separator, and MSH-2 is all the others
    rest = "".join(segment.raw.split(syntax.field, before)[before:])
    if len(rest) <= _DATA_LENGTH and not (syntax.escape and syntax.escape in rest):
        separators = syntax.field + syntax.component + syntax.repetition + syntax.subcomponent
        return [rest.translate(dict.fromkeys(map(ord, separators), " "))]
    numbers = range(first, segment.field_count() + 1)
    return [text for number in numbers for text in _values(segment, number)]


def _values(segment: Segment, number: int) -> list[str]:
    """The values of a field: each component and subcomponent of each repetition, unescaped."""
    syntax = segment.syntax
    found: list[str] = []
    for field in segment.fields(number):
        for component, raw in enumerate(field.components(), 1):
            if not raw:
                continue
            count = raw.count(syntax.subcomponent) + 1 if syntax.subcomponent else 1
            found += [field.text(component, part) for part in range(1, count + 1)]
    return found
