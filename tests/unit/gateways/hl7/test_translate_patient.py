from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.gateways.hl7.refusal import MessageRefused
from isocenter.gateways.hl7.translate_adt import EVENTS, AdtEffect, patient_changes
from isocenter.gateways.hl7.translate_patient import Reading, asserted_at, patient_facts
from isocenter.standards.hl7v2.er7 import parse

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
READING = Reading(timezone(timedelta(hours=1)), "LOCAL", NOW)


def message(*segments, time="20240301100000", event="A08"):
    head = f"MSH|^~\\&|EHR|H|RIS|RAD|{time}||ADT^{event}|1|P|2.5.1"
    return parse("\r".join((head, *segments)).encode())


def facts(pid):
    read = message(pid)
    return patient_facts(read, read.first("PID"), READING)


def test_pid():
    found = facts(
        "PID|1||111^^^MAIN&1.2&ISO^MR~222^^^&1.3&ISO^PI~333||Phantom^Ada^^^Dr||19600229|F"
        "|||1 Way^^Town^^12345^DEU||030 123"
    )
    assert found.identifiers == (
        PatientIdentifier("111", "MAIN", "MR"),
        PatientIdentifier("222", "1.3", "PI"),
        PatientIdentifier("333", "LOCAL", "MR"),
    )
    assert (found.person_name, found.birth_date, found.sex) == (
        "Phantom^Ada^^Dr",
        date(1960, 2, 29),
        "F",
    )
    assert (found.address, found.phone) == ("1 Way, 12345 Town, DEU", "030 123")
    assert found.asserted_at == datetime(2024, 3, 1, 9, tzinfo=UTC)


def test_null_and_absent():
    nulls = facts('PID|1||1^^^M||""||""|""|||""||""')
    assert (nulls.person_name, nulls.birth_date, nulls.sex, nulls.address, nulls.phone) == ("",) * 5
    silent = facts("PID|1||1^^^M|| || |U")
    assert silent.said() == {}


@pytest.mark.parametrize("birth", ["1960", "196002", "unknown", "19601301"])
def test_inexact_birth_date_is_not_made_exact(birth):
    assert facts(f"PID|1||1||A||{birth}").birth_date is None


@pytest.mark.parametrize(
    ("code", "sex"), [("M", "M"), ("f", "F"), ("A", "O"), ("N", "O"), ("U", None), ("?", None)]
)
def test_sex(code, sex):
    assert facts(f"PID|1||1||A||19600101|{code}").sex == sex


def test_external_id_is_used_when_the_list_is_empty():
    assert facts("PID|1|77^^^X").identifiers == (PatientIdentifier("77", "X"),)


@pytest.mark.parametrize("pid", ["PID|1", "PID|1||^^^MAIN", 'PID|1||""'])
def test_patient_without_identifier_is_refused(pid):
    with pytest.raises(MessageRefused) as raised:
        facts(pid)
    assert (raised.value.problem.location, raised.value.problem.code) == ("PID^1^3", 101)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("20240301100000", datetime(2024, 3, 1, 9, tzinfo=UTC)),
        ("20240301100000+0000", datetime(2024, 3, 1, 10, tzinfo=UTC)),
        ("202403011000", datetime(2024, 3, 1, 9, 1, tzinfo=UTC)),
        ("20240301", NOW),
        ("20250101", NOW),
        ("", NOW),
        ("soon", NOW),
    ],
)
def test_when_the_sender_said_it(time, expected):
    assert asserted_at(message("PID|1", time=time), READING) == expected


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_of_the_table(event):
    effect, former = EVENTS[event].effect, EVENTS[event].former
    segments = [
        f"PID|1||NEW^^^M||A{'|' * 13}ACC2",
        "MRG|OLD^^^M~OLDER^^^M||ACC||VISIT",
        f"PV1|1|I|WARD{'|' * 16}VISIT2",
    ]
    if effect in {AdtEffect.SWAP, AdtEffect.LINK, AdtEffect.UNLINK}:
        segments += ["PID|2||OTHER^^^M", "PV1|1|I"]
    change, *further = patient_changes(message(*segments, event=event), event, READING)
    assert len(further) == (effect is AdtEffect.SWAP)
    assert (change.other is not None) == (effect in {AdtEffect.LINK, AdtEffect.UNLINK})
    reads_mrg = effect.value.startswith(("merge", "move", "change", "renumber"))
    assert [each.value for each in change.prior] == (["OLD", "OLDER"] if reads_mrg else [])
    assert change.is_plain == (effect in {AdtEffect.REGISTER, AdtEffect.VISIT})
    if former:
        assert change.former_visit.value == {3: "ACC", 5: "VISIT"}[former]
        assert change.visit.number.value == {3: "ACC2", 5: "VISIT2"}[former]


@pytest.mark.parametrize(
    ("event", "location", "pending"),
    [("A01", "WARD 1 A", ""), ("A15", None, "WARD 1 A"), ("A08", "WARD 1 A", None)],
)
def test_where_a_patient_is_and_is_to_be(event, location, pending):
    read = message("PID|1||P", f"PV1|1|I|WARD^1^A{'|' * 16}N1^^^ADT", event=event)
    [change] = patient_changes(read, event, READING)
    assert (change.visit.location, change.visit.pending_location) == (location, pending)
    assert (change.visit.number.value, change.visit.number.assigning_authority) == ("N1", "ADT")
    [unnumbered] = patient_changes(message("PID|1||P", "PV1|1|I|WARD"), event, READING)
    assert unnumbered.visit is None


@pytest.mark.parametrize("event", ["A19", "A20", "A29", "A48", "A51", "A60", "", "Z01"])
def test_events_with_a_meaning_that_would_be_lost_are_refused(event):
    with pytest.raises(MessageRefused) as raised:
        patient_changes(message("PID|1||1", event=event), event, READING)
    assert (raised.value.code, raised.value.problem.code) == ("AR", 201)


def test_several_merges_in_one_message():
    read = message("PID|1||A", "MRG|B", "PID|2||C", "PD1|", "MRG|D", event="A40")
    changes = patient_changes(read, "A40", READING)
    assert [(c.patient.identifiers[0].value, c.prior[0].value) for c in changes] == [
        ("A", "B"),
        ("C", "D"),
    ]


@pytest.mark.parametrize(
    ("segments", "location", "error"),
    [
        (["PID|1||A"], "MRG^1", 100),
        (["PID|1||A", "MRG|"], "MRG^1^1", 101),
        (["MRG|B"], "PID^1", 100),
    ],
)
def test_incomplete_merges(segments, location, error):
    with pytest.raises(MessageRefused) as raised:
        patient_changes(message(*segments, event="A40"), "A40", READING)
    assert (raised.value.problem.location, raised.value.problem.code) == (location, error)


def test_what_is_special_about_a_person():
    read = message(
        "PID|1||1^^^M||Phantom^Ada^^^^^L~Belle^Ada^^^^^A|Bell^Mary|19600229|F|Bell^Ada"
        "||||||||||||M9^^^M|||Y|2",
        "PV1|1|I||||||||||||||Y",
    )
    found = patient_facts(read, read.first("PID"), READING)
    assert found.person_name == "Phantom^Ada"
    assert found.aliases == ("Bell^Ada", "Belle^Ada")
    assert (found.mother_name, found.mother_identifier) == ("Bell^Mary", "M9^^^M")
    assert (found.birth_order, found.vip, found.unidentified) == (2, True, False)


@pytest.mark.parametrize(("kinds", "expected"), [("U", True), ("L", False), ("", None)])
def test_an_unspecified_name_is_of_nobody_known(kinds, expected):
    assert facts(f"PID|1||1||Doe^John^^^^^{kinds}").unidentified is expected


def test_identifiers_of_untrusted_authorities_are_left_out():
    reading = Reading(READING.zone, "LOCAL", NOW, frozenset({"MAIN", "LOCAL"}))
    read = message("PID|1||1^^^MAIN~2^^^ELSE~3", "MRG|9^^^ELSE", event="A40")
    found = patient_facts(read, read.first("PID"), reading)
    assert [each.value for each in found.identifiers] == ["1", "3"]
    with pytest.raises(MessageRefused) as refusal:  # of the merge nothing is left
        patient_changes(read, "A40", reading)
    assert refusal.value.problem.location == "MRG^1^1"
    read = message("PID|1||2^^^ELSE")
    with pytest.raises(MessageRefused) as refusal:
        patient_facts(read, read.first("PID"), reading)
    assert (refusal.value.problem.code, refusal.value.problem.location) == (103, "PID^1^3^1^4")
