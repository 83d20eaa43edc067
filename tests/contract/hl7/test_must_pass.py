"""Cases of the must-pass list that no other file has: large, late, final again, and slots."""

import base64
import socket

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.reporting import service_external as external
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import ScheduledReference
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.outbox import Dispatcher
from tests.builders import viewer
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import FS_CR, VT, order, parse
from tests.exam_story import MODALITY, a_step_start

SYSTEM = Actor.system("test")
EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm", "oru", "siu"}))
READER = viewer(Action.REPORT_READ)


class Talk:
    def __init__(self, port, database):
        self.port, self.database, self.count = port, database, 0

    def say(self, message: bytes):
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            connection.sendall(VT + message + FS_CR)
            answer = b""
            while not answer.endswith(FS_CR):
                answer += connection.recv(65536)
        return parse(answer[len(VT) : -len(FS_CR)])

    def result(self, status: str, observation: bytes, *, number="EXT1", message_type=b"ORU^R01"):
        self.count += 1
        head = b"MSH|^~\\&|LAB|HOSPITAL|ISOCENTER|RAD|202603021200%02d||%s^ORU_R01|f%d|P|2.5.1"
        return self.say(
            b"\r".join([
                head % (self.count, message_type, self.count),
                b"PID|1||P1^^^HOSP^MR||Phantom^Ada",
                f"OBR|1||{number}|71250^CT chest^CPT|||20260302110000{'|' * 18}{status}".encode(),
                observation,
                b"",
            ])
        )

    def documents(self):
        with self.database.transaction() as tx:
            key = identity.find(tx, "P1").patient_key
            found = external.documents_of(tx, READER, key)
            contents = [
                external.document_content(tx, SYSTEM, each.document_key, now=utc_now()).content
                for each in found
            ]
        return [(e.version, e.status, c) for e, c in zip(found, contents, strict=True)]


@pytest.fixture
def talk(make_database):
    database = make_database(router=router())
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, EHR, now=utc_now())
    with listening(database, ServerOptions(port=0)) as port:
        yield Talk(port, database)


def code(answer) -> str:
    return str(answer.segment("MSA")[1])


def test_a_pdf_of_40_mb_is_kept_whole(talk):
    pdf = b"%PDF-1.4" + bytes(range(256)) * (40 * 2**20 // 256)
    observation = b"OBX|1|ED|18748-4^Report^LN||^application^pdf^Base64^" + base64.b64encode(pdf)
    answer = talk.result("F", observation + b"||||||F")
    assert code(answer) == "AA"
    [(version, status, content)] = talk.documents()
    assert (version, status, content == pdf) == (1, "final", True)


def test_a_final_result_over_a_final_one_is_a_new_version_and_the_same_again_is_none(talk):
    first = b"OBX|1|TX|18748-4^Report^LN||No nodule.||||||F"
    assert code(talk.result("F", first)) == "AA"
    assert code(talk.result("F", first)) == "AA"
    assert talk.documents() == [(1, "final", b"No nodule.")]
    assert code(talk.result("F", first.replace(b"No", b"One"))) == "AA"
    [(version, _, content)] = talk.documents()
    assert (version, content) == (2, b"One nodule.")


def test_an_order_is_not_cancelled_while_its_performed_step_is_in_progress(talk):
    placed = order("P1", "Phantom^Ada", control_id="o1", placer="PL1", accession="INPROG")
    assert code(talk.say(placed)) == "AA"
    with talk.database.transaction() as tx:
        [procedure] = orders.exam(tx, "INPROG").procedures
        reference = ScheduledReference(
            procedure.study_instance_uid, "INPROG", procedure.requested_procedure_id
        )
        worklist.start(tx, MODALITY, a_step_start("2.9", reference, at=utc_now()), now=utc_now())
    Dispatcher(talk.database, talk.database.router, clock=utc_now, workers=1).run_once()
    cancelling = order("P1", "Phantom^Ada", control_id="o2", placer="PL1", control="CA")
    answer = talk.say(cancelling.replace(b"|P|2.3.1", b"|P|2.5.1"))
    assert code(answer) == "AE"
    assert str(answer.segment("ERR")[5][0][0]) == "UC"
    with talk.database.transaction() as tx:
        assert orders.exam(tx, "INPROG").order.state == "in_progress"
        assert [each.status for each in scheduling.steps_of(tx, "INPROG")] == ["STARTED"]


@pytest.mark.parametrize("event", ["S23", "S24"])
def test_slots_that_are_closed_and_opened_are_refused_and_touch_no_appointment(talk, event):
    """There is no book of slots: who would close one must learn that it stays open."""
    schedule = "SCH|A1|F1||||BLOCKED||||||^^^20260305093000" + "|" * 14 + "Blocked"
    message = (
        f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|20260302120000||SIU^{event}^SIU_S12|{event}|P|2.5.1"
        f"\r{schedule}\rRGS|1|A\rAIL|1|A|CT^1\r"
    )
    answer = talk.say(message.encode())
    assert code(answer) == "AR"
    assert str(answer.segment("ERR")[3][0][0]) == "201"
    with talk.database.read() as tx:
        assert tx.value("select count(*) from scheduling.appointment") == 0
