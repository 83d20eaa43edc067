"""The demonstration EHR: registers patients, orders exams, receives results and acknowledges them.

It knows the product only as an HL7 address. Some of its behaviour is faulty on purpose: it repeats
a message, and it goes down for a while.
"""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from isocenter.app.demo import hl7_messages as hl7
from isocenter.app.demo.cast import Exam, Patient
from isocenter.app.demo.hl7_text import field_of
from isocenter.app.demo.mllp_peer import Listener, NoAcknowledgement, Sender
from isocenter.infra.clock import Clock

_ATTEMPTS = 20
_PAUSE_S = 1.5


@dataclass(frozen=True)
class Answer:
    """What came back for a message."""

    code: str
    text: str


class Ehr:
    """One EHR with a sending connection and a listening port.

    Args:
        send_to: host and port of the product's HL7 listener.
        listen_on: host and port on which results are received.
        run: makes control ids unique to this start.
        clock: gives the time written into messages.
        say: tells the audience.
    """

    def __init__(
        self,
        *,
        send_to: tuple[str, int],
        listen_on: tuple[str, int],
        run: int,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._envelope = hl7.Envelope(("ISOCENTER", "RADIOLOGY"), f"E{run:03d}")
        self._sender = Sender(*send_to)
        self._listener = Listener(*listen_on, self._receive)
        self._clock, self._say = clock, say
        self._acknowledgements = itertools.count(1)
        self._run = run
        self.received: list[str] = []
        self._arrived = threading.Condition()

    def start(self) -> None:
        """Listen for results; raises ``OSError`` when the port is taken."""
        self._listener.start()

    def stop(self) -> None:
        """Close the port and the connection."""
        self._listener.stop()
        self._sender.close()

    def go_down(self) -> None:
        """Stop answering, as for maintenance."""
        self._listener.stop()

    def register(self, patient: Patient) -> Answer:
        """Register a patient with ADT^A04."""
        message = hl7.registration(self._envelope, "A04", patient, self._clock())
        return self._send(message)

    def update(self, patient: Patient) -> Answer:
        """Send a patient's changed demographics with ADT^A08."""
        return self._send(hl7.registration(self._envelope, "A08", patient, self._clock()))

    def merge(self, survivor: Patient, prior: Patient) -> Answer:
        """Tell with ADT^A40 that two numbers are one person."""
        return self._send(hl7.merge(self._envelope, survivor, prior, self._clock()))

    def order(self, exam: Exam, *, twice: bool = False) -> Answer:
        """Order an exam; ``twice`` repeats the very same message, as a nervous interface does."""
        message = hl7.order(self._envelope, exam, self._clock())
        answer = self._send(message)
        return self._send(message) if twice else answer

    def cancel(self, exam: Exam) -> Answer:
        """Take an order back."""
        return self._send(hl7.order(self._envelope, exam, self._clock(), control="CA"))

    def wait_for_result(self, count: int, timeout_s: float) -> bool:
        """Whether so many results have come within a time."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.received) >= count, timeout_s)

    def _send(self, message: str) -> Answer:
        for attempt in itertools.count(1):
            try:
                answer = self._sender.send(message)
            except NoAcknowledgement:
                if attempt >= _ATTEMPTS:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return Answer(field_of(answer, "MSA", 1), field_of(answer, "MSA", 3))
        raise AssertionError

    def _receive(self, message: str) -> str:
        """Keep a result and acknowledge it."""
        now = self._clock()
        control_id = f"A{self._run:03d}{next(self._acknowledgements):05d}"
        kind = field_of(message, "MSH", 9)
        name = field_of(message, "PID", 5).split("^")
        said = field_of(message, "OBR", 4).split("^")
        what = said[1] if len(said) > 1 else said[0]
        with self._arrived:
            self.received.append(message)
            self._arrived.notify_all()
        self._say(f"received {kind} for {'^'.join(name[:2])}: {what}; acknowledged AA")
        return hl7.acknowledgement(message, control_id, now)
