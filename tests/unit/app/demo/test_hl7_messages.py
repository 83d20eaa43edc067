"""The demonstration EHR's messages, judged by an HL7 library of somebody else."""

from datetime import UTC, datetime

import hl7
import pytest

from isocenter.app.demo import cast, hl7_messages

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def envelope() -> hl7_messages.Envelope:
    return hl7_messages.Envelope(("ISOCENTER", "RADIOLOGY"), "E001")


def test_a_registration_carries_the_identity_with_its_authority():
    patient = cast.patient(1)
    message = hl7.parse(hl7_messages.registration(envelope(), "A04", patient, NOW))
    assert (message["MSH.F9.R1.C1"], message["MSH.F9.R1.C2"]) == ("ADT", "A04")
    assert message["PID.F3.R1.C1"] == patient.number
    assert message["PID.F3.R1.C4"] == "DEMO"
    assert message["PID.F5.R1.C1"] + "^" + message["PID.F5.R1.C2"] == patient.name


def test_each_message_has_its_own_control_id():
    same = envelope()
    ids = {
        str(hl7.parse(hl7_messages.registration(same, "A04", cast.patient(n), NOW))["MSH.F10"])
        for n in range(1, 50)
    }
    assert len(ids) == 49
    assert all(len(each) <= 20 for each in ids)


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_an_order_in_each_style_says_what_and_for_whom(serial: int):
    exam = cast.exam(serial, cast.patient(serial), NOW)
    message = hl7.parse(hl7_messages.order(envelope(), exam, NOW))
    assert str(message["ORC.F1"]) == "NW"
    assert message["OBR.F4.R1.C2"] == exam.kind.description
    assert message["PID.F3.R1.C1"] == exam.patient.number
    if exam.style == "zds":
        assert message["ZDS.F1.R1.C1"] == exam.study_instance_uid
        assert str(message["OBR.F18"]) == exam.accession_number
    if exam.style == "omi":
        assert message["IPC.F1.R1.C1"] == exam.accession_number
        assert message["IPC.F3.R1.C1"] == exam.study_instance_uid
        assert str(message["IPC.F5"]) == exam.kind.modality
        # RAD TF-2 4.4: these are replaced by TQ1.
        assert "ORC.F7" not in message or not str(message["ORC.F7"])


def test_the_three_styles_take_turns():
    styles = {cast.exam(n, cast.patient(n), NOW).style for n in range(1, 4)}
    assert styles == {"zds", "orm", "omi"}


def test_a_merge_names_survivor_and_prior():
    message = hl7.parse(hl7_messages.merge(envelope(), cast.patient(1), cast.patient(2), NOW))
    assert message["PID.F3.R1.C1"] == cast.patient(1).number
    assert message["MRG.F1.R1.C1"] == cast.patient(2).number


def test_an_acknowledgement_answers_the_message_and_turns_the_address_round():
    sent = (
        "MSH|^~\\&|ISOCENTER|RADIOLOGY|DEMO_EHR|DEMO_HOSPITAL|20260304093000||ORU^R01^ORU_R01|X17|P|2.5.1\r"
        "PID|1||DEMO000001^^^DEMO^MR||Phantom^Ada\r"
    )
    answer = hl7.parse(hl7_messages.acknowledgement(sent, "A001", NOW))
    assert str(answer["MSA.F1"]) == "AA"
    assert str(answer["MSA.F2"]) == "X17"
    assert (str(answer["MSH.F3"]), str(answer["MSH.F5"])) == ("DEMO_EHR", "ISOCENTER")


def test_uids_are_legal_and_repeatable():
    assert cast.uid("a") == cast.uid("a") != cast.uid("b")
    assert len(cast.uid("a")) <= 64
    assert cast.uid("a").startswith("2.25.")
