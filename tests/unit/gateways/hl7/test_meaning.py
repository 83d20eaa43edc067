"""What a message means, found out from the translation that the interface itself uses."""

from datetime import UTC, datetime

from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.hl7.meaning import influences, meaning_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PEER = Hl7Peer("EHR", "192.0.2.1", receive=frozenset({"adt", "orm"}), assigning_authority="GH")
SENT_BY = (PEER, "192.0.2.1")
OBR = {1: "1", 2: "PLC1", 4: "CT1^CT head^L", 18: "ACC7", 19: "RP1", 20: "SPS1", 24: "CT"}
OBR[27] = "1^^^20261123090000^^S"
ORDER = "\r".join([
    "MSH|^~\\&|EHR|GH|ISO|RAD|20261122101500||ORM^O01|17|P|2.5.1",
    "PID|1||P1^^^GH||PHANTOM^ADA||19800102|F",
    "PV1|1|O",
    "ORC|NW|PLC1||||||||||^REFERRER^ROB",
    "|".join(["OBR", *(OBR.get(number, "") for number in range(1, 28))]),
]).encode()


def read(data: bytes):
    return meaning_of(data, SENT_BY, ReceiveOptions(), now=NOW)


def test_an_order_is_told_in_our_words():
    told = read(ORDER)

    assert (told.answer, told.refusal) == ("AA", "")
    assert told.facts["orders[1].order.accession_number"] == "ACC7"
    assert told.facts["orders[1].order.priority"] == "STAT"
    assert told.facts["orders[1].patient.person_name"] == "PHANTOM^ADA"
    assert told.facts["orders[1].order.procedures[1].steps[1].modality"] == "CT"


def test_each_field_is_said_to_set_what_it_sets():
    said = {each.place: each for each in influences(ORDER, SENT_BY, ReceiveOptions(), now=NOW)}

    assert said["PID-5"].facts == ("orders[1].patient.person_name",)
    assert said["OBR-27"].facts == (
        "orders[1].order.priority",
        "orders[1].order.procedures[1].steps[1].start_at",
    )
    assert said["PID-3"].required
    assert said["ORC-1"].required
    assert not said["PID-7"].required
    # Set ids say nothing to us, and what is said twice is not lost when one is left away.
    assert "PID-1" not in said
    assert "ORC-2" not in said


def test_what_is_refused_says_why():
    assert read(b"no message").answer == "AR"
    assert "MSH" in read(b"no message").refusal
    assert read(ORDER.replace(b"ORC|NW", b"ORC|ZZ")).answer == "AE"
    assert (
        "not accepted"
        in meaning_of(
            ORDER,
            (Hl7Peer("EHR", "192.0.2.1", receive=frozenset({"adt"})), ""),
            ReceiveOptions(),
            now=NOW,
        ).refusal
    )
    assert influences(b"no message", SENT_BY, ReceiveOptions(), now=NOW) == []


def test_an_application_that_the_peer_is_not_is_not_recognized():
    other = Hl7Peer("EHR", "192.0.2.1", receive=PEER.receive, application="OTHER")

    told = meaning_of(ORDER, (other, ""), ReceiveOptions(), now=NOW)

    assert (told.answer, told.facts) == ("AR", {})
