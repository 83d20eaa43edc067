"""Links, moved and replaced identifiers, and the undoing of each, on a real database."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date

import pytest

from isocenter.domain.identity import service
from isocenter.domain.identity.model import (
    ChangeUnknown,
    IdentifierTaken,
    IdentifierUnknown,
    InverseMerge,
    LinkGround,
    LinkUnknown,
    PatientFacts,
    PatientIdentifier,
    SelfLink,
    SelfMerge,
)
from tests.builders import EHR, NOON, PERSON, a_patient, after_noon, an_identifier

BY_PERSON = LinkGround("person", "same passport")


def key(tx, value, authority=None):
    return service.find(tx, value, assigning_authority=authority).patient_key


def registered(tx, *values):
    for value in values:
        service.register(tx, EHR, a_patient(value, person_name=f"Phantom^{value}"), now=NOON)
    return [key(tx, value) for value in values]


def events(tx, name):
    return tx.value("select count(*) from outbox.event where name = %s", (f"identity.{name}",))


def test_what_is_special_about_a_person_is_kept_and_shown(tx):
    facts = a_patient(
        person_name="Baby^Girl",
        aliases=("Phantom^Ada", "Phantom-Bell^Ada"),
        unidentified=False,
        vip=True,
        birth_order=2,
        mother_name="Bell^Mary",
        mother_identifier="M1^^^HOSP",
    )
    service.register(tx, EHR, facts, now=NOON)
    found = service.find(tx, "P1")
    assert found.aliases == ("Phantom^Ada", "Phantom-Bell^Ada")
    assert (found.vip, found.unidentified, found.birth_order) == (True, False, 2)
    assert (found.mother_name, found.mother_identifier) == ("Bell^Mary", "M1^^^HOSP")
    assert service.register(tx, EHR, facts, now=after_noon(1)).changed == ()
    named = service.register(tx, EHR, a_patient(at=2, aliases=("Bell^Ada",)), now=after_noon(2))
    assert named.changed == ("aliases",)


def test_an_unknown_patient_becomes_known_by_a_merge_and_unknown_again_by_its_undoing(tx):
    service.register(tx, EHR, a_patient("X9", person_name="Doe^John", unidentified=True), now=NOON)
    registered(tx, "A")
    service.merge(tx, EHR, a_patient("A", at=1), [an_identifier("X9")], now=after_noon(1))
    assert not service.find(tx, "X9").unidentified
    [merge] = service.merges(tx, PERSON, key(tx, "A"))
    service.unmerge(tx, PERSON, merge.merge_key, now=after_noon(2))
    assert service.find(tx, "X9").unidentified


def test_a_survivor_that_lists_the_prior_number_behind_its_own_is_no_self_merge(tx):
    registered(tx, "A", "B")
    service.merge(tx, EHR, a_patient("A", "B", at=1), [an_identifier("B")], now=after_noon(1))
    assert key(tx, "B") == key(tx, "A")
    [merge] = service.merges(tx, PERSON, key(tx, "A"))
    service.unmerge(tx, PERSON, merge.merge_key, now=after_noon(2))
    assert key(tx, "B") != key(tx, "A")


@pytest.mark.parametrize("listed", [("B",), ("B", "A")])
def test_a_prior_number_that_names_the_survivor_is_refused(tx, listed):
    registered(tx, "A", "B")
    with pytest.raises(SelfMerge):
        service.merge(tx, EHR, a_patient(*listed, at=1), [an_identifier("B")], now=after_noon(1))


def test_a_merged_number_that_is_merged_again_stays_one_person(tx):
    registered(tx, "A", "B", "C")
    service.merge(tx, EHR, a_patient("A", at=1), [an_identifier("B")], now=after_noon(1))
    service.merge(tx, EHR, a_patient("B", at=2), [an_identifier("C")], now=after_noon(2))
    assert key(tx, "C") == key(tx, "A")
    later = service.register(tx, EHR, a_patient("B", at=3, phone="1"), now=after_noon(3))
    assert later.current_key == key(tx, "A")


def test_an_inverse_merge_is_refused_where_the_site_wants_that(tx):
    registered(tx, "A", "B")
    service.merge(tx, EHR, a_patient("A", at=1), [an_identifier("B")], now=after_noon(1))
    with pytest.raises(InverseMerge):
        service.merge(
            tx,
            EHR,
            a_patient("B", at=2),
            [an_identifier("A")],
            accept_inverse=False,
            now=after_noon(2),
        )
    again = service.merge(
        tx, EHR, a_patient("A", at=3), [an_identifier("B")], accept_inverse=False, now=after_noon(3)
    )
    assert again.changed == ()


def test_a_person_merges_two_records_and_takes_it_back(tx):
    a, b = registered(tx, "A", "B")
    merge = service.merge_records(tx, PERSON, a, b, now=NOON)
    assert service.merge_records(tx, PERSON, a, b, now=after_noon(1)).merge_key == merge.merge_key
    assert key(tx, "B") == a
    assert events(tx, "patient_merged") == 1
    service.unmerge(tx, PERSON, merge.merge_key, now=after_noon(2))
    assert key(tx, "B") == b


def test_linked_records_stay_two_and_are_one_person(tx):
    a, b, c = registered(tx, "A", "B", "C")
    first = service.link(tx, PERSON, (b, a), BY_PERSON, now=NOON)
    again = service.link(tx, PERSON, (a, b), BY_PERSON, now=after_noon(1))
    assert again.link_key == first.link_key
    assert events(tx, "patient_linked") == 1
    service.merge(tx, EHR, a_patient("C", at=1), [an_identifier("B")], now=after_noon(1))
    assert key(tx, "A") == a
    assert service.linked_keys(tx, a) == service.linked_keys(tx, c) == sorted([a, c])
    service.unlink(tx, PERSON, first.link_key, now=after_noon(2))
    assert service.linked_keys(tx, a) == [a]
    assert [each.undone_at for each in service.links(tx, PERSON, a)] == [after_noon(2)]
    with pytest.raises(LinkUnknown):
        service.unlink(tx, PERSON, first.link_key, now=after_noon(3))


def test_a_late_repetition_does_not_redo_an_undone_link_but_a_new_one_does(tx):
    facts = [a_patient("A", at=-9), a_patient("B", at=-9)]
    made = service.link_named(tx, EHR, facts, now=NOON)
    service.unlink_named(tx, EHR, [an_identifier("B")], [an_identifier("A")], now=after_noon(1))
    service.link_named(tx, EHR, facts, now=after_noon(2))
    assert len(service.linked_keys(tx, made.one_key)) == 1
    service.link_named(tx, EHR, [a_patient("A", at=3), a_patient("B", at=3)], now=after_noon(4))
    assert len(service.linked_keys(tx, made.one_key)) == 2


def test_a_patient_is_not_linked_with_itself(tx):
    [a] = registered(tx, "A")
    with pytest.raises(SelfLink):
        service.link(tx, PERSON, (a, a), BY_PERSON, now=NOON)
    with pytest.raises(LinkUnknown):
        service.unlink_named(tx, EHR, [an_identifier("A")], [an_identifier("Z")], now=NOON)


def test_a_moved_identifier_names_the_other_patient_until_it_is_moved_back(tx):
    national = PatientIdentifier("N1", "NATION", "NI")
    service.register(tx, EHR, PatientFacts((an_identifier("A"), national), NOON), now=NOON)
    registered(tx, "B")
    a, b = key(tx, "A"), key(tx, "B")
    service.move_identifier(tx, EHR, a_patient("B", at=1), national, now=after_noon(1))
    repeated = service.move_identifier(tx, EHR, a_patient("B", at=1), national, now=after_noon(2))
    assert (key(tx, "N1"), key(tx, "A"), repeated.changed) == (b, a, ())
    [change] = service.identifier_changes(tx, PERSON, a)
    service.undo_identifier_change(tx, PERSON, change.change_key, now=after_noon(3))
    assert key(tx, "N1") == a
    with pytest.raises(ChangeUnknown):
        service.undo_identifier_change(tx, PERSON, change.change_key, now=after_noon(4))


def test_a_move_that_a_later_one_stands_on_is_undone_after_that_one(tx):
    national = PatientIdentifier("N1", "NATION", "NI")
    service.register(tx, EHR, PatientFacts((an_identifier("A"), national), NOON), now=NOON)
    registered(tx, "B", "C")
    for at, value in ((1, "B"), (2, "C")):
        service.move_identifier(tx, EHR, a_patient(value, at=at), national, now=after_noon(at))
    first, second = service.identifier_changes(tx, PERSON, key(tx, "B"))
    with pytest.raises(ChangeUnknown):
        service.undo_identifier_change(tx, PERSON, first.change_key, now=after_noon(3))
    for change in (second, first):
        service.undo_identifier_change(tx, PERSON, change.change_key, now=after_noon(4))
    assert key(tx, "N1") == key(tx, "A")


def test_moving_a_record_s_only_identifier_is_a_merge(tx):
    registered(tx, "A", "B")
    service.move_identifier(tx, EHR, a_patient("A", at=1), an_identifier("B"), now=after_noon(1))
    assert len(service.merges(tx, PERSON, key(tx, "A"))) == 1


def test_an_identifier_is_not_moved_to_the_patient_that_it_names(tx):
    registered(tx, "A")
    with pytest.raises(SelfMerge):
        service.move_identifier(tx, EHR, a_patient("A"), an_identifier("A"), now=NOON)


def test_a_replaced_identifier_stays_an_alias_and_is_shown_no_more(tx):
    registered(tx, "A1")
    new = a_patient("A0", at=1, birth_date=date(1980, 1, 1))
    service.replace_identifier(tx, EHR, new, an_identifier("A1"), now=after_noon(1))
    again = service.replace_identifier(tx, EHR, new, an_identifier("A1"), now=after_noon(2))
    found = service.find(tx, "A1")
    shown = tx.value("select patient_id from identity.current_patient")
    assert ([each.value for each in found.identifiers], shown) == (["A0", "A1"], "A0")
    assert (found.birth_date, again.changed) == (date(1980, 1, 1), ())
    [change] = service.identifier_changes(tx, PERSON, found.patient_key)
    service.undo_identifier_change(tx, PERSON, change.change_key, now=after_noon(3))
    assert {each.value for each in service.find(tx, "A0").identifiers} == {"A0", "A1"}


def test_a_replacement_that_would_be_a_merge_is_refused(tx):
    registered(tx, "A", "B")
    with pytest.raises(IdentifierTaken):
        service.replace_identifier(tx, EHR, a_patient("A"), an_identifier("B"), now=NOON)
    with pytest.raises(IdentifierUnknown):
        service.replace_identifier(tx, EHR, a_patient("A"), an_identifier("Z"), now=NOON)
    with pytest.raises(SelfMerge):
        service.replace_identifier(tx, EHR, a_patient("A"), an_identifier("A"), now=NOON)


def test_merges_links_and_moves_of_the_same_patients_at_once_do_not_block_each_other(
    make_database,
):
    database = make_database(connections_max=8)

    def act(number):
        first, second = "ABCD"[number % 4], "ABCD"[(number + 1 + number // 4 % 3) % 4]
        # Numbers that a move gave to one record are not linked with each other.
        with suppress(SelfLink), database.transaction() as tx:
            now = after_noon(number)
            match number % 3:
                case 0:
                    service.merge(
                        tx, EHR, a_patient(first, at=number), [an_identifier(second)], now=now
                    )
                case 1:
                    said = [a_patient(second, at=number), a_patient(first, at=number)]
                    service.link_named(tx, EHR, said, now=now)
                case _:
                    moved = an_identifier(second)
                    service.move_identifier(tx, EHR, a_patient(first, at=number), moved, now=now)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(act, range(36)))
    with database.transaction() as tx:
        looped = tx.value(
            "select count(*) from identity.patient p join identity.patient s"
            " on s.patient_key = p.survivor_key where s.survivor_key is not null"
        )
    assert looped == 0


@pytest.mark.parametrize("arrival", [(0, 1), (1, 0)])
def test_who_is_nothing_special_any_more_is_so_whatever_arrives_first(tx, arrival):
    said = [a_patient(at=-9, vip=True), a_patient(at=-5, vip=False)]
    changed = [service.register(tx, EHR, said[each], now=NOON).changed for each in arrival]
    assert not service.find(tx, "P1").vip
    assert ("vip" in changed[1]) == (arrival == (0, 1))
