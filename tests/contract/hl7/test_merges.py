"""A40 in every way in which senders get it wrong, over a real socket with python-hl7."""

import itertools
from dataclasses import replace

import hl7
import pytest
from hl7.client import MLLPClient

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from tests.contract.hl7.listening import listening

SYSTEM = Actor.system("test")
PEER = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt"}))
STRICT = ReceiveOptions(trusted_authorities=frozenset({"HOSP"}), accept_inverse_merges=False)
_numbers = itertools.count(1)


@pytest.fixture
def port(database, request):
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, PEER, now=utc_now())
    receiving = getattr(request, "param", ReceiveOptions())
    with listening(database, ServerOptions(port=0, receiving=receiving)) as number:
        for value in ("A", "B", "C"):
            assert told(adt(number, "A04", f"PID|1||{value}^^^HOSP||Phantom^{value}")) == ("AA", [])
        yield number


def adt(port, event, *segments):
    number = next(_numbers)
    header = f"MSH|^~\\&|EHR|H|ISOCENTER|RAD|2026030212{number:04d}||ADT^{event}|{number}|P|2.5"
    with MLLPClient("127.0.0.1", port) as client:
        answer = client.send_message(hl7.parse("\r".join((header, *segments)) + "\r"))
    return hl7.parse(answer.strip(b"\x0b\x1c\r").decode() + "\r")


def told(answer):
    errors = [segment for segment in answer if str(segment[0]) == "ERR"]
    return str(answer.segment("MSA")[1]), [(str(e[2]), str(e[3][0][0])) for e in errors]


def merge(port, survivor, prior, *more):
    listed = "~".join(f"{each}^^^HOSP" for each in (survivor, *more))
    return told(adt(port, "A40", f"PID|1||{listed}||Phantom^{survivor}", f"MRG|{prior}^^^HOSP"))


def survivor_of(database, value):
    with database.read() as tx:
        return identity.find(tx, value, assigning_authority="HOSP").identifiers[0].value


def merges(database):
    with database.read() as tx:
        return tx.value("select count(*) from outbox.event where name = 'identity.patient_merged'")


def test_self_merge_is_refused_with_205_and_its_place(port):
    assert merge(port, "A", "A") == ("AE", [("MRG^1^1", "205")])


def test_duplicate_merge_is_accepted_and_changes_nothing(database, port):
    assert merge(port, "A", "B") == merge(port, "A", "B") == ("AA", [])
    assert (survivor_of(database, "B"), merges(database)) == ("A", 1)


def test_circular_merges_end_with_one_survivor(database, port):
    for survivor, prior in (("A", "B"), ("B", "C"), ("C", "A")):
        assert merge(port, survivor, prior) == ("AA", [])
    assert len({survivor_of(database, each) for each in "ABC"}) == 1


def test_inverse_merge_is_accepted_and_the_later_holds(database, port):
    assert merge(port, "A", "B") == merge(port, "B", "A") == ("AA", [])
    assert [survivor_of(database, each) for each in "AB"] == ["B", "B"]


@pytest.mark.parametrize("port", [STRICT], indirect=True)
def test_inverse_merge_is_refused_where_the_site_wants_that(database, port):
    assert merge(port, "A", "B") == ("AA", [])
    assert merge(port, "B", "A") == ("AE", [("MRG^1^1", "205")])
    assert survivor_of(database, "B") == "A"


def test_merged_number_in_pid_3_of_a_merge_and_of_an_update(database, port):
    assert merge(port, "A", "B", "B") == ("AA", [])
    assert merge(port, "B", "C") == ("AA", [])
    assert survivor_of(database, "C") == "A"
    assert told(adt(port, "A08", "PID|1||B^^^HOSP||Phantom^B")) == ("AA", [])
    with database.read() as tx:
        assert identity.find(tx, "B").person_name == "Phantom^A"


@pytest.mark.parametrize("port", [STRICT], indirect=True)
def test_untrusted_issuers_are_not_kept(database, port):
    both = "PID|1||A^^^HOSP~X9^^^ELSEWHERE||Phantom^A"
    assert told(adt(port, "A08", both)) == ("AA", [])
    with database.read() as tx:
        assert identity.find(tx, "X9") is None
    only = adt(port, "A08", "PID|1||X9^^^ELSEWHERE||Phantom^A")
    assert told(only) == ("AE", [("PID^1^3^1^4", "103")])
    foreign = adt(port, "A40", "PID|1||A^^^HOSP||Phantom^A", "MRG|B^^^ELSEWHERE")
    assert told(foreign)[0] == "AE"


def test_a_peer_may_be_trusted_with_other_issuers_than_the_site(database):
    trusted = replace(PEER, trusted_authorities=frozenset({"HOSP", "LAB"}))
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, trusted, now=utc_now())
    with listening(database, ServerOptions(port=0, receiving=STRICT)) as number:
        several = "PID|1||A^^^HOSP~L9^^^LAB~X9^^^ELSEWHERE||Phantom^A"
        assert told(adt(number, "A08", several)) == ("AA", [])
    with database.read() as tx:
        kept = [identity.find(tx, each) is not None for each in ("A", "L9", "X9")]
    assert kept == [True, True, False]
