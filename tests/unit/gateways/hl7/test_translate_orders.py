from datetime import UTC, datetime

import pytest

from isocenter.domain.orders.model import Code, OrderReference
from isocenter.gateways.hl7.refusal import MessageRefused
from isocenter.gateways.hl7.translate_orders import CONTROLS, order_changes
from isocenter.gateways.hl7.translate_patient import Reading
from isocenter.standards.hl7v2.er7 import parse
from isocenter.standards.statuses import Instruction

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
READING = Reading(UTC, "LOCAL", NOW)
MSH = "MSH|^~\\&|EHR|H|RIS|RAD|20240301100000||ORM^O01|1|P|2.3.1"
PID = "PID|1||P1^^^MAIN^MR||Phantom^Ada||19600229|F|||||||||||ACC-9"
PV1 = "PV1|1|I|WARD^12^B|||||77^Refer^Rita^^^Dr|||||||B6||||ADM-1"
RAD_4 = [
    "ORC|NW|PL1^EHR|FI1^RIS||SC||1^once^^20240305093000+0100^^S||20240301090000|||88^Order^Otto",
    "OBR|1|PL1^EHR|FI1^RIS|CTH^CT head^L^PROT7^CT head plain^L|||||||ISO|MRSA^Isolation|headache|"
    "|^^^^L|||ACC1|RP1|SPS1|CTSCAN1|||CT||||||WHLC|^Trauma~R51^Headache^I10||"
    "|9&Tech&Tina||||||||||CTHEADP^CT of the head^99RAD",
    "ZDS|1.2.840.1.1^^Application^DICOM",
]


def read(*segments):
    return order_changes(parse("\r".join(segments).encode()), READING)


def test_rad_4_with_zds():
    [change] = read(MSH, PID, PV1, *RAD_4)
    assert change.control.verb is Instruction.PLACE
    order = change.order
    assert (order.placer_order_number, order.placer_namespace) == ("PL1", "EHR")
    assert (order.filler_order_number, order.filler_namespace) == ("FI1", "RIS")
    assert (order.accession_number, order.priority) == ("ACC1", "STAT")
    assert order.ordering_provider_name == "Order^Otto"
    assert order.referring_physician_name == "Refer^Rita^^Dr"
    assert (order.clinical_information, order.danger_code) == ("headache", "Isolation")
    assert order.reason_for_study == "Trauma; Headache"
    assert (order.transport_arrangements, order.admission_id) == ("WHLC", "ADM-1")
    assert (order.patient_class, order.location, order.pregnancy_status) == ("I", "WARD 12 B", 3)
    assert order.ordered_at == datetime(2024, 3, 1, 9, tzinfo=UTC)
    assert order.asserted_at == datetime(2024, 3, 1, 10, tzinfo=UTC)
    [procedure] = order.procedures
    assert (procedure.requested_procedure_id, procedure.study_instance_uid) == (
        "RP1",
        "1.2.840.1.1",
    )
    assert procedure.code == Code("CTHEADP", "99RAD", "CT of the head")
    assert procedure.laterality == "L"
    [step] = procedure.steps
    assert (step.scheduled_procedure_step_id, step.modality) == ("SPS1", "CT")
    assert step.station_ae_titles == ("CTSCAN1",)
    assert step.start_at == datetime(2024, 3, 5, 8, 30, tzinfo=UTC)
    assert step.performing_physician_name == "Tech^Tina"
    assert step.protocol_codes == (Code("PROT7", "L", "CT head plain"),)
    assert step.description == "CT head plain"


OMI = [
    MSH.replace("ORM^O01", "OMI^O23^OMI_O23").replace("2.3.1", "2.5.1"),
    PID,
    PV1,
    "ORC|NW|PL2^EHR|FI2^RIS||SC",
    "TQ1|1||||||20240306140000||R",
    "OBR|1|PL2^EHR|FI2^RIS|MRB^MR brain^L",
    "IPC|ACC2^RIS|RP2^RIS|1.2.3.4|SPS2^RIS|MR|P1^T1^L~P2^T2^L|MRROOM|R3^Room 3|MR1~MR2",
    "IPC|ACC2^RIS|RP2^RIS|1.2.3.4|SPS3^RIS|MR|P3^DWI^L|MRROOM||MR1",
]


def test_omi_with_two_steps():
    [change] = read(*OMI)
    assert (change.order.accession_number, change.order.accession_issuer) == ("ACC2", "RIS")
    assert change.order.priority == "ROUTINE"
    [procedure] = change.order.procedures
    assert (procedure.requested_procedure_id, procedure.study_instance_uid) == ("RP2", "1.2.3.4")
    first, second = procedure.steps
    assert first.scheduled_procedure_step_id == "SPS2"
    assert first.protocol_codes == (Code("P1", "L", "T1"), Code("P2", "L", "T2"))
    assert (first.station_name, first.location) == ("MRROOM", "Room 3")
    assert first.station_ae_titles == ("MR1", "MR2")
    assert first.start_at == second.start_at == datetime(2024, 3, 6, 14, tzinfo=UTC)
    assert (second.scheduled_procedure_step_id, second.description) == ("SPS3", "DWI")


def test_groups_of_one_order_are_joined_and_others_are_not():
    group = ["ORC|NW|A^E", "OBR|1|A^E||X^One^L||||||||||||||ACC|RP1|S1||||CT"]
    again = ["ORC|NW|A^E", "OBR|2|A^E||Y^Two^L||||||||||||||ACC|RP2|S2||||CT"]
    other = ["ORC|NW|B^E", "OBR|3|B^E||Z^Three^L||||||||||||||||||||CT"]
    first, second = read(MSH, PID, *group, *again, *other)
    assert [p.requested_procedure_id for p in first.order.procedures] == ["RP1", "RP2"]
    assert (second.order.placer_order_number, second.order.accession_number) == ("B", None)


def test_new_and_cancelled_in_one_message():
    changes = read(MSH, PID, "ORC|CA|A^E", "ORC|NW|B^E", "OBR|1|B^E||Z^Three^L")
    assert [(c.control.verb, c.order.placer_order_number) for c in changes] == [
        (Instruction.CANCEL, "A"),
        (Instruction.PLACE, "B"),
    ]
    assert changes[0].order.procedures == ()
    assert changes[0].reference.asserted_at == datetime(2024, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(("control", "status"), CONTROLS)
def test_each_control_code_is_understood_as_the_table_says(control, status):
    groups = [f"ORC|{control}|A^E|||{status or ''}", "OBR|1|A^E||Z^Three^L"]
    change, *_ = read(MSH, PID, *groups, "ORC|RO|B^E", "OBR|1|B^E||Z^Three^L")
    assert change.control is CONTROLS[control, status]


@pytest.mark.parametrize(
    ("segments", "location", "error"),
    [
        (["ORC|ZZ|A^E", "OBR|1"], "ORC^1^1", 103),
        (["ORC|RF|A^E", "OBR|1"], "ORC^1^1", 103),
        (["ORC|SC|A^E||IP|ER", "OBR|1"], "ORC^1^5", 103),
        (["ORC|RP|A^E", "ORC|NW|B^E", "OBR|1"], "ORC^1", 100),
        (["ORC|NW|A^E", "OBR|1", "ORC||B^E", "OBR|2"], "ORC^2^1", 103),
        (["ORC|NW|A^E"], "OBR^1", 100),
        (["ORC|NW", "OBR|1"], "ORC^1^2", 101),
        (["ORC|CA"], "ORC^1^2", 101),
        (["ORC|NW|A^E|||||^^^tomorrow", "OBR|1"], "ORC^1^7^1^4", 102),
        (["ORC|NW|A^E", "TQ1|1||||||20249999", "OBR|1"], "TQ1^1^7", 102),
        (["OBR|1"], "ORC^1", 100),
    ],
)
def test_refuses_and_names_the_place(segments, location, error):
    with pytest.raises(MessageRefused) as raised:
        read(MSH, PID, *segments)
    assert (raised.value.problem.location, raised.value.problem.code) == (location, error)


def test_null_says_that_there_is_none_and_absence_says_nothing():
    [nulls] = read(MSH, PID, "ORC|XO|A^E", 'OBR|1|A^E||Z||||||||""|""||||||||||||||||||')
    [silent] = read(MSH, PID, "ORC|XO|A^E", "OBR|1|A^E||Z")
    assert (nulls.order.danger_code, nulls.order.clinical_information) == ("", "")
    assert (silent.order.danger_code, silent.order.clinical_information) == (None, None)
    assert "clinical_information" not in silent.order.said()


@pytest.mark.parametrize(
    ("value", "kg"),
    [("72.5", 72.5), ("nan", None), ("inf", None), ("-3", None), ("", None), ("x", None)],
)
def test_weight(value, kg):
    [change] = read(MSH, PID, "ORC|NW|A^E", "OBR|1|A^E||Z", f"OBX|1|NM|W^Body weight||{value}|kg")
    assert change.order.patient_weight_kg == kg


@pytest.mark.parametrize(
    ("said", "m"),
    [("1.68|m", 1.68), ("168|cm", 1.68), ("168|m", None), ("-1|cm", None), ("5.5|mg/dl", None)],
)
def test_size(said, m):
    [change] = read(
        MSH, PID, "ORC|NW|A^E", "OBR|1|A^E||Z", "OBX|1|NM|W||72|kg", f"OBX|2|NM|S||{said}"
    )
    assert (change.order.patient_size_m, change.order.patient_weight_kg) == (m, 72.0)


def test_a_child_knows_its_parent_by_what_it_says_or_by_the_group_before():
    said = read(MSH, PID, "ORC|CH|C^E||||||P&E^F&R", "OBR|1|C^E||Z^Three^L")
    assert said[0].parent == OrderReference("P", "E", "F", "R")
    _, child = read(MSH, PID, "ORC|PA|P^E|F^R", "ORC|CH|C^E", "OBR|1|C^E||Z^Three^L")
    assert child.parent == OrderReference("P", "E", "F", "R")


def test_a_replacement_stands_for_all_that_it_replaces():
    old, older, new = read(
        MSH, PID, "ORC|RP|A^E", "ORC|RP|B^E", "ORC|RO|C^E", "OBR|1|C^E||Z^Three^L"
    )
    assert new.replaces == (old.reference, older.reference)
    assert not new.is_plain


def test_earlier_results_among_the_orders_are_no_orders():
    [change] = read(MSH, PID, "ORC|NW|A^E", "OBR|1", PID, "ORC|RE|B^E", "OBR|1|B^E", "OBX|1|ST")
    assert change.order.placer_order_number == "A"
