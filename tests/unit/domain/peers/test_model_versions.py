"""Peers as descriptions, and what differs between two."""

import pytest

from isocenter.domain.peers.model import BadPeer, Hl7Peer
from isocenter.domain.peers.model_meaning import Change, Meaning, changes
from isocenter.domain.peers.model_versions import described, difference, peer_from

EHR = Hl7Peer("EHR", "192.0.2.1", 2575, send=frozenset({"oru"}), receive=frozenset({"adt", "orm"}))


def test_a_described_peer_is_the_same_peer():
    assert peer_from(described(EHR)) == EHR


@pytest.mark.parametrize(
    "wrong",
    [
        {"nme": "EHR"},
        {"receive": "adt"},
        {"enabled": "yes"},
        {"version": 2},
    ],
)
def test_what_is_no_peer_is_refused(wrong):
    with pytest.raises(BadPeer):
        peer_from({**described(EHR), **wrong})


def test_a_peer_needs_name_and_host():
    with pytest.raises(BadPeer):
        peer_from({"port": 2575})


def test_difference_tells_each_attribute():
    other = peer_from({**described(EHR), "version": "2.3.1", "receive": ["adt"], "port": None})

    assert difference(EHR, other) == [
        Change("port", "2575", ""),
        Change("receive", "adt, orm", "adt"),
        Change("version", "2.5.1", "2.3.1"),
    ]


def test_meanings_are_compared_fact_by_fact():
    before = Meaning("AA", "", {"a": "1", "b": "2"})

    assert changes(before, Meaning("AA", "", {"a": "1", "c": "3"})) == [
        Change("b", "2", ""),
        Change("c", "", "3"),
    ]
    assert changes(before, Meaning("AR", "not accepted", {})) == [
        Change("answer", "AA", "AR: not accepted")
    ]
    assert changes(before, before) == []
