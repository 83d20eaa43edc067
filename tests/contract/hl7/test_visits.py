"""Every trigger event of the table over the wire: what it says is so afterwards, not only answered.

One connection of a raw socket; the messages are written here, segment by segment.
"""

import socket
from dataclasses import dataclass

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.gateways.hl7.translate_adt import EVENTS
from isocenter.infra.clock import utc_now
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import FS_CR, VT, acknowledgement_code, read_frames

HOME, AWAY = "WARD^1^A", "ICU^2^B"


@dataclass
class Registration:
    """The hospital's registration: tells events of one patient after the other."""

    database: object
    connection: socket.socket
    count: int = 0

    def tell(self, event: str, *segments: str) -> None:
        self.count += 1
        at = f"20260302{12 + self.count // 3600:02}{self.count // 60 % 60:02}{self.count % 60:02}"
        head = f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{at}||ADT^{event}|v{self.count}|P|2.5.1"
        message = "\r".join([head, f"EVN|{event}|{at}", *segments, ""])
        self.connection.sendall(VT + message.encode() + FS_CR)
        [answer] = read_frames(self.connection, count=1, quiet_s=0.001)
        assert acknowledgement_code(answer) == "AA", (event, answer)

    def key(self, number: str, authority: str = "HOSP") -> int | None:
        with self.database.read() as tx:
            found = identity.find(tx, number, assigning_authority=authority)
        return found.patient_key if found else None

    def visits(self, number: str):
        with self.database.read() as tx:
            return identity.visits_of(tx, self.key(number))

    def linked(self, one: str, other: str) -> bool:
        with self.database.read() as tx:
            return self.key(other) in identity.linked_keys(tx, self.key(one))


@pytest.fixture
def registration(make_database):
    database = make_database(router=router())
    ehr = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt"}))
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, Actor.system("test"), ehr, now=utc_now())
    with (
        listening(database, ServerOptions(port=0)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        yield Registration(database, connection)


def pid(number: str, account: str = "") -> str:
    return f"PID|1||{number}^^^HOSP^MR||Phantom^Ada||19600229|F||||||||||{account}"


def pv1(visit: str = "", here: str = "") -> str:
    return f"PV1|1|I|{here}{'|' * 16}{visit}"


# Event -> what was before it; what the visit is after it: state, location, where it is brought.
STAYS = {
    "A01": ((), ("present", "WARD 1 A", "")),
    "A02": (("A01",), ("present", "ICU 2 B", "")),
    "A03": (("A01",), ("discharged", "ICU 2 B", "")),
    "A04": ((), ("present", "WARD 1 A", "")),
    "A05": ((), ("expected", "WARD 1 A", None)),
    "A06": (("A04",), ("present", "ICU 2 B", "")),
    "A07": (("A01",), ("present", "ICU 2 B", "")),
    "A08": (("A01",), ("present", "ICU 2 B", "")),
    "A09": (("A01",), ("present", "WARD 1 A", "ICU 2 B")),
    "A10": (("A01", "A09"), ("present", "ICU 2 B", "")),
    "A11": (("A01",), ("cancelled", "ICU 2 B", "")),
    "A12": (("A01", "A02"), ("present", "ICU 2 B", "")),
    "A13": (("A01", "A03"), ("present", "ICU 2 B", "")),
    "A14": ((), ("expected", "WARD 1 A", None)),
    "A15": (("A01",), ("present", "WARD 1 A", "ICU 2 B")),
    "A16": (("A01",), ("present", "ICU 2 B", "")),
    "A21": (("A01",), ("on_leave", "ICU 2 B", "")),
    "A22": (("A01", "A21"), ("present", "ICU 2 B", "")),
    "A23": (("A01",), ("cancelled", "ICU 2 B", "")),
    "A25": (("A01", "A16"), ("present", "ICU 2 B", "")),
    "A26": (("A01", "A15"), ("present", "ICU 2 B", "")),
    "A27": (("A14",), ("cancelled", "ICU 2 B", None)),
    "A28": ((), ("present", "WARD 1 A", None)),
    "A31": (("A01",), ("present", "ICU 2 B", "")),
    "A32": (("A01", "A10"), ("present", "ICU 2 B", "")),
    "A33": (("A01", "A09"), ("present", "ICU 2 B", "")),
    "A38": (("A05",), ("cancelled", "ICU 2 B", None)),
}
MERGES = ("A18", "A30", "A34", "A36", "A39", "A40")
RENUMBERED = {"A35": 3, "A41": 3, "A49": 3, "A42": 5, "A50": 5}
MOVED = {"A44": 3, "A45": 5}
REST = ("A17", "A24", "A37", "A43", "A46", "A47")


def test_each_event_is_about_one_thing():
    assert sorted([*STAYS, *MERGES, *RENUMBERED, *MOVED, *REST]) == sorted(EVENTS)


def test_a_visit_is_as_its_events_say(registration):
    found = {}
    for event, (before, _) in STAYS.items():
        for number, each in enumerate((*before, event)):
            here = HOME if number == 0 else AWAY
            registration.tell(each, pid(event), pv1(f"N{event}", here))
        [visit] = registration.visits(event)
        found[event] = (visit.state, visit.location, visit.pending_location)
    assert found == {event: after for event, (_, after) in STAYS.items()}


def test_a_merged_patient_is_the_one_that_remains(registration):
    for event in MERGES:
        own, prior = f"{event}N", f"{event}O"
        registration.tell("A01", pid(own))
        registration.tell("A01", pid(prior, account=f"OLD{event}"))
        registration.tell(
            event, pid(own, account=f"NEW{event}"), f"MRG|{prior}^^^HOSP^MR||OLD{event}"
        )
        assert registration.key(prior) == registration.key(own)
        with_account = event in {"A18", "A36"}
        expected = f"NEW{event}" if with_account else f"OLD{event}"
        assert [each.visit_number for each in registration.visits(own)] == [expected]


def test_a_visit_gets_another_number(registration):
    for event in RENUMBERED:
        field = RENUMBERED[event]
        old, new = f"OLD{event}", f"NEW{event}"
        as_account = field == 3
        said = [[pid(event, number if as_account else ""), pv1("" if as_account else number, HOME)]
                for number in (old, new)]  # fmt: skip
        registration.tell("A01", *said[0])
        mrg = f"MRG|{event}^^^HOSP^MR{'|' * (field - 1)}{old}"
        registration.tell(event, said[1][0], mrg, *said[1][1:])
        assert [each.visit_number for each in registration.visits(event)] == [new]


def test_a_visit_becomes_another_patients(registration):
    for event in MOVED:
        field, visit = MOVED[event], f"N{event}"
        as_account = field == 3
        account, number = (visit, "") if as_account else ("", visit)
        registration.tell("A01", pid(f"{event}O", account), pv1(number, HOME))
        registration.tell("A04", pid(f"{event}N"))
        mrg = f"MRG|{event}O^^^HOSP^MR{'|' * (field - 1)}{visit}"
        registration.tell(event, pid(f"{event}N", account), mrg, pv1(number))
        assert [each.visit_number for each in registration.visits(f"{event}N")] == [visit]
        assert registration.visits(f"{event}O") == []


def test_numbers_and_persons(registration):
    registration.tell("A01", pid("A17a"), pv1("S1", HOME))
    registration.tell("A01", pid("A17b"), pv1("S2", AWAY))
    registration.tell("A17", pid("A17a"), pv1("S1", AWAY), pid("A17b"), pv1("S2", HOME))
    found = [registration.visits(each)[0].location for each in ("A17a", "A17b")]
    assert found == ["ICU 2 B", "WARD 1 A"]
    registration.tell("A24", pid("A24a"), pid("A24b"))
    assert registration.linked("A24a", "A24b")
    registration.tell("A37", pid("A24a"), pid("A24b"))
    assert not registration.linked("A24a", "A24b")
    registration.tell("A28", "PID|1||A43a^^^HOSP^MR~X9^^^LAB^PI||Phantom^Ada")
    registration.tell("A43", pid("A43b"), "MRG|X9^^^LAB^PI")
    assert registration.key("X9", "LAB") == registration.key("A43b") != registration.key("A43a")
    for event in ("A46", "A47"):
        registration.tell("A28", pid(f"{event}o"))
        registration.tell(event, pid(f"{event}n"), f"MRG|{event}o^^^HOSP^MR")
        assert registration.key(f"{event}n") == registration.key(f"{event}o")
