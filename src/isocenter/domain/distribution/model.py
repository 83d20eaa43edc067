"""Deliveries: one report version on its way to one recipient."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind


class DeliveryState(StrEnum):
    """How far a delivery is. ``SENT`` without acknowledgement is sent again when its time comes."""

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


class UnknownDelivery(IsocenterError):
    """No delivery has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class UnknownDestination(IsocenterError):
    """Nothing was ever queued for a recipient of this name."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class DeliveryInProgress(IsocenterError):
    """Only a delivery that ended can be replayed."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class Superseded(IsocenterError):
    """A newer version is on its way to the recipient, or there."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ClaimLost(IsocenterError):
    """The lease ended and another sender has the delivery: this result must not be recorded."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that the caller alone may send until its lease ends.

    Attributes:
        attempt: counts the claims of this delivery; given back with every result, so that a sender
            whose lease has ended cannot undo what its successor did.
        message: the bytes to send, once made: every attempt sends the same.
        control_id: MSH-10 of ``message``.
    """

    delivery_key: int
    report_id: str
    version: int
    accession_number: str
    recipient: str
    attempt: int
    control_id: str | None
    message: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One report version on its way to one recipient.

    Attributes:
        failing_since: the first failure since it was queued, or replayed; None while all is well.
    """

    delivery_key: int
    report_id: str
    version: int
    accession_number: str
    recipient: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    control_id: str | None
    queued_at: datetime
    sent_at: datetime | None
    acknowledged_at: datetime | None
    refused_at: datetime | None
    failing_since: datetime | None
    last_error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeliveryState(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A recipient's queue.

    Attributes:
        waiting: deliveries that are queued, or sent and not acknowledged.
        refused: deliveries that are parked.
        oldest_queued_at: of those waiting; its age is the alarm that counts.
    """

    recipient: str
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    waiting: int
    refused: int
    oldest_queued_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
