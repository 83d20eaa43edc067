"""ORU^R01: a signed report as an HL7 message.

The whole report goes with every version: receivers replace what they have. Addenda follow the first
text in their own OBX group. A receiver that cannot take a status gets the nearest one it takes,
and a note that says in words what that hides.

Standard: HL7 v2.5.1 7.3.1, 7.4.1 (OBR), 7.4.2 (OBX); IHE RAD TF-3 4.28.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.encode_patient import visit_number
from isocenter.gateways.hl7.envelope import Envelope, sealed
from isocenter.gateways.hl7.report_pdf import report_pdf
from isocenter.readmodels.report_content import ContentVersion, ReportContent
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm, xpn_of
from isocenter.standards.statuses import RESULTS, Result, result_status

REPORT: Final = ("18748-4", "Diagnostic imaging study", "LN")
ADDENDUM: Final = ("55107-7", "Addendum Document", "LN")
PROCEDURE: Final = ("55111-9", "Current imaging procedure descriptions", "LN")
REASON: Final = ("18785-6", "Radiology reason for study", "LN")
STUDY: Final = ("113014", "DICOM Study", "DCM")


class StatusNotTaken(IsocenterError):
    """The receiver takes no status that a signed report may have."""

    kind = Kind.UNSUPPORTED


def encode_oru(content: ReportContent, envelope: Envelope) -> bytes:
    """Return the message.

    Raises:
        StatusNotTaken: the receiver takes neither final nor corrected results.

    Standard: HL7 v2.5.1 7.3.1.
    """
    status = _status(content, envelope)
    segments = [
        _pid(content),
        _pv1(content, envelope),
        _orc(content),
        _obr(content, status),
        *_told_in_words(content, status),
        *_observations(content, envelope, status),
    ]
    return sealed(envelope, ("ORU", "R01", "ORU_R01"), segments)


def _status(content: ReportContent, envelope: Envelope) -> str:
    status = result_status(_result(content), envelope.statuses)
    if status is not None:
        return status
    raise StatusNotTaken("the receiver takes neither final nor corrected results")


def _result(content: ReportContent) -> Result:
    has_addendum = any(_is_addendum(text) for text in content.versions)
    return Result.APPENDED if has_addendum else Result.FINAL


def _told_in_words(content: ReportContent, status: str) -> Iterator[str]:
    """Return a note that says what the status cannot: that this replaces what was there."""
    if status == RESULTS[_result(content)].result_statuses[0]:
        return
    text = f"Corrected report, version {content.version}: it replaces the earlier ones."
    if _result(content) is Result.FINAL:
        text = "First report of this examination: it corrects none."
    # NTE-2 L: the note is of the one that filled the order.
    yield writer.segment("NTE", {1: "1", 2: "L", 3: text})


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


def _pv1(content: ReportContent, envelope: Envelope) -> str:
    return writer.segment(
        "PV1",
        {
            1: "1",
            # Table 0004: U is unknown.
            2: content.patient_class or "U",
            8: _xcn("", content.referring_physician_name),
            19: visit_number(content.admission_id, envelope),
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


def _observations(content: ReportContent, envelope: Envelope, status: str) -> Iterator[str]:
    """Return the OBX segments: studies, codes, then the texts, the PDF, or both."""
    forms = envelope.report_forms
    found: list[dict[int, writer.Field]] = []
    if "study_uid" in forms:
        found += _studies(content)
    if "coded" in forms:
        found += _codes(content)
    pdf = report_pdf(content) if "pdf" in forms else None
    # Letters that the PDF cannot hold are not lost: then the text goes instead.
    if "text" in forms or pdf is None:
        found += _texts(content, status)
    if pdf is not None:
        found.append(_document(content, pdf, status))
    for number, fields in enumerate(found, 1):
        yield writer.segment("OBX", {1: str(number), **fields})


def _studies(content: ReportContent) -> Iterator[dict[int, writer.Field]]:
    for uid in content.study_instance_uids:
        yield {2: "HD", 3: STUDY, 5: uid, 11: "F"}


def _codes(content: ReportContent) -> Iterator[dict[int, writer.Field]]:
    """Return what was done, as coded observations: procedures and modalities.

    Standard: HL7 v2.5.1 7.4.2 (CE); LOINC 55111-9, 18785-6
    """
    for index, each in enumerate(content.procedures, 1):
        if each.code_value:
            meaning = each.code_meaning or each.description or ""
            code = (each.code_value, meaning, each.code_scheme or "")
            yield {2: "CE", 3: PROCEDURE, 4: str(index), 5: code, 11: "F"}
    if content.reason_for_study:
        yield {2: "CE", 3: REASON, 5: ("", content.reason_for_study), 11: "F"}


def _document(content: ReportContent, pdf: bytes, status: str) -> dict[int, writer.Field]:
    """Return the report as encapsulated data.

    Standard: HL7 v2.5.1 2.A.24 (ED), tables 0191 and 0291
    """
    data = b64encode(pdf).decode("ascii")
    newest = content.signed
    return {
        2: "ED",
        3: REPORT,
        4: str(content.version),
        # AP: data of an application, which the receiver hands on as it is.
        5: ("", "AP", "PDF", "Base64", data),
        11: "C" if status == "C" else "F",
        14: format_dtm(newest.signed_at),
        16: _xcn(newest.signed_by, newest.signer_name),
    }


def _texts(content: ReportContent, status: str) -> Iterator[dict[int, writer.Field]]:
    for text in content.versions:
        # A text that the receiver has stays final; what is new to it makes the correction.
        is_new = status == "C" and text.version == content.version
        of_all_lines: dict[int, writer.Field] = {
            2: "TX",
            3: ADDENDUM if _is_addendum(text) else REPORT,
            11: "C" if is_new else "F",
            14: format_dtm(text.signed_at),
            16: _xcn(text.signed_by, text.signer_name),
        }
        for line_number, line in enumerate(_lines(text.text), 1):
            # OBX-4 tells observations of one code apart: version and line.
            yield {**of_all_lines, 4: f"{text.version}.{line_number}", 5: line}


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
