"""What every message says of who gets it."""

from dataclasses import replace

from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.outbound import envelope_of
from tests.builders import NOON


def test_a_peer_of_which_only_the_name_is_known_is_called_that_at_our_facility():
    peer = Hl7Peer("EHR", "127.0.0.1", port=2576)
    known = replace(peer, application="RECEIVER", facility="NORTH")
    made = [envelope_of(each, ("ISOCENTER", "RAD"), "1", NOON) for each in (peer, known)]
    assert [each.receiving for each in made] == [("EHR", "RAD"), ("RECEIVER", "NORTH")]
