"""What happened to orders. Each event names the order, its exam and its patient row.

``asserted_by`` is the HL7 peer that said so, '' for a person or what follows from other events: a
peer is not told what it told us.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """A new order, with an accession number and one Study Instance UID per procedure."""

    name: ClassVar[str] = "orders.order_placed"

    order_key: int
    accession_number: str
    study_instance_uids: list[str]
    patient_key: int
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderRevised:
    """Something about an order changed; ``changed`` names it."""

    name: ClassVar[str] = "orders.order_revised"

    order_key: int
    accession_number: str
    study_instance_uids: list[str]
    patient_key: int
    changed: list[str]
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """An order was withdrawn before it was begun."""

    name: ClassVar[str] = "orders.order_cancelled"

    order_key: int
    accession_number: str
    study_instance_uids: list[str]
    patient_key: int
    reason: str
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderDiscontinued:
    """An order was stopped, begun or not."""

    name: ClassVar[str] = "orders.order_discontinued"

    order_key: int
    accession_number: str
    study_instance_uids: list[str]
    patient_key: int
    reason: str
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderStarted:
    """The first procedure of an order was begun."""

    name: ClassVar[str] = "orders.order_started"

    order_key: int
    accession_number: str

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderCompleted:
    """Every procedure of an order is finished."""

    name: ClassVar[str] = "orders.order_completed"

    order_key: int
    accession_number: str

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderReopened:
    """An order that counted as begun or finished waits again.

    It was taken by mistake, or is booked again after its modality gave up.
    """

    name: ClassVar[str] = "orders.order_reopened"

    order_key: int
    accession_number: str

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderHeld:
    """An order is not to be done until it is released."""

    name: ClassVar[str] = "orders.order_held"

    order_key: int
    accession_number: str
    reason: str
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"


@dataclass(frozen=True, slots=True)
class OrderReleased:
    """An order that was on hold may be done."""

    name: ClassVar[str] = "orders.order_released"

    order_key: int
    accession_number: str
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The order."""
        return f"order/{self.order_key}"
