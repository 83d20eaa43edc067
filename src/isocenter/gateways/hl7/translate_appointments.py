"""SIU messages: appointments that another scheduler makes, moves and cancels.

Blocking and opening of slots (S23, S24) are refused: we keep no calendar of resources.

Standard: HL7 v2.5.1 10.3, 10.6.1 (SCH), 10.6.4 to 10.6.7 (AIS, AIG, AIL, AIP); IHE RAD TF-2 4.48.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.identity.model import PatientFacts
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.scheduling.model_appointments import AppointmentFacts
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    asserted_at,
    authority_name,
    moment,
    patient_facts,
)
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.datatypes import Precision
from isocenter.standards.hl7v2.er7 import Composite, Message, Segment
from isocenter.standards.statuses import APPOINTMENT_OF_SCH_25

_MINUTES: Final[Mapping[str, float]] = {
    "": 1,
    "M": 1,
    "MIN": 1,
    "MINUTE": 1,
    "MINUTES": 1,
    "S": 1 / 60,
    "SEC": 1 / 60,
    "H": 60,
    "HR": 60,
    "HOUR": 60,
}
_DURATION_MAX_MIN: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class AppointmentEvent:
    """One trigger event that is applied.

    Attributes:
        status: of the appointment from now on; None: what SCH-25 says.
        may_be_new: it says all of an appointment, so that one that is not known is booked.
    """

    title: str
    status: str | None = None
    may_be_new: bool = False


APPOINTMENT_EVENTS: Final[Mapping[str, AppointmentEvent]] = {
    "S12": AppointmentEvent("new appointment", may_be_new=True),
    "S13": AppointmentEvent("appointment rescheduled", may_be_new=True),
    "S14": AppointmentEvent("appointment modified", may_be_new=True),
    "S15": AppointmentEvent("appointment cancelled", "cancelled"),
    "S16": AppointmentEvent("appointment discontinued", "discontinued"),
    "S17": AppointmentEvent("appointment deleted", "deleted"),
    "S18": AppointmentEvent("service or resource added", may_be_new=True),
    "S19": AppointmentEvent("service or resource modified", may_be_new=True),
    "S20": AppointmentEvent("service or resource cancelled"),
    "S21": AppointmentEvent("service or resource discontinued"),
    "S22": AppointmentEvent("service or resource deleted"),
    "S26": AppointmentEvent("patient did not show up", "noshow"),
}


@dataclass(frozen=True, slots=True)
class AppointmentChange:
    """What a message says of one appointment. ``patient``: None when it names nobody."""

    event: AppointmentEvent
    facts: AppointmentFacts
    patient: PatientFacts | None

    @property
    def may_be_new(self) -> bool:
        """Whether it is booked when it is not known: with a patient and a time only."""
        complete = self.patient is not None and self.facts.start_at is not None
        return self.event.may_be_new and complete


def appointment_change(message: Message, trigger: str, reading: Reading) -> AppointmentChange:
    """Return what a SIU message says.

    Raises:
        MessageRefused: the SCH segment is missing, or its status is none.
    """
    event = APPOINTMENT_EVENTS[trigger]
    sch = message.first("SCH")
    if sch is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "SCH^1", "the SCH segment is missing"
        )
    pid = message.first("PID")
    facts = AppointmentFacts(
        asserted_at=asserted_at(message, reading),
        placer_appointment_id=_identifier(sch.field(1)),
        filler_appointment_id=_identifier(sch.field(2)),
        status=event.status or _status(sch),
        reason=_meaning(sch.field(6)) or _meaning(sch.field(7)),
        description=_description(message),
        start_at=_start_at(message, sch, reading),
        duration_min=_duration_min(message, sch),
        location=_location(message),
        orders=_orders(message, sch),
    )
    return AppointmentChange(event, facts, patient_facts(message, pid, reading) if pid else None)


def _identifier(field: Composite) -> str:
    # SCH-1 and SCH-2 are EI; senders are told apart by who they are.
    return field.text(1)


def _status(sch: Segment) -> str | None:
    stated = sch.text(25).upper()
    if not stated:
        return None
    # Table 0278 is the site's to extend: what is not known here says nothing.
    return APPOINTMENT_OF_SCH_25.get(stated.replace(" ", "").replace("-", ""))


def _meaning(field: Composite) -> str | None:
    code = datatypes.ce(field)
    return code.meaning or code.value or None


def _description(message: Message) -> str | None:
    codes = [datatypes.ce(each.field(3)) for each in message.every("AIS")]
    return "; ".join(code.meaning or code.value for code in codes if code) or None


def _start_at(message: Message, sch: Segment, reading: Reading) -> datetime | None:
    texts = [
        *(tq1.text(7) for tq1 in message.every("TQ1")),
        sch.text(11, 4),
        *(ais.text(4) for ais in message.every("AIS")),
    ]
    stated = (moment(text, reading) for text in texts if text)
    whole = (
        each.value
        for each in stated
        if each is not None and each.precision not in {Precision.YEAR, Precision.MONTH}
    )
    return next(whole, None)


def _duration_min(message: Message, sch: Segment) -> int | None:
    places = [
        (sch.text(9), sch.text(10)),
        *((ais.text(7), ais.text(8)) for ais in message.every("AIS")),
    ]
    for text, unit in places:
        factor = _MINUTES.get(unit.upper())
        if factor is not None and text.isascii() and text.isdigit() and len(text) < 7:
            return min(round(int(text) * factor), _DURATION_MAX_MIN)
    return None


def _location(message: Message) -> str | None:
    for ail in message.every("AIL"):
        parts = (ail.text(3, component) for component in (1, 2, 3))
        named = " ".join(part for part in parts if part)
        if named:
            return named
    return None


def _orders(message: Message, sch: Segment) -> tuple[OrderReference, ...]:
    """Return the orders in SCH-26 and SCH-27, whose repetitions go together."""
    placers = [datatypes.ei(field) for field in sch.fields(26)]
    fillers = [datatypes.ei(field) for field in sch.fields(27)]
    found: list[OrderReference] = []
    for index in range(max(len(placers), len(fillers))):
        placer = placers[index] if index < len(placers) else None
        filler = fillers[index] if index < len(fillers) else None
        reference = OrderReference(
            placer_order_number=(placer.value if placer else "") or None,
            placer_namespace=authority_name(placer.authority) if placer else "",
            filler_order_number=(filler.value if filler else "") or None,
            filler_namespace=authority_name(filler.authority) if filler else "",
        )
        if not reference.is_empty():
            found.append(reference)
    return tuple(found)
