"""What the index of parts is asked for holds for every row that the search itself selects."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocenter.infra.db.terms import narrowing
from isocenter.infra.db.where import Column, where
from isocenter.standards.dicom.matching import (
    AnyOf,
    Condition,
    FuzzyName,
    PersonName,
    SingleValue,
    Wildcard,
    person_name_key,
    phonetic_keys,
    words,
)

NAME, TEXT, SORTED, VALUES = 0x00100010, 0x00081030, 0x00100020, 0x00080061
COLUMNS = {
    NAME: Column(
        "name",
        "person_name",
        "phonetic",
        terms="(archive.trigrams(name) || string_to_array(phonetic, ' '))",
    ),
    TEXT: Column("text", terms="archive.trigrams(text)"),
    VALUES: Column("string_to_array(text, '.')", "text_array", terms="string_to_array(text, '.')"),
    SORTED: Column("text", terms="archive.trigrams(text)", beginnings=True),
}
ROW = "select from (select %s::text as name, %s::text as phonetic, %s::text as text) given where "
# Few letters, so that patterns meet texts; what parts words, and other scripts.
LETTERS = st.text("abσ山 ^=,.-%_\\ıß", max_size=9)  # noqa: RUF001
PATTERNS = st.text("abσ山 ^=,.-%_\\*?", max_size=7)  # noqa: RUF001


def conditions(pattern: str) -> list[Condition]:
    return [
        SingleValue(TEXT, "LO", pattern),
        Wildcard(TEXT, "LO", pattern),
        AnyOf(TEXT, (SingleValue(TEXT, "LO", pattern), Wildcard(TEXT, "LO", pattern + "*"))),
        PersonName(NAME, (person_name_key(pattern),), any_group=True),
        PersonName(NAME, ("", person_name_key(pattern)), any_group=False),
        FuzzyName(NAME, words(pattern)),
        SingleValue(VALUES, "CS", pattern),
        Wildcard(VALUES, "CS", pattern),
    ]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=LETTERS, pattern=PATTERNS, is_part=st.booleans())
def test_no_row_that_matches_is_left_out(tx, text, pattern, is_part):
    if is_part:  # of the text itself, with a wildcard within
        pattern = f"*{text[1:4]}?{text[5:]}*" if len(text) > 4 else text
    values = [person_name_key(text), " ".join(phonetic_keys(text)), text]
    for each in conditions(pattern):
        narrowed = narrowing([each], COLUMNS)
        if narrowed is None:
            continue
        wanted, parts = where([each], COLUMNS), narrowed
        found = [
            tx.value("select exists (" + ROW + clause + ")", [*values, *params])
            for clause, params in (wanted, parts)
        ]
        assert found[0] <= found[1], each


@pytest.mark.parametrize(
    ("condition", "terms"),
    [
        (Wildcard(TEXT, "LO", "*chest*"), [["che", "est"]]),
        (Wildcard(TEXT, "LO", "ch*st?abc"), [["^ch", "abc"]]),
        (Wildcard(TEXT, "LO", "*st*"), None),
        (Wildcard(SORTED, "LO", "chest*"), None),
        (Wildcard(SORTED, "LO", "*chest"), [["che", "est"]]),
        (SingleValue(TEXT, "LO", "CT Head"), [["^CT", "^He", "ead"]]),
        (PersonName(NAME, ("*son^a*",), any_group=True), [["n^a", "son"]]),
        (SingleValue(VALUES, "CS", "CT"), [["CT"]]),
        (Wildcard(VALUES, "CS", "CTA*"), None),
        (FuzzyName(NAME, ("doe", "a")), [["^do", "doe"], ["d000"]]),
        (AnyOf(TEXT, (SingleValue(TEXT, "LO", "abc"), Wildcard(TEXT, "LO", "*a*"))), None),
    ],
)
def test_what_is_looked_up(condition, terms):
    found = narrowing([condition], COLUMNS)
    assert (found and found[1]) == terms
