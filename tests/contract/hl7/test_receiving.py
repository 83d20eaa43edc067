"""Receiving over real sockets from python-hl7 and raw senders, into a real database."""

import asyncio
import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import hl7
import pytest
from hl7.client import MLLPClient
from hl7.mllp import open_hl7_connection

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.gateways.hl7.connection import ConnectionLimits
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.db import DatabaseUnavailable
from isocenter.readmodels import interface_health
from isocenter.standards.hl7v2.ack import parse_ack
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import FS_CR, VT, order, parse, read_frames, registration, send

SYSTEM = Actor.system("test")
KINDS = frozenset({"adt", "orm", "siu", "oru", "mdm", "dft", "bar"})
EVERYTHING = Hl7Peer("EHR", "127.0.0.1", receive=KINDS)
LIMITS = ConnectionLimits(message_bytes_max=2**20, missing_end_grace_s=0.2, stall_timeout_s=2.0)


def add_peer(database, peer=EVERYTHING):
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, peer, now=utc_now())


@pytest.fixture
def port(database):
    add_peer(database)
    with listening(database, ServerOptions(port=0, limits=LIMITS)) as number:
        yield number


def code(answer: bytes) -> str:
    return str(parse(answer).segment("MSA")[1])


def errors(answer: bytes) -> list[tuple[str, str]]:
    found = parse(answer).segments("ERR")
    return [(str(err[2]), str(err[3][0][0])) for err in found]


def one(port: int, message: bytes, **options) -> bytes:
    [answer] = send(port, message, **options)
    return answer


def messages(database, **wanted):
    with database.transaction() as tx:
        found = peers.search_messages(tx, SYSTEM, MessageFilter(**wanted))
        return [peers.message(tx, SYSTEM, each.message_key, now=utc_now()) for each in found]


def exam(database, accession: str):
    with database.read() as tx:
        return orders.exam(tx, accession)


def patient(database, value: str):
    with database.read() as tx:
        return identity.find(tx, value)


def test_python_hl7_client_registers_a_patient(database, port):
    with MLLPClient("127.0.0.1", port) as client:
        answer = client.send_message(
            hl7.parse(registration("P1", "Phantom^Ada", control_id="1").decode())
        )
    acknowledgement = hl7.parse(answer.strip(b"\x0b\x1c\r").decode())
    assert (str(acknowledgement.segment("MSA")[1]), str(acknowledgement.segment("MSA")[2])) == (
        "AA",
        "1",
    )
    assert str(acknowledgement.segment("MSH")[9]) == "ACK^A04^ACK"
    assert patient(database, "P1").person_name == "Phantom^Ada"


def test_python_hl7_stream_gets_answers_in_order(port):
    async def talk():
        reader, writer = await open_hl7_connection("127.0.0.1", port)
        for number in range(20):
            writer.writemessage(
                hl7.parse(
                    registration(f"S{number}", "Phantom^Seq", control_id=f"c{number}").decode()
                )
            )
        await writer.drain()
        answers = [await reader.readmessage() for _ in range(20)]
        writer.close()
        return [str(answer.segment("MSA")[2]) for answer in answers]

    assert asyncio.run(talk()) == [f"c{number}" for number in range(20)]


def test_one_byte_packets(database, port):
    message = registration("P2", "Phantom^Byte", control_id="2")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in VT + message + FS_CR:
            connection.sendall(bytes([byte]))
        [answer] = read_frames(connection, count=1)
    assert code(answer) == "AA"
    assert patient(database, "P2") is not None


def test_many_frames_in_one_packet_with_junk_between(port):
    frames = b"".join(
        b"\r\n" + VT + registration(f"J{n}", "Phantom^Junk", control_id=f"j{n}") + FS_CR
        for n in range(5)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"junk" + frames)
        answers = read_frames(connection, count=5)
    assert [(code(a), str(parse(a).segment("MSA")[2])) for a in answers] == [
        ("AA", f"j{n}") for n in range(5)
    ]


def test_missing_carriage_return_is_answered_while_the_peer_waits(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for number in range(2):
            connection.sendall(
                VT + registration(f"M{number}", "Phantom^M", control_id=f"m{number}") + b"\x1c"
            )
            [answer] = read_frames(connection, count=1)
            assert str(parse(answer).segment("MSA")[2]) == f"m{number}"


def test_half_closed_sender_still_gets_its_answer(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(VT + registration("H1", "Phantom^Half", control_id="h") + b"\x1c")
        connection.shutdown(socket.SHUT_WR)
        [answer] = read_frames(connection, count=1)
    assert code(answer) == "AA"


def test_cut_message_is_not_applied(database, port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(VT + registration("CUT", "Phantom^Cut", control_id="h"))
        connection.shutdown(socket.SHUT_WR)
        assert read_frames(connection, count=1) == []
    assert patient(database, "CUT") is None


def test_two_messages_torn_into_one_block_are_refused(database, port):
    torn = (
        registration("T1", "Phantom^Torn", control_id="t1")
        + VT
        + registration("T2", "Phantom^T", control_id="t2")
    )
    answer = one(port, torn)
    assert (code(answer), errors(answer)) == ("AR", [("MSH^2", "100")])
    assert patient(database, "T1") is None


def test_oversized_message_is_rejected_and_the_connection_closed(port):
    big = registration("B1", "Phantom^Big", control_id="big") + b"OBX|1|ED|||" + b"A" * 2**21
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(VT + big + FS_CR)
        answers = read_frames(connection, count=1)
    assert [(code(a), str(parse(a).segment("MSA")[2])) for a in answers] == [("AR", "big")]
    assert code(one(port, registration("B2", "Phantom^B", control_id="b2"))) == "AA"


def test_large_message_within_the_limit(port):
    document = (
        registration("D1", "Phantom^Doc", control_id="d1")
        + b"OBX|1|ED|PDF||^AP^PDF^Base64^"
        + b"QUJD" * 250_000
    )
    assert code(one(port, document)) == "AA"


def test_not_mllp_is_closed(port):
    address = ("127.0.0.1", port)
    with (
        socket.create_connection(address, timeout=20) as connection,
        pytest.raises(OSError, match=r"reset|pipe"),
    ):
        for _ in range(100):
            connection.sendall(b"GET / HTTP/1.1\r\n" * 1000)
            time.sleep(0.01)


@pytest.mark.parametrize("body", [b"", b"hello", b"PID|1", b"MSH|", b"\x00\xff\xfe"])
def test_garbage_gets_one_rejection_and_the_connection_lives_on(port, body):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            VT + body + FS_CR + VT + registration("G", "Phantom^G", control_id="g") + FS_CR
        )
        answers = read_frames(connection, count=2)
    assert [code(answer) for answer in answers] == ["AR", "AA"]


def test_same_message_again_gets_the_stored_answer(database, port):
    first = registration("R1", "Phantom^Once", control_id="r1", stamp="20240101120000")
    answer = one(port, first)
    again = first.replace(b"|20240101120000||", b"|20240101120500||")
    assert one(port, again) == answer
    assert len(messages(database, control_id="r1")) == 1


def test_repeated_order_is_answered_as_before_even_when_cancelled_since(port):
    placed = order("R6", "Phantom^Twice", control_id="r6", placer="PL6", accession="ACC6")
    answer = one(port, placed)
    one(port, order("R6", "Phantom^Twice", control_id="r7", placer="PL6", control="CA"))
    assert one(port, placed) == answer


def test_same_message_over_many_connections_at_once_has_one_effect(database, port):
    message = registration("R8", "Phantom^Race", control_id="r8", stamp="20240101120000")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: one(port, message), range(8)))
    assert len(set(answers)) == 1
    assert len(messages(database, control_id="r8")) == 1


def test_same_id_with_another_body_is_another_message(database, port):
    one(port, registration("R2", "Phantom^Before", control_id="r2", stamp="20240101120000"))
    answer = one(port, registration("R2", "Phantom^After", control_id="r2", stamp="20240101120001"))
    assert code(answer) == "AA"
    assert patient(database, "R2").person_name == "Phantom^After"
    after, before = messages(database, control_id="r2")
    assert (before.control_id_reused, after.control_id_reused) == (False, True)
    assert [each.message_key for each in messages(database, control_id_reused=True)] == [
        after.message_key
    ]
    with database.read() as tx:
        viewer = Viewer.of(SYSTEM, Action.PEER_READ)
        health = interface_health.interfaces(tx, viewer, now=utc_now())
    assert sum(each.control_ids_reused for each in health) == 1


def test_messages_without_control_id_are_all_processed(database, port):
    for name in ("A", "B", "A"):
        assert code(one(port, registration("R3", f"Phantom^{name}", control_id=""))) == "AA"
        time.sleep(1.1)
    assert patient(database, "R3").person_name == "Phantom^A"


def test_refused_message_may_succeed_when_sent_again(database, port):
    cancel = order("R4", "Phantom^Later", control_id="r4", placer="PL4", control="CA")
    answer = one(port, cancel)
    assert (code(answer), parse_ack(answer).error_codes) == ("AE", (204,))
    one(port, order("R4", "Phantom^Later", control_id="r5", placer="PL4", accession="ACC4"))
    assert code(one(port, cancel)) == "AA"
    assert exam(database, "ACC4").order.state == "cancelled"
    assert not any(each.control_id_reused for each in messages(database, control_id="r4"))


def test_order_is_placed_with_its_numbers(database, port):
    answer = one(
        port,
        order(
            "O1",
            "Phantom^Order",
            control_id="o1",
            placer="PL1",
            accession="ACC1",
            study_uid="1.2.3.4",
            station="CT1",
            start="20240301093000",
        ),
    )
    assert code(answer) == "AA"
    found = exam(database, "ACC1")
    assert (found.order.placer_order_number, found.order.placer_namespace) == ("PL1", "EHR")
    assert found.procedures[0].study_instance_uid == "1.2.3.4"
    [recorded] = messages(database, control_id="o1")
    assert (recorded.accession_number, recorded.patient_id, recorded.acknowledgement_code) == (
        "ACC1",
        "O1",
        "AA",
    )
    assert recorded.acknowledgement == answer
    assert "Phantom" not in recorded.effect


def test_order_without_numbers_gets_them(database, port):
    assert code(one(port, order("O2", "Phantom^Order", control_id="o2", placer="PL2"))) == "AA"
    [recorded] = messages(database, control_id="o2")
    found = exam(database, recorded.accession_number)
    assert re.fullmatch(r"I\d{8}", recorded.accession_number)
    assert found.procedures[0].study_instance_uid


def test_change_and_cancel(database, port):
    one(port, order("O3", "Phantom^Order", control_id="o3", placer="PL3", accession="ACC3"))
    one(
        port,
        order(
            "O3",
            "Phantom^Order",
            control_id="o4",
            placer="PL3",
            control="XO",
            accession="ACC3",
            modality="MR",
        ),
    )
    assert (
        code(one(port, order("O3", "Phantom^Order", control_id="o5", placer="PL3", control="CA")))
        == "AA"
    )
    assert exam(database, "ACC3").order.state == "cancelled"


def test_merge_and_self_merge(database, port):
    one(port, registration("OLD", "Phantom^Merged", control_id="g1"))
    one(port, registration("NEW", "Phantom^Merged", control_id="g2"))
    merge = registration("NEW", "Phantom^Merged", control_id="g3", event="A40", merged="OLD")
    assert code(one(port, merge)) == "AA"
    assert patient(database, "OLD").patient_key == patient(database, "NEW").patient_key
    answer = one(
        port, registration("NEW", "Phantom^Merged", control_id="g4", event="A40", merged="NEW")
    )
    assert (code(answer), errors(answer)) == ("AE", [("MRG^1^1", "205")])


@pytest.mark.parametrize(
    ("old", "new", "answer_code", "error"),
    [
        (b"ADT^A04^ADT_A01", b"ADT^A20^ADT_A20", "AR", ("MSH^1^9^1^2", "201")),
        (b"ADT^A04^ADT_A01", b"OML^O21", "AR", ("MSH^1^9^1^1", "200")),
        (b"ADT^A04^ADT_A01", b"", "AR", ("MSH^1^9^1^1", "200")),
        (b"ADT^A04^ADT_A01", b"ADT^A40", "AE", ("MRG^1", "100")),
        (b"ADT^A04^ADT_A01", b"OMI^O23", "AE", ("ORC^1", "100")),
        (b"|P|2.5.1", b"|X|2.5.1", "AR", ("MSH^1^11", "202")),
        (b"|P|2.5.1", b"|P|3.0", "AR", ("MSH^1^12", "203")),
        (b"PID|1||", b"PID|1||~^^^X&&", "AE", ("PID^1^3", "101")),
    ],
)
def test_refusals(port, old, new, answer_code, error):
    message = (
        registration("", "Phantom^No", control_id="n1").replace(b"^^^HOSP^MR", b"")
        if b"PID" in old
        else registration("N1", "Phantom^No", control_id="n1")
    )
    answer = one(port, message.replace(old, new))
    if error[1] == "203":
        # 3.0 is no version of which the ERR layout is known: the newest is used.
        assert parse_ack(answer).error_codes == (203,)
    assert (code(answer), errors(answer)) == (answer_code, [error])


@pytest.mark.parametrize("as_file", [False, True])
def test_batch_is_answered_by_a_batch(port, as_file):
    """And a file by a file. The answer names what it answers, with sender and receiver swapped."""
    inside = b"".join(
        registration(f"X{n}", "Phantom^Batch", control_id=f"x{as_file:d}{n}") for n in range(3)
    )
    sent = b"BHS|^~\\&|EHR|H|RIS|R|20260302||||B7\r" + inside + b"BTS|3\r"
    if as_file:
        sent = b"FHS|^~\\&|EHR|H|RIS|R|20260302||||F9\r" + sent + b"FTS|1\r"
    answer = one(port, sent)
    lines = [line.decode().split("|") for line in answer.split(b"\r")]
    envelope = {line[0]: line for line in lines if line[0][:3] in {"FHS", "BHS", "BTS", "FTS"}}
    assert list(envelope) == (["FHS", "BHS", "BTS", "FTS"] if as_file else ["BHS", "BTS"])
    for name, control_id in [("FHS", "F9"), ("BHS", "B7")][not as_file :]:
        assert envelope[name][2:6] == ["RIS", "R", "EHR", "H"]
        assert envelope[name][11] == control_id != envelope[name][10]
    assert envelope["BTS"] == ["BTS", "3"]
    assert re.findall(rb"MSA\|(AA)\|x\d(\d)", answer) == [
        (b"AA", b"0"),
        (b"AA", b"1"),
        (b"AA", b"2"),
    ]


def test_unknown_address_is_closed_and_noted(database):
    add_peer(database, Hl7Peer("ELSEWHERE", "192.0.2.1", receive=frozenset({"adt"})))
    options = ServerOptions(port=0, limits=LIMITS)
    with listening(database, options) as port, contextlib.suppress(ConnectionError):
        assert send(port, registration("U1", "Phantom^Un", control_id="u")) == []
    with database.read() as tx:
        [pending] = peers.pending_callers(tx, SYSTEM)
    assert (pending.protocol, pending.address) == ("hl7", "127.0.0.1")
    assert patient(database, "U1") is None


def test_unknown_application_is_refused_with_103_and_noted(database):
    add_peer(database, Hl7Peer("OTHER", "127.0.0.1", receive=frozenset({"adt"}), application="LAB"))
    with listening(database, ServerOptions(port=0, limits=LIMITS)) as port:
        answer = one(port, registration("U2", "Phantom^Un", control_id="u2"))
    assert (code(answer), errors(answer)) == ("AR", [("MSH^1^3", "103")])
    with database.read() as tx:
        assert [pending.caller for pending in peers.pending_callers(tx, SYSTEM)] == ["EHR"]
    assert patient(database, "U2") is None


def test_what_a_peer_may_not_send_is_refused(database):
    add_peer(database, Hl7Peer("ADTONLY", "127.0.0.1", receive=frozenset({"adt"})))
    with listening(database, ServerOptions(port=0, limits=LIMITS)) as port:
        assert code(one(port, registration("U3", "Phantom^A", control_id="u3"))) == "AA"
        answer = one(port, order("U3", "Phantom^A", control_id="u4", placer="U4", accession="U4"))
    assert (code(answer), parse_ack(answer).error_codes) == ("AR", (200,))
    assert exam(database, "U4") is None


@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("", "", "AA", "AR"),
        ("AL", "NE", "CA", "CR"),
        ("NE", "AL", "AA", "AR"),
        ("AL", "ER", "CA", "AR"),
        ("NE", "NE", "AA", "AR"),
        ("ER", "NE", "AA", "CR"),
    ],
)
def test_enhanced_mode_and_always_one_answer(port, accept, application, good, bad):
    tail = f"|||{accept}|{application}\r".encode()
    message = registration("E1", "Phantom^E", control_id=f"e{accept}{application}").replace(
        b"2.5.1\r", b"2.5.1" + tail
    )
    assert code(one(port, message)) == good
    assert code(one(port, message.replace(b"ADT^A04^ADT_A01", b"OML^O21"))) == bad


def test_database_outage_is_answered_and_nothing_is_lost(database, port):
    message = registration("DB1", "Phantom^Away", control_id="db1")
    original = database.transaction

    def away():
        raise DatabaseUnavailable("away")

    database.transaction = away
    try:
        answer = one(port, message)
        assert (code(answer), parse_ack(answer).error_codes) == ("AR", (207,))
    finally:
        database.transaction = original
    assert code(one(port, message)) == "AA"
    assert patient(database, "DB1") is not None


def test_defect_costs_one_message_and_shows_no_patient(database, port, monkeypatch, capsys):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("Phantom^Secret")

    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(identity, "register_all", broken)
            connection.sendall(VT + registration("F1", "Phantom^Secret", control_id="f1") + FS_CR)
            [answer] = read_frames(connection, count=1)
        assert (code(answer), parse_ack(answer).error_codes) == ("AE", (207,))
        connection.sendall(VT + registration("F2", "Phantom^Fine", control_id="f2") + FS_CR)
        [answer] = read_frames(connection, count=1)
    assert code(answer) == "AA"
    [recorded] = messages(database, control_id="f1")
    assert (recorded.acknowledgement_code, recorded.error) == ("AE", "Application internal error")
    output = capsys.readouterr()
    assert "Secret" not in output.err + output.out


def test_silent_and_stalled_connections_are_closed(database):
    add_peer(database)
    limits = ConnectionLimits(idle_timeout_s=0.6, stall_timeout_s=0.3)
    with listening(database, ServerOptions(port=0, limits=limits)) as port:
        for opening in (b"", VT + b"MSH|^~"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(opening)
                with pytest.raises(ConnectionError):
                    if connection.recv(1) == b"":
                        raise ConnectionResetError


def test_connection_limit(database):
    add_peer(database)
    options = ServerOptions(port=0, limits=LIMITS, connections_per_address_max=2)
    with listening(database, options) as port:
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2)]
        time.sleep(0.3)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as third:
            assert third.recv(1) == b""
        held.pop().close()
        time.sleep(0.3)
        assert code(one(port, registration("L1", "Phantom^L", control_id="l1"))) == "AA"
        held.pop().close()


def test_every_real_message_gets_exactly_one_answer(database, port, third_party):
    codes = {}
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for path in sorted((third_party / "hl7").glob("**/*.hl7")):
            connection.sendall(VT + path.read_bytes() + FS_CR)
            answers = read_frames(connection, count=1, quiet_s=0.02)
            assert len(answers) == 1, path.name
            codes[path.name] = code(answers[0])
    assert len(codes) == 61
    refused = {name for name, each in codes.items() if each not in {"AA", "CA"}}
    # A patient without a prior one; a number that nobody had; orders with a group number only.
    incomplete = {"ADT-A45-01.hl7", "ADT-A47-01.hl7", "OMG-O19-01.hl7"}
    assert {name for name in refused if codes[name] == "AE"} == incomplete
    not_ours = ("ADT-A29", "ADT-A60", "IZ_", "VXU", "OML", "OUL", "RDE", "RDS", "REF")
    assert all(name.startswith(not_ours) for name in refused - incomplete)
    assert {codes[name] for name in refused - incomplete} == {"AR"}
    assert len(refused) == 17
    with database.read() as tx:
        assert (
            identity.find(tx, "56789", assigning_authority="BCBS").patient_key
            == identity.find(tx, "12345", assigning_authority="BCBS").patient_key
        )


def test_two_processes_may_share_the_port(database):
    add_peer(database)
    shared = {"limits": LIMITS, "reuse_port": True}
    with (
        listening(database, ServerOptions(port=0, **shared)) as port,
        listening(database, ServerOptions(port=port, **shared)) as again,
    ):
        assert again == port
        for number in range(8):
            message = registration(f"S{number}", "Phantom^Shared", control_id=f"SHARED{number}")
            assert code(send(port, message)[0]) == "AA"
