"""What happened on the way of a report to a recipient."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class _OfDelivery:
    delivery_key: int
    report_id: str
    version: int
    accession_number: str
    recipient: str

    @property
    def subject(self) -> str:
        """The delivery."""
        return f"delivery/{self.delivery_key}"


@dataclass(frozen=True, slots=True)
class DeliveryQueued(_OfDelivery):
    """A report version is to be sent to a recipient, or again after a refusal."""

    name: ClassVar[str] = "distribution.delivery_queued"


@dataclass(frozen=True, slots=True)
class DeliverySent(_OfDelivery):
    """The message was written to a connection for the first time."""

    name: ClassVar[str] = "distribution.delivery_sent"


@dataclass(frozen=True, slots=True)
class DeliveryAcknowledged(_OfDelivery):
    """The recipient has the report and said so."""

    name: ClassVar[str] = "distribution.delivery_acknowledged"


@dataclass(frozen=True, slots=True)
class DeliveryRefused(_OfDelivery):
    """The recipient refused for good: the delivery is parked until a person replays it."""

    name: ClassVar[str] = "distribution.delivery_refused"


@dataclass(frozen=True, slots=True)
class DestinationPaused:
    """Nothing is sent to the recipient until it is resumed."""

    name: ClassVar[str] = "distribution.destination_paused"

    recipient: str
    paused_by: str

    @property
    def subject(self) -> str:
        """The destination."""
        return f"destination/{self.recipient}"


@dataclass(frozen=True, slots=True)
class DestinationResumed:
    """Sending to the recipient goes on."""

    name: ClassVar[str] = "distribution.destination_resumed"

    recipient: str

    @property
    def subject(self) -> str:
        """The destination."""
        return f"destination/{self.recipient}"
