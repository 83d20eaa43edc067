"""PID says the same in the words of each version."""

import hl7
import pytest

from isocenter.gateways.hl7.encode_patient import pid, visit_number
from isocenter.gateways.hl7.envelope import Envelope
from isocenter.readmodels.patient_content import PatientContent
from isocenter.standards.hl7v2 import writer
from tests.builders import NOON

ADA = PatientContent(
    patient_key=1,
    current_key=1,
    person_name="Phantom^Ada",
    birth_date=None,
    sex="F",
    phone="555-0100",
    aliases=["Ghost^Ada"],
    unidentified=False,
    vip=False,
    birth_order=None,
    mother_name=None,
    identifiers=[{"value": "P1", "assigning_authority": "HOSP", "type_code": "MR"}],
)


@pytest.mark.parametrize(
    ("version", "names", "aliases", "phone"),
    [
        ("2.3", ["Phantom"], ["Ghost"], "555-0100"),
        ("2.3.1", ["Phantom", "Ghost"], [""], "555-0100"),
        ("2.5.1", ["Phantom", "Ghost"], [""], "555-0100"),
        ("2.6", ["Phantom", "Ghost"], [""], "^^^^^^^^^^^555-0100"),
        ("2.7", ["Phantom", "Ghost"], [""], "^^PH^^^^^^^^^555-0100"),
    ],
)
def test_names_and_telephone_are_where_the_version_has_them(version, names, aliases, phone):
    envelope = Envelope(
        sending=("RIS", "RAD"),
        receiving=("EHR", "HOSP"),
        control_id="1",
        made_at=NOON,
        version=version,
    )
    header = f"MSH|^~\\&|RIS|RAD|EHR|HOSP|20260302||ADT^A28|1|P|{version}"
    said = hl7.parse(f"{header}\r{pid(ADA, envelope)}\r").segment("PID")

    assert [str(each).split("^")[0] for each in said[5]] == names
    assert [str(each).split("^")[0] for each in said[9]] == aliases
    assert str(said[13]) == phone


@pytest.mark.parametrize(
    ("version", "number", "account"), [("2.6", "V1", "V1"), ("2.7", "V1^^^^VN", "V1^^^^AN")]
)
def test_the_number_of_a_visit_has_its_type_where_the_version_wants_it(version, number, account):
    envelope = Envelope(
        sending=("", ""), receiving=("", ""), control_id="1", made_at=NOON, version=version
    )
    assert writer.segment("MRG", {5: visit_number("V1", envelope)}) == f"MRG|||||{number}"
    assert pid(ADA, envelope, account="V1").split("|")[18] == account
    assert visit_number(None, envelope) is None
