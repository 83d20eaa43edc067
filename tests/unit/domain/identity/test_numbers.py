"""What a number says by itself: one rule for each way in which it may be said."""

from dataclasses import replace
from datetime import date

import pytest

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_matching import Person, assess
from isocenter.domain.identity.model_numbers import NumberLevel, identified, number_level

HELD = PatientIdentifier("4711", "HOSP")
ADA = Person(names=("Phantom^Ada",), birth_date=date(1980, 3, 2), sex="F", identifiers=(HELD,))
NUMBER_ONLY = Person(identifiers=(HELD,))


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        (("4711", "HOSP"), NumberLevel.EXACT),
        (("4712", "HOSP"), None),
        (("4711", ""), NumberLevel.ISSUER_NOT_SAID),
        (("4711", "CLINIC"), None),
        (("4711", "ELSEWHERE"), NumberLevel.ISSUER_NOT_TRUSTED),
    ],
)
def test_the_issuer_decides_what_a_number_says(asked, level):
    assert number_level(PatientIdentifier(*asked), HELD, frozenset({"HOSP", "CLINIC"})) == level


def test_an_issuer_that_is_not_trusted_names_nobody_even_its_own_patients():
    assert number_level(HELD, HELD, frozenset({"CLINIC"})) == NumberLevel.ISSUER_NOT_TRUSTED


def test_a_number_that_is_kept_without_its_issuer_is_in_doubt():
    held = PatientIdentifier("4711", "")
    assert number_level(HELD, held, frozenset({"HOSP"})) == NumberLevel.ISSUER_NOT_SAID


def test_a_trusted_number_alone_is_certain():
    found = identified(assess(NUMBER_ONLY, ADA), NumberLevel.EXACT)
    assert found.rule == "identifier"
    assert found.is_certain
    assert found.probability > 0.999
    assert [(each.field, each.level) for each in found.grounds] == [("identifier", "exact")]


@pytest.mark.parametrize("level", [NumberLevel.ISSUER_NOT_SAID, NumberLevel.ISSUER_NOT_TRUSTED])
def test_a_number_in_doubt_is_somebody_to_look_at_and_says_why(level):
    found = identified(assess(NUMBER_ONLY, ADA), level)
    assert found.weight > 0
    assert (found.rule, found.is_candidate, found.is_certain) == ("", False, False)
    assert [each.level for each in found.grounds] == [level.value]
    assert any("who issued the number" in each for each in found.vetoes)


def test_a_trusted_number_with_the_facts_of_somebody_else_is_left_to_a_person():
    stranger = Person(names=("Kernel^Otto",), birth_date=date(1951, 9, 9), sex="M")
    found = identified(assess(stranger, ADA), NumberLevel.EXACT)
    assert found.rule == "identifier"
    assert not found.is_certain
    assert "somebody else" in found.vetoes[0]


def test_a_trusted_number_holds_through_a_change_of_name():
    married = replace(ADA, names=("Bell^Ada",))
    assert identified(assess(married, ADA), NumberLevel.EXACT).is_certain


def test_a_personal_number_in_doubt_counts_as_what_it_is_and_once():
    national = replace(ADA, identifiers=(PatientIdentifier("9911223344", "NATION", "NI"),))
    plain = assess(national, national)
    found = identified(plain, NumberLevel.ISSUER_NOT_TRUSTED)
    assert found.weight == plain.weight
    assert [e.level for e in found.grounds if e.field == "identifier"] == ["same"]
