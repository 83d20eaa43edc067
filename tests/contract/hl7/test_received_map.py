"""A peer with places of its own is read as its map says; what it sent stays as it came."""

import pytest
from hl7apy.core import Message

from isocenter.domain.access.model import Action, Actor
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.readmodels import modality_worklist
from tests.builders import viewer
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import parse, send

SYSTEM = Actor.system("test")
MAP = """
"OBR-18" = { copy = "ZBR-3.2" }
"OBR-24" = { codes = { TAC = "CT", RMN = "MR" }, otherwise = "OT" }
"ORM:ORC-1" = { codes = { NEU = "NW" } }
"PID-8" = { codes = { W = "F" } }
"""


@pytest.fixture
def port(database):
    peer = Hl7Peer(
        "RIS",
        "127.0.0.1",
        receive=frozenset({"orm"}),
        application="RIS",
        order_responses=True,
        received_map=MAP,
    )
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, peer, now=utc_now())
    with listening(database, ServerOptions(port=0)) as number:
        yield number


def made_by_hl7apy(*groups):
    """An order message of another maker, with its own segment for the accession number."""
    message = Message("ORM_O01", version="2.5.1")
    header = message.msh
    header.msh_3, header.msh_9, header.msh_10 = "RIS", "ORM^O01^ORM_O01", "m1"
    header.msh_7 = utc_now().strftime("%Y%m%d%H%M%S")
    text = message.to_er7().split("\r")[0]
    lines = [text, "PID|1||P1^^^HOSP^MR||Phantom^Ada||19600229|W", "PV1|1"]
    for number, modality, accession in groups:
        lines += [
            f"ORC|NEU|{number}^RIS",
            f"OBR|1|{number}^RIS||HEAD^Head^L{'|' * 20}{modality}",
            f"ZBR|1||x^{accession}",
        ]
    return "\r".join([*lines, ""]).encode()


@pytest.mark.parametrize("delimiters", ["|^~\\&", "#*!\\%"], ids=["usual", "own"])
def test_each_order_is_read_from_its_own_group_and_the_message_is_kept_as_it_came(
    database, port, delimiters
):
    message = made_by_hl7apy(("1", "TAC", "ACC1"), ("2", "XYZ", "ACC2"))
    header, rest = message.split(b"\r", 1)
    usual, own = b"|^~&", delimiters.replace("\\", "").encode()
    changed = bytes.maketrans(usual, own)
    message = header.translate(changed) + b"\r" + rest.translate(changed)

    [answer] = send(port, message)

    answered = answer.decode().replace(own[:1].decode(), "|").split("\r")
    assert [each.split("|")[1] for each in answered if each[:3] in {"MSA", "ORC"}] == [
        "AA",
        "OK",
        "OK",
    ]
    with database.transaction() as tx:
        found = modality_worklist.search(tx, viewer(Action.WORKLIST_READ), [])
        logged = peers.search_messages(tx, SYSTEM, MessageFilter(peer="RIS"))
        kept = peers.message(tx, SYSTEM, logged[0].message_key, now=utc_now())
    assert {
        (each.accession_number, each.placer_order_number, each.modality, each.sex) for each in found
    } == {("ACC1", "1", "CT", "F"), ("ACC2", "2", "OT", "F")}
    assert kept.raw == message


def test_a_message_without_the_peers_own_segment_is_read_as_it_is(database, port):
    message = made_by_hl7apy(("1", "RMN", "ACC1")).split(b"ZBR")[0]
    [answer] = send(port, message)
    assert str(parse(answer).segment("MSA")[1]) == "AA"
    with database.read() as tx:
        assert orders.exam(tx, "ACC1") is None
