"""What goes on beside the messages: sequence numbers, and acknowledgements on our own connection.

For gateways: nothing of it is a person's doing, and nothing of it is audited.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from isocenter.domain.peers import _store_exchange as store
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx
from isocenter.standards.hl7v2.sequence import Sent, Sequence, Verdict, judge

WaitingAcknowledgement = store.WaitingAcknowledgement


class OutOfSequence(IsocenterError):
    """A message has another sequence number than the one after the last that was taken."""

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, expected: int) -> None:
        super().__init__(f"the sequence number expected is {expected}")
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of sending an acknowledgement.

    Attributes:
        error: why it was not taken; None when it was.
        due_at: when it is tried again; None: it is not.
    """

    error: str | None = None
    due_at: datetime | None = None


def take_sequence_number(tx: Tx, peer: str, number: int, *, now: datetime) -> Verdict:
    """Note the sequence number of a peer's message, which is locked until the transaction ends.

    Raises ``OutOfSequence``.

    Standard: HL7 v2.5.1 2.10.1
    """
    verdict = judge(number, store.last_sequence_number(tx, peer, now))
    if verdict.sequence is Sequence.OUT_OF_ORDER:
        raise OutOfSequence(verdict.expected)
    store.set_sequence_number(tx, peer, verdict.last, now)
    return verdict


def sent_sequence(tx: Tx, peer: str) -> Sent:
    """Where the sequence of our messages to a peer is."""
    return store.sent_sequence(tx, peer)


def keep_sent_sequence(tx: Tx, peer: str, sent: Sent, *, now: datetime) -> None:
    """Remember where it is: before a message goes, and whenever more is known."""
    store.keep_sent_sequence(tx, peer, sent, now)


def queue_acknowledgement(
    tx: Tx, peer: str, control_id: str, message: bytes, *, now: datetime
) -> None:
    """Have an application acknowledgement sent to a peer on our own connection.

    Standard: HL7 v2.5.1 2.9.3
    """
    store.queue_acknowledgement(tx, peer, control_id, message, now)


def claim_acknowledgement(
    tx: Tx, *, until: datetime, now: datetime
) -> WaitingAcknowledgement | None:
    """The next acknowledgement to send; after ``until`` it is anybody's again."""
    return store.claim_acknowledgement(tx, now, until)


def settle_acknowledgement(
    tx: Tx, claimed: WaitingAcknowledgement, attempt: Attempt, *, now: datetime
) -> None:
    """Note what became of an attempt."""
    store.settle_acknowledgement(
        tx, claimed.acknowledgement_key, attempt.error, attempt.due_at, now
    )
