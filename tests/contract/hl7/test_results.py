"""ORU, MDM, DFT and BAR over the wire: what is kept, and what comes later."""

import base64

import pytest

from isocenter.domain.access.model import Action, Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.domain.reporting import service_external as external
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from tests.builders import viewer
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import acknowledgement_code, parse, send

SYSTEM = Actor.system("test")
LAB = Hl7Peer("LAB", "127.0.0.1", receive=frozenset({"oru", "mdm", "dft", "bar"}))
READER = viewer(Action.REPORT_READ)
PDF = b"%PDF-1.4 a phantom"


class Talk:
    def __init__(self, port, database):
        self.port, self.database, self.count = port, database, 0

    def __call__(self, kind, *segments, expected="AA", at=""):
        self.count += 1
        stamp = at or f"202603021200{self.count:02}"
        head = f"MSH|^~\\&|LAB|HOSPITAL|ISOCENTER|RAD|{stamp}||{kind}|r{self.count}|P|2.5.1"
        message = "\r".join([head, "PID|1||P1^^^HOSP^MR||Phantom^Ada", *segments, ""]).encode()
        [answer] = send(self.port, message)
        assert acknowledgement_code(answer) == expected, answer
        return parse(answer)

    def _key(self, tx):
        return identity.find(tx, "P1").patient_key

    def values(self):
        with self.database.read() as tx:
            found = external.observations_of(tx, READER, self._key(tx))
        return [(e.code_meaning, e.value, e.unit, e.status) for e in found]

    def documents(self):
        with self.database.transaction() as tx:
            found = external.documents_of(tx, READER, self._key(tx))
            return [
                (
                    each.document_id,
                    each.version,
                    each.status,
                    external.document_content(tx, SYSTEM, each.document_key, now=utc_now()).content,
                )
                for each in found
            ]


@pytest.fixture
def talk(database):
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, LAB, now=utc_now())
    with listening(database, ServerOptions(port=0)) as port:
        yield Talk(port, database)


def obr(status="F", number="LAB1", code="24323-8^Renal panel^LN"):
    return f"OBR|1||{number}|{code}|||20260302110000{'|' * 18}{status}"


def egfr(value, status, number="NM"):
    unit = "mL/min/{1.73_m2}"
    return f"OBX|1|{number}|33914-3^eGFR^LN||{value}|{unit}|>60|L|||{status}|||20260302110000"


def test_a_value_is_kept_and_corrected_and_never_goes_back_unsaid(talk):
    talk("ORU^R01^ORU_R01", obr("P"), egfr("44", "P"))
    assert talk.values() == [("eGFR", "44", "mL/min/{1.73_m2}", "preliminary")]
    talk("ORU^R01^ORU_R01", obr(), egfr("", "U"))  # final now, not sent again
    assert talk.values() == [("eGFR", "44", "mL/min/{1.73_m2}", "final")]
    answer = talk("ORU^R01^ORU_R01", obr("P"), egfr("30", "P"), expected="AE")
    assert str(answer.segment("ERR")[2]) == "OBR^1^25"
    talk("ORU^R01^ORU_R01", obr("P"), egfr("31", "P"), at="20260302110000")  # late: no news
    assert talk.values()[0][1] == "44"
    talk("ORU^R01^ORU_R01", obr("C"), egfr("^>^60", "C", "SN").replace("|^>", "|>"))
    assert talk.values()[0][1::2] == (">60", "corrected")
    talk("ORU^R01^ORU_R01", obr("C"), egfr("", "W"))
    assert talk.values() == []
    answer = talk("ORU^R01^ORU_R01", obr("Q"), egfr("1", "F"), expected="AE")
    assert str(answer.segment("ERR")[3][0][0]) == "103"
    answer = talk("ORU^R01^ORU_R01", obr(number=""), egfr("1", "F"), expected="AE")
    assert str(answer.segment("ERR")[2]) == "OBR^1^3"


def test_reports_are_documents_with_versions(talk):
    lines = ["OBX|1|TX|18748-4^Report^LN||Chest CT.", "OBX|2|TX|18748-4^Report^LN||No nodule."]
    talk("ORU^R01^ORU_R01", obr("P", "EXT1", "71250^CT chest^CPT"), *lines)
    assert talk.documents() == [("EXT1", 1, "preliminary", b"Chest CT.\nNo nodule.")]
    talk("ORU^R01^ORU_R01", obr("P", "EXT1", "71250^CT chest^CPT"), *lines)
    assert len(talk.documents()) == 1
    encoded = base64.b64encode(PDF).decode()
    pdf = f"OBX|1|ED|18748-4^Report^LN||^application^pdf^Base64^{encoded}||||||F"
    talk("ORU^R01^ORU_R01", obr("F", "EXT1", "71250^CT chest^CPT"), pdf)
    assert talk.documents() == [("EXT1", 2, "final", PDF)]
    talk("ORU^R01^ORU_R01", obr("X", "EXT1", "71250^CT chest^CPT"))
    assert talk.documents() == []


def test_documents_of_mdm_are_replaced_and_cancelled(talk):
    def txa(number, status="AU", parent=""):
        return f"TXA|1|DI^Discharge letter|TX|20260302||||||||{number}|{parent}||||{status}"

    text = "OBX|1|TX|11506-3^Note^LN||Went home."
    talk("MDM^T02^MDM_T02", "PV1|1|I", txa("D1", "IP"), text)
    assert talk.documents() == [("D1", 1, "preliminary", b"Went home.")]
    talk("MDM^T03^MDM_T01", "PV1|1|I", txa("D1"))
    assert talk.documents() == [("D1", 2, "final", b"Went home.")]
    talk("MDM^T10^MDM_T02", "PV1|1|I", txa("D2", parent="D1"), text.replace("home", "back"))
    assert talk.documents() == [("D2", 1, "final", b"Went back.")]
    talk("MDM^T11^MDM_T01", "PV1|1|I", txa("D2"))
    assert talk.documents() == []
    assert str(talk("MDM^T02^MDM_T02", txa(""), expected="AE").segment("ERR")[2]) == "TXA^1^12"


def test_charges_and_accounts_are_on_record(talk):
    talk("DFT^P03^DFT_P03", "FT1|1|T1||20260302|20260302|CG|71045^Chest^C4")
    talk("BAR^P01^BAR_P01", "PV1|1|I|WARD^1^A||||||||||||||||V77")
    with talk.database.read() as tx:
        key = identity.find(tx, "P1").patient_key
        assert [each.visit_number for each in identity.visits_of(tx, key)] == ["V77"]
        found = peers.search_messages(tx, SYSTEM, MessageFilter(patient_id="P1"))
    assert [each.effect.partition(":")[0] for each in found] == ["account noted", "charges noted"]
