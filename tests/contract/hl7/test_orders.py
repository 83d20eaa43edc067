"""Every order control over the wire, and what is answered about each order."""

import time
from datetime import datetime, timedelta

import pytest

from isocenter.domain.access.model import Action, Actor
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.readmodels import modality_worklist
from tests.builders import viewer
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import order, parse, send

SYSTEM = Actor.system("test")
PEERS = (
    Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt", "orm"}), application="EHR"),
    Hl7Peer(
        "PLACER",
        "127.0.0.1",
        receive=frozenset({"orm"}),
        application="PLACER",
        order_responses=True,
    ),
)


@pytest.fixture
def port(database):
    with database.transaction() as tx:
        for peer in PEERS:
            peers.add_hl7_peer(tx, SYSTEM, peer, now=utc_now())
    with listening(database, ServerOptions(port=0)) as number:
        yield number


class Talk:
    """Sends order messages and reads what is answered."""

    def __init__(self, port, database):
        self.port, self.database, self.count = port, database, 0

    def raw(self, message: bytes) -> bytes:
        [answer] = send(self.port, message)
        return answer

    def __call__(self, control, placer, *, edit=lambda message: message, **said):
        self.count += 1
        message = order(
            "P1",
            "Phantom^Ada",
            control_id=f"c{self.count}",
            placer=placer,
            control=control,
            **said,
        )
        return parse(self.raw(edit(message)))

    def state(self, accession: str) -> str:
        with self.database.read() as tx:
            return orders.exam(tx, accession).order.state

    def worklist(self) -> set[str]:
        with self.database.read() as tx:
            return {
                each.accession_number
                for each in modality_worklist.search(tx, viewer(Action.WORKLIST_READ), [])
            }


@pytest.fixture
def talk(port, database):
    return Talk(port, database)


def code(answer) -> str:
    return str(answer.segment("MSA")[1])


def as_placer(message: bytes) -> bytes:
    return message.replace(b"|EHR|HOSPITAL|", b"|PLACER|HOSPITAL|")


def seconds_later(message: bytes) -> bytes:
    """The message said after what was said within the same second: its times tell no less."""
    stamp = message.split(b"|")[6]
    said = datetime.strptime(stamp.decode(), "%Y%m%d%H%M%S").astimezone() + timedelta(seconds=2)
    return message.replace(stamp, said.strftime("%Y%m%d%H%M%S").encode())


def with_status(status: str):
    def edit(message: bytes) -> bytes:
        lines = message.decode().split("\r")
        at = next(n for n, line in enumerate(lines) if line.startswith("ORC"))
        fields = lines[at].split("|")
        fields[5] = status
        lines[at] = "|".join(fields)
        return "\r".join(lines).encode()

    return edit


def test_an_order_on_hold_is_on_no_scanners_worklist_until_it_is_released(talk):
    talk("NW", "H1", accession="HOLD1")
    assert talk.worklist() == {"HOLD1"}
    assert code(talk("HD", "H1")) == "AA"
    assert (talk.state("HOLD1"), talk.worklist()) == ("held", set())
    assert code(talk("HD", "H1")) == "AA"  # again
    assert code(talk("XO", "H1", modality="MR")) == "AA"
    assert talk.state("HOLD1") == "held"
    assert code(talk("RL", "H1")) == "AA"
    assert (talk.state("HOLD1"), talk.worklist()) == ("placed", {"HOLD1"})
    assert code(talk("CA", "H1")) == "AA"
    refused = talk("HD", "H1")
    assert code(refused) == "AE"


def test_what_is_begun_or_done_is_not_cancelled_held_or_changed(talk):
    talk("NW", "B1", accession="BEGUN1")
    with talk.database.transaction() as tx:
        scheduling.start(tx, SYSTEM, "BEGUN1", now=utc_now())
    edit = lambda message: message.replace(b"|P|2.3.1", b"|P|2.5.1")  # noqa: E731
    for control, answered in (("CA", "UC"), ("HD", "UH"), ("RL", "UR")):
        answer = talk(control, "B1", edit=edit)
        assert code(answer) == "AE"
        err = answer.segment("ERR")
        assert str(err[2]) == "ORC^1^1"
        assert (str(err[3][0][0]), str(err[5][0][0])) == ("103", answered)
        assert "in progress" in str(err[8])
    assert talk.state("BEGUN1") == "in_progress"
    assert code(talk("SC", "B1", edit=with_status("IP"))) == "AA"
    with talk.database.transaction() as tx:
        scheduling.complete(tx, SYSTEM, "BEGUN1", now=utc_now())
    time.sleep(1.1)  # HL7 times have whole seconds: what is said now is said after the end
    answer = talk("XO", "B1", modality="MR", edit=edit)
    assert (code(answer), str(answer.segment("ERR")[5][0][0])) == ("AE", "UX")
    assert code(talk("XO", "B1", modality="MR", edit=with_status("CM"))) == "AA"
    with talk.database.transaction() as tx:
        [step] = scheduling.steps_of(tx, "BEGUN1")
    assert (step.modality, talk.state("BEGUN1")) == ("CT", "completed")


def test_numbers_are_assigned_and_told_in_an_orr(talk):
    def without_placer(message: bytes) -> bytes:
        return message.replace(b"|EX1^EHR||", b"||FI9^RIS|").replace(b"EX1^EHR", b"")

    answer = talk("SN", "EX1", edit=without_placer)
    assert str(answer.segment("MSH")[9]) == "ORR^O02^ORR_O02"
    assert code(answer) == "AA"
    orc, obr = answer.segment("ORC"), answer.segment("OBR")
    assert (str(orc[1]), str(orc[3]), str(orc[5])) == ("NA", "FI9^RIS", "SC")
    issued = str(orc[2][0][0])
    assert str(orc[2]) == f"{issued}^ISOCENTER"
    assert str(obr[18]) == issued
    again = talk("SN", "EX1", edit=without_placer)
    assert str(again.segment("ORC")[2]) == str(orc[2])
    # The placer knows it by that number now.
    known = talk("CA", issued, edit=lambda m: m.replace(b"^EHR", b"^ISOCENTER"))
    assert code(known) == "AA"
    assert talk.state(issued) == "cancelled"


def test_a_placer_that_wants_to_know_is_told_what_became_of_each_order(talk):
    edits = {"edit": as_placer}
    answer = talk("NW", "R1", accession="RESP1", **edits)
    assert str(answer.segment("MSH")[9]) == "ORR^O02^ORR_O02"
    assert [str(answer.segment("ORC")[n]) for n in (1, 2, 5)] == ["OK", "R1^EHR", "SC"]
    told = [("XO", "XR", "SC"), ("HD", "HR", "HD"), ("RL", "OR", "SC"), ("SS", "SR", "SC")]
    for control, followed, status in [*told, ("DC", "DR", "DC"), ("CA", "CR", "DC")]:
        orc = talk(control, "R1", **edits).segment("ORC")
        assert (str(orc[1]), str(orc[5])) == (followed, status), control
    refused = talk("XO", "R1", edit=lambda message: seconds_later(as_placer(message)))
    assert (code(refused), str(refused.segment("ORC")[1])) == ("AE", "UX")
    unknown = talk("CA", "NONE", **edits)
    assert (code(unknown), str(unknown.segment("ORC")[1])) == ("AE", "UC")


def two_groups(message: bytes, other: bytes) -> bytes:
    """The order groups of a second message behind those of the first."""
    return message + other[other.index(b"ORC|") :]


def test_an_order_is_replaced_and_parted(talk, database):
    talk("NW", "OLD1", accession="OLDACC")

    def new(control, **said):
        return order(
            "P1", "Phantom^Ada", control_id="x", placer=said.pop("placer"), control=control, **said
        )

    replacing = new("RO", placer="NEW1", accession="NEWACC", modality="MR")
    alone = talk("RP", "OLD1")
    assert code(alone) == "AE"
    assert code(talk("RP", "OLD1", edit=lambda m: two_groups(m, replacing))) == "AA"
    assert (talk.state("OLDACC"), talk.worklist()) == ("cancelled", {"NEWACC"})
    with database.read() as tx:
        old, replacement = (orders.exam(tx, each).order for each in ("OLDACC", "NEWACC"))
    assert old.replaced_by_key == replacement.order_key
    child = new("CH", placer="KID1", accession="KIDACC")
    assert code(talk("PA", "NEW1", edit=lambda m: two_groups(m, child))) == "AA"
    with database.read() as tx:
        assert orders.exam(tx, "KIDACC").order.parent_key == replacement.order_key
        related = orders.related_orders(tx, replacement.order_key)
        assert orders.exam(tx, "NEWACC").order.state == "placed"
        found = peers.search_messages(tx, SYSTEM, MessageFilter(accession_number="NEWACC"))
    assert [(each.relation, each.accession_number) for each in related] == [
        ("replaced", "OLDACC"),
        ("child", "KIDACC"),
    ]
    assert any("child order: created" in each.effect for each in found)
