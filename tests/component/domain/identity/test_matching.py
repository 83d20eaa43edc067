"""Records of one person found, linked, asked about and decided on, on a real database."""

from datetime import date

import pytest

from isocenter.domain.access.model import Actor, NotAuthorized
from isocenter.domain.identity import handlers, service
from isocenter.domain.identity.events import PatientRegistered, PatientUpdated
from isocenter.domain.identity.model import (
    PairDecided,
    PairUndecided,
    PatientFacts,
    PatientIdentifier,
)
from isocenter.domain.identity.model_matching import Person
from tests.builders import EHR, NOON, PERSON, a_patient, after_noon, an_identifier

ADA = {
    "person_name": "Phantom^Ada",
    "birth_date": date(1980, 3, 2),
    "sex": "F",
    "address": "Kernel Street 7, 12345 Voxelton",
    "phone": "030 1234567",
}


def known(tx, value, *, linking=False, at=0.0, **facts):
    done = service.register(
        tx, EHR, a_patient(value, at=at, **(ADA | facts)), now=after_noon(max(at, 0))
    )
    event = PatientRegistered(done.patient_key)
    react = handlers.on_patient_changed_linking if linking else handlers.on_patient_changed
    react(tx, event, now=after_noon(max(at, 0)))
    return done.patient_key


def pairs(tx):
    return [
        tuple(row)
        for row in tx.values(
            "select array[one_key::text, other_key::text, kind, state]"
            " from identity.match_pair order by pair_key"
        )
    ]


def pair_key(tx):
    [key] = tx.values("select pair_key from identity.match_pair")
    return key


def test_a_second_record_is_a_question_that_is_asked_once(tx):
    a, b = known(tx, "A"), known(tx, "B", person_name="Phantom^Adah")
    assert pairs(tx) == [(str(a), str(b), "duplicate", "open")]
    handlers.on_patients_changed(tx, [PatientRegistered(a), PatientRegistered(b)], now=NOON)
    asked = tx.value(
        "select count(*) from outbox.event where name = 'identity.duplicate_suspected'"
    )
    grounds = tx.value("select grounds from identity.match_pair")
    assert asked == 1
    assert {each["field"]: each["level"] for each in grounds} == {
        "family": "exact",
        "given": "sound",
        "birth_date": "exact",
        "sex": "same",
        "address": "same",
        "phone": "same",
    }


def test_records_that_come_together_are_compared_each_with_its_own(tx):
    tx.run("insert into identity.name_frequency (part, name, share) values ('family', 'rare', 0.5)")
    facts = {
        "A": ADA,
        "B": ADA | {"person_name": "Phantom^Adah"},
        "C": ADA | {"person_name": "Rare^Bob", "birth_date": date(1991, 7, 9), "sex": "M"},
        "D": {"person_name": "Rare^Bobb", "birth_date": date(1991, 7, 9), "sex": "M"},
        "E": {},
    }
    keys = {
        value: service.register(tx, EHR, a_patient(value, **said), now=NOON).patient_key
        for value, said in facts.items()
    }
    handlers.on_patients_changed(tx, [PatientRegistered(key) for key in keys.values()], now=NOON)
    together = pairs(tx)
    assert (str(keys["A"]), str(keys["B"]), "duplicate", "open") in together
    assert all(str(keys["E"]) not in each for each in together)
    weights = "select weight::text from identity.match_pair order by one_key, other_key"
    weighed = tx.values(weights)
    tx.run("delete from identity.match_pair")
    for key in keys.values():
        handlers.on_patient_changed(tx, PatientRegistered(key), now=NOON)
    assert (sorted(pairs(tx)), tx.values(weights)) == (sorted(together), weighed)


def test_what_is_certain_is_linked_only_where_the_site_wants_that(tx):
    a, b = known(tx, "A"), known(tx, "B")
    assert service.linked_keys(tx, a) == [a]
    c = known(tx, "C", linking=True)
    assert service.linked_keys(tx, c) == [a, b, c]
    [first, *_] = service.links(tx, PERSON, c)
    assert (first.origin, first.actor) == ("system", "matching")


def test_a_certain_pair_that_a_person_parted_stays_apart(tx):
    a, b = known(tx, "A"), known(tx, "B")
    service.part_pair(tx, PERSON, pair_key(tx), reason="twins", now=NOON)
    handlers.on_patient_changed_linking(tx, PatientRegistered(b), now=NOON)
    assert service.linked_keys(tx, a) == [a]
    assert pairs(tx) == [(str(a), str(b), "duplicate", "not_the_same")]


def test_a_question_passes_when_the_facts_change_and_comes_back_with_them(tx):
    a, b = known(tx, "A"), known(tx, "B")
    other = {"person_name": "Kernel^Otto", "birth_date": date(1951, 9, 9), "sex": "M"}
    for at, facts, state in ((1, other, "passed"), (2, ADA, "open")):
        done = service.register(tx, EHR, a_patient("B", at=at, **facts), now=after_noon(at))
        event = PatientUpdated(b, list(done.changed))
        handlers.on_patient_changed(tx, event, now=after_noon(at))
        assert pairs(tx) == [(str(a), str(b), "duplicate", state)]


def test_linking_merging_and_parting_are_undone_whole(tx):
    a, b = known(tx, "A"), known(tx, "B")
    key = pair_key(tx)
    service.link_pair(tx, PERSON, key, reason="passport", now=after_noon(1))
    assert service.linked_keys(tx, b) == [a, b]
    with pytest.raises(PairDecided):
        service.merge_pair(tx, PERSON, key, a, reason="again", now=after_noon(1))
    service.undo_decision(tx, PERSON, key, reason="mistake", now=after_noon(2))
    assert service.linked_keys(tx, b) == [b]
    service.merge_pair(tx, PERSON, key, b, reason="passport", now=after_noon(3))
    assert service.find(tx, "A").patient_key == b
    service.undo_decision(tx, PERSON, key, reason="mistake", now=after_noon(4))
    assert service.find(tx, "A").patient_key == a
    service.part_pair(tx, PERSON, key, reason="twins", now=after_noon(5))
    service.undo_decision(tx, PERSON, key, reason="mistake", now=after_noon(6))
    with pytest.raises(PairUndecided):
        service.undo_decision(tx, PERSON, key, reason="twice", now=after_noon(7))
    assert pairs(tx) == [(str(a), str(b), "duplicate", "open")]


def test_a_merged_number_that_is_given_to_somebody_else_is_found_and_parted(tx):
    a, b = known(tx, "A"), known(tx, "B")
    service.merge(tx, EHR, a_patient("A", at=1), [an_identifier("B")], now=after_noon(1))
    stranger = {
        "person_name": "Kernel^Otto",
        "birth_date": date(1951, 9, 9),
        "sex": "M",
        "phone": "089 7654321",
        "address": "Echo Alley 9, 54321 Elsewhere",
    }
    known(tx, "B", at=2, **stranger)
    assert (str(a), str(b), "reused_identifier", "open") in pairs(tx)
    service.part_pair(tx, PERSON, pair_key(tx), reason="another person", now=after_noon(3))
    assert service.find(tx, "B").person_name == "Kernel^Otto"
    service.undo_decision(tx, PERSON, pair_key(tx), reason="mistake", now=after_noon(4))
    assert service.find(tx, "B").patient_key == a


def test_candidates_for_who_stands_at_the_desk(tx):
    a = known(tx, "A", aliases=("Bell^Ada",))
    known(tx, "Z", person_name="Kernel^Otto", phone="", address="", birth_date=date(1951, 9, 9))
    asked = Person(names=("Bell^Ada",), birth_date=date(1980, 2, 3), phone="+49 30 1234567")
    [found] = service.candidates(tx, PERSON, asked, now=NOON)
    assert found.patient.patient_key == a
    assert {each.field: each.level for each in found.assessment.grounds} == {
        "family": "exact",
        "given": "exact",
        "birth_date": "swapped",
        "phone": "same",
    }
    scanner = Actor.dicom_peer("CT1", "192.0.2.20", ["store"])
    with pytest.raises(NotAuthorized):
        service.candidates(tx, scanner, asked, now=NOON)


def asked(tx, value, authority="", type_code="MR", *, trusted=(), **facts):
    """Who is found, by what rule, and how the number agrees."""
    person = Person(identifiers=(PatientIdentifier(value, authority, type_code),), **facts)
    found = service.candidates(tx, PERSON, person, trusted_authorities=trusted, now=NOON)
    return [
        (
            each.patient.patient_key,
            each.assessment.rule,
            next((e.level for e in each.assessment.grounds if e.field == "identifier"), ""),
        )
        for each in found
    ]


def test_a_number_from_a_trusted_issuer_finds_its_patient_alone(tx):
    a = known(tx, "A")
    known(tx, "B", person_name="Kernel^Otto", birth_date=date(1951, 9, 9), sex="M")
    issuer = an_identifier("A").assigning_authority
    assert asked(tx, "A", issuer) == [(a, "identifier", "exact")]
    assert asked(tx, "A", issuer, trusted={issuer}) == [(a, "identifier", "exact")]
    assert asked(tx, "C", issuer) == []


def test_a_number_without_or_of_a_doubtful_issuer_finds_all_who_have_it(tx):
    a = known(tx, "A")
    clinic = PatientFacts((PatientIdentifier("A", "CLINIC"),), NOON, person_name="Bell^Eve")
    b = service.register(tx, EHR, clinic, now=NOON).patient_key
    issuer = an_identifier("A").assigning_authority
    assert asked(tx, "A") == [(a, "", "issuer_not_said"), (b, "", "issuer_not_said")]
    doubtful = [(a, "", "issuer_not_trusted"), (b, "", "issuer_not_trusted")]
    assert asked(tx, "A", "ELSEWHERE") == doubtful
    assert asked(tx, "A", "CLINIC", trusted={issuer}) == doubtful
    assert asked(tx, "A", "CLINIC") == [(b, "identifier", "exact")]


def test_a_merged_number_leads_to_the_survivor_and_comes_before_who_is_alike(tx):
    a, b = known(tx, "A"), known(tx, "B", person_name="Kernel^Otto", birth_date=date(1951, 9, 9))
    service.merge(tx, EHR, a_patient("A", at=1), [an_identifier("B")], now=after_noon(1))
    c = known(tx, "C", at=2)
    issuer = an_identifier("B").assigning_authority
    found = asked(tx, "B", issuer, names=("Phantom^Ada",), birth_date=date(1980, 3, 2))
    assert found == [(a, "identifier", "exact"), (c, "", "")]
    assert b != a


def test_common_names_are_counted(tx):
    for value in "ABC":
        known(tx, value, person_name="Phantom^Ada", birth_date="", phone="", address="")
    known(tx, "D", person_name="Kernel^Otto", birth_date="", phone="", address="")
    assert service.refresh_name_frequencies(tx, PERSON) == 2
    shares = tx.values("select share from identity.name_frequency")
    assert shares == [0.75, 0.75]
