"""Worklist searches on a real database: what is found, what is left out, what an answer holds."""

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocenter.domain.access.model import Action, Actor, NotAuthorized, Viewer
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import Code, OrderReference
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model import OPEN
from isocenter.gateways.dimse.worklist import worklist_query, worklist_response
from isocenter.readmodels.modality_worklist import search
from isocenter.standards.dicom.matching_reference import matches
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset
from tests.builders import (
    EHR,
    NOON,
    SYSTEM,
    a_patient,
    a_procedure,
    a_step,
    after_noon,
    an_identifier,
    an_order,
    viewer,
)

SEQUENCE = 0x00400100
IMPLICIT = "1.2.840.10008.1.2"
# Table K.6-1: every key of type 1, 1C and 2 that a query may ask for.
PROCEDURE_KEYS = [
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedStudySequence",
    "ReferencedPatientSequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientSize",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "PregnancyStatus",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "AdmissionID",
    "SpecialNeeds",
    "CurrentPatientLocation",
    "PatientState",
    "RequestedProcedureID",
    "RequestedProcedurePriority",
    "PatientTransportArrangements",
    "ConfidentialityConstraintOnPatientDataDescription",
    "IssuerOfPatientID",
]
STEP_KEYS = [
    "Modality",
    "RequestedContrastAgent",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "PreMedication",
    "ScheduledProcedureStepStatus",
]
READER = viewer(Action.WORKLIST_READ)


def an_identifier_of(keys=None, step=None, charset=()):
    """A C-FIND identifier: these values, everything else universal."""
    identifier, item = DataSet(), DataSet()
    for keyword in PROCEDURE_KEYS:
        identifier.put(keyword)
    for keyword in STEP_KEYS:
        item.put(keyword)
    for keyword, value in (keys or {}).items():
        identifier.put(keyword, *value.split("\\"))
    for keyword, value in (step or {}).items():
        item.put(keyword, value)
    identifier.put("ScheduledProcedureStepSequence", item)
    if charset:
        identifier.put("SpecificCharacterSet", *charset)
    return identifier


def place(tx, value, *, order=None, name="Phantom^Ada", **step):
    facts = a_patient(value, person_name=name, birth_date=date(1980, 1, 2), sex="F")
    said = an_order(
        f"O-{value}",
        accession_number=f"ACC{value}",
        procedures=(a_procedure(steps=(a_step(**step),)),),
        **(order or {}),
    )
    return scheduling.place_order(tx, EHR, facts, said, now=NOON).accession_number


def found(tx, keys=None, step=None, **named):
    query = worklist_query(an_identifier_of(keys, step))
    return [each.accession_number for each in search(tx, READER, query.conditions, **named)]


def test_a_modality_finds_its_patients_of_today(tx):
    place(tx, "1", start_at=after_noon(0))
    place(tx, "2", start_at=after_noon(24 * 60))
    place(tx, "3", start_at=after_noon(10), modality="MR")
    place(tx, "4", start_at=after_noon(10), station_ae_titles=("CT2",))
    today = {
        "ScheduledProcedureStepStartDate": "20260302",
        "Modality": "CT",
        "ScheduledStationAETitle": "CT1",
    }
    assert found(tx, step=today) == ["ACC1"]


def test_everything_that_is_open_is_found_in_order_of_time(tx):
    place(tx, "1", start_at=after_noon(50))
    place(tx, "2", start_at=after_noon(5))
    assert found(tx) == ["ACC2", "ACC1"]


def test_a_step_for_any_station_is_found_by_every_station_and_answers_with_its_title(tx):
    place(tx, "1", station_ae_titles=())
    (item,) = search(tx, READER, worklist_query(an_identifier_of()).conditions)
    assert found(tx, step={"ScheduledStationAETitle": "ANY"}) == ["ACC1"]
    answer = worklist_response(item, an_identifier_of(), calling_ae_title="CT7")
    assert answer.item(SEQUENCE).texts(0x00400001) == ("CT7",)


def test_closed_steps_are_found_only_when_their_status_is_asked_for(tx):
    for value in "123":
        place(tx, value)
    scheduling.cancel_order(tx, EHR, OrderReference(accession_number="ACC1"), now=NOON)
    scheduling.complete(tx, SYSTEM, "ACC2", now=NOON)
    scheduling.start(tx, SYSTEM, "ACC3", now=NOON)
    assert found(tx) == ["ACC3"]
    assert found(tx, step={"ScheduledProcedureStepStatus": "CANCELED"}) == ["ACC1"]
    assert found(tx, step={"ScheduledProcedureStepStatus": "COMPLETED"}) == ["ACC2"]


def test_the_open_states_of_statement_and_model_are_the_same(tx):
    place(tx, "1")
    statuses = ("SCHEDULED", "ARRIVED", "READY", "STARTED", "COMPLETED", "DISCONTINUED")
    shown = set()
    for status in statuses:
        tx.run("update scheduling.scheduled_procedure_step set status = %s", (status,))
        shown |= {status} if found(tx) else set()
    assert shown == set(OPEN)


def test_days_are_those_of_the_department(tx):
    place(tx, "1", start_at=after_noon(11 * 60 + 30))  # 23:30 UTC on 2 March
    step = {"ScheduledProcedureStepStartDate": "20260303"}
    assert found(tx, step=step) == []
    assert found(tx, step=step, time_zone="Europe/Berlin") == ["ACC1"]
    (item,) = search(tx, READER, (), time_zone="Europe/Berlin")
    assert (f"{item.start_date:%Y%m%d}", f"{item.start_time:%H%M}") == ("20260303", "0030")


def test_at_most_so_many_are_given(tx):
    for value in "123":
        place(tx, value)
    assert len(found(tx, limit=2)) == 2


def test_after_a_merge_the_survivor_is_on_the_worklist(tx):
    place(tx, "OLD", name="Doe^John")
    survivor = a_patient("NEW", person_name="Phantom^Eve")
    identity.merge(tx, EHR, survivor, [an_identifier("OLD")], now=NOON)
    (item,) = search(tx, READER, ())
    assert (item.patient_id, item.person_name) == ("NEW", "Phantom^Eve")


def test_who_may_not_read_the_worklist_gets_no_ticket():
    with pytest.raises(NotAuthorized):
        Viewer.of(Actor.dicom_peer("X", "192.0.2.1", ["store"]), Action.WORKLIST_READ)


def test_a_ticket_for_something_else_is_refused(tx):
    sender = Actor.dicom_peer("X", "192.0.2.1", ["store"])
    with pytest.raises(NotAuthorized):
        search(tx, Viewer.of(sender, Action.STUDY_STORE), ())


def test_an_answer_holds_every_key_of_the_table(tx):
    place(
        tx,
        "1",
        order={
            "priority": "STAT",
            "ordering_provider_name": "Orderer^Olga",
            "referring_physician_name": "Referrer^Rita",
            "clinical_information": "cough",
            "danger_code": "MRSA",
            "admission_id": "V1",
            "location": "Ward 3",
            "transport_arrangements": "bed",
            "special_needs": "lift",
            "allergies": "iodine",
            "pregnancy_status": 1,
            "patient_weight_kg": 70.5,
            "patient_size_m": 1.68,
        },
        station_name="CT room",
        location="Floor 1",
        performing_physician_name="Performer^Pia",
        description="Chest",
        pre_medication="none",
        requested_contrast_agent="no",
    )
    identifier = an_identifier_of()
    (item,) = search(tx, READER, worklist_query(identifier).conditions)
    answer = decode_dataset(encode_dataset(worklist_response(item, identifier), IMPLICIT), IMPLICIT)
    empty_by_right = {0x00081110, 0x00081120, 0x00403001}
    step = answer.item(SEQUENCE)
    assert set(answer) == set(identifier)
    assert {tag for tag, e in answer.items() if not e.values} == empty_by_right
    assert set(step) == set(identifier.item(SEQUENCE))
    assert [tag for tag, e in step.items() if not e.values] == []
    assert answer.text(0x00101030) == "70.5"
    assert answer.text(0x00101020) == "1.68"
    assert answer.item(0x00321064).text(0x00080100) == "CTCH"
    assert step.item(0x00400008).text(0x00080102) == "99TEST"
    assert step.text(0x00400002) == "20260303"


def test_an_answer_holds_only_what_was_asked_for(tx):
    place(tx, "1")
    identifier = DataSet()
    identifier.put("PatientID")
    identifier.put("ScheduledProcedureStepSequence", DataSet())
    identifier.put("PatientComments")
    inner = DataSet()
    inner.put("CodeValue")
    identifier.put("RequestedProcedureCodeSequence", inner)
    (item,) = search(tx, READER, ())
    answer = worklist_response(item, identifier)
    assert set(answer) == {0x00100020, SEQUENCE, 0x00321064}
    assert set(answer.item(0x00321064)) == {0x00080100}
    assert len(answer.item(SEQUENCE)) > 10


def test_types_1_have_a_value_even_when_little_is_known(tx):
    facts = a_patient("1")
    order = an_order(procedures=(a_procedure(code=None, description=None, steps=()),))
    scheduling.place_order(tx, EHR, facts, order, now=NOON)
    (item,) = search(tx, READER, ())
    answer = worklist_response(item, an_identifier_of(), calling_ae_title="CT7")
    step = answer.item(SEQUENCE)
    of_type_1 = (0x00100010, 0x00100020, 0x0020000D, 0x00401001, 0x00321060)
    assert all(answer.text(tag) for tag in of_type_1)
    assert all(step.text(t) for t in (0x00080060, 0x00400001, 0x00400002, 0x00400003, 0x00400009))


@pytest.mark.parametrize(
    ("name", "asked", "answered"),
    [
        ("Phantom^Ada", (), ()),
        ("Phantom^Ada", ("ISO_IR 100",), ("ISO_IR 100",)),
        ("Müller^Jörg", ("ISO_IR 100",), ("ISO_IR 100",)),
        ("Müller^Jörg", (), ("ISO_IR 192",)),
        ("Yamada^Tarou=山田^太郎", ("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 87")),
        ("Яков^Ирина", ("ISO_IR 100",), ("ISO_IR 192",)),
    ],
)
def test_the_answer_comes_in_the_requested_character_set_if_it_can(tx, name, asked, answered):
    place(tx, "1", name=name)
    identifier = an_identifier_of(charset=asked)
    (item,) = search(tx, READER, worklist_query(identifier).conditions)
    answer = worklist_response(item, identifier)
    sent = decode_dataset(encode_dataset(answer, IMPLICIT), IMPLICIT)
    assert sent.specific_character_set == answered
    assert sent.text(0x00100010) == name


def test_texts_that_do_not_fit_hide_nothing(tx):
    place(
        tx,
        "1",
        name="P" * 100 + "^A",
        order={"clinical_information": "a\\b\x07" + "x" * 100, "location": "\u00e9" * 80},
        description="d" * 100,
        station_name="s" * 30,
        modality="ct",
    )
    identifier = an_identifier_of()
    (item,) = search(tx, READER, ())
    answer = decode_dataset(encode_dataset(worklist_response(item, identifier), IMPLICIT), IMPLICIT)
    assert len(answer.text(0x00100010)) == 64
    assert answer.texts(0x00102000)[0].startswith("a/b")
    assert len(answer.text(0x00102000)) == 64
    assert answer.item(SEQUENCE).text(0x00080060) == "CT"
    assert found(tx, step={"Modality": "CT"}) == ["ACC1"]


NAMES = ["Phantom^Ada", "Phäntom^Eve", "Doe^John", "O'Neil^Sean", "Yamada=山田", "100%_x"]


@pytest.fixture(scope="module")
def crowd():
    """What is on the worklist of the property test."""
    return [
        {
            "value": str(number),
            "name": NAMES[number % len(NAMES)],
            "start_at": after_noon(number * 7 * 60),
            "modality": ["CT", "MR"][number % 2],
            "station_ae_titles": [("CT1",), ("CT1", "CT2"), ("MR1",)][number % 3],
            "performing_physician_name": NAMES[number % 3],
            "protocol_codes": (Code(f"P{number % 2}", "99TEST", "x"),),
        }
        for number in range(9)
    ]


TEXT_KEYS = {
    "AccessionNumber": ["ACC1", "ACC*", "acc1", "?CC2", "*"],
    "PatientID": ["1", "?", "9", "*"],
    "PatientName": ["phantom*", "DOE^john", "*^*", "yam?da", "山田", "100%_X", "Ph?ntom^eve", "o*"],
    "RequestedProcedureID": ["RP*", "X"],
    "PatientBirthDate": ["19800102", "19700101-19790101"],
    "PatientSex": ["F", "M"],
}
WITHIN_STEP = {
    "Modality": ["CT", "MR", "C*", "XA"],
    "ScheduledStationAETitle": ["CT1", "CT?", "MR1", "NONE"],
    "ScheduledProcedureStepStartDate": ["20260302", "20260303-", "-20260303", "20260303-20260304"],
    "ScheduledProcedureStepStartTime": ["1200-1900", "0000-0600", "120000", "-1200"],
    "ScheduledPerformingPhysicianName": ["phan*", "DOE^JOHN", "*"],
}


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_finds_exactly_the_items_whose_answers_match(tx, crowd, data):
    if not tx.value("select count(*) from orders.imaging_order"):
        for each in crowd:
            place(tx, **each)
    keys = {
        keyword: data.draw(st.sampled_from(TEXT_KEYS[keyword]), keyword)
        for keyword in data.draw(st.sets(st.sampled_from(sorted(TEXT_KEYS)), max_size=2), "keys")
    }
    step = {
        keyword: data.draw(st.sampled_from(WITHIN_STEP[keyword]), keyword)
        for keyword in data.draw(st.sets(st.sampled_from(sorted(WITHIN_STEP)), max_size=3), "step")
    }
    query = worklist_query(an_identifier_of(keys, step))
    everything = an_identifier_of()
    expected = [
        item.accession_number
        for item in search(tx, READER, ())
        if matches(query.conditions, worklist_response(item, everything))
    ]
    assert [e.accession_number for e in search(tx, READER, query.conditions)] == expected
