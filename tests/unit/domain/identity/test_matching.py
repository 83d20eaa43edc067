"""Two records compared: levels, weights, vetoes, search keys."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_matching import (
    KEYS_MAX,
    Frequencies,
    Person,
    assess,
    search_keys,
)
from isocenter.domain.identity.model_names import (
    are_close,
    is_newborn,
    is_nobody,
    name_parts,
    similarity,
)

ADA = Person(
    names=("Phantom^Ada",),
    birth_date=date(1980, 3, 2),
    sex="F",
    address="Kernel Street 7, 12345 Voxelton",
    phone="030 1234567",
    identifiers=(PatientIdentifier("H1", "HOSP"), PatientIdentifier("9911223344", "NATION", "NI")),
)
PHANTOM = ADA.names[0]


def levels(**changes):
    found = assess(ADA, replace(ADA, **changes))
    return {each.field: each.level for each in found.grounds}


@pytest.mark.parametrize(
    ("name", "family", "given_name"),
    [
        ("PHANTOM^ADA", "exact", "exact"),
        ("Phantome^Ada", "close", "exact"),
        ("Phnatom^Ada", "close", "exact"),
        ("Fanntomm^Ada", "sound", "exact"),
        ("Phantom-Bell^Ada", "part", "exact"),
        ("Phantom^A", "exact", "part"),
        ("Phantom^Ada Eve", "exact", "part"),
        ("Ada^Phantom", "swapped", "swapped"),
        ("Bell^Ada", "differs", "exact"),
        ("Phantom^Bruno", "exact", "differs"),
        ("Фантом^Ада", "sound", "exact"),
        ("von Phantom^Ada", "exact", "exact"),
    ],
)
def test_names(name, family, given_name):
    found = levels(names=(name,))
    assert (found["family"], found["given"]) == (family, given_name)


def test_umlauts_have_one_spelling_and_accents_none():
    assert name_parts("Müller^Zoë") == name_parts("Mueller^Zoe")
    assert name_parts("Łuk^José") == name_parts("LUK^Jose")


@pytest.mark.parametrize(
    ("born", "level"),
    [
        (date(1980, 3, 2), "exact"),
        (date(1980, 2, 3), "swapped"),
        (date(1980, 3, 12), "close"),
        (date(1990, 3, 2), "close"),
        (date(1980, 11, 25), "near"),
        (date(1955, 11, 25), "differs"),
    ],
)
def test_birth_dates(born, level):
    assert levels(birth_date=born)["birth_date"] == level


def test_fields_that_one_says_nothing_about_are_no_ground():
    found = levels(birth_date=None, sex=None, address=None, phone="", identifiers=())
    assert set(found) == {"family", "given"}


@pytest.mark.parametrize(
    ("field", "value", "level"),
    [
        ("sex", "M", "differs"),
        ("address", "kernel street 7 12345 VOXELTON", "same"),
        ("address", "Kernel Street 9, 12345 Voxelton", "close"),
        ("address", "Echo Alley 9, 54321 Elsewhere", "differs"),
        ("phone", "+49 30 1234567", "same"),
        ("phone", "030 1234576", "close"),
        ("phone", "0170 9999999", "differs"),
    ],
)
def test_further_fields(field, value, level):
    assert levels(**{field: value})[field] == level


@pytest.mark.parametrize(
    ("value", "authority", "level"),
    [
        ("9911223344", "NATION", "same"),
        ("9911223434", "NATION", "close"),
        ("1111111111", "NATION", "differs"),
    ],
)
def test_personal_numbers(value, authority, level):
    found = levels(identifiers=(PatientIdentifier(value, authority, "NI"),))
    assert found["identifier"] == level


def test_record_numbers_of_two_hospitals_say_nothing():
    assert "identifier" not in levels(identifiers=(PatientIdentifier("H1", "OTHER"),))


def test_an_alias_counts_like_the_name():
    maiden = replace(ADA, names=("Bell^Ada", PHANTOM))
    assert assess(ADA, maiden).weight == assess(ADA, ADA).weight


def test_a_common_name_weighs_less_than_a_rare_one():
    common = Frequencies(family={"phantom": 0.02})
    twin = replace(ADA)
    assert assess(ADA, twin, common).weight < assess(ADA, twin).weight


def test_what_surely_is_one_person():
    again = replace(ADA, names=("PHANTOM^Ada",), phone=None, identifiers=ADA.identifiers[:1])
    found = assess(ADA, again)
    assert found.is_certain
    assert found.probability > 0.999


@pytest.mark.parametrize(
    "changes",
    [
        {"unidentified": True},
        {"vip": True},
        {"birth_order": 2},
        {"birth_date": date(1980, 2, 3), "phone": None, "identifiers": ()},
        {"birth_date": date(1990, 3, 2), "identifiers": ()},  # perhaps a son of the same name
        {"birth_date": None, "identifiers": ()},
        {"names": ("Bell^Ada",), "phone": None, "identifiers": ()},
        {"names": ("Bell^Adda",)},
        {"names": ("Bell^Ada",), "birth_date": date(1980, 2, 3)},
        {"sex": "M"},
        {"names": ("Phantom^Adda",), "identifiers": ()},
        {"names": ("Phantom^Baby",)},
        {"address": None, "phone": None, "identifiers": ()},
        {"identifiers": (PatientIdentifier("1111111111", "NATION", "NI"),)},
    ],
)
def test_what_is_never_linked_without_a_person(changes):
    found = assess(ADA, replace(ADA, **changes))
    assert not found.is_certain
    assert found.vetoes


@pytest.mark.parametrize(
    "changes",
    [
        {"birth_date": date(1980, 2, 3)},
        {"birth_date": date(1980, 2, 3), "address": None, "phone": None},
        {"birth_date": date(1980, 3, 12), "identifiers": ()},
        {"birth_date": None},
        {"names": ("Bell^Ada",)},
        {"names": ("Bell^Ada",), "identifiers": ()},
    ],
)
def test_one_error_is_no_doubt_where_all_the_rest_agrees(changes):
    assert assess(ADA, replace(ADA, **changes)).is_certain


@pytest.mark.parametrize(
    "relative",
    [
        {"names": ("Phantom^Bruno",), "birth_date": date(1984, 5, 6), "sex": "M"},
        {"names": ("Phantom^Berta",)},  # a twin
        {"birth_date": date(1952, 11, 28)},  # the mother of the same name
    ],
)
def test_relatives_are_no_question(relative):
    found = assess(ADA, replace(ADA, identifiers=(), **relative))
    assert not found.is_candidate


def test_nobody_and_newborns_are_recognised():
    assert is_nobody(name_parts("Doe^John"))
    assert is_nobody(name_parts("Unknown^Trauma 7"))
    assert not is_nobody(name_parts("Doerr^John"))
    assert is_newborn(name_parts("Phantom^Baby Girl"))
    assert "family" not in {e.field for e in assess(replace(ADA, names=("Doe^Jane",)), ADA).grounds}


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ("Ada^Phantom",), "phone": None, "address": None, "identifiers": ()},
        {"names": ("Phnatom^Ada",), "phone": None, "address": None, "identifiers": ()},
        {"birth_date": date(1980, 2, 3), "phone": None, "address": None, "identifiers": ()},
        {"birth_date": date(1990, 3, 2), "phone": None, "address": None, "identifiers": ()},
        {"names": ("Bell^Ada",), "phone": None, "address": None, "identifiers": ()},
        {"names": ("Qqqq^Wwww",), "birth_date": None, "address": None, "identifiers": ()},
        {
            "names": ("Qqqq^Wwww",),
            "birth_date": None,
            "address": None,
            "phone": None,
            "identifiers": (PatientIdentifier("9911223434", "NATION", "NI"),),
        },
        {"birth_date": None, "phone": None, "identifiers": ()},
    ],
)
def test_a_record_with_errors_is_found(changes):
    assert search_keys(ADA) & search_keys(replace(ADA, **changes))


def test_somebody_else_shares_no_key():
    other = Person(names=("Kernel^Otto",), birth_date=date(1951, 9, 9), sex="M", phone="0301112223")
    assert not search_keys(ADA) & search_keys(other)


people = st.builds(
    Person,
    names=st.lists(st.text(max_size=30), max_size=4).map(tuple),
    birth_date=st.none() | st.dates(),
    sex=st.sampled_from([None, "", "M", "F", "O"]),
    address=st.none() | st.text(max_size=60),
    phone=st.none() | st.text(max_size=20),
    identifiers=st.lists(
        st.builds(PatientIdentifier, st.text(min_size=1, max_size=12), st.just("X"), st.just("NI")),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=50)
@given(people, people)
def test_comparing_is_the_same_both_ways_round_and_never_fails(one, other):
    there, back = assess(one, other), assess(other, one)
    assert there.weight == pytest.approx(back.weight)
    assert there.is_certain == back.is_certain
    assert 0.0 <= there.probability <= 1.0
    assert len(search_keys(one)) <= KEYS_MAX


letters = st.text("ab", max_size=6)


@given(letters, letters)
def test_words_are_close_that_one_typing_error_parts(one, other):
    cuts = [(one[:at], one[at:]) for at in range(len(one) + 1)]
    mistyped = {
        *(head + tail[1:] for head, tail in cuts),
        *(head + letter + tail for head, tail in cuts for letter in "ab"),
        *(head + letter + tail[1:] for head, tail in cuts if tail for letter in "ab"),
        *(head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1),
    }
    assert are_close(one, other) == (other == one or other in mistyped)


@given(st.text(max_size=12), st.text(max_size=12))
def test_similarity_is_a_share(one, other):
    assert similarity(one, one) == 1.0
    assert 0.0 <= similarity(one, other) <= 1.0
