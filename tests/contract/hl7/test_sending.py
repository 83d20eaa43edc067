"""Sending signed reports to receivers that are not ours: honest, slow, lying and absent ones."""

import asyncio
import itertools
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import hl7
import pytest
import uvloop
from hl7.mllp import start_hl7_server

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import Code, OrderFacts, ProcedureFacts, StepFacts
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7.sender import Hl7Sender, SenderOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.pools import Pool
from tests.contract.hl7.receivers import FS_CR, VT, RawReceiver, accept, acknowledgement

ACTOR = Actor.system("test")
OPTIONS = SenderOptions(
    facility="RAD",
    poll_s=0.02,
    backoff_first_s=0.1,
    backoff_max_s=0.3,
    connect_timeout_s=2,
    stop_grace_s=0.5,
)


def add_peer(database, port, name="EHR", **more):
    values = {"send": frozenset({"oru"}), "ack_timeout_s": 0.5, "application": "EHR", **more}
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, ACTOR, Hl7Peer(name, "127.0.0.1", port, **values), now=utc_now())


def sign(
    database, accession, *, text="Normal head.\nNo fracture | no bleed ^ 5&6\\7.", to=("EHR",)
):
    now = utc_now()
    patient = PatientFacts(
        (PatientIdentifier(f"P-{accession}", "HOSP"),), now, person_name="Phantom^Zoë", sex="F"
    )
    procedure = ProcedureFacts(
        study_instance_uid=f"1.2.{int(accession, 36)}",
        code=Code("CTHEAD", "L", "CT of the head"),
        steps=(StepFacts(modality="CT", start_at=now),),
    )
    facts = OrderFacts(
        now,
        placer_order_number=f"PL{accession}",
        placer_namespace="EHR",
        accession_number=accession,
        procedures=(procedure,),
    )
    with database.transaction() as tx:
        scheduling.place_order(tx, ACTOR, patient, facts, now=now)
        report = reporting.draft(tx, ACTOR, accession, text, now=now)
        reporting.sign(tx, ACTOR, report.report_id, now=now)
        distribution.route(
            tx, to, report_id=report.report_id, version=1, accession_number=accession, now=now
        )
    return report.report_id


def addend(database, report_id, accession, text, *, to=("EHR",)):
    with database.transaction() as tx:
        version = reporting.addend(tx, ACTOR, report_id, text, now=utc_now()).version
        distribution.route(
            tx,
            to,
            report_id=report_id,
            version=version,
            accession_number=accession,
            now=utc_now(),
        )


def deliveries(database):
    with database.read() as tx:
        viewer = Viewer.of(ACTOR, Action.DELIVERY_READ)
        return sorted(distribution.deliveries(tx, viewer), key=lambda each: each.delivery_key)


def states(database):
    return [each.state.value for each in deliveries(database)]


def eventually(condition, timeout_s=15.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def sending(database, options=OPTIONS, *, tls=None):
    pool = Pool(database, threads=4)
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stop = asyncio.Event()
    running = asyncio.run_coroutine_threadsafe(
        Hl7Sender(pool, options, clock=utc_now, tls=tls).run(stop), loop
    )
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        running.result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        pool.close()


@contextmanager
def receiver(database, behave, **peer):
    raw = RawReceiver(behave)
    add_peer(database, raw.port, **peer)
    try:
        yield raw
    finally:
        raw.close()


def test_python_hl7_server_reads_the_report_and_its_answer_is_understood(database):
    received = []

    async def serve(reader, writer):
        while not writer.is_closing():
            try:
                message = await reader.readmessage()
            except asyncio.IncompleteReadError:
                break
            received.append(message)
            writer.writemessage(message.create_ack())
            await writer.drain()

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(
        start_hl7_server(serve, "127.0.0.1", 0, encoding="utf-8"), loop
    ).result(5)
    add_peer(database, server.sockets[0].getsockname()[1])
    sign(database, "A1")
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"])
    [message] = received
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(message.segment("MSH")[18]) == "UNICODE UTF-8"
    assert str(message.segment("PID")[5]) == "Phantom^Zoë^^^^^L"
    assert str(message.segment("OBR")[18]) == "A1"
    assert str(message.segment("OBR")[25]) == "F"
    study, *lines = message.segments("OBX")
    assert (str(study[3]), str(study[5])) == ("113014^DICOM Study^DCM", f"1.2.{int('A1', 36)}")
    assert [message.unescape(str(line[5])) for line in lines] == [
        "Normal head.",
        "No fracture | no bleed ^ 5&6\\7.",
    ]
    with database.read() as tx:
        [logged] = peers.search_messages(tx, ACTOR, MessageFilter(direction="out"))
    assert (logged.acknowledgement_code, logged.accession_number) == ("AA", "A1")
    loop.call_soon_threadsafe(loop.stop)


def test_order_is_kept_over_one_connection(database):
    with receiver(database, accept) as ehr:
        for number in range(8):
            sign(database, f"F{number}")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 8)
        assert [hl7.parse(raw.decode()).segment("OBR")[18][0] for raw in ehr.received] == [
            f"F{n}" for n in range(8)
        ]
        assert ehr.connections == 1


def test_answer_in_single_bytes(database):
    def trickle(connection, message, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in VT + acknowledgement(message) + FS_CR:
            connection.sendall(bytes([byte]))

    with receiver(database, trickle) as ehr:
        sign(database, "B1")
        sign(database, "B2")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 2)
        assert (len(ehr.received), ehr.connections) == (2, 1)


def test_answer_without_final_carriage_return(database):
    with receiver(database, lambda c, m, n: c.sendall(VT + acknowledgement(m) + b"\x1c")) as ehr:
        sign(database, "B3")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"])
        assert len(ehr.received) == 1


def test_late_answer_is_not_credited_to_the_next_message(database):
    """The answer to the first attempt comes after its timeout, on that attempt's connection."""

    def late_once(connection, message, number):
        if number == 1:
            eventually(lambda: len(ehr.received) > 1)
        accept(connection, message, number)

    with receiver(database, late_once) as ehr:
        sign(database, "C1")
        sign(database, "C2")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 2)
        assert ehr.received.count(ehr.received[0]) == 2, "the same bytes are sent again"
        assert len(ehr.received) == 3
        assert ehr.connections == 2


def test_answer_to_another_message_counts_as_none(database):
    def confused_once(connection, message, number):
        answer = acknowledgement(message, control_id=b"OTHER" if number == 1 else b"")
        connection.sendall(VT + answer + FS_CR)

    with receiver(database, confused_once) as ehr:
        sign(database, "D1")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"])
        assert (len(ehr.received), ehr.connections) == (2, 2)
        assert ehr.received[0] == ehr.received[1]


def test_duplicate_answer_is_passed_over(database):
    def twice(connection, message, number):
        accept(connection, message, number)
        accept(connection, message, number)

    with receiver(database, twice) as ehr:
        sign(database, "D2")
        sign(database, "D3")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 2)
        assert (len(ehr.received), ehr.connections) == (2, 1)


@pytest.mark.parametrize(
    ("code", "error", "state", "attempts"),
    [
        ("AE", "207", "refused", 1),
        ("CE", "", "refused", 1),
        ("AR", "200", "refused", 1),
        ("AR", "203", "refused", 1),
        ("CR", "201", "refused", 1),
        ("AR", "207", "acknowledged", 3),
        ("CR", "", "acknowledged", 3),
    ],
)
def test_negative_answers(database, code, error, state, attempts):
    def no_at_first(connection, message, number):
        answer = (
            acknowledgement(message, code, error=error) if number < 3 else acknowledgement(message)
        )
        connection.sendall(VT + answer + FS_CR)

    with receiver(database, no_at_first) as ehr:
        sign(database, "E1")
        with sending(database):
            eventually(lambda: states(database) == [state])
            time.sleep(0.3)
        assert len(ehr.received) == attempts
        assert len(set(ehr.received)) == 1
    if state == "refused":
        assert code in deliveries(database)[0].last_error
    with database.read() as tx:
        (ehr,) = distribution.destinations(tx, Viewer.of(ACTOR, Action.DELIVERY_READ))
    assert (ehr.fault_at is not None) == (state == "refused" and error in {"200", "201", "203"})
    assert ehr.quarantined == (state == "refused")


def test_poison_holds_its_patient_and_nobody_else(database):
    def refuse_first(connection, message, number):
        answer = acknowledgement(message, "AE" if b"|G1|" in message else "AA")
        connection.sendall(VT + answer + FS_CR)

    with receiver(database, refuse_first) as ehr:
        report_id = sign(database, "G1")
        addend(database, report_id, "G1", "Later.")
        sign(database, "G2")
        with sending(database):
            eventually(lambda: "acknowledged" in states(database))
            assert states(database) == ["refused", "queued", "acknowledged"]
            ehr.behave = accept
            with database.transaction() as tx:
                key = deliveries(database)[0].delivery_key
                distribution.skip(tx, ACTOR, key, reason="told them", now=utc_now())
            eventually(lambda: states(database) == ["refused", "acknowledged", "acknowledged"])


@pytest.mark.parametrize("ordering", ["patient", "all"])
def test_a_receiver_that_cannot_take_one_message_now(database, ordering):
    """AR 207 again and again for one patient: with order by patient the others go on."""

    def reject_first(connection, message, number):
        answer = acknowledgement(message, "AR" if b"|G3|" in message else "AA", error="207")
        connection.sendall(VT + answer + FS_CR)

    with receiver(database, reject_first, ordering=ordering) as ehr:
        sign(database, "G3")
        sign(database, "G4")
        with sending(database):
            ehr.wait(4)
            went_on = "acknowledged" in states(database)
            ehr.behave = accept
            eventually(lambda: states(database) == ["acknowledged"] * 2)
    assert went_on == (ordering == "patient")


def test_rate_and_gap_hold_also_what_is_replayed(database):
    refusing = threading.Event()
    times = []

    def answer(connection, message, number):
        times.append(time.monotonic())
        code = "AA" if refusing.is_set() else "AE"
        connection.sendall(VT + acknowledgement(message, code) + FS_CR)

    with receiver(database, answer, rate_per_s_max=20.0, gap_s=0.04) as ehr:
        for number in range(4):
            sign(database, f"M{number}")
        with sending(database):
            eventually(lambda: states(database) == ["refused"] * 4)
            refusing.set()
            with database.transaction() as tx:
                assert (
                    distribution.replay_refused(tx, ACTOR, "EHR", rate_per_s=100, now=utc_now())
                    == 4
                )
            eventually(lambda: states(database) == ["acknowledged"] * 4)
        assert len(ehr.received) == 8
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.038


def test_what_a_person_sends_in_bulk_keeps_its_rate_and_lets_live_messages_by(database):
    refusing = threading.Event()
    arrived = []

    def answer(connection, message, number):
        arrived.append((time.monotonic(), str(hl7.parse(message.decode()).segment("OBR")[18])))
        code = "AA" if refusing.is_set() else "AE"
        connection.sendall(VT + acknowledgement(message, code) + FS_CR)

    with receiver(database, answer):
        for number in range(6):
            sign(database, f"R{number}")
        with sending(database):
            eventually(lambda: states(database) == ["refused"] * 6)
            refusing.set()
            arrived.clear()
            with database.transaction() as tx:
                distribution.replay_refused(tx, ACTOR, "EHR", rate_per_s=4, now=utc_now())
            eventually(lambda: len(arrived) > 1)
            sign(database, "LIVE")
            eventually(lambda: states(database) == ["acknowledged"] * 7)
    named = [name for _, name in arrived]
    assert [each for each in named if each != "LIVE"] == [f"R{number}" for number in range(6)]
    assert named.index("LIVE") < 6, "it does not wait behind the repetitions"
    again = [at for at, name in arrived if name != "LIVE"]
    assert again[-1] - again[0] > 5 / 4 - 0.25


def test_dead_receiver_does_not_hold_up_the_others_and_gets_all_when_back(database):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead_port = unused.getsockname()[1]
    add_peer(database, dead_port, name="DEAD")
    with receiver(database, accept):
        for number in range(3):
            sign(database, f"H{number}", to=("DEAD", "EHR"))
        with sending(database):
            eventually(lambda: sum(s == "acknowledged" for s in states(database)) == 3)
            back = RawReceiver(accept, port=dead_port)
            eventually(lambda: states(database) == ["acknowledged"] * 6)
    assert len(back.received) == 3
    back.close()


def test_a_long_queue_at_a_dead_receiver_holds_up_nobody_and_goes_out_when_it_is_back(database):
    """Several batches wait for the dead one; the other's message goes meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead_port = unused.getsockname()[1]
    add_peer(database, dead_port, name="DEAD", send=frozenset({"oru", "orm"}), ack_timeout_s=10.0)
    sign(database, "Q0", to=("DEAD",))
    waiting = 150
    with database.transaction() as tx:
        tx.run(_MANY_OF_ONE, (waiting,))
    with receiver(database, accept):
        with sending(database):
            eventually(lambda: _destination(database, "DEAD").failing_since is not None)
            sign(database, "Q1", to=("EHR",))
            eventually(lambda: _destination(database, "EHR").waiting == 0)
            dead = _destination(database, "DEAD")
            assert dead.waiting == waiting + 1
            assert dead.last_error == (
                f"The peer refuses connections at 127.0.0.1:{dead_port} (ECONNREFUSED)"
            )
            back = RawReceiver(accept, port=dead_port)
            eventually(lambda: _destination(database, "DEAD").waiting == 0, timeout_s=60.0)
        back.close()
        assert len(back.received) == len(set(back.received)) == waiting + 1


# As many exams in lanes of their own would take minutes to make: the same report in other lanes.
_MANY_OF_ONE = """
insert into distribution.delivery
       (kind, subject, occasion, told, accession_number, recipient, lane, due_at, queued_at)
select 'order', 'order/1', 'SC CM', '{"control": "SC", "status": "CM", "result_status": ""}', 'Q0',
       'DEAD', 'lane/' || number, now(), now()
  from generate_series(1, %s) as number
"""


def _destination(database, name):
    with database.read() as tx:
        found = distribution.destinations(tx, Viewer.of(ACTOR, Action.DELIVERY_READ))
    return next(each for each in found if each.recipient == name)


def test_replay_by_a_person(database):
    answers = iter(["AE", "AA"])
    with receiver(
        database, lambda c, m, n: c.sendall(VT + acknowledgement(m, next(answers)) + FS_CR)
    ) as ehr:
        sign(database, "I1")
        with sending(database):
            eventually(lambda: states(database) == ["refused"])
            with database.transaction() as tx:
                distribution.replay(tx, ACTOR, deliveries(database)[0].delivery_key, now=utc_now())
            eventually(lambda: states(database) == ["acknowledged"])
        assert len(ehr.received) == 2


def test_addendum_is_a_correction_and_downgraded_for_who_takes_none(database):
    with receiver(database, accept) as ehr:
        report_id = sign(database, "J1", text="First.")
        addend(database, report_id, "J1", "Later.")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 2)
        first, second = (hl7.parse(raw.decode()) for raw in ehr.received)
    assert [str(message.segment("OBR")[25]) for message in (first, second)] == ["F", "C"]
    lines = [
        (str(x[3][0][0]), str(x[4]), str(x[5]), str(x[11])) for x in second.segments("OBX")[1:]
    ]
    assert lines == [("18748-4", "1.1", "First.", "F"), ("55107-7", "2.1", "Later.", "C")]


def test_receiver_that_takes_only_final(database):
    with receiver(database, accept, result_statuses=frozenset({"F"}), version="2.3.1") as ehr:
        report_id = sign(database, "J2", text="First.")
        addend(database, report_id, "J2", "Later.")
        with sending(database):
            eventually(lambda: states(database) == ["acknowledged"] * 2)
        second = hl7.parse(ehr.received[1].decode())
    assert str(second.segment("OBR")[25]) == "F"
    assert {str(each[11]) for each in second.segments("OBX")} == {"F"}
    assert str(second.segment("MSH")[9]) == "ORU^R01"


def test_receiver_that_takes_no_final_is_parked(database):
    with receiver(database, accept, result_statuses=frozenset({"P"})) as ehr:
        sign(database, "J3")
        with sending(database):
            eventually(lambda: states(database) == ["refused"])
        assert ehr.received == []


def test_stop_while_waiting_is_prompt_and_the_same_bytes_go_again(database):
    silent = RawReceiver(lambda c, m, n: None)
    add_peer(database, silent.port, ack_timeout_s=30.0)
    sign(database, "K1")
    started = time.monotonic()
    with sending(database):
        silent.wait(1)
    assert time.monotonic() - started < 5
    silent.behave = accept
    with sending(database):
        eventually(lambda: states(database) == ["acknowledged"])
    assert len(silent.received) == 2
    assert len(set(silent.received)) == 1
    silent.close()


@pytest.mark.parametrize("batch_max", [64, 3])
def test_two_senders_send_each_report_once(database, batch_max):
    options = replace(OPTIONS, batch_max=batch_max)  # of full batches the next is taken ahead
    with receiver(database, accept) as ehr:
        for number in range(12):
            sign(database, f"L{number}")
        with sending(database, options), sending(database, options):
            eventually(lambda: states(database) == ["acknowledged"] * 12)
        assert len(ehr.received) == 12
        assert [m.split(b"\rOBR|")[1].split(b"|")[17] for m in ehr.received] == [
            f"L{n}".encode() for n in range(12)
        ]
