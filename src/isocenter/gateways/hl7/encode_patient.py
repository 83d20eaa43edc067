"""PID, PV1, MRG and names: what all messages that we send say of patients and persons.

An address is kept as one text and is therefore not told: what cannot be parted again into street,
town and code would overwrite a receiver's better knowledge.

Standard: HL7 v2.5.1 3.4.2 (PID), 3.4.3 (PV1), 3.4.9 (MRG)
"""

from collections.abc import Mapping, Sequence

from isocenter.gateways.hl7.envelope import Envelope
from isocenter.readmodels.patient_content import PatientContent, VisitContent
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm, xpn_of

_PHONE_UNFORMATTED_SINCE = (2, 6)  # XTN-12; XTN-1 is no more
_TYPED_SINCE = (2, 7)  # CX-5 and XTN-3 are required
_VISIT, _ACCOUNT, _TELEPHONE = "VN", "AN", "PH"  # tables 0203, 0202
_LEGAL, _ALIAS, _UNSPECIFIED = "L", "A", "U"


def pid(patient: PatientContent, envelope: Envelope, *, set_id: int = 1, account: str = "") -> str:
    """Return the PID segment. Standard: HL7 v2.5.1 3.4.2."""
    kind = _UNSPECIFIED if patient.unidentified else _LEGAL
    names: list[writer.Repetition] = [xpn(patient.person_name, kind)]
    aliases: list[writer.Repetition] = [xpn(each, _ALIAS) for each in patient.aliases]
    # Until 2.3 a patient has one name, and the others in a field of their own.
    has_one = envelope.number <= (2, 3)
    phone = patient.phone
    if phone and envelope.number >= _PHONE_UNFORMATTED_SINCE:
        equipment = _TELEPHONE if envelope.number >= _TYPED_SINCE else ""
        phone = ("", "", equipment, *[""] * 8, phone)
    return writer.segment(
        "PID",
        {
            1: str(set_id),
            3: identifiers(patient.identifiers),
            5: names if has_one else names + aliases,
            6: xpn(patient.mother_name, "") if patient.mother_name else None,
            7: patient.birth_date.strftime("%Y%m%d") if patient.birth_date else None,
            8: patient.sex or "U",
            9: aliases if has_one else None,
            13: phone,
            18: _numbered(account, _ACCOUNT, envelope),
            24: None if patient.birth_order is None else "Y" if patient.birth_order else "N",
            25: str(patient.birth_order) if patient.birth_order else None,
        },
    )


def identifiers(named: Sequence[Mapping[str, str]]) -> list[writer.Repetition]:
    """Return identifiers as repetitions of a CX field."""
    return [
        (each["value"], "", "", each["assigning_authority"], each["type_code"]) for each in named
    ]


def visit_number(number: str | None, envelope: Envelope, *, authority: str = "") -> writer.Field:
    """Return a visit's number as PV1-19 and MRG-5 have it. Standard: HL7 v2.5.1 3.4.3.19."""
    return _numbered(number, _VISIT, envelope, authority)


def _numbered(
    number: str | None, type_code: str, envelope: Envelope, authority: str = ""
) -> writer.Field:
    if not number:
        return None
    is_typed = envelope.number >= _TYPED_SINCE
    return (number, "", "", authority, type_code if is_typed else "")


def mrg(
    prior: Sequence[Mapping[str, str]],
    *,
    name: str | None = None,
    visit: writer.Field = None,
) -> str:
    """Return the MRG segment: by what the patient was known. Standard: HL7 v2.5.1 3.4.9."""
    return writer.segment(
        "MRG",
        {1: identifiers(prior), 5: visit, 7: xpn(name, _LEGAL) if name else None},
    )


def pv1(visit: VisitContent | None, envelope: Envelope, *, vip: bool = False) -> str:
    """Return the PV1 segment; without a visit it says that there is none (class N)."""
    if visit is None:
        return writer.segment("PV1", {1: "1", 2: "N", 16: "VIP" if vip else None})
    return writer.segment(
        "PV1",
        {
            1: "1",
            # Table 0004: U is unknown.
            2: visit.patient_class or "U",
            3: visit.location,
            7: xcn("", visit.attending_doctor_name),
            16: "VIP" if vip else None,
            19: visit_number(visit.visit_number, envelope, authority=visit.assigning_authority),
            44: format_dtm(visit.admitted_at) if visit.admitted_at else None,
        },
    )


def evn(envelope: Envelope, trigger: str) -> str:
    """Return the EVN segment. EVN-1 repeats MSH-9.2 and is for older receivers."""
    return writer.segment(
        "EVN",
        {
            1: trigger if envelope.number < (2, 7) else None,
            2: format_dtm(envelope.made_at),
        },
    )


def xpn(person_name: str | None, kind: str) -> writer.Repetition:
    """Return a person's name of a type of table 0200 (XPN-7)."""
    family, given, middle, suffix, prefix = xpn_of(person_name or "")
    return (family, given, middle, suffix, prefix, "", kind)


def xcn(identifier: str, person_name: str | None) -> writer.Field:
    """Return who somebody is; None when nothing is known of them."""
    return (identifier, *xpn_of(person_name or "")) if identifier or person_name else None
