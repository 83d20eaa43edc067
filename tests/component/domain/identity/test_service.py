"""Patients through the service, on a real database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from isocenter.domain.access.model import Actor, NotAuthorized
from isocenter.domain.identity import service
from isocenter.domain.identity.model import (
    MergeUnknown,
    PatientFacts,
    PatientIdentifier,
    PatientUnidentified,
    SelfMerge,
)
from isocenter.infra.db import Database
from tests.builders import EHR, NOON, PERSON, a_patient, after_noon, an_identifier


def events(tx):
    return tx.values("select name from outbox.event order by id")


def test_a_new_patient_has_what_was_said(tx):
    facts = a_patient("P1", person_name="Phantom^Ada", birth_date=date(1980, 2, 3), sex="F")
    outcome = service.register(tx, EHR, facts, now=NOON)
    found = service.find(tx, "P1", assigning_authority="HOSP")
    assert outcome.created
    assert (found.person_name, found.birth_date, found.sex) == (
        "Phantom^Ada",
        date(1980, 2, 3),
        "F",
    )
    assert found.identifiers == (an_identifier("P1"),)
    assert events(tx) == ["identity.patient_registered"]


def test_saying_it_again_changes_nothing(tx):
    facts = a_patient(person_name="Phantom^Ada")
    first = service.register(tx, EHR, facts, now=NOON)
    again = service.register(tx, EHR, facts, now=after_noon(1))
    assert (again.patient_key, again.created, again.changed) == (first.patient_key, False, ())
    assert events(tx) == ["identity.patient_registered"]
    assert tx.value("select count(*) from audit.record") == 1


def test_requests_that_lead_to_one_patient_build_on_each_other(tx):
    known = service.register(tx, EHR, a_patient("P1", "P2"), now=NOON)
    outcomes = service.register_all(
        tx,
        [
            (EHR, a_patient("P1", at=1, person_name="Phantom^Ada")),
            (EHR, a_patient("NEW", person_name="Phantom^New")),
            (EHR, a_patient("P2", at=1, phone="1")),
        ],
        now=after_noon(2),
    )
    assert [each.created for each in outcomes] == [False, True, False]
    assert outcomes[0].patient_key == outcomes[2].patient_key == known.patient_key
    found = service.find(tx, "P1")
    assert (found.person_name, found.phone) == ("Phantom^Ada", "1")
    assert service.find(tx, "NEW").person_name == "Phantom^New"


@pytest.mark.parametrize("arrival", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_the_newest_assertion_of_each_column_holds(tx, arrival):
    said = [
        a_patient(at=-30, person_name="Phantom^Ada", phone="1", address="old"),
        a_patient(at=-20, person_name="Phantom^Adele", phone=""),
        a_patient(at=-10, address="new", sex="F"),
    ]
    for position in arrival:
        service.register(tx, EHR, said[position], now=NOON)
    found = service.find(tx, "P1")
    assert (found.person_name, found.phone, found.address, found.sex) == (
        "Phantom^Adele",
        "",
        "new",
        "F",
    )


def test_nothing_said_and_said_to_be_nothing_differ(tx):
    service.register(tx, EHR, a_patient(at=-3, birth_date=date(1980, 1, 1), phone="1"), now=NOON)
    service.register(tx, EHR, a_patient(at=-2), now=NOON)
    assert service.find(tx, "P1").birth_date == date(1980, 1, 1)
    changed = service.register(tx, EHR, a_patient(at=-1, birth_date="", phone=""), now=NOON).changed
    again = service.register(tx, EHR, a_patient(at=-1, birth_date="", phone=""), now=NOON).changed
    found = service.find(tx, "P1")
    assert (found.birth_date, found.phone) == (None, "")
    assert (changed, again) == (("birth_date", "phone"), ())


def test_a_sender_whose_clock_runs_ahead_does_not_freeze_the_record(tx):
    service.register(tx, EHR, a_patient(at=60 * 24 * 365, person_name="Future^A"), now=NOON)
    service.register(tx, EHR, a_patient(at=5, person_name="Present^B"), now=after_noon(5))
    assert service.find(tx, "P1").person_name == "Present^B"


def test_a_patient_without_identifier_is_refused(tx):
    with pytest.raises(PatientUnidentified):
        service.register(tx, EHR, PatientFacts((PatientIdentifier(""),), NOON), now=NOON)


def test_an_actor_without_permission_is_refused(tx):
    scanner = Actor.dicom_peer("CT1", "192.0.2.20", ["store"])
    with pytest.raises(NotAuthorized):
        service.register(tx, scanner, a_patient(), now=NOON)


def test_identifiers_of_several_authorities_name_one_patient(tx):
    both = (an_identifier("P1"), PatientIdentifier("N1", "NATION", "NI"))
    service.register(tx, EHR, PatientFacts(both, NOON, person_name="Phantom^Ada"), now=NOON)
    by_second = PatientFacts((both[1],), after_noon(1), phone="9")
    outcome = service.register(tx, EHR, by_second, now=after_noon(1))
    assert not outcome.created
    assert service.find(tx, "P1").phone == "9"


def test_another_number_of_the_same_authority_is_another_patient(tx):
    national = PatientIdentifier("N1", "NATION", "NI")
    for value in ("P1", "P2"):
        facts = PatientFacts((an_identifier(value), national), NOON)
        service.register(tx, EHR, facts, now=NOON)
    assert service.find(tx, "P1").patient_key != service.find(tx, "P2").patient_key
    assert "identity.identifier_disputed" in events(tx)


def test_a_value_under_two_authorities_is_not_found_without_saying_which(tx):
    for authority in ("A", "B"):
        facts = PatientFacts((PatientIdentifier("7", authority),), NOON)
        service.register(tx, EHR, facts, now=NOON)
    assert service.find(tx, "7") is None
    assert service.find(tx, "7", assigning_authority="B") is not None


def registered(tx, *values):
    for value in values:
        service.register(tx, EHR, a_patient(value, person_name=f"Phantom^{value}"), now=NOON)


def merged(tx, survivor, prior, *, at=0):
    facts = a_patient(survivor, at=at)
    return service.merge(tx, EHR, facts, [an_identifier(prior)], now=after_noon(max(at, 0)))


def who(tx, value):
    return service.find(tx, value).identifiers[0].value


def test_a_merged_identifier_leads_to_the_survivor_for_ever(tx):
    registered(tx, "A", "B", "C")
    merged(tx, "A", "B", at=1)
    merged(tx, "C", "A", at=2)
    assert [who(tx, each) for each in "ABC"] == ["C", "C", "C"]
    found = service.find(tx, "B")
    assert {each.value for each in found.alias_identifiers} == {"A", "B"}
    assert found.person_name == "Phantom^C"


def test_a_chain_is_followed_whatever_link_comes_first(tx):
    registered(tx, "A", "B", "C")
    merged(tx, "C", "A", at=2)
    merged(tx, "A", "B", at=1)
    assert who(tx, "B") == "C"


def test_merging_again_changes_nothing(tx):
    registered(tx, "A", "B")
    merged(tx, "A", "B")
    before = events(tx)
    assert merged(tx, "A", "B").changed == ()
    assert merged(tx, "A", "B", at=5).changed == ()
    assert events(tx) == before
    assert before.count("identity.patient_merged") == 1


def test_a_patient_is_not_merged_into_itself(tx):
    registered(tx, "A")
    with pytest.raises(SelfMerge):
        merged(tx, "A", "A")


def test_two_numbers_of_one_record_are_merged_already(tx):
    service.register(tx, EHR, a_patient("A", "B"), now=NOON)
    assert merged(tx, "A", "B").changed == ()
    assert who(tx, "B") == "A"


@pytest.mark.parametrize("arrival", [(0, 1), (1, 0)])
def test_of_a_merge_and_its_inverse_the_later_said_holds(tx, arrival):
    registered(tx, "A", "B")
    messages = [("A", "B", 1), ("B", "A", 2)]
    for position in arrival:
        survivor, prior, at = messages[position]
        service.merge(
            tx, EHR, a_patient(survivor, at=at), [an_identifier(prior)], now=after_noon(10)
        )
    assert [who(tx, "A"), who(tx, "B")] == ["B", "B"]


def test_a_ring_of_merges_has_one_survivor(tx):
    registered(tx, "A", "B", "C")
    merged(tx, "B", "A", at=1)
    merged(tx, "C", "B", at=2)
    merged(tx, "A", "C", at=3)
    assert {who(tx, each) for each in "ABC"} == {"A"}


def test_an_unknown_prior_identifier_is_kept_for_what_comes_later(tx):
    registered(tx, "A")
    merged(tx, "A", "GHOST")
    service.register(tx, EHR, a_patient("GHOST", at=-90, person_name="Doe^John"), now=NOON)
    assert who(tx, "GHOST") == "A"
    assert service.find(tx, "GHOST").person_name == "Phantom^A"


def test_undoing_a_merge_gives_back_what_was_there(tx):
    registered(tx, "A", "B", "C")
    merged(tx, "B", "C", at=1)
    merged(tx, "A", "B", at=2)
    key = service.find(tx, "A").patient_key
    last = service.merges(tx, PERSON, key)[-1]
    service.unmerge(tx, PERSON, last.merge_key, now=after_noon(3))
    assert [who(tx, each) for each in "ABC"] == ["A", "B", "B"]
    assert service.find(tx, "C").person_name == "Phantom^B"
    with pytest.raises(MergeUnknown):
        service.unmerge(tx, PERSON, last.merge_key, now=after_noon(4))


def test_a_late_repetition_does_not_redo_an_undone_merge_but_a_new_one_does(tx):
    registered(tx, "A", "B")
    merged(tx, "A", "B", at=1)
    key = service.merges(tx, PERSON, service.find(tx, "A").patient_key)[0].merge_key
    service.unmerge(tx, PERSON, key, now=after_noon(3))
    merged(tx, "A", "B", at=1)
    assert who(tx, "B") == "B"
    merged(tx, "A", "B", at=4)
    assert who(tx, "B") == "A"


def test_one_new_patient_at_once_from_many_sides_is_one_patient(make_database):
    database = make_database(connections_max=8)

    def register(number):
        with database.transaction() as tx:
            facts = a_patient("NEW", f"X{number % 3}", person_name=f"Phantom^{number}", at=-number)
            return service.register(tx, EHR, facts, now=NOON).patient_key

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(register, range(40)))
    assert len(keys) == 1
    with database.transaction() as tx:
        assert tx.value("select count(*) from identity.patient") == 1
        assert service.find(tx, "NEW").person_name == "Phantom^0"


def test_merges_of_the_same_patients_at_once_end_as_one_after_the_other(make_database):
    database = make_database(connections_max=8)

    def merge(number, prefix=""):
        values = [prefix + each for each in "ABCD"]
        survivor, prior = values[number % 4], values[(number + 1 + number // 4 % 3) % 4]
        with database.transaction() as tx:
            facts = a_patient(survivor, at=number, person_name=survivor)
            service.merge(tx, EHR, facts, [an_identifier(prior)], now=after_noon(60))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(merge, range(32)))
    for number in range(32):
        merge(number, "S")
    with database.transaction() as tx:
        at_once = [who(tx, each) for each in "ABCD"]
        assert ["S" + each for each in at_once] == [who(tx, "S" + each) for each in "ABCD"]


def test_registering_costs_few_statements(tx, count_statements):
    with count_statements() as new:
        service.register(tx, EHR, a_patient("P1", person_name="Phantom^Ada"), now=NOON)
    with count_statements() as update:
        service.register(tx, EHR, a_patient("P1", person_name="Phantom^Eve", at=1), now=NOON)
    assert len(new) <= 4
    assert len(update) <= 4


def test_looking_for_patients_reads_no_others_of_the_authority(database_url):
    """As the interface does in its first minutes: plans are kept, and nothing is analyzed yet."""
    database = Database(database_url, plans_once=True)
    read = """select sum(pg_stat_get_xact_tuples_returned(indexrelid)) from pg_index
               where indrelid = 'identity.patient_identifier'::regclass"""
    try:
        with database.transaction() as tx:
            wanted = [(EHR, a_patient(f"N{number}")) for number in range(1000)]
            service.register_all(tx, wanted, now=NOON)
        with database.transaction() as tx:
            before = tx.value(read)
            service.register(tx, EHR, a_patient("N500", at=1, phone="1"), now=after_noon(2))
            assert tx.value(read) - before < 20
    finally:
        database.close()
