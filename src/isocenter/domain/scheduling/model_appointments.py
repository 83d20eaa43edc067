"""Appointments that another scheduler makes, as pure data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from isocenter.domain.orders.model import OrderReference
from isocenter.errors import IsocenterError, Kind

COLUMNS = ("status", "reason", "description", "start_at", "duration_min", "location")
AWAITED = frozenset({"pending", "booked", "arrived"})
"""Statuses of appointments whose time and place hold."""


class AppointmentUnknown(IsocenterError):
    """No appointment has this number."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class AppointmentUnidentified(IsocenterError):
    """Neither a placer nor a filler appointment ID says which appointment is meant."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class AppointmentFacts:
    """What a message says about an appointment; None: it says nothing.

    Attributes:
        orders: the orders that are to be done then.

    Standard: HL7 v2.5.1 10.6.1 (SCH)
    """

    asserted_at: datetime
    placer_appointment_id: str = ""
    filler_appointment_id: str = ""
    status: str | None = None
    reason: str | None = None
    description: str | None = None
    start_at: datetime | None = None
    duration_min: int | None = None
    location: str | None = None
    orders: tuple[OrderReference, ...] = ()

    def said(self) -> dict[str, Any]:
        """Column name -> value, of the columns that these facts say something about."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return {name: value for name, value in columns.items() if value is not None}

    @property
    def order_numbers(self) -> tuple[str, ...]:
        """The numbers of its orders, as ``numbers_of`` writes them."""
        return tuple(dict.fromkeys(number for each in self.orders for number in numbers_of(each)))


def numbers_of(order: OrderReference) -> tuple[str, ...]:
    """The numbers of an order as kind|number|namespace, also without the namespace."""
    said = (
        ("placer", order.placer_order_number, order.placer_namespace),
        ("filler", order.filler_order_number, order.filler_namespace),
    )
    return tuple(
        f"{kind}|{number}|{name}"
        for kind, number, namespace in said
        if number
        for name in dict.fromkeys((namespace, ""))
    )


@dataclass(frozen=True, slots=True)
class Appointment:
    """One appointment as known now. ``accession_numbers`` are of its exams."""

    appointment_key: int
    source_peer: str
    placer_appointment_id: str
    filler_appointment_id: str
    accession_numbers: list[str]
    order_numbers: list[str]
    status: str
    reason: str | None
    description: str | None
    start_at: datetime | None
    duration_min: int | None
    location: str | None
    said_at: dict[str, int]
    asserted_at: datetime


@dataclass(frozen=True, slots=True)
class KeptAppointment:
    """Whose an appointment is, and where it stands. ``patient_key``: None when it names nobody."""

    appointment_key: int
    patient_key: int | None
    status: str


@dataclass(frozen=True, slots=True)
class AppointmentOutcome:
    """What came of a message. ``changed``: names of what changed; empty for a repetition."""

    created: bool
    changed: tuple[str, ...]
    accession_numbers: tuple[str, ...]
