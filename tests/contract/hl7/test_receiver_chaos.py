"""A receiver that does everything a receiver can do wrong, in any order, and is killed meanwhile.

Nothing is lost, nothing goes again after its acknowledgement, nothing is credited with what was
said of another message, and what is about one patient arrives in its order.
"""

import random
import socket
import threading
import time
from collections import Counter, defaultdict
from dataclasses import replace

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import MessageFilter
from isocenter.infra.clock import utc_now
from tests.contract.hl7.receivers import FS_CR, VT, RawReceiver, acknowledgement
from tests.contract.hl7.test_sending import (
    ACTOR,
    OPTIONS,
    add_peer,
    addend,
    deliveries,
    eventually,
    sending,
    sign,
    states,
)

PATIENTS = 8
# Of batches so small the next is taken ahead.
QUICK = replace(OPTIONS, backoff_first_s=0.03, backoff_max_s=0.1, batch_max=3)
KINDS = ("accept", "trickle", "twice", "slow", "silent", "wrong", "crossed", "cut", "reject")
WEIGHTS = (6, 3, 3, 2, 1, 2, 2, 2, 2)


def control_id_of(message: bytes) -> bytes:
    return message.split(b"\r")[0].split(b"|")[9]


class Chaos:
    """Answers as chance has it, and remembers what it took and what it said."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # the same trouble in every run
        self.guard = threading.Lock()
        self.received: dict[bytes, list[float]] = defaultdict(list)
        self.order: list[bytes] = []
        self.accepted: dict[bytes, set[bytes]] = defaultdict(set)
        self.unanswered: list[bytes] = []
        self.did: Counter[str] = Counter()

    def __call__(self, connection: socket.socket, message: bytes, number: int) -> None:
        known = control_id_of(message)
        with self.guard:
            self.received[known].append(utc_now().timestamp())
            self.order.append(known)
            (kind,) = self.chance.choices(KINDS, WEIGHTS)
            self.did[kind] += 1
        getattr(self, kind)(connection, message)

    def accept(self, connection: socket.socket, message: bytes) -> None:
        connection.sendall(self.acceptance(message))

    def trickle(self, connection: socket.socket, message: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in self.acceptance(message):
            connection.sendall(bytes([byte]))

    def twice(self, connection: socket.socket, message: bytes) -> None:
        connection.sendall(2 * self.acceptance(message))

    def slow(self, connection: socket.socket, message: bytes) -> None:
        time.sleep(0.05)
        self.accept(connection, message)

    def silent(self, connection: socket.socket, message: bytes) -> None:
        self.unanswered.append(message)

    def wrong(self, connection: socket.socket, message: bytes) -> None:
        connection.sendall(VT + acknowledgement(message, control_id=b"NEVERSENT") + FS_CR)

    def crossed(self, connection: socket.socket, message: bytes) -> None:
        """Say late, and on whatever connection there is, that an earlier message was taken."""
        late = self.unanswered.pop() if self.unanswered else message
        connection.sendall(self.acceptance(late))

    def cut(self, connection: socket.socket, message: bytes) -> None:
        """Die in the middle of the answer."""
        connection.sendall(self.acceptance(message)[:20])
        connection.close()

    def reject(self, connection: socket.socket, message: bytes) -> None:
        connection.sendall(VT + acknowledgement(message, "AR", error="207") + FS_CR)

    def acceptance(self, message: bytes) -> bytes:
        answer = acknowledgement(message)
        self.accepted[control_id_of(message)].add(answer)
        return VT + answer + FS_CR


def test_nothing_is_lost_repeated_or_credited_wrongly(database):
    chaos = {"patient": Chaos(seed=27), "all": Chaos(seed=27)}
    receivers = {ordering: RawReceiver(each) for ordering, each in chaos.items()}
    for ordering, each in receivers.items():
        add_peer(database, each.port, name=ordering, ack_timeout_s=0.5, ordering=ordering)
    for number in range(PATIENTS):
        report_id = sign(database, f"N{number}", to=tuple(chaos))
        addend(database, report_id, f"N{number}", "Later.", to=tuple(chaos))
    with sending(database, QUICK):
        for ordering, each in receivers.items():
            each.wait(PATIENTS)
            each.close()  # killed, with what was under way
            receivers[ordering] = RawReceiver(chaos[ordering], port=each.port)
        eventually(lambda: set(states(database)) == {"acknowledged"}, timeout_s=40)
    assert len(states(database)) == 2 * 2 * PATIENTS
    for each in receivers.values():
        each.close()
    for ordering, each in chaos.items():
        _check(database, each, ordering)


def _check(database, chaos: Chaos, ordering: str) -> None:
    assert set(chaos.did) == set(KINDS), "not every trouble was made"
    found = [each for each in deliveries(database) if each.recipient == ordering]
    assert len(found) == 2 * PATIENTS
    assert {each.control_id.encode() for each in found} == set(chaos.received), "lost or made up"
    for each in found:
        last = chaos.received[each.control_id.encode()][-1]
        assert last <= each.acknowledged_at.timestamp(), "sent again after its acknowledgement"
    with database.transaction() as tx:
        wanted = MessageFilter(direction="out", peer=ordering)
        log = peers.search_messages(tx, ACTOR, wanted, limit=500)
        said = [peers.message(tx, ACTOR, each.message_key, now=utc_now()) for each in log]
    assert Counter(each.control_id for each in said) == Counter(each.control_id for each in found)
    for each in said:
        assert each.acknowledgement in chaos.accepted[each.control_id.encode()], "not its own"
    _check_order(chaos, found, strict=ordering == "all")


def _check_order(chaos: Chaos, found, *, strict: bool) -> None:
    """No message came before those that must be before it were acknowledged."""
    for earlier in found:
        for later in found:
            behind = strict or earlier.accession_number == later.accession_number
            if behind and earlier.delivery_key < later.delivery_key:
                first_seen = chaos.received[later.control_id.encode()][0]
                last_seen = chaos.received[earlier.control_id.encode()][-1]
                assert last_seen <= first_seen, "it overtook"
