"""Which peer an address and a name belong to."""

import pytest

from isocenter.domain.peers.model import Hl7Peer, is_at, plain_address, sender


def resolve(host):
    return frozenset({"192.0.2.7", "2001:db8::7"}) if host == "ehr" else frozenset()


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.8", True),
        ("192.0.2.0/24", "198.51.100.1", False),
        ("192.0.2.0/24", "2001:db8::7", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("2001:DB8:0::7", "2001:db8::7%eth0", True),
        ("ehr", "192.0.2.7", True),
        ("ehr", "2001:db8::7", True),
        ("ehr", "192.0.2.9", False),
        ("unknown", "192.0.2.7", False),
        ("192.0.2.7", "no address", False),
    ],
)
def test_an_address_belongs_to_a_host(host, address, expected):
    assert is_at(host, address, resolve) is expected


def test_an_address_that_is_none_stays_as_it_is():
    assert plain_address("testclient") == "testclient"


ANY = Hl7Peer("any", "ehr")
EPIC = Hl7Peer("epic", "ehr", application="EPIC")
EPIC_EAST = Hl7Peer("east", "ehr", application="EPIC", facility="EAST")


@pytest.mark.parametrize(
    ("candidates", "application", "facility", "expected"),
    [
        ([ANY, EPIC], "epic", "", EPIC),
        ([ANY, EPIC], "OTHER", "", ANY),
        ([EPIC], "OTHER", "", None),
        ([EPIC, EPIC_EAST, ANY], "EPIC", "east", EPIC_EAST),
        ([EPIC_EAST], "EPIC", "WEST", None),
        ([], "EPIC", "", None),
    ],
)
def test_the_most_particular_peer_sent_it(candidates, application, facility, expected):
    assert sender(candidates, application, facility) is expected
