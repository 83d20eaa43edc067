"""SIU over the wire: appointments are booked, moved, cancelled, and their exams follow."""

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.outbox import Dispatcher
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import acknowledgement_code, order, parse, send

SYSTEM = Actor.system("test")
EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"siu", "orm"}))


class Talk:
    def __init__(self, port, database):
        self.port, self.database, self.count = port, database, 0

    def send(self, message: bytes, expected="AA"):
        [answer] = send(self.port, message)
        assert acknowledgement_code(answer) == expected, answer
        return parse(answer)

    def __call__(self, event, *, sch, start="", room="", expected="AA", named=True):
        self.count += 1
        stamp = f"202603021200{self.count:02}"
        segments = [
            f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||SIU^{event}^SIU_S12|s{self.count}|P|2.5.1",
            sch,
            *([f"TQ1|1||||||{start}"] if start else []),
            *(["PID|1||P1^^^HOSP^MR||Phantom^Ada"] if named else []),
            "RGS|1",
            "AIS|1|A|CTHEAD^CT of the head^L||||30|min",
            *([f"AIL|1||{room}"] if room else []),
            "",
        ]
        return self.send("\r".join(segments).encode(), expected)

    def appointment(self, accession="APP1"):
        with self.database.read() as tx:
            return scheduling.appointments_of(tx, accession)[0]

    def step(self, accession="APP1"):
        with self.database.transaction() as tx:
            [step] = scheduling.steps_of(tx, accession)
        return step

    def order(self, placer="PL1", accession="APP1"):
        message = order(
            "P1",
            "Phantom^Ada",
            control_id=accession,
            placer=placer,
            accession=accession,
            start="20260302080000",
        )
        # Said before the appointments, as the test's clock goes.
        self.send(message.replace(message.split(b"|")[6], b"20260302110000"))


@pytest.fixture
def talk(make_database):
    database = make_database(router=router())
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, EHR, now=utc_now())
    with listening(database, ServerOptions(port=0)) as port:
        yield Talk(port, database)


def sch(filler, *, placer="", order="", reason="", status=""):
    values = [""] * 28
    values[1], values[2], values[6], values[9], values[10] = placer, filler, reason, "30", "min"
    values[25], values[26] = status, order
    return "SCH|" + "|".join(values[1:]).rstrip("|")


def test_an_exam_takes_place_when_and_where_its_appointment_is(talk):
    talk.order()
    named = sch("F1", placer="A1", order="PL1^EHR")
    talk("S12", sch=named, start="20260305093000", room="CT^1")
    assert talk.appointment().status == "booked"
    assert (talk.appointment().duration_min, talk.appointment().description) == (
        30,
        "CT of the head",
    )
    assert (talk.step().start_at.hour, talk.step().start_at.day, talk.step().location) == (
        9,
        5,
        "CT 1",
    )
    talk("S13", sch=named, start="20260306141500", room="CT^2")
    assert (talk.step().start_at.day, talk.step().location) == (6, "CT 2")
    talk("S14", sch=sch("F1", status="Arrived"))
    assert (talk.step().status, talk.appointment().status) == ("ARRIVED", "arrived")
    talk("S26", sch=sch("F1", reason="^did not come"), named=False)
    assert (talk.appointment().status, talk.appointment().reason) == ("noshow", "did not come")
    assert talk.step().start_at.day == 6
    talk("S15", sch=sch("", placer="A1"), named=False)
    assert talk.appointment().status == "cancelled"


def test_an_appointment_that_is_not_known_is_booked_or_refused(talk):
    for event in ("S15", "S16", "S17", "S26", "S20"):
        answer = talk(event, sch=sch("NEVER"), expected="AE")
        err = answer.segment("ERR")
        assert (str(err[2]), str(err[3][0][0])) == ("SCH^1^2", "204")
    assert str(talk("S13", sch=sch("NEVER"), expected="AE").segment("ERR")[3][0][0]) == "204"
    # It says all of an appointment: it is one.
    talk.order("PL2", "APP2")
    talk("S13", sch=sch("LATE", order="PL2^EHR"), start="20260309100000")
    assert talk.appointment("APP2").filler_appointment_id == "LATE"
    assert str(
        talk("S12", sch=sch(""), start="20260309", expected="AE").segment("ERR")[3][0][0]
    ) == ("101")
    answer = talk("S23", sch=sch("B1"), expected="AR")
    assert str(answer.segment("ERR")[3][0][0]) == "201"


def test_an_order_that_comes_after_its_appointment_takes_place_then(talk):
    talk("S12", sch=sch("F3", order="PL3^EHR"), start="20260310070000")
    talk.order("PL3", "APP3")
    assert talk.step("APP3").start_at.day == 2
    Dispatcher(talk.database, talk.database.router, clock=utc_now, workers=1).run_once()
    assert talk.step("APP3").start_at.day == 10
    assert talk.appointment("APP3").accession_numbers == ["APP3"]
