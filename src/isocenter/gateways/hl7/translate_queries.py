"""Queries for patients (PIX, PDQ) as values, and their answers as segments.

Standard: IHE ITI TF-2 3.9 (PIX Query), 3.21 (Patient Demographics Query); HL7 v2.5.1 5.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from isocenter.domain.identity.model import Patient, PatientIdentifier
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import Reading
from isocenter.readmodels.patient_search import PAGE_MAX, PatientQuery
from isocenter.standards.dicom.matching import fold
from isocenter.standards.hl7v2 import datatypes, writer
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.datatypes import AssigningAuthority
from isocenter.standards.hl7v2.er7 import Message, Segment
from isocenter.standards.hl7v2.escapes import Syntax

MESSAGE_TYPES: Final = frozenset({("QBP", "Q23"), ("QBP", "Q22"), ("QCN", "J01")})
PAGE_USUAL: Final = 50
_NOTHING: Final = PatientQuery()
_NOBODY: Final = AssigningAuthority()
_NAME_FIELDS: Final = {"PID.5.1": "family", "PID.5.1.1": "family", "PID.5.2": "given"}


class QueryKind(StrEnum):
    """What is asked."""

    IDENTIFIERS = "Q23"  # the other identifiers of a person
    DEMOGRAPHICS = "Q22"  # the people that fit
    CANCEL = "J01"  # nothing more of an answer in pages


@dataclass(frozen=True, slots=True)
class Query:
    """One query.

    Attributes:
        tag: QPD-2, by which the asker knows its answer.
        qpd: the segment, repeated in the answer as it came.
        identifier: whose other identifiers are asked for: value and authority.
        domains: of which authorities identifiers are to be returned; empty: all.
        unusable: parameters that are not searched by.
    """

    kind: QueryKind
    tag: str
    qpd: str
    syntax: Syntax
    identifier: tuple[str, AssigningAuthority] = ("", _NOBODY)
    domains: tuple[AssigningAuthority, ...] = ()
    asked: PatientQuery = _NOTHING
    authority: AssigningAuthority = _NOBODY
    unusable: tuple[str, ...] = ()


def query_of(message: Message, trigger: str, reading: Reading) -> Query:
    """Return what a query asks.

    Raises:
        MessageRefused: QPD is missing, or names no parameter that narrows the search down.
    """
    if trigger == QueryKind.CANCEL:
        return Query(QueryKind.CANCEL, "", "", message.syntax)
    qpd = message.first("QPD")
    if qpd is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "QPD^1", "the QPD segment is missing"
        )
    plain = Query(QueryKind(trigger), qpd.text(2), _as_it_came(qpd, message.syntax), message.syntax)
    if plain.kind is QueryKind.IDENTIFIERS:
        return _identifiers_query(plain, qpd)
    return _demographics_query(plain, qpd, message, reading)


def _as_it_came(qpd: Segment, syntax: Syntax) -> str:
    fields = [qpd.raw_field(number) for number in range(1, 20)]
    while fields and not fields[-1]:
        fields.pop()
    return syntax.field.join(("QPD", *fields))


def _identifiers_query(query: Query, qpd: Segment) -> Query:
    asked = datatypes.cx(qpd.field(3))
    if not asked.value:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "QPD^1^3", "no person identifier"
        )
    return replace(query, identifier=(asked.value, asked.authority), domains=_domains(qpd, 4))


def _domains(qpd: Segment, number: int) -> tuple[AssigningAuthority, ...]:
    found = (datatypes.cx(field).authority for field in qpd.fields(number))
    return tuple(each for each in found if each)


def _demographics_query(query: Query, qpd: Segment, message: Message, reading: Reading) -> Query:
    said: dict[str, str] = {}
    unusable: list[str] = []
    for field in qpd.fields(3):
        name, value = field.text(1).removeprefix("@").upper(), field.text(2).strip()
        if value and name in _SEARCHED:
            said[name] = value
        elif value:
            unusable.append(name)
    asked = _patient_query(said, reading)
    rcp, dsc = message.first("RCP"), message.first("DSC")
    limit = _number(rcp.text(2, 1)) if rcp else None
    after = _number(dsc.text(1).removeprefix("P")) if dsc else None
    if not asked.asks:
        raise refused(
            AckCode.AE,
            ErrorCode.REQUIRED_FIELD_MISSING,
            "QPD^1^3",
            "a query names the family name or its beginning, the birth date, a telephone number or"
            " an identifier",
        )
    return replace(
        query,
        domains=_domains(qpd, 8),
        asked=replace(asked, after=after or 0, limit=min(limit or PAGE_USUAL, PAGE_MAX)),
        authority=AssigningAuthority(
            said.get("PID.3.4", said.get("PID.3.4.1", "")), said.get("PID.3.4.2", "")
        ),
        unusable=tuple(unusable),
    )


_SEARCHED: Final = frozenset({
    "PID.3",
    "PID.3.1",
    "PID.3.4",
    "PID.3.4.1",
    "PID.3.4.2",
    "PID.3.4.3",
    *_NAME_FIELDS,
    "PID.6.1",
    "PID.6.1.1",
    "PID.7",
    "PID.7.1",
    "PID.8",
    "PID.11.1",
    "PID.11.1.1",
    "PID.11.3",
    "PID.11.5",
    "PID.13.1",
    "PID.13.12",
})


def _patient_query(said: dict[str, str], reading: Reading) -> PatientQuery:
    family = said.get("PID.5.1.1") or said.get("PID.5.1")
    given = said.get("PID.5.2")
    born = datatypes.parse_dtm(said.get("PID.7.1") or said.get("PID.7") or "", reading.zone)
    phone = "".join(
        each for each in said.get("PID.13.12") or said.get("PID.13.1") or "" if each.isdigit()
    )
    # The parts of an address in the order in which we keep them.
    street = said.get("PID.11.1.1") or said.get("PID.11.1")
    sex = said.get("PID.8", "").upper()[:1]
    return PatientQuery(
        family=_normal(family),
        whole_family=not (family or "").endswith("*"),
        given=_normal(given),
        whole_given=not (given or "").endswith("*"),
        birth_date=born.date if born else None,
        sex=sex if sex in {"M", "F", "O"} else None,
        phone=phone or None,
        address=street or said.get("PID.11.5") or said.get("PID.11.3"),
        mother_family=said.get("PID.6.1.1") or said.get("PID.6.1"),
        identifier=said.get("PID.3.1") or said.get("PID.3"),
    )


def _normal(name: str | None) -> str | None:
    return fold(name.rstrip("*")) or None if name else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def answer_header(kind: QueryKind) -> tuple[str, str, str]:
    """MSH-9 of the answer."""
    if kind is QueryKind.IDENTIFIERS:
        return ("RSP", "K23", "RSP_K23")
    return ("RSP", "K22", "RSP_K22")


def qak(query: Query, status: str, *, returned: int | None = None) -> str:
    """QAK: OK, NF (nothing found) or AE."""
    fields: dict[int, writer.Field] = {1: query.tag, 2: status, 3: _query_name(query)}
    if returned is not None:
        fields[5] = str(returned)
    return writer.segment("QAK", fields, query.syntax)


def _query_name(query: Query) -> writer.Repetition:
    name = query.qpd.split(query.syntax.field)
    return writer.Verbatim(name[1] if len(name) > 1 else "")


def identifiers_segment(identifiers: Sequence[PatientIdentifier], syntax: Syntax) -> str:
    """PID of a PIX answer: identifiers, and a name that says that there is none.

    Standard: ITI TF-2 3.9.4.2.2.5
    """
    nameless: list[writer.Repetition] = ["", ("", "", "", "", "", "", "S")]
    return writer.segment("PID", {3: [_cx(each) for each in identifiers], 5: nameless}, syntax)


def patient_segment(
    patient: Patient, identifiers: Sequence[PatientIdentifier], *, number: int, syntax: Syntax
) -> str:
    """PID of a PDQ answer.

    Standard: ITI TF-2 3.21.4.2.2.4
    """
    born = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else None
    names = [_xpn(each, "L") for each in [patient.person_name or ""]]
    names += [_xpn(each, "A") for each in patient.aliases]
    fields: dict[int, writer.Field] = {
        1: str(number),
        3: [_cx(each) for each in identifiers],
        5: names,
        6: _xpn(patient.mother_name, "") if patient.mother_name else None,
        7: born,
        8: patient.sex or None,
        11: (patient.address,) if patient.address else None,
        13: (patient.phone,) if patient.phone else None,
        24: "Y" if patient.birth_order else None,
        25: str(patient.birth_order) if patient.birth_order else None,
    }
    return writer.segment("PID", fields, syntax)


def pointer_segment(after: int, syntax: Syntax) -> str:
    """DSC: where the next page begins.

    Standard: HL7 v2.5.1 2.15.4
    """
    return writer.segment("DSC", {1: f"P{after}", 2: "I"}, syntax)


def _cx(identifier: PatientIdentifier) -> writer.Repetition:
    name = identifier.assigning_authority
    is_oid = bool(name) and all(part.isdigit() for part in name.split(".")) and "." in name
    authority = ("", name, "ISO") if is_oid else name
    return (identifier.value, "", "", authority, identifier.type_code)


def _xpn(person_name: str, kind: str) -> writer.Repetition:
    group = person_name.split("=")[0]
    family, given, middle, prefix, suffix = [*group.split("^"), "", "", "", "", ""][:5]
    return (family, given, middle, suffix, prefix, "", kind)
