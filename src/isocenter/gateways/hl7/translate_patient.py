"""PID, MRG and PV1 to what the identity and order stages call facts.

Absent means "not said", the null value ``""`` means "there is none". What cannot be read is treated
as not said: a message is not lost over an odd birth date.

Standard: HL7 v2.5.1 3.4.2 (PID), 3.4.9 (MRG); IHE RAD TF-2 4.1, 4.12.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal

from isocenter.domain.identity.model import PatientFacts, PatientIdentifier, Sex
from isocenter.gateways.hl7.refusal import refused
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.datatypes import AssigningAuthority, Moment, Precision
from isocenter.standards.hl7v2.er7 import Composite, Message, Segment

# Table 0001. U says nothing: a sender that does not know must not erase what another one knew.
_SEX: Final[dict[str, Sex]] = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O"}
_UNSTATED: Final = {
    Precision.YEAR: timedelta(days=366),
    Precision.MONTH: timedelta(days=31),
    Precision.DAY: timedelta(days=1),
    Precision.HOUR: timedelta(hours=1),
    Precision.MINUTE: timedelta(minutes=1),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the messages of one peer are read.

    Attributes:
        zone: where its clock stands when it states no offset.
        assigning_authority: of patient identifiers without one.
        now: aware, when the message is read.
    """

    zone: tzinfo
    assigning_authority: str
    now: datetime


def authority_name(authority: AssigningAuthority, default: str = "") -> str:
    """Return the one name that we know an assigning authority by."""
    return authority.namespace_id or authority.universal_id or default


def asserted_at(message: Message, reading: Reading) -> datetime:
    """Return when the sender made the message (MSH-7), at most now.

    A time without seconds could be any within the minute: the last one counts, so that a coarse
    clock does not lose to a fine one.
    """
    moment = datatypes.parse_dtm(message.header.text(7), reading.zone)
    if moment is None:
        return reading.now
    latest = moment.value.astimezone(UTC) + _UNSTATED.get(moment.precision, timedelta())
    return min(latest, reading.now)


def patient_facts(message: Message, pid: Segment | None, reading: Reading) -> PatientFacts:
    """Return what a PID segment says about the patient.

    Raises:
        MessageRefused: there is no PID segment, or no identifier in it.
    """
    if pid is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "PID^1", "the PID segment is missing"
        )
    identifiers = patient_identifiers(pid.fields(3) or pid.fields(2), reading)
    if not identifiers:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "PID^1^3", "no patient identifier"
        )
    return PatientFacts(
        identifiers=identifiers,
        asserted_at=asserted_at(message, reading),
        person_name=_person_name(pid),
        birth_date=_birth_date(pid, reading.zone),
        sex="" if pid.is_null(8) else _SEX.get(pid.text(8).upper()),
        address="" if pid.is_null(11) else _address(pid.field(11)),
        phone="" if pid.is_null(13) else _phone(pid.field(13)),
    )


def patient_identifiers(fields: list[Composite], reading: Reading) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers in repetitions of a CX field, in their order."""
    found = [datatypes.cx(field) for field in fields]
    return tuple(
        PatientIdentifier(
            each.value,
            authority_name(each.authority, reading.assigning_authority),
            each.type_code or "MR",
        )
        for each in found
        if each.value
    )


def moment(text: str, reading: Reading) -> Moment | None:
    """Return a date and time of the message."""
    return datatypes.parse_dtm(text, reading.zone)


def _person_name(pid: Segment) -> str | None:
    if pid.is_null(5):
        return ""
    # ITI-30: a name that is not to be changed may be sent as one space.
    return datatypes.xpn(pid.fields(5)) or None


def _birth_date(pid: Segment, zone: tzinfo) -> date | Literal[""] | None:
    if pid.is_null(7):
        return ""
    stated = datatypes.parse_dtm(pid.text(7), zone)
    if stated is None or stated.precision in {Precision.YEAR, Precision.MONTH}:
        return None
    return stated.date


def _address(field: Composite) -> str | None:
    address = datatypes.xad(field)
    parts = (
        address.street,
        address.other,
        f"{address.postal_code} {address.city}".strip(),
        address.state,
        address.country,
    )
    return ", ".join(part for part in parts if part) or None


def _phone(field: Composite) -> str | None:
    # XTN-1 until 2.3, then XTN-12 or its parts country, area, local (5 to 7).
    parts = " ".join(filter(None, (field.text(5), field.text(6), field.text(7))))
    return field.text(1) or field.text(12) or parts or None
