"""HL7 v2 going out: how many signed reports a second reach a receiver that answers at once.

The reports are signed and queued before, for a destination that is paused; the clock runs from its
resumption to the last acknowledgement on record. Making the messages is part of it.
"""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import Code, OrderFacts, ProcedureFacts, StepFacts
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.reporting import service as reporting
from isocenter.domain.scheduling import service as scheduling
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database, Tx
from isocenter.standards.hl7v2.ack import AckCode, build_ack, origin_of
from isocenter.standards.hl7v2.er7 import parse
from isocenter.standards.hl7v2.mllp import Block, BlockReader, encode_block

RECIPIENT = "BENCHOUT"
_ACTOR = Actor.system("bench")
_VIEWER = Viewer.of(_ACTOR, Action.DELIVERY_READ)
_TEXT = "The heart is of normal size. No effusion, no consolidation.\n" * 12
_GIVE_UP_S = 300.0
# As after a replay by a person, for all of them at once.
_AGAIN = """
update distribution.delivery
   set state = 'queued', due_at = %(now)s, queued_at = %(now)s, control_id = null, message = null,
       acknowledgement = null, sent_at = null, acknowledged_at = null
 where recipient = %(recipient)s and state = 'acknowledged'
"""


@dataclass(frozen=True, slots=True)
class OutboundResult:
    """What one run showed."""

    messages: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Messages acknowledged per second."""
        return self.messages / self.seconds


class _Receiver(asyncio.Protocol):
    """Answers every message AA."""

    def __init__(self) -> None:
        self._reader = BlockReader()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for event in self._reader.receive(data):
            if isinstance(event, Block) and isinstance(self._transport, asyncio.Transport):
                origin = origin_of(parse(event.data.split(b"\r", 1)[0]))
                answer = build_ack(origin, AckCode.AA, control_id="1", timestamp="2026")
                self._transport.write(encode_block(answer))


@contextmanager
def receiver() -> Generator[int]:
    """The port of a receiver that answers at once, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(
        loop.create_server(_Receiver, "127.0.0.1", 0), loop
    ).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def queue(database: Database, messages: int, port: int) -> None:
    """Sign so many reports of as many patients; they wait for a paused destination.

    Events of ``database`` go to nobody, so that nothing else queues them.
    """
    now = utc_now()
    peer = Hl7Peer(RECIPIENT, "127.0.0.1", port, send=frozenset({"oru"}), application="BENCH")
    with database.transaction() as tx:
        peers.add_hl7_peer(tx, _ACTOR, peer, now=now)
    for number in range(messages):
        with database.transaction() as tx:
            _sign(tx, number)


def _sign(tx: Tx, number: int) -> None:
    now = utc_now()
    accession = f"OUT{number:07d}"
    patient = PatientFacts(
        (PatientIdentifier(f"OUT{number:07d}", "BENCH"),),
        now,
        person_name=f"Bench^Synthetic{number}",
        sex="O",
    )
    procedure = ProcedureFacts(
        study_instance_uid=f"2.25.{10**9 + number}",
        code=Code("CT01", "L", "CT chest"),
        steps=(StepFacts(modality="CT", start_at=now + timedelta(days=1)),),
    )
    facts = OrderFacts(
        now,
        placer_order_number=accession,
        placer_namespace="BENCH",
        accession_number=accession,
        procedures=(procedure,),
    )
    scheduling.place_order(tx, _ACTOR, patient, facts, now=now)
    report = reporting.draft(tx, _ACTOR, accession, _TEXT, now=now)
    reporting.sign(tx, _ACTOR, report.report_id, now=now)
    distribution.route(
        tx,
        [RECIPIENT],
        report_id=report.report_id,
        version=1,
        accession_number=accession,
        now=now,
    )
    if number == 0:
        distribution.pause(tx, _ACTOR, RECIPIENT, reason="bench", now=now)


def again(database: Database) -> None:
    """Have all of them wait once more."""
    with database.transaction() as tx:
        distribution.pause(tx, _ACTOR, RECIPIENT, reason="bench", now=utc_now())
        tx.run(_AGAIN, {"recipient": RECIPIENT, "now": utc_now()})


def deliver(database: Database, messages: int) -> OutboundResult:
    """Resume the destination, and wait until it has everything."""
    started = time.perf_counter()
    with database.transaction() as tx:
        distribution.resume(tx, _ACTOR, RECIPIENT, now=utc_now())
    while time.perf_counter() - started < _GIVE_UP_S:
        with database.read() as tx:
            found = distribution.destinations(tx, _VIEWER)
        if not any(each.waiting for each in found if each.recipient == RECIPIENT):
            return OutboundResult(messages, time.perf_counter() - started)
        time.sleep(0.05)
    raise TimeoutError(RECIPIENT)
