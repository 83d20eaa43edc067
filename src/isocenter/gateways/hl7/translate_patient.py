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
_BIRTH_ORDER_MAX: Final = 20
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
        trusted_authorities: whose identifiers are kept; empty: everybody's.
    """

    zone: tzinfo
    assigning_authority: str
    now: datetime
    trusted_authorities: frozenset[str] = frozenset()

    def trusts(self, authority: str) -> bool:
        """Whether identifiers of this authority are kept."""
        return not self.trusted_authorities or authority in self.trusted_authorities


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
    stated = pid.fields(3) or pid.fields(2)
    identifiers = patient_identifiers(stated, reading)
    if not identifiers and any(field.text(1) for field in stated):
        raise refused(
            AckCode.AE,
            ErrorCode.TABLE_VALUE_NOT_FOUND,
            "PID^1^3^1^4",
            "no patient identifier of an assigning authority that is trusted here",
        )
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
        aliases=_aliases(pid),
        unidentified=_unidentified(pid),
        vip=_vip(message.first("PV1")),
        birth_order=_birth_order(pid),
        mother_name="" if pid.is_null(6) else datatypes.xpn(pid.fields(6)) or None,
        mother_identifier="" if pid.is_null(21) else _mother_identifier(pid, reading),
    )


def patient_identifiers(fields: list[Composite], reading: Reading) -> tuple[PatientIdentifier, ...]:
    """Return the identifiers in repetitions of a CX field, in their order.

    Those of authorities that are not trusted here are left out.
    """
    found = [datatypes.cx(field) for field in fields]
    named = (
        PatientIdentifier(
            each.value,
            authority_name(each.authority, reading.assigning_authority),
            each.type_code or "MR",
        )
        for each in found
        if each.value
    )
    return tuple(each for each in named if reading.trusts(each.assigning_authority))


def moment(text: str, reading: Reading) -> Moment | None:
    """Return a date and time of the message."""
    return datatypes.parse_dtm(text, reading.zone)


def _person_name(pid: Segment) -> str | None:
    if pid.is_null(5):
        return ""
    # ITI-30: a name that is not to be changed may be sent as one space.
    return datatypes.xpn(pid.fields(5)) or None


def _aliases(pid: Segment) -> tuple[str, ...] | None:
    """PID-9 of the older versions, and names in PID-5 that are not the legal one."""
    if pid.is_null(9):
        return ()
    named, others_named = pid.fields(5), pid.fields(9)
    if len(named) < 2 and not others_named:
        return None
    legal = datatypes.xpn(named)
    names = [datatypes.xpn([field]) for field in (*others_named, *named)]
    groups = set(legal.split("="))
    others = (each for each in names if each and each != legal and each not in groups)
    return tuple(dict.fromkeys(others)) or None


def _unidentified(pid: Segment) -> bool | None:
    # Table 0200: U is an unspecified name, which registration gives to people it cannot name.
    kinds = {field.text(7).upper() for field in pid.fields(5) if field} - {""}
    if not kinds:
        return None
    return kinds == {"U"}


def _vip(pv1: Segment | None) -> bool | None:
    if pv1 is None:
        return None
    if pv1.is_null(16):
        return False
    # Table 0099 is the site's own; N and 0 are how many say that there is no indicator.
    stated = pv1.text(16).upper()
    return stated not in {"N", "0", "NO"} if stated else None


def _birth_order(pid: Segment) -> int | None:
    if pid.text(24).upper() == "N":
        return 0
    if pid.text(24).upper() != "Y":
        return None
    stated = pid.text(25)
    number = int(stated) if stated.isascii() and stated.isdigit() else 1
    return min(max(number, 1), _BIRTH_ORDER_MAX)


def _mother_identifier(pid: Segment, reading: Reading) -> str | None:
    found = patient_identifiers(pid.fields(21), reading)
    if not found:
        return None
    first = found[0]
    return f"{first.value}^^^{first.assigning_authority}".removesuffix("^^^")


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
