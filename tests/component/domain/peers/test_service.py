"""Peers, strangers and the message log on a real database."""

from dataclasses import replace

import pytest

from isocenter.domain.access.model import Action, Actor, ActorKind, NotAuthorized
from isocenter.domain.peers import service
from isocenter.domain.peers.model import (
    BadPeer,
    DicomPeer,
    Hl7Message,
    Hl7Peer,
    MessageFilter,
    PeerExists,
    PeerUnknown,
    PendingCallerUnknown,
)
from isocenter.domain.peers.service import callers
from tests.builders import NOON, PERSON, after_noon

CT1 = DicomPeer("ct-1", "CT1", "192.0.2.20", 104, frozenset({"store", "worklist"}))
EHR = Hl7Peer(
    "EHR",
    "ehr.example.org",
    2575,
    send=frozenset({"oru"}),
    receive=frozenset({"adt", "orm"}),
    application="EPIC",
)


def resolve(host):
    return frozenset({"192.0.2.10"}) if host == "ehr.example.org" else frozenset()


def decide(tx, title, address, now=NOON):
    return service.decide_association(
        tx, calling_ae_title=title, address=address, resolve=resolve, now=now
    )


def test_a_peer_is_known_by_its_title_at_its_address(tx):
    service.add_dicom_peer(tx, PERSON, CT1, now=NOON)
    assert decide(tx, "CT1", "192.0.2.20").peer == CT1
    assert decide(tx, "CT1", "::ffff:192.0.2.20").peer == CT1
    assert service.pending_callers(tx, PERSON) == []


def test_a_stranger_is_refused_and_noted_once(tx):
    for minute in range(3):
        decision = decide(tx, "MR9", "192.0.2.99", after_noon(minute))
        assert (decision.peer, decision.known) == (None, False)
    (caller,) = service.pending_callers(tx, PERSON)
    assert (caller.caller, caller.address, caller.attempts) == ("MR9", "192.0.2.99", 3)
    assert (caller.first_seen_at, caller.last_seen_at) == (NOON, after_noon(2))


def test_a_known_title_from_a_wrong_address_and_a_disabled_peer_are_refused(tx):
    service.add_dicom_peer(tx, PERSON, CT1, now=NOON)
    service.add_dicom_peer(
        tx, PERSON, replace(CT1, name="off", ae_title="OFF", enabled=False), now=NOON
    )
    assert (decide(tx, "CT1", "192.0.2.66").peer, decide(tx, "OFF", CT1.host).peer) == (None, None)
    assert decide(tx, "CT1", "192.0.2.66").known


def test_a_peer_may_be_a_network_or_a_host_name(tx):
    service.add_dicom_peer(tx, PERSON, replace(CT1, host="192.0.2.0/28"), now=NOON)
    named = DicomPeer("named", "NAMED", "ehr.example.org", 104)
    service.add_dicom_peer(tx, PERSON, named, now=NOON)
    assert decide(tx, "CT1", "192.0.2.15").peer is not None
    assert decide(tx, "CT1", "192.0.2.16").peer is None
    assert decide(tx, "NAMED", "192.0.2.10").peer == named


def test_approving_makes_a_peer_of_a_caller(tx):
    decide(tx, "MR9", "192.0.2.99")
    (caller,) = service.pending_callers(tx, PERSON)
    service.approve_caller(
        tx, PERSON, caller.pending_key, peer=("mr-9", 0), allow=["store"], now=NOON
    )
    assert decide(tx, "MR9", "192.0.2.99").peer.allow == {"store"}
    assert service.pending_callers(tx, PERSON) == []
    with pytest.raises(PendingCallerUnknown):
        service.approve_caller(tx, PERSON, caller.pending_key, peer=("mr-9", 0), allow=[], now=NOON)


def test_a_dismissed_caller_stays_out_of_sight(tx):
    service.record_unknown_hl7_caller(tx, "192.0.2.77", "EVIL\x00APP", now=NOON)
    (caller,) = service.pending_callers(tx, PERSON)
    assert (caller.protocol, caller.caller) == ("hl7", "EVIL?APP")
    service.dismiss_caller(tx, PERSON, caller.pending_key, now=NOON)
    service.record_unknown_hl7_caller(tx, "192.0.2.77", "EVIL\x00APP", now=NOON)
    assert service.pending_callers(tx, PERSON) == []


def test_strangers_fill_no_table(tx, monkeypatch):
    monkeypatch.setattr(callers, "PENDING_CALLERS_MAX", 3)
    for number in range(6):
        decide(tx, f"X{number}", "192.0.2.99", after_noon(number))
    assert [e.caller for e in service.pending_callers(tx, PERSON)] == ["X5", "X4", "X3"]


def test_hl7_peers_are_found_by_address_and_picked_by_application(tx):
    service.add_hl7_peer(tx, PERSON, EHR, now=NOON)
    service.add_hl7_peer(tx, PERSON, replace(EHR, name="off", enabled=False), now=NOON)
    service.add_hl7_peer(tx, PERSON, replace(EHR, name="mute", receive=frozenset()), now=NOON)
    assert service.hl7_peers_at(tx, "192.0.2.10", resolve=resolve) == [EHR]
    assert service.hl7_peers_at(tx, "192.0.2.11", resolve=resolve) == []
    assert [each.name for each in service.hl7_recipients(tx, "oru")] == ["EHR", "mute"]


def test_names_and_titles_are_given_once_and_peers_can_go(tx):
    service.add_dicom_peer(tx, PERSON, CT1, now=NOON)
    for other in (replace(CT1, ae_title="CT2"), replace(CT1, name="ct-2")):
        with pytest.raises(PeerExists):
            service.add_dicom_peer(tx, PERSON, other, now=NOON)
    service.remove_peer(tx, PERSON, "dicom", "ct-1", now=NOON)
    with pytest.raises(PeerUnknown):
        service.remove_peer(tx, PERSON, "dicom", "ct-1", now=NOON)
    actions = tx.values("select action from audit.record order by record_key")
    assert actions == ["peer.add", "peer.remove"]


@pytest.mark.parametrize(
    "peer",
    [
        replace(CT1, ae_title="A" * 17),
        replace(CT1, ae_title="A\\B"),
        replace(CT1, name="a b"),
        replace(CT1, port=0),
        replace(CT1, host=""),
        replace(CT1, allow=frozenset({"everything"})),
    ],
)
def test_unusable_dicom_peers_are_refused(tx, peer):
    with pytest.raises(BadPeer):
        service.add_dicom_peer(tx, PERSON, peer, now=NOON)


@pytest.mark.parametrize(
    "changed",
    [
        {"port": None},  # it is sent to
        {"sequence_numbers_sent": True, "ordering": "patient"},
        {"trusted_authorities": frozenset({"HOSP", " "})},
        {"trusted_authorities": frozenset({" HOSP"})},
        {"received_map": "not a map"},
    ],
)
def test_unusable_hl7_peers_are_refused(tx, changed):
    with pytest.raises(BadPeer):
        service.add_hl7_peer(tx, PERSON, replace(EHR, **changed), now=NOON)


A_MESSAGE = Hl7Message(
    "in",
    "EHR",
    "MSG1",
    "ORM^O01",
    b"digest",
    b"MSH|\xff",
    acknowledgement=b"MSH|ack",
    acknowledgement_code="AA",
    patient_id="P1",
    accession_number="ACC1",
    effect="order placed",
)


def test_the_same_message_again_gets_the_stored_acknowledgement(tx):
    assert service.stored_acknowledgement(tx, "EHR", "MSG1", b"digest") is None
    key = service.record_message(tx, A_MESSAGE, now=NOON)
    assert service.stored_acknowledgement(tx, "EHR", "MSG1", b"digest") == b"MSH|ack"
    assert service.record_message(tx, A_MESSAGE, now=NOON) is None
    assert service.stored_acknowledgement(tx, "EHR", "MSG1", b"other") is None
    assert service.record_message(tx, replace(A_MESSAGE, body_digest=b"other"), now=NOON) > key


def test_messages_are_found_by_what_people_know_and_reading_is_audited(tx):
    key = service.record_message(tx, A_MESSAGE, now=NOON)
    failed = replace(A_MESSAGE, control_id="MSG2", error="no such order", accession_number="ACC2")
    service.record_message(tx, failed, now=after_noon(1))
    for wanted, expected in (
        (MessageFilter(accession_number="ACC1"), ["MSG1"]),
        (MessageFilter(with_error=True), ["MSG2"]),
        (MessageFilter(peer="EHR"), ["MSG2", "MSG1"]),
        (MessageFilter(received_from=after_noon(1)), ["MSG2"]),
        (MessageFilter(message_type="ADT^A01"), []),
    ):
        found = service.search_messages(tx, PERSON, wanted)
        assert [each.control_id for each in found] == expected
    assert service.message(tx, PERSON, key, now=NOON).raw == b"MSH|\xff"
    assert tx.values("select patient_id from audit.record where action = 'message.read'") == ["P1"]


def test_who_may_only_look_at_exams_changes_no_peers(tx):
    reader = Actor(ActorKind.USER, "eve", frozenset({Action.EXAM_READ}), "local")
    with pytest.raises(NotAuthorized):
        service.add_dicom_peer(tx, reader, CT1, now=NOON)
