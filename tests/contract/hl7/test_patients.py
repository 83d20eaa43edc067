"""ADT over the wire: visits, swaps, links, moves and changed identifiers, and who sees them."""

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.outbox import Dispatcher
from isocenter.readmodels import modality_worklist
from tests.builders import viewer
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import acknowledgement_code, order, parse, send

SYSTEM = Actor.system("test")
EHR = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm"}))


@pytest.fixture
def talk(make_database):
    database = make_database(router=router())
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, EHR, now=utc_now())
    with listening(database, ServerOptions(port=0)) as port:
        yield Talk(port, database)


class Talk:
    def __init__(self, port, database):
        self.port, self.database, self.count = port, database, 0

    def send(self, message: bytes) -> bytes:
        [answer] = send(self.port, message)
        return answer

    def __call__(self, event, *segments, expected="AA"):
        self.count += 1
        stamp = f"202603021200{self.count:02}"
        head = f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||ADT^{event}|t{self.count}|P|2.5.1"
        answer = self.send("\r".join([head, f"EVN|{event}|{stamp}", *segments, ""]).encode())
        assert acknowledgement_code(answer) == expected, answer
        return parse(answer)

    def visit(self, patient):
        with self.database.read() as tx:
            key = identity.find(tx, patient).patient_key
            return identity.visits_of(tx, key)

    def patient(self, value):
        with self.database.read() as tx:
            return identity.find(tx, value)

    def order(self, patient, accession, visit):
        message = order(patient, "Phantom^Ada", control_id=accession, placer=accession,
                        accession=accession)  # fmt: skip
        where = pv1(visit, "WARD^1^A").encode()
        assert acknowledgement_code(self.send(message.replace(b"PV1|1|O|RAD^1^1", where))) == "AA"

    def worklist(self, patient):
        with self.database.read() as tx:
            found = modality_worklist.search(tx, viewer(Action.WORKLIST_READ), [])
        return [(e.admission_id, e.patient_location) for e in found if e.patient_id == patient]


def pid(value, account="", name="Phantom^Ada"):
    return f"PID|1||{value}^^^HOSP^MR||{name}||19600229|F||||||||||{account}"


def pv1(number, location="", **fields):
    values = [""] * 46
    values[1], values[2], values[3], values[19] = "1", "I", location, number
    for name, value in fields.items():
        values[int(name.removeprefix("f"))] = value
    return "PV1|" + "|".join(values[1:]).rstrip("|")


def test_a_visit_from_admission_to_discharge_and_the_scanner_knows_where_the_patient_is(talk):
    talk("A05", pid("V1"), pv1("N1", "WARD^1^A"))
    assert talk.visit("V1")[0].state == "expected"
    talk("A01", pid("V1"), pv1("N1", "WARD^1^A", f44="20260302110000"))
    talk.order("V1", "VISIT1", "N1")
    with talk.database.transaction() as tx:  # the order was made before the transfer
        tx.run("update orders.imaging_order set said_at = said_at || '{\"location\": 1}'")
    assert talk.worklist("V1") == [("N1", "WARD 1 A")]
    talk("A15", pid("V1"), pv1("N1", "ICU^2^B"))
    assert (talk.visit("V1")[0].location, talk.visit("V1")[0].pending_location) == (
        "WARD 1 A",
        "ICU 2 B",
    )
    talk("A02", pid("V1"), pv1("N1", "ICU^2^B", f6="WARD^1^A"))
    [visit] = talk.visit("V1")
    assert (visit.location, visit.prior_location, visit.pending_location) == (
        "ICU 2 B",
        "WARD 1 A",
        "",
    )
    assert talk.worklist("V1") == [("N1", "ICU 2 B")]
    for event, state in [
        ("A21", "on_leave"),
        ("A22", "present"),
        ("A03", "discharged"),
        ("A13", "present"),
        ("A11", "cancelled"),
    ]:
        talk(event, pid("V1"), pv1("N1"))
        assert talk.visit("V1")[0].state == state
    # What was said before is no news, however late it comes.
    late = "MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|20260302115900||ADT^A02|late|P|2.5.1"
    talk.send("\r".join([late, pid("V1"), pv1("N1", "OLD^9^Z"), ""]).encode())
    assert (talk.visit("V1")[0].location, talk.visit("V1")[0].state) == ("ICU 2 B", "cancelled")


def test_two_patients_swap_their_places(talk):
    talk("A01", pid("S1"), pv1("N1", "WARD^1^A"))
    talk("A01", pid("S2"), pv1("N2", "WARD^2^B"))
    talk("A17", pid("S1"), pv1("N1", "WARD^2^B"), pid("S2"), pv1("N2", "WARD^1^A"))
    assert [talk.visit(each)[0].location for each in ("S1", "S2")] == ["WARD 2 B", "WARD 1 A"]
    answer = talk("A17", pid("S1"), pv1("N1"), expected="AE")
    assert str(answer.segment("ERR")[2]) == "PID^2"


def test_patients_are_linked_and_unlinked(talk):
    talk("A24", pid("L1"), pid("L2"))
    with talk.database.read() as tx:
        one, other = (identity.find(tx, each).patient_key for each in ("L1", "L2"))
        assert other in identity.linked_keys(tx, one)
    talk("A37", pid("L1"), pid("L2"))
    with talk.database.read() as tx:
        assert other not in identity.linked_keys(tx, one)
    answer = talk("A37", pid("L1"), pid("L2"), expected="AE")
    assert str(answer.segment("ERR")[3][0][0]) == "204"
    answer = talk("A24", pid("L1"), pid("L1"), expected="AE")
    assert str(answer.segment("ERR")[3][0][0]) == "205"


def test_identifiers_are_moved_and_changed(talk):
    talk("A28", "PID|1||M1^^^HOSP^MR~X1^^^LAB^PI||Phantom^Ada")
    talk("A28", pid("M2", name="Phantom^Eve"))
    talk("A43", pid("M2", name="Phantom^Eve"), "MRG|X1^^^LAB^PI")
    assert talk.patient("X1").person_name == "Phantom^Eve"
    assert talk.patient("M1").person_name == "Phantom^Ada"
    talk("A47", pid("M9"), "MRG|M1^^^HOSP^MR")
    assert talk.patient("M9").patient_key == talk.patient("M1").patient_key
    assert talk.patient("M1").identifiers[0].value == "M9"
    answer = talk("A47", pid("M9"), "MRG|NEVER^^^HOSP^MR", expected="AE")
    assert str(answer.segment("ERR")[3][0][0]) == "204"


def test_a_visit_moves_to_the_right_patient_with_its_orders(talk):
    talk("A01", pid("W1"), pv1("N1", "WARD^1^A"))
    talk("A04", pid("W2", name="Phantom^Eve"))
    talk.order("W1", "MOVED1", "N1")
    talk("A45", pid("W2", name="Phantom^Eve"), "MRG|W1^^^HOSP^MR||||N1", pv1("N1"))
    assert [each.visit_number for each in talk.visit("W2")] == ["N1"]
    assert talk.visit("W1") == []
    talk("A50", pid("W2", name="Phantom^Eve"), "MRG|W2^^^HOSP^MR||||N1", pv1("N7"))
    assert [each.visit_number for each in talk.visit("W2")] == ["N7"]
    Dispatcher(talk.database, talk.database.router, clock=utc_now, workers=1).run_once()
    with talk.database.read() as tx:
        order = orders.exam(tx, "MOVED1").order
        assert identity.patient(tx, order.patient_key).person_name == "Phantom^Eve"
    assert order.admission_id == "N7"
    talk("A50", pid("W2", name="Phantom^Eve"), "MRG|W2^^^HOSP^MR||||N1", pv1("N7"))  # again
    answer = talk("A50", pid("W2"), "MRG|W2^^^HOSP^MR", pv1("N7"), expected="AE")
    assert str(answer.segment("ERR")[2]) == "MRG^1^5"


@pytest.mark.parametrize("event", ["A18", "A36"])
@pytest.mark.parametrize("known", [False, True], ids=["new number", "known number"])
def test_undoing_a_merge_gives_the_account_back_with_its_orders(talk, event, known):
    talk("A01", pid("M2", "OLD", "Phantom^Eve"), pv1("", "WARD^1^A"))
    talk("A01", pid("M1", "NEW" if known else ""), pv1("", "ICU^2^B"))
    talk.order("M1", "OWN", "NEW")
    talk.order("M2", "TAKEN", "OLD")
    before = talk.visit("M2"), talk.visit("M1")
    said = pid("M1", "NEW"), "MRG|M2^^^HOSP^MR||OLD"

    def react():
        Dispatcher(talk.database, talk.database.router, clock=utc_now, workers=1).run_once()

    def admissions():
        with talk.database.read() as tx:
            return [orders.exam(tx, each).order.admission_id for each in ("OWN", "TAKEN")]

    talk(event, *said)
    react()
    assert [each.visit_number for each in talk.visit("M1")] == ["NEW"]
    assert admissions() == ["NEW", "NEW"]
    with talk.database.transaction() as tx:
        [merge] = identity.merges(tx, SYSTEM, identity.find(tx, "M1").patient_key)
        identity.unmerge(tx, SYSTEM, merge.merge_key, now=utc_now())
    react()
    [back] = talk.visit("M2")
    assert (back.visit_number, back.location, back.patient_key) == (
        "OLD",
        "WARD 1 A",
        before[0][0].patient_key,
    )
    assert [each.visit_number for each in talk.visit("M1")] == (["NEW"] if known else [])
    assert admissions() == ["NEW", "OLD"]

    again = parse(talk.send(message_of(talk, event, *said)))  # the sender repeats what was undone
    assert str(again.segment("MSA")[1]) == "AA"
    assert [each.visit_number for each in talk.visit("M2")] == ["OLD"]


def test_what_was_said_of_the_account_since_the_merge_stays(talk):
    talk("A01", pid("M2", "OLD"), pv1("", "WARD^1^A"))
    talk("A04", pid("M1"))
    talk("A36", pid("M1", "NEW"), "MRG|M2^^^HOSP^MR||OLD")
    talk("A02", pid("M1", "NEW"), pv1("", "ICU^2^B"))
    with talk.database.transaction() as tx:
        [merge] = identity.merges(tx, SYSTEM, identity.find(tx, "M1").patient_key)
        identity.unmerge(tx, SYSTEM, merge.merge_key, now=utc_now())
    [kept], [back] = talk.visit("M1"), talk.visit("M2")
    assert (kept.visit_number, kept.location) == ("NEW", "ICU 2 B")
    assert (back.visit_number, back.location) == ("OLD", "WARD 1 A")


def message_of(talk, event, *segments):
    """As it was said before, under another control id."""
    stamp = f"202603021200{talk.count:02}"
    head = f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||ADT^{event}|again|P|2.5.1"
    return "\r".join([head, f"EVN|{event}|{stamp}", *segments, ""]).encode()
