"""What happened on the way of a report to a recipient."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class _OfDelivery:
    delivery_key: int
    report_id: str | None
    version: int | None
    accession_number: str
    recipient: str
    kind: str = "report"

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


@dataclass(frozen=True, slots=True)
class _OfImages:
    delivery_key: int
    kind: str  # images, or availability
    study_instance_uid: str
    accession_number: str
    recipient: str

    @property
    def subject(self) -> str:
        """The delivery."""
        return f"delivery/{self.delivery_key}"


@dataclass(frozen=True, slots=True)
class ImagesQueued(_OfImages):
    """Images of a study, or word of them, are to be sent to a DICOM peer, or again."""

    name: ClassVar[str] = "distribution.images_queued"


@dataclass(frozen=True, slots=True)
class ImagesSent(_OfImages):
    """The peer has taken the first of them."""

    name: ClassVar[str] = "distribution.images_sent"


@dataclass(frozen=True, slots=True)
class ImagesAcknowledged(_OfImages):
    """The peer has taken all of them."""

    name: ClassVar[str] = "distribution.images_acknowledged"


@dataclass(frozen=True, slots=True)
class ImagesRefused(_OfImages):
    """The peer does not take some of them: parked until a person replays them."""

    name: ClassVar[str] = "distribution.images_refused"


@dataclass(frozen=True, slots=True)
class ImagesCommitted(_OfImages):
    """The peer has promised to keep what it took (storage commitment), or said that it cannot."""

    name: ClassVar[str] = "distribution.images_committed"

    state: str  # committed, or failed


@dataclass(frozen=True, slots=True)
class CommitmentRequested:
    """A peer wants to know whether we keep its instances."""

    name: ClassVar[str] = "distribution.commitment_requested"

    peer: str
    transaction_uid: str
    count: int

    @property
    def subject(self) -> str:
        """The transaction."""
        return f"commitment/{self.transaction_uid}"


@dataclass(frozen=True, slots=True)
class CommitmentReported:
    """The peer has our answer: ``failed`` of ``count`` instances are not safe here."""

    name: ClassVar[str] = "distribution.commitment_reported"

    peer: str
    transaction_uid: str
    count: int
    failed: int

    @property
    def subject(self) -> str:
        """The transaction."""
        return f"commitment/{self.transaction_uid}"
