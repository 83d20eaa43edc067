"""HL7 interfaces that fall silent, on a real database."""

from datetime import UTC

from isocenter.app.interface_guard import interfaces_silent
from isocenter.domain.access.model import Actor
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import ConditionKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer
from tests.builders import NOON, after_noon

SYSTEM = Actor.system("test")
KINDS = [ConditionKind.INTERFACE_SILENT]


def settle(tx, now):
    found = interfaces_silent(tx, SYSTEM, zone=UTC, now=now)
    return monitoring.settle_conditions(tx, found, kinds=KINDS, now=now)


def say(tx, peer, now):
    message = Hl7Message("in", peer, "1", "ADT^A08", peer.encode() + str(now).encode(), b"MSH|")
    peers.record_message(tx, message, now=now)


def test_a_silent_interface_alarms_once_and_ends_when_it_speaks(tx):
    for name in ("EHR", "NIGHT", "NEW"):
        peers.add_hl7_peer(tx, SYSTEM, Hl7Peer(name, "h", receive=frozenset({"adt"})), now=NOON)
        say(tx, name, NOON)
    # One speaks every minute of the day, the other at night only, the third for the first time.
    tx.run(
        "insert into peers.traffic select peer, 'in', date_trunc('hour', %s::timestamptz)"
        " - n * interval '1 hour', 60, 0 from generate_series(1, 600) n,"
        " unnest(array['EHR', 'NIGHT']) peer where peer = 'EHR' or"
        " extract(hour from %s::timestamptz - n * interval '1 hour') < 5",
        (NOON, NOON),
    )

    assert settle(tx, after_noon(minutes=5)) == (0, 0)
    assert settle(tx, after_noon(minutes=15)) == (1, 0)
    assert settle(tx, after_noon(minutes=20)) == (0, 0)
    assert tx.values("select subject from monitoring.condition where cleared_at is null") == ["EHR"]
    say(tx, "EHR", after_noon(minutes=21))
    assert settle(tx, after_noon(minutes=22)) == (0, 1)
