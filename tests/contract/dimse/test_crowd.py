"""Ten thousand callers who hang up: honest work goes on, and nothing of them is left."""

import gc
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from isocenter.gateways.dimse.limits import Limits
from isocenter.standards.dicom.ul import pdu
from isocenter.standards.dicom.ul.items import UserInformation
from tests.contract.dimse.test_hostile import (
    CT,
    REQUEST,
    established,
    store_beginning,
    wait_until,
)

CALLERS = 10_000
AT_ONCE = 40
GROWTH_BYTES_MAX = 30 << 20
STRANGER = pdu.encode(
    pdu.AssociateRequest(
        "ARCHIVE",
        "STRANGER",
        (pdu.ProposedContext(1, CT, ("1.2.840.10008.1.2.1",)),),
        UserInformation(16384, "1.2.3"),
    )
)
# Closed with a reset, as by a program that was killed: nothing of it stays in this machine either.
RESET = struct.pack("ii", 1, 0)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@dataclass(frozen=True)
class Manner:
    """What a caller says, the type of the first PDU that it hears, and its last words."""

    says: bytes
    hears: int | None = None
    last_words: bytes = b""


MANNERS = (
    Manner(REQUEST, pdu.PduType.ASSOCIATE_AC),
    Manner(STRANGER, pdu.PduType.ASSOCIATE_RJ),
    Manner(REQUEST[:50]),
    Manner(b""),
    Manner(REQUEST, pdu.PduType.ASSOCIATE_AC, store_beginning(2000)),
    Manner(REQUEST + store_beginning(2000), pdu.PduType.ABORT),  # before it was accepted
)


def crowd(port: int, manner: Manner) -> None:
    """So many callers at once, who are gone before they are answered."""
    callers = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(AT_ONCE)]
    for caller in callers:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        caller.sendall(manner.says)
    for caller in callers:
        if manner.hears is not None:
            assert caller.recv(4096)[0] == manner.hears
        if manner.last_words:
            caller.sendall(manner.last_words)
        caller.close()


@pytest.mark.timeout(60)
def test_ten_thousand_associations_are_opened_and_dropped(start):
    running = start(Limits(free_bytes_min=0, associations_per_address_max=2 * AT_ONCE))
    stored = threading.Event()
    over = threading.Event()

    def honest() -> None:
        last = pdu.PresentationDataValue(1, is_command=False, is_last=True, data=b"\0\0")
        with established(running) as peer:
            while not over.is_set():
                peer.sendall(store_beginning(1000) + pdu.encode(pdu.PData((last,))))
                assert peer.recv(4096)[0] == pdu.PduType.P_DATA_TF
                stored.set()
            peer.sendall(pdu.encode(pdu.ReleaseRequest()))
            assert peer.recv(100) == pdu.encode(pdu.ReleaseResponse())
        stored.set()

    for manner in MANNERS:  # what is made once is made now
        crowd(running.port, manner)
    before = resident_bytes()
    worker = threading.Thread(target=honest)
    worker.start()
    for number in range(CALLERS // AT_ONCE):
        if number % 50 == 0:
            stored.clear()
        crowd(running.port, MANNERS[number % len(MANNERS)])
        if number % 50 == 49:
            assert stored.wait(10), "an honest sender waits"
    over.set()
    worker.join(10)
    assert not worker.is_alive()
    wait_until(lambda: running.server.associations == 0, 10)
    del running.policy.unknown[:], running.archive.arrivals[:]
    assert resident_bytes() - before < GROWTH_BYTES_MAX
    assert not [path for path in running.files() if "unfinished" in path.parts]
