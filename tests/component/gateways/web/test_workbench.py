"""The HL7 workbench: messages found, explained, compared, done again; interfaces changed safely."""

import asyncio
import socket
import threading
from datetime import timedelta

import pytest

from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.admission import Admission, AdmissionLimits
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.receive import Caller
from isocenter.gateways.hl7.replaying import Replayer
from tests.e2e.hl7_peers import order, registration
from tests.hospital import SYSTEM

EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm"}), application="EHR")


@pytest.fixture
def interface(hospital):
    """Receives messages as the interface does, and does what the worker would."""
    return Interface(hospital)


class Interface:
    def __init__(self, hospital):
        self.hospital = hospital
        with hospital.database.transaction() as tx:
            peers.add_hl7_peer(tx, SYSTEM, EHR, now=hospital.clock())

    def receive(self, *messages):
        """The codes that they are answered with."""

        async def run():
            limits = AdmissionLimits(gathering_s=0)
            clock = self.hospital.clock
            admission = Admission(self.hospital.pool, ReceiveOptions(), clock, limits)
            return [await admission.answer(each, Caller("127.0.0.1", (EHR,))) for each in messages]

        codes = [each.code.value for each in asyncio.run(run())]
        self.work()
        return codes

    def work(self):
        """Keep words, count, and process again what is due."""
        pool, clock = self.hospital.pool, self.hospital.clock
        pool.run_here(lambda tx: peers.keep_words(tx, limit=100, now=clock()))
        pool.run_here(lambda tx: peers.count_traffic(tx, now=clock()))
        return Replayer(pool, ReceiveOptions(), clock)()

    def name_of(self, patient_id):
        with self.hospital.database.read() as tx:
            return identity.find(tx, patient_id).person_name


def an_order(number, **facts):
    named = {"control_id": f"o{number}", "placer": f"PLC-{number}", "accession": f"ACC{number}"}
    return order(f"P{number}", f"Phantom^N{number}", **named, **facts)


def listed(client, **wanted):
    answer = client.get("/api/messages", params=wanted)
    assert answer.status_code == 200, answer.text
    return [each["control_id"] for each in answer.json()["items"]]


def test_messages_are_found_by_order_number_and_by_words(hospital, interface):
    interface.receive(an_order(1), an_order(2), registration("P9", "Phantom^Zoë", control_id="z"))
    root = hospital.program("root")

    assert listed(root, order_number="plc-2") == ["o2"]
    assert listed(root, order_number="PLC") == []
    assert listed(root, text="zo") == ["z"]
    assert listed(root, text="Phantom n") == ["o2", "o1"]
    assert listed(root, text="phantom PLC-1 n1", direction="in") == ["o1"]
    assert listed(root, text="'); drop \\ :* & !") == []
    assert listed(root, text="phantom", direction="out") == []
    assert listed(root, text="---") == []


def test_a_message_is_explained_by_its_fields(hospital, interface):
    interface.receive(an_order(1))
    (found,) = hospital.program("root").get("/api/messages").json()["items"]

    told = hospital.program("root").get(f"/api/messages/{found['message_key']}/meaning").json()

    assert told["facts"]["orders[1].order.accession_number"] == "ACC1"
    said = {each["place"]: each for each in told["influences"]}
    assert said["PID-5"]["facts"] == ["orders[1].patient.person_name"]
    assert said["PID-3"]["required"]
    page = hospital.browser("root").get(f"/messages/{found['message_key']}").text
    assert "sets order 1: patient: person name" in page


def test_a_changed_message_is_compared_with_the_one_before(hospital, interface):
    interface.receive(
        an_order(1), an_order(2), an_order(1).replace(b"^N1", b"^M1").replace(b"o1", b"o3")
    )
    root = hospital.program("root")
    first, _, third = sorted(
        each["message_key"] for each in root.get("/api/messages").json()["items"]
    )

    found = root.get(f"/api/messages/{first}/differences/{third}").json()

    assert {"place": "PID-5", "before": "Phantom^N1", "after": "Phantom^M1"} in found
    page = hospital.browser("root").get(f"/messages/{third}").text
    assert f"/messages/{first}/compare/{third}" in page
    compared = hospital.browser("root").get(f"/messages/{first}/compare/{third}").text
    assert "Phantom^M1" in compared


def test_an_edited_message_is_processed_and_says_why(hospital, interface):
    wrong = an_order(1).replace(b"ORC|NW", b"ORC|ZZ")
    assert interface.receive(wrong) == ["AE"]
    root = hospital.program("root")
    (found,) = root.get("/api/messages", params={"with_error": True}).json()["items"]
    path = f"/api/messages/{found['message_key']}/replay"
    page = hospital.browser("root").get(f"/messages/{found['message_key']}").text
    assert "We do not know a code that it uses" in page
    told = root.get(f"/api/messages/{found['message_key']}").json()
    assert told["mend"].startswith("We do not know a code that it uses")
    assert "MSA|AE|o1" in told["acknowledgement"]

    assert root.post(path, json={"reason": " "}).status_code == 422
    assert hospital.program("fay").post(path, json={"reason": "x"}).status_code == 403
    edited = wrong.replace(b"ORC|ZZ", b"ORC|NW").decode().replace("\r", "\r\n")
    asked = root.post(path, json={"reason": "their code is wrong", "edited": edited})
    assert (asked.status_code, asked.json()) == (202, {"count": 1})
    assert interface.work() == 1
    assert interface.work() == 0

    again = root.get("/api/messages").json()["items"][0]
    assert (again["acknowledgement_code"], again["replay_of"]) == ("AA", found["message_key"])
    assert (again["reason"], again["accession_number"]) == ("their code is wrong", "ACC1")
    assert interface.name_of("P1") == "Phantom^N1"
    assert hospital.audited("message.replay") == [("root", str(found["message_key"]), None)]
    (asked,) = root.get(f"/api/messages/{found['message_key']}/replays").json()
    assert asked["result_key"] == again["message_key"]
    # The sender's own repetition is still answered by what it was told, and is not mistaken for it.
    assert interface.receive(wrong) == ["AE"]


def test_what_is_refused_again_is_done_with(hospital, interface):
    interface.receive(an_order(1).replace(b"ORC|NW", b"ORC|ZZ"))
    root = hospital.program("root")
    (found,) = root.get("/api/messages").json()["items"]
    root.post(f"/api/messages/{found['message_key']}/replay", json={"reason": "again"})

    assert interface.work() == 1

    again = root.get("/api/messages").json()["items"][0]
    assert (again["acknowledgement_code"], again["effect"]) == ("AE", "refused")
    assert again["error"]


def test_many_are_processed_again_at_a_rate_and_can_be_stopped(hospital, interface):
    interface.receive(*(an_order(number) for number in range(1, 5)))
    browser = hospital.browser("root")
    asked = browser.post(
        "/messages/replay", data={"peer": "EHR", "reason": "replayed", "rate_per_s": "1"}
    )
    assert asked.status_code == 303

    assert interface.work() == 1
    assert interface.work() == 0
    hospital.clock.advance(seconds=1)
    assert interface.work() == 1
    assert "2 messages waiting to be processed again" in browser.get("/messages").text
    browser.post("/messages/replay/cancel")
    hospital.clock.advance(seconds=9)
    assert interface.work() == 0
    replayed = [
        each["control_id"]
        for each in hospital.program("root").get("/api/messages").json()["items"]
        if each["replay_of"]
    ]
    assert replayed == ["o2", "o1"]  # the oldest first


def test_the_rate_is_held_after_a_stop_and_what_comes_meanwhile_does_not_wait(hospital, interface):
    interface.receive(*(an_order(number) for number in range(1, 8)))
    keys = [
        each["message_key"]
        for each in hospital.program("root").get("/api/messages").json()["items"]
    ]
    asked = {"message_keys": keys, "reason": "replayed", "rate_per_s": 0.5}
    assert hospital.program("root").post("/api/messages/replay", json=asked).status_code == 202
    assert interface.work() == 1

    hospital.clock.advance(minutes=10)  # nobody processed anything meanwhile
    assert interface.receive(an_order(9)) == ["AA"]  # and one of them is done beside it
    for _ in range(5):
        assert interface.work() == 0
        hospital.clock.advance(seconds=2)
        assert interface.work() == 1
    hospital.clock.advance(seconds=2)
    assert interface.work() == 0


def test_what_went_out_is_not_processed(hospital, interface):
    key = hospital.pool.run_here(
        lambda tx: peers.record_message(
            tx,
            peers.messages.Hl7Message("out", "EHR", "c", "ORU^R01", b"d", b"MSH|^~\\&|"),
            now=hospital.clock(),
        )
    )
    root = hospital.program("root")
    answer = root.post(f"/api/messages/{key}/replay", json={"reason": "x"})
    assert answer.status_code == 409
    interface.receive(an_order(1))
    (known,) = root.get("/api/messages?direction=in").json()["items"]
    for keys, status in (([known["message_key"], key], 409), ([known["message_key"], 10**9], 404)):
        asked = {"message_keys": keys, "reason": "x"}
        assert root.post("/api/messages/replay", json=asked).status_code == status
    assert interface.work() == 0, "all of them or none"


def test_a_draft_is_tried_on_what_was_said_then_promoted_then_taken_back(hospital, interface):
    interface.receive(an_order(1), registration("P9", "Phantom^Zoe", control_id="z"))
    root = hospital.program("root")
    path = "/api/interfaces/EHR/versions"
    assert root.get(path).json() == []

    made = root.post(path, json={"changed": {"receive": ["adt"]}, "note": "orders come by FHIR"})
    assert (made.status_code, made.json()["version"]) == (201, 2)
    tried = root.get(f"{path}/2/trial").json()
    assert tried["received"]["tried"] == 2
    (different,) = tried["received"]["different"]
    assert different["control_id"] == "o1"
    assert different["changes"] == [
        {"path": "answer", "before": "AA", "after": "AR: ORM is not accepted from this sender"}
    ]
    with hospital.database.read() as tx:  # trying changes nothing
        assert peers.hl7_peer(tx, "EHR") == EHR

    assert root.post(f"{path}/2/promote").status_code == 200
    with hospital.database.read() as tx:
        assert peers.hl7_peer(tx, "EHR").receive == {"adt"}
    assert [each["active"] for each in root.get(path).json()] == [True, False]
    assert root.post(f"{path}/1/promote").status_code == 200
    with hospital.database.read() as tx:
        assert peers.hl7_peer(tx, "EHR") == EHR
    assert root.delete(f"{path}/2").status_code == 404  # it counted once: it stays on record
    assert root.post(path, json={"changed": {"name": "OTHER"}}).status_code == 422
    assert root.post(path, json={"changed": {"port": 99999}}).status_code == 422
    assert root.get(f"{path}/7/trial").status_code == 404


def test_what_a_map_would_have_read_otherwise_is_told_before_it_counts(hospital, interface):
    interface.receive(an_order(1))
    root = hospital.program("root")
    path = "/api/interfaces/EHR/versions"
    changed = {"received_map": '"PID-5.1" = { codes = { Phantom = "Ghost" } }'}
    assert root.post(path, json={"changed": changed}).status_code == 201
    (different,) = root.get(f"{path}/2/trial").json()["received"]["different"]
    assert {(each["before"], each["after"]) for each in different["changes"]} == {
        ("Phantom^N1", "Ghost^N1")
    }
    page = hospital.browser("root").get("/interfaces/EHR/versions/2").text
    assert "Ghost^N1" in page
    wrong = root.post(path, json={"changed": {"received_map": '"MSH-3" = "X"'}})
    assert wrong.status_code == 422
    root.post(f"{path}/2/promote")
    key = root.get("/api/messages").json()["items"][0]["message_key"]
    told = root.get(f"/api/messages/{key}/meaning").json()
    assert told["facts"]["orders[1].patient.person_name"] == "Ghost^N1"
    said = {each["place"]: each["facts"] for each in told["influences"]}
    assert said["PID-5"] == ["orders[1].patient.person_name"]


def test_reports_are_written_both_ways(hospital):
    hospital.recipient()
    number = hospital.order(1)
    hospital.scan(number, 1)
    hospital.quiet()
    ada = hospital.program("ada")
    made = ada.post("/api/reports", json={"accession_number": number, "text": "No finding."})
    assert ada.post(f"/api/reports/{made.json()['report_id']}/sign").status_code == 200
    hospital.dispatcher.run_once()
    with hospital.database.transaction() as tx:
        tx.run("update distribution.delivery set state = 'acknowledged'")
    root = hospital.program("root")
    root.post("/api/interfaces/ehr/versions", json={"changed": {"version": "2.3.1"}})

    tried = root.get("/api/interfaces/ehr/versions/2/trial")
    assert tried.status_code == 200, tried.text
    sent = tried.json()["sent"]

    assert sent["tried"] == 1
    places = {each["path"]: each for each in sent["different"][0]["changes"]}
    assert places["MSH-12"]["after"] == "2.3.1"
    assert places["MSH-9"]["after"] == "ORU^R01"


def test_golden_messages_are_verified(hospital, interface):
    interface.receive(an_order(1))
    root = hospital.program("root")
    (found,) = root.get("/api/messages").json()["items"]
    kept = root.post("/api/interfaces/EHR/golden", json={"message_key": found["message_key"]})
    assert kept.status_code == 201
    assert root.get("/api/interfaces/EHR/verification").json() == {"tried": 1, "different": []}

    changed = {"assigning_authority": "ELSEWHERE", "application": "NEW"}
    root.post("/api/interfaces/EHR/versions", json={"changed": changed})
    root.post("/api/interfaces/EHR/versions/2/promote")

    (different,) = root.get("/api/interfaces/EHR/verification").json()["different"]
    assert different["changes"][0]["after"].startswith("AR: Sending Application")
    assert root.delete(f"/api/interfaces/EHR/golden/{kept.json()['key']}").status_code == 204
    assert root.get("/api/interfaces/EHR/golden").json() == []


def test_health_tells_last_messages_errors_and_silence(hospital, interface):
    start = hospital.clock()
    with hospital.database.transaction() as tx:
        tx.run(
            "insert into peers.traffic select 'EHR', 'in', date_trunc('hour', %s::timestamptz)"
            " - n * interval '1 hour', 60, 0 from generate_series(1, 600) n",
            (start,),
        )
    interface.receive(an_order(1), an_order(2).replace(b"ORC|NW", b"ORC|ZZ"))

    (now,) = hospital.program("root").get("/api/interfaces").json()
    assert (now["received_errors"], now["silent_since"]) == (1, None)
    hospital.clock.advance(minutes=20)
    (later,) = hospital.program("root").get("/api/interfaces").json()
    assert later["silent_since"] is not None
    page = hospital.browser("root").get("/interfaces").text
    assert "Silent" in page
    assert hospital.browser("root").get("/interfaces/EHR").status_code == 200


@pytest.mark.parametrize("code", ["AA", "AE"])
def test_a_message_sent_by_hand_is_kept_with_its_answer(hospital, code):
    receiver = OneAnswer(code)
    peer = Hl7Peer("LAB", "127.0.0.1", receiver.port, send=frozenset({"oru"}), ack_timeout_s=5.0)
    with hospital.database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, peer, now=hospital.clock())
    root = hospital.program("root")
    body = {"message": registration("P1", "Phantom^Ada", control_id="x").decode(), "reason": "try"}

    key = root.post("/api/interfaces/LAB/send", json=body).json()["key"]

    sent = root.get(f"/api/messages/{key}").json()
    assert (sent["direction"], sent["acknowledgement_code"]) == ("out", code)
    assert bool(sent["error"]) is (code == "AE")
    page = hospital.browser("root").get(f"/messages/{key}").text
    assert 'action="/interfaces/LAB/send"' in page  # edited, and sent again
    fields = receiver.received.split(b"\r")[0].split(b"|")
    assert fields[9].decode() == sent["control_id"] != "x"
    assert fields[10] == b"T"
    assert hospital.audited("message.send") == [("root", str(key), "P1")]
    assert root.post("/api/interfaces/LAB/send", json={**body, "message": "x"}).status_code == 422
    assert root.post("/api/interfaces/LAB/send", json={**body, "reason": ""}).status_code == 422


@pytest.mark.parametrize(
    "named",
    [
        "ORC|SC|PLC-4^EHR\rOBR|1|PLC-4^EHR",  # by the placer's number alone
        "ORC|SC|||\rOBR|1|||||||||||||||||ACC4",
        "ORC|SC||ACC4\rOBR|1||ACC4",  # as we fill orders that have no other number
    ],
)
def test_a_message_sent_by_hand_is_found_by_patient_exam_and_order(hospital, interface, named):
    receiver = OneAnswer("AA")
    peer = Hl7Peer("LAB", "127.0.0.1", receiver.port, send=frozenset({"orm"}), ack_timeout_s=5.0)
    with hospital.database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, peer, now=hospital.clock())
    interface.receive(an_order(4))
    root = hospital.program("root")
    header = "MSH|^~\\&|I|R|LAB|L|20261122||ORM^O01|x|P|2.5.1"
    written = f"{header}\rPID|1||P4^^^HOSP^MR||Phantom^N4\r{named}\r"

    body = {"message": written, "reason": "told again"}
    key = root.post("/api/interfaces/LAB/send", json=body).json()["key"]
    interface.work()

    sent = root.get(f"/api/messages/{key}").json()["control_id"]
    assert listed(root, patient_id="P4", direction="out") == [sent]
    assert listed(root, accession_number="ACC4", direction="out") == [sent]
    if "PLC-4" in named:
        assert listed(root, order_number="PLC-4", direction="out") == [sent]


class OneAnswer:
    """A receiver that answers one message."""

    def __init__(self, code):
        self.code, self.received = code, b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        connection, _ = self.socket.accept()
        with connection:
            data = b""
            while not data.endswith(b"\x1c\r"):
                data += connection.recv(65536)
            self.received = data.strip(b"\x0b\x1c\r")
            control_id = self.received.split(b"|")[9]
            ack = b"MSH|^~\\&|L|L|I|I|20261122||ACK|1|P|2.5.1\rMSA|%s|%s\r"
            connection.sendall(b"\x0b" + ack % (self.code.encode(), control_id) + b"\x1c\r")


def test_words_of_messages_that_committed_late_are_kept(hospital, interface):
    interface.receive(an_order(1), an_order(2), an_order(3))
    with hospital.database.transaction() as tx:
        first = tx.value("select min(message_key) from peers.message")
        tx.run("delete from peers.message_words where message_key = %s", (first,))

    assert listed(hospital.program("root"), text="n1") == []
    interface.work()

    assert listed(hospital.program("root"), text="n1") == ["o1"]
    hospital.clock.advance(minutes=6)
    with hospital.database.read() as tx:
        left = peers.messages.store.without_words(
            tx, before=hospital.clock() - timedelta(minutes=5), limit=9
        )
    assert left == []


def test_a_short_look_back_leaves_what_committed_late_to_a_longer_one(hospital, interface):
    interface.receive(an_order(1), an_order(2))
    with hospital.database.transaction() as tx:
        first = tx.value("select min(message_key) from peers.message")
        tx.run("delete from peers.message_words where message_key = %s", (first,))
    hospital.clock.advance(seconds=10)
    interface.receive(an_order(3))  # the words of its neighbours are kept already

    def kept(**looking_back):
        return hospital.pool.run_here(
            lambda tx: peers.keep_words(tx, limit=9, now=hospital.clock(), **looking_back)
        )

    with hospital.database.transaction() as tx:
        tx.run("delete from peers.message_words where message_key = %s", (first,))
    assert kept(looking_back=timedelta(seconds=5)) == 0
    assert kept() == 1
