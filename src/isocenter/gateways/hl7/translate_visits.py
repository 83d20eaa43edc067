"""PV1 to what the identity stage calls a visit.

A visit without a number is not kept: nothing else in a message says which visit it means.

Standard: HL7 v2.5.1 3.4.3 (PV1), 3.4.9 (MRG); IHE RAD TF-2 4.1.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from isocenter.domain.identity.model_visits import VisitFacts, VisitNumber, VisitState
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    asserted_at,
    authority_name,
    moment,
)
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.er7 import Composite, Message, Segment


def visit_number(field: Composite, reading: Reading) -> VisitNumber | None:
    """Return the number in a CX field: PV1-19, PID-18, MRG-3 or MRG-5."""
    found = datatypes.cx(field)
    if not found.value:
        return None
    return VisitNumber(found.value, authority_name(found.authority, reading.assigning_authority))


def visit_facts(
    message: Message,
    group: Sequence[Segment],
    state: VisitState | None,
    reading: Reading,
    *,
    is_pending: bool = False,
) -> VisitFacts | None:
    """Return what a patient's segments say about the visit; None when they name none.

    Args:
        message: the message.
        group: the PID segment and those that belong to it.
        state: what the event means for the visit.
        reading: how the peer's messages are read.
        is_pending: the location is where the patient is to be brought, not where they are.
    """
    pid = next((each for each in group if each.name == "PID"), None)
    pv1 = next((each for each in group if each.name == "PV1"), None)
    number = visit_number(pv1.field(19), reading) if pv1 is not None else None
    if number is None and pid is not None:
        number = visit_number(pid.field(18), reading)
    if number is None:
        return None
    at = asserted_at(message, reading)
    if pv1 is None:
        return VisitFacts(number, at, state)
    here = location(pv1, 3)
    pending = location(pv1, 42)
    if pending is None and state is VisitState.PRESENT:
        pending = ""  # who is here now waits for no transfer unless that is said
    return VisitFacts(
        number,
        at,
        state,
        patient_class=_said(pv1, 2),
        location=None if is_pending else here,
        prior_location=location(pv1, 6),
        pending_location=(pending or here) if is_pending else pending,
        attending_doctor_name=datatypes.xcn(pv1.field(7)).name or None,
        admitted_at=_moment(pv1, 44, reading),
        discharged_at=_discharged_at(pv1, state, reading),
    )


def location(pv1: Segment, position: int) -> str | None:
    """Return a PL field as people say it: point of care, room, bed."""
    if pv1.is_null(position):
        return ""
    parts = (pv1.text(position, component) for component in (1, 2, 3))
    return " ".join(part for part in parts if part) or None


def _said(segment: Segment, position: int) -> str | None:
    return "" if segment.is_null(position) else (segment.text(position) or None)


def _moment(pv1: Segment, position: int, reading: Reading) -> datetime | None:
    stated = moment(pv1.text(position), reading)
    return stated.value if stated else None


def _discharged_at(
    pv1: Segment, state: VisitState | None, reading: Reading
) -> datetime | Literal[""] | None:
    if pv1.is_null(45):
        return ""
    stated = _moment(pv1, 45, reading)
    # A13: who is present again was not discharged, whether or not PV1-45 says so.
    return "" if stated is None and state is VisitState.PRESENT else stated
