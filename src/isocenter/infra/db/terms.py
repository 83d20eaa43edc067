"""Compiles conditions into what an index of parts of texts knows of their rows.

It finds words in the middle of a text, and names by sound. The clause is necessary and not
sufficient: what ``where`` says must hold as well.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, LiteralString

from isocenter.infra.db.where import Clause, Column, Columns
from isocenter.standards.dicom.matching import (
    AnyOf,
    Condition,
    FuzzyName,
    PersonName,
    SingleValue,
    Wildcard,
    phonetic_key,
)

_LENGTH: Final = 3
_FOLDED: Final = str.maketrans(" =,.*?", "^^^^^^")
_WILD: Final = re.compile(r"[*?]")


def trigrams(text: str) -> set[str]:
    """Runs of three characters that cover ``text``, as ``archive.trigrams`` folds them.

    Those between them say little more: what the index looks up grows with each.
    """
    folded = text.translate(_FOLDED)
    last = len(folded) - _LENGTH
    if last < 0:
        return set()
    return {folded[at : at + _LENGTH] for at in (*range(0, last, _LENGTH), last)}


def narrowing(conditions: Iterable[Condition], columns: Columns) -> Clause | None:
    """What holds for all rows that fulfil the conditions, by the columns' ``terms``.

    None where they say nothing, or other indexes do as well.
    """
    found = [each for one in conditions if (each := _of(one, columns)) is not None]
    return _joined(" and ", found) if found else None


def _of(condition: Condition, columns: Columns) -> Clause | None:
    match condition:
        case AnyOf(_, options):
            found = [_of(each, columns) for each in options]
            known = [each for each in found if each is not None]
            return _joined(" or ", known) if known and len(known) == len(found) else None
        case SingleValue(tag, _, value):
            column = columns.get(tag)
            if isinstance(column, Column) and column.kind == "text_array" and column.terms:
                return _all_of(column.terms, {value})
            return _having(column, ["^" + value], is_sorted=True)
        case Wildcard(tag, _, pattern):
            return _having(columns.get(tag), _pieces(pattern), is_sorted=pattern[:1] not in "*?")
        case PersonName(tag, groups, any_group):
            is_sorted = any_group and groups[0][:1] not in "*?"
            pieces = [piece for group in groups if group for piece in _pieces(group)]
            return _having(columns.get(tag), pieces, is_sorted=is_sorted)
        case FuzzyName(tag, words):
            return _sounding(columns.get(tag), words)
        case _:
            return None


def _pieces(pattern: str) -> list[str]:
    """What is between the wildcards; before a text is "^", as between the words of a name."""
    return _WILD.split("^" + pattern)


def _having(column: Any, pieces: Sequence[str], *, is_sorted: bool) -> Clause | None:
    """``is_sorted``: an index of values and their beginnings would do."""
    if not isinstance(column, Column) or column.terms is None or column.kind == "text_array":
        return None
    wanted = set[str]().union(*map(trigrams, pieces))
    if not wanted or (is_sorted and column.beginnings):
        return None
    return _all_of(column.terms, wanted)


def _sounding(column: Any, words: Sequence[str]) -> Clause | None:
    """Each word begins one, or sounds like one."""
    if not isinstance(column, Column) or column.terms is None:
        return None
    found: list[Clause] = []
    for word in words:
        wanted = trigrams("^" + _WILD.sub("", word))
        if wanted:
            either = [_all_of(column.terms, wanted)]
            if column.phonetic is not None:
                either.append(_all_of(column.terms, {phonetic_key(word)}))
            found.append(_joined(" or ", either))
    return _joined(" and ", found) if found else None


def _all_of(terms: LiteralString, wanted: set[str]) -> Clause:
    return terms + " @> %s::text[]", [sorted(wanted)]


def _joined(word: LiteralString, clauses: Sequence[Clause]) -> Clause:
    text: LiteralString = "(" + word.join(clause for clause, _ in clauses) + ")"
    return text, [value for _, values in clauses for value in values]
