"""Enhanced mode with peers that have a port, and numbered messages."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer, MessageFilter
from isocenter.gateways.hl7.acknowledging import Acknowledger, AcknowledgerOptions
from isocenter.gateways.hl7.server import ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.pools import Pool
from tests.contract.hl7.listening import listening
from tests.e2e.hl7_peers import (
    FS_CR,
    VT,
    ResultReceiver,
    parse,
    read_frames,
    registration,
    send,
)

SYSTEM = Actor.system("test")


@contextlib.contextmanager
def acknowledging(database):
    """The sender of application acknowledgements, in a thread of its own."""
    pool = Pool(database, threads=1)
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    sender = Acknowledger(pool, AcknowledgerOptions(poll_s=0.02), clock=utc_now)
    thread = threading.Thread(target=loop.run_until_complete, args=(sender.run(stop),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        pool.close()


@pytest.fixture
def receiver():
    made = ResultReceiver()
    made.answer = "CA"
    yield made
    made.close()


@pytest.fixture
def port(database, receiver):
    peer = Hl7Peer(
        "EHR",
        "127.0.0.1",
        port=receiver.port,
        receive=frozenset({"adt"}),
        ack_timeout_s=1.0,
        sequence_numbers=True,
    )
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, SYSTEM, peer, now=utc_now())
    with listening(database, ServerOptions(port=0)) as number:
        yield number


def enhanced(number, accept, application, *, sequence="", trigger=b"A04"):
    message = registration(
        f"P{number}", "Phantom^Ada", control_id=f"e{number}", stamp="20260302120000"
    )
    head = b"2.5.1|%s||%s|%s\r" % (sequence.encode(), accept, application)
    return message.replace(b"2.5.1\r", head, 1).replace(b"ADT^A04^ADT_A01", b"ADT^" + trigger)


def received(receiver, count):
    deadline = time.monotonic() + 10
    while len(receiver.received) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return [
        (str(each.segment("MSA")[1]), str(each.segment("MSA")[2])) for each in receiver.received
    ]


def test_what_became_of_a_message_is_told_on_our_own_connection(database, port, receiver):
    def immediate(message):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(VT + message + FS_CR)
            connection.shutdown(socket.SHUT_WR)
            frames = read_frames(connection, count=1, quiet_s=0.05)
        return [str(parse(each).segment("MSA")[1]) for each in frames]

    with acknowledging(database):
        assert immediate(enhanced(1, b"AL", b"AL")) == ["CA"]
        assert received(receiver, 1) == [("AA", "e1")]
        assert immediate(enhanced(2, b"AL", b"ER", trigger=b"A20")) == ["CA"]
        assert received(receiver, 2)[1:] == [("AR", "e2")]
        assert immediate(enhanced(3, b"NE", b"AL")) == []
        assert received(receiver, 3)[2:] == [("AA", "e3")]
        # Nothing is told that was not asked for.
        assert immediate(enhanced(4, b"AL", b"NE")) == ["CA"]
        assert immediate(enhanced(5, b"AL", b"ER")) == ["CA"]
        # The same message again has one effect, and both of its answers.
        assert immediate(enhanced(1, b"AL", b"AL")) == ["CA"]
        assert received(receiver, 4)[3:] == [("AA", "e1")]
    first = receiver.received[0]
    assert (str(first.segment("MSH")[15]), str(first.segment("MSH")[16])) == ("AL", "NE")
    with database.read() as tx:
        told = peers.search_messages(tx, SYSTEM, MessageFilter(direction="out"))
        [told_of] = peers.search_messages(tx, SYSTEM, MessageFilter(control_id="e1"))
        assert identity.find(tx, "P3") is not None
    assert [each.acknowledgement_code for each in told] == ["CA"] * 4
    assert told_of.acknowledgement_code == "AA"


def test_an_acknowledgement_that_is_not_taken_is_sent_again(database, port, receiver):
    receiver.silent = True
    send(port, enhanced(1, b"AL", b"AL"))
    with acknowledging(database):
        received(receiver, 1)
        receiver.silent = False
        with database.transaction() as tx:  # the time to wait is over
            tx.run("update peers.application_acknowledgement set due_at = now() where attempts = 1")
        deadline = time.monotonic() + 10
        sent = None
        while sent is None and time.monotonic() < deadline:
            with database.transaction() as tx:
                tx.run(
                    "update peers.application_acknowledgement set due_at = now()"
                    " where last_error is not null and sent_at is null"
                )
                sent = tx.value("select sent_at from peers.application_acknowledgement")
            time.sleep(0.05)
    assert sent is not None
    assert set(received(receiver, 2)) == {("AA", "e1")}


def test_numbered_messages_are_taken_in_their_order(database, port):
    def answer(number, sequence, trigger=b"A04"):
        message = enhanced(number, b"", b"", sequence=sequence, trigger=trigger)
        [frame] = send(port, message)
        msa = parse(frame).segment("MSA")
        return str(msa[1]), str(msa[4]) if len(msa) > 4 else ""

    assert answer(1, "0", trigger=b"") == ("AA", "-1")
    assert answer(2, "7") == ("AA", "8")
    assert answer(3, "9") == ("AE", "8")
    assert answer(3, "8") == ("AA", "9")
    assert answer(3, "8") == ("AA", "9")  # again: the stored answer
    assert answer(4, "7") == ("AE", "9")
    assert answer(5, "0", trigger=b"") == ("AA", "9")
    assert answer(6, "-1", trigger=b"") == ("AA", "-1")
    assert answer(7, "1") == ("AA", "2")
    assert answer(8, "") == ("AA", "")
    with database.read() as tx:
        assert identity.find(tx, "P4") is None
