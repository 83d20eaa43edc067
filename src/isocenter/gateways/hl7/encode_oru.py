"""ORU^R01: a signed report as an HL7 message.

The whole report goes with every version: receivers replace what they have. Addenda follow the first
text in their own OBX group. A receiver that cannot take a status gets the nearest one it takes.

Standard: HL7 v2.5.1 7.3.1, 7.4.1 (OBR), 7.4.2 (OBX); IHE RAD TF-3 4.28.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.errors import IsocenterError, Kind
from isocenter.readmodels.report_content import ContentVersion, ReportContent
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm, xpn_of
from isocenter.standards.statuses import Result, result_status

REPORT: Final = ("18748-4", "Diagnostic imaging study", "LN")
ADDENDUM: Final = ("55107-7", "Addendum Document", "LN")
STUDY: Final = ("113014", "DICOM Study", "DCM")


class StatusNotTaken(IsocenterError):
    """The receiver takes no status that a signed report may have."""

    kind = Kind.UNSUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """To whom the message goes, and how.

    Attributes:
        sending: MSH-3 and MSH-4.
        receiving: MSH-5 and MSH-6.
        statuses: OBR-25 values that the receiver takes.
    """

    sending: tuple[str, str]
    receiving: tuple[str, str]
    control_id: str
    made_at: datetime
    version: str = "2.5.1"
    character_set: str = "UNICODE UTF-8"
    statuses: frozenset[str] = frozenset({"P", "F", "C"})


def encode_oru(content: ReportContent, envelope: Envelope) -> bytes:
    """Return the message.

    Raises:
        StatusNotTaken: the receiver takes neither final nor corrected results.

    Standard: HL7 v2.5.1 7.3.1.
    """
    header: dict[int, writer.Field] = {
        3: envelope.sending[0],
        4: envelope.sending[1],
        5: envelope.receiving[0],
        6: envelope.receiving[1],
        7: format_dtm(envelope.made_at),
        9: _message_type(envelope.version),
        10: envelope.control_id,
        11: "P",
        12: envelope.version,
    }
    status = _status(content, envelope)
    segments = [
        _pid(content),
        _pv1(content),
        _orc(content),
        _obr(content, status),
        *_observations(content, status),
    ]
    return writer.message(header, segments, charset=envelope.character_set)


def _message_type(version: str) -> writer.Repetition:
    # The structure in MSH-9.3 is required since 2.5; IHE's 2.3.1 messages go without it.
    return (
        ("ORU", "R01") if version.startswith(("2.1", "2.2", "2.3")) else ("ORU", "R01", "ORU_R01")
    )


def _status(content: ReportContent, envelope: Envelope) -> str:
    has_addendum = any(_is_addendum(text) for text in content.versions)
    status = result_status(Result.APPENDED if has_addendum else Result.FINAL, envelope.statuses)
    if status is not None:
        return status
    raise StatusNotTaken("the receiver takes neither final nor corrected results")


def _pid(content: ReportContent) -> str:
    identifiers: list[writer.Repetition] = [
        (each.value, "", "", each.assigning_authority, each.type_code)
        for each in content.identifiers
    ]
    # XPN-7 L: the legal name.
    family, given, middle, suffix, prefix = xpn_of(content.patient_name or "")
    return writer.segment(
        "PID",
        {
            1: "1",
            3: identifiers,
            5: (family, given, middle, suffix, prefix, "", "L"),
            7: content.patient_birth_date.strftime("%Y%m%d")
            if content.patient_birth_date
            else None,
            8: content.patient_sex or "U",
        },
    )


def _pv1(content: ReportContent) -> str:
    return writer.segment(
        "PV1",
        {
            1: "1",
            # Table 0004: U is unknown.
            2: content.patient_class or "U",
            8: _xcn("", content.referring_physician_name),
            19: content.admission_id,
        },
    )


def _orc(content: ReportContent) -> str:
    # RE: observations to follow; CM: the order is completed.
    return writer.segment("ORC", {1: "RE", 2: _placer(content), 3: _filler(content), 5: "CM"})


def _obr(content: ReportContent, status: str) -> str:
    newest = content.signed
    return writer.segment(
        "OBR",
        {
            1: "1",
            2: _placer(content),
            3: _filler(content),
            4: _service(content),
            7: format_dtm(content.performed_at) if content.performed_at else None,
            16: _xcn("", content.ordering_provider_name),
            18: content.accession_number,
            22: format_dtm(newest.signed_at),
            24: _first(each.modality for each in content.procedures),
            25: status,
            31: ("", content.reason_for_study) if content.reason_for_study else None,
            32: _interpreter(newest),
        },
    )


def _placer(content: ReportContent) -> writer.Repetition:
    return (content.placer_order_number or "", content.placer_namespace)


def _filler(content: ReportContent) -> writer.Repetition:
    """Return OBR-3, which every result needs: we fill orders under their accession number."""
    if content.filler_order_number:
        return (content.filler_order_number, content.filler_namespace)
    return content.accession_number


def _service(content: ReportContent) -> writer.Repetition:
    description = _first(each.description for each in content.procedures) or "Imaging"
    for each in content.procedures:
        if each.code_value:
            return (each.code_value, each.code_meaning or description, each.code_scheme or "")
    return ("", description)


def _first(values: Iterable[str | None]) -> str:
    return next((value for value in values if value), "")


def _is_addendum(text: ContentVersion) -> bool:
    return text.kind == "addendum"


def _interpreter(text: ContentVersion) -> writer.Repetition:
    """Return OBR-32, an NDL: the name is in subcomponents of its first component."""
    family, given, middle, suffix, prefix = xpn_of(text.signer_name)
    return ((text.signed_by, family, given, middle, suffix, prefix),)


def _xcn(identifier: str, person_name: str | None) -> writer.Field:
    return (identifier, *xpn_of(person_name)) if person_name else None


def _observations(content: ReportContent, status: str) -> Iterator[str]:
    number = 0
    for uid in content.study_instance_uids:
        number += 1
        yield writer.segment("OBX", {1: str(number), 2: "HD", 3: STUDY, 5: uid, 11: "F"})
    for text in content.versions:
        # A text that the receiver has stays final; what is new to it makes the correction.
        is_new = status == "C" and text.version == content.version
        for line_number, line in enumerate(_lines(text.text), 1):
            number += 1
            yield writer.segment(
                "OBX",
                {
                    1: str(number),
                    2: "TX",
                    3: ADDENDUM if _is_addendum(text) else REPORT,
                    # OBX-4 tells observations of one code apart: version and line.
                    4: f"{text.version}.{line_number}",
                    5: line,
                    11: "C" if is_new else "F",
                    14: format_dtm(text.signed_at),
                    16: _xcn(text.signed_by, text.signer_name),
                },
            )


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
