"""PIX and PDQ queries from python-hl7's client, read with python-hl7, on a real database."""

import itertools
from datetime import date

import hl7
import pytest
from hl7.client import MLLPClient

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import LinkGround, PatientFacts, PatientIdentifier
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from tests.contract.hl7.listening import listening

SYSTEM = Actor.system("test")
ASKER = Hl7Peer("PORTAL", "127.0.0.1", receive=frozenset({"qbp"}))
OID = "1.2.3.4"
_numbers = itertools.count(1)


def person(value, *more, **facts):
    identifiers = (PatientIdentifier(value, "HOSP"), *more)
    return PatientFacts(identifiers, utc_now(), **facts)


@pytest.fixture
def port(database):
    with database.transaction() as tx:
        now = utc_now()
        peers.add_hl7_peer(tx, SYSTEM, ASKER, now=now)
        ada = identity.register(
            tx,
            SYSTEM,
            person(
                "H1",
                PatientIdentifier("N1", OID, "NI"),
                person_name="Phantom^Ada",
                birth_date=date(1980, 3, 2),
                sex="F",
                address="Kernel Street 7, 12345 Voxelton",
                phone="030 1234567",
            ),
            now=now,
        )
        clinic = PatientFacts((PatientIdentifier("C9", "CLINIC"),), now, person_name="Bell^Ada")
        other = identity.register(tx, SYSTEM, clinic, now=now)
        keys = (ada.patient_key, other.patient_key)
        identity.link(tx, SYSTEM, keys, LinkGround("person"), now=now)
        identity.merge(tx, SYSTEM, person("H1"), [PatientIdentifier("H0", "HOSP")], now=now)
        for number in range(5):
            facts = person(f"S{number}", person_name=f"Sequence^Number{number}", sex="M")
            identity.register(tx, SYSTEM, facts, now=now)
    with listening(database, ServerOptions(port=0)) as number:
        yield number


def ask(port, event, *segments, code=""):
    code = code or f"QBP^{event}^QBP_Q21"
    control_id = next(_numbers)
    header = f"MSH|^~\\&|PORTAL|H|ISOCENTER|RAD|20260302120000||{code}|{control_id}|P|2.5"
    with MLLPClient("127.0.0.1", port) as client:
        answer = client.send_message(hl7.parse("\r".join((header, *segments)) + "\r"))
    return hl7.parse(answer.strip(b"\x0b\x1c\r").decode() + "\r")


def pix(port, identifier, *domains):
    wanted = "~".join(f"^^^{each}" for each in domains)
    return ask(port, "Q23", f"QPD|IHE PIX Query|T1|{identifier}|{wanted}", "RCP|I")


def pdq(port, *parameters, domains="", page="", pointer=""):
    asked = "~".join(f"@{name}^{value}" for name, value in parameters)
    segments = [f"QPD|IHE PDQ Query|T2|{asked}|||||{domains}", f"RCP|I|{page}"]
    return ask(port, "Q22", *segments, *([f"DSC|{pointer}|I"] if pointer else []))


def status(answer):
    return (str(answer.segment("MSA")[1]), str(answer.segment("QAK")[2]))


def identifiers(answer):
    return {(str(each[0]), str(each[3][0]) or str(each[3][1])) for each in answer.segment("PID")[3]}


def errors(answer):
    return [(str(err[2]), str(err[3][0][0])) for err in answer.segments("ERR")]


def names(answer):
    return [str(each[5]) for each in answer.segments("PID")]


def test_other_identifiers_of_a_person_over_merges_and_links(port):
    answer = pix(port, "H1^^^HOSP")
    assert status(answer) == ("AA", "OK")
    assert str(answer.segment("MSH")[9]) == "RSP^K23^RSP_K23"
    assert (str(answer.segment("QAK")[1]), str(answer.segment("QPD")[3])) == ("T1", "H1^^^HOSP")
    assert identifiers(answer) == {("H0", "HOSP"), ("N1", OID), ("C9", "CLINIC")}
    assert str(answer.segment("PID")[5]) == "~^^^^^^S"


def test_only_the_domains_that_are_asked_for(port):
    assert identifiers(pix(port, "C9^^^CLINIC", f"&{OID}&ISO")) == {("N1", OID)}
    nothing = pix(port, f"N1^^^&{OID}&ISO", OID)
    assert status(nothing) == ("AA", "NF")
    assert not [segment for segment in nothing if str(segment[0]) == "PID"]


@pytest.mark.parametrize(
    ("identifier", "domains", "expected"),
    [
        ("NOBODY^^^HOSP", (), [("QPD^1^3^1^1", "204")]),
        ("H1^^^ELSEWHERE", (), [("QPD^1^3^1^4", "204")]),
        ("H1^^^HOSP", ("CLINIC", "X", "Y"), [("QPD^1^4^2", "204"), ("QPD^1^4^3", "204")]),
    ],
)
def test_what_is_not_known_is_an_error_with_its_place(port, identifier, domains, expected):
    answer = pix(port, identifier, *domains)
    assert status(answer) == ("AE", "AE")
    assert errors(answer) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        [("PID.5.1.1", "PHANTOM")],
        [("PID.5.1.1", "Phan*"), ("PID.5.2", "A*")],
        [("PID.7.1", "19800302"), ("PID.8", "F")],
        [("PID.3.1", "H0")],
        [("PID.3.1", "H1"), ("PID.3.4", "HOSP")],
        [("PID.13.1", "1234567")],
        [("PID.11.1.1", "kernel street"), ("PID.7", "19800302")],
    ],
)
def test_people_by_what_is_known_of_them(port, parameters):
    answer = pdq(port, *parameters)
    assert status(answer) == ("AA", "OK")
    assert str(answer.segment("MSH")[9]) == "RSP^K22^RSP_K22"
    assert names(answer) == ["Phantom^Ada^^^^^L"]
    assert str(answer.segment("PID")[7]) == "19800302"


@pytest.mark.parametrize(
    "parameters",
    [
        [("PID.5.1.1", "Phan")],
        [("PID.5.1.1", "Phantom"), ("PID.8", "M")],
        [("PID.3.1", "H1"), ("PID.3.4", "CLINIC")],
        [("PID.5.1.1", "%")],
    ],
)
def test_people_who_do_not_fit_are_not_found(port, parameters):
    assert status(pdq(port, *parameters)) == ("AA", "NF")


def test_a_long_answer_is_told_in_pages(port):
    found, pointer = [], ""
    for _ in range(4):
        answer = pdq(port, ("PID.5.1.1", "Sequence"), page="2^RD", pointer=pointer)
        found += names(answer)
        last = [segment for segment in answer if str(segment[0]) == "DSC"]
        if not last:
            break
        pointer = str(last[0][1])
    assert found == [f"Sequence^Number{number}^^^^^L" for number in range(5)]


def test_domains_of_a_query_for_people(port):
    answer = pdq(port, ("PID.5.1.1", "Phantom"), domains=f"^^^&{OID}&ISO")
    assert identifiers(answer) == {("N1", OID)}
    unknown = pdq(port, ("PID.5.1.1", "Phantom"), domains="^^^HOSP~^^^X")
    assert status(unknown) == ("AE", "AE")
    assert errors(unknown) == [("QPD^1^8^2", "204")]


def test_a_query_that_narrows_nothing_down_is_refused(port):
    answer = pdq(port, ("PID.8", "F"), ("PID.11.3", "Voxelton"))
    assert str(answer.segment("MSA")[1]) == "AE"
    assert errors(answer) == [("QPD^1^3", "101")]


def test_a_cancelled_query_is_acknowledged(port):
    answer = ask(port, "J01", "QID|T2|IHE PDQ Query", code="QCN^J01^QCN_J01")
    assert str(answer.segment("MSA")[1]) == "AA"


def test_who_asked_is_audited(database, port):
    pix(port, "H1^^^HOSP")
    with database.read() as tx:
        [actor] = tx.values("select actor from audit.record where action = 'patient.query'")
    assert actor == "PORTAL"


def test_a_sender_of_registrations_may_not_ask(database):
    registrar = Hl7Peer("ADT", "127.0.0.1", receive=frozenset({"adt"}))
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, registrar, now=utc_now())
    with listening(database, ServerOptions(port=0)) as number:
        answer = pix(number, "H1^^^HOSP")
    assert str(answer.segment("MSA")[1]) == "AR"
    assert errors(answer) == [("MSH^1^9", "200")]
