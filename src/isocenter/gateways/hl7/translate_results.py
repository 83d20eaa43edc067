"""ORU^R01 and MDM: reports and values of other systems about our patients.

Text and PDF become a document, coded single values become observations. References to things that
are elsewhere (RP) and other encapsulated data are passed over, and that is said in the message log.

Standard: HL7 v2.5.1 7.3.1 (ORU^R01), 9.6 (TXA), 7.4.2 (OBX); table 0271.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.identity.model import PatientFacts
from isocenter.domain.reporting.model_external import (
    DocumentFacts,
    MediaType,
    ObservationFacts,
)
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    asserted_at,
    moment,
    patient_facts,
)
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Composite, Message, Segment
from isocenter.standards.statuses import RESULT_OF_OBR_25, RESULT_OF_OBX_11, Result

MDM_EVENTS: Final = {
    "T01": "original document",
    "T02": "original document with content",
    "T03": "document status changed",
    "T04": "document status changed, with content",
    "T05": "addendum",
    "T06": "addendum with content",
    "T07": "document edited",
    "T08": "document edited, with content",
    "T09": "document replaced",
    "T10": "document replaced, with content",
    "T11": "document cancelled",
}
_REPLACING: Final = frozenset({"T09", "T10"})
_CANCELLING: Final = "T11"
_TEXT: Final = frozenset({"TX", "FT"})
_VALUES: Final = frozenset({"NM", "SN", "ST", "CE", "CWE", "CNE", "DT", "TM", "DTM", "TS"})
# Table 0271: legally or otherwise authenticated documents are final.
_AUTHENTICATED: Final = frozenset({"AU", "LA"})


@dataclass(frozen=True, slots=True)
class ResultChange:
    """What a message says of one patient's results.

    Attributes:
        title: what the message is, for the message log.
        passed_over: values of kinds that are not kept.
    """

    title: str
    patient: PatientFacts
    documents: tuple[DocumentFacts, ...] = ()
    observations: tuple[ObservationFacts, ...] = ()
    passed_over: int = 0


def observation_results(message: Message, reading: Reading) -> list[ResultChange]:
    """Return what an ORU^R01 says, one entry per patient.

    Raises:
        MessageRefused: a segment or number is missing, or a status is none.
    """
    groups = list(message.groups("PID"))
    if not groups:
        patient_facts(message, None, reading)
    return [_of_patient(message, group, reading) for group in groups]


def document_notice(message: Message, trigger: str, reading: Reading) -> list[ResultChange]:
    """Return what an MDM message says.

    Raises:
        MessageRefused: a segment or the document number is missing.
    """
    facts = patient_facts(message, message.first("PID"), reading)
    txa = message.first("TXA")
    if txa is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "TXA^1", "the TXA segment is missing"
        )
    number = txa.text(12, 1) or txa.text(12, 3)
    if not number:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "TXA^1^12", "no document number"
        )
    content, media_type, passed_over = _content(message.every("OBX"))
    written = moment(txa.text(4), reading) or moment(txa.text(6), reading)
    document = DocumentFacts(
        document_id=number,
        asserted_at=asserted_at(message, reading),
        kind=_meaning(txa.field(2)) or "Document",
        result=_completion(txa, trigger),
        content=content,
        media_type=media_type,
        accession_number=txa.text(15) or None,
        author_name=datatypes.xcn(txa.field(5)).name or datatypes.xcn(txa.field(9)).name or None,
        written_at=written.value if written else None,
        replaces=(txa.text(13, 1) or txa.text(13, 3)) if trigger in _REPLACING else "",
    )
    return [ResultChange(MDM_EVENTS[trigger], facts, (document,), passed_over=passed_over)]


def _completion(txa: Segment, trigger: str) -> Result:
    if trigger == _CANCELLING:
        return Result.CANCELLED
    final = txa.text(17).upper() in _AUTHENTICATED
    if final and trigger == "T08":
        return Result.CORRECTED
    return Result.FINAL if final else Result.PRELIMINARY


def _of_patient(message: Message, group: Sequence[Segment], reading: Reading) -> ResultChange:
    documents: list[DocumentFacts] = []
    observations: list[ObservationFacts] = []
    passed_over = 0
    for index, order in enumerate(_by_order(group), 1):
        obr, obxs = order[0], [each for each in order if each.name == "OBX"]
        number = obr.text(3) or obr.text(2)
        if not number:
            raise refused(
                AckCode.AE,
                ErrorCode.REQUIRED_FIELD_MISSING,
                f"OBR^{index}^3",
                "a result needs a filler or placer order number",
            )
        whole = _status(obr.text(25), RESULT_OF_OBR_25, f"OBR^{index}^25")
        content, media_type, others = _content(obxs)
        passed_over += others
        if content or (whole is Result.CANCELLED and not obxs):
            documents.append(_document(message, obr, (content, media_type), whole, reading))
        # Texts of a report are its lines; what is no text is a value of its own.
        values = [each for each in obxs if each.text(2).upper() in _VALUES]
        observations += [
            _observation(message, (obr, number), each, whole, reading) for each in values
        ]
    patient = patient_facts(message, group[0], reading)
    return ResultChange("result", patient, tuple(documents), tuple(observations), passed_over)


def _by_order(group: Sequence[Segment]) -> list[list[Segment]]:
    orders: list[list[Segment]] = []
    for segment in group:
        if segment.name == "OBR":
            orders.append([segment])
        elif orders and segment.name not in {"ORC", "PID"}:
            orders[-1].append(segment)
    return orders


def _status(text: str, known: Mapping[str, Result], location: str) -> Result | None:
    if not text:
        return None
    found = known.get(text.upper())
    if found is None:
        raise refused(
            AckCode.AE, ErrorCode.TABLE_VALUE_NOT_FOUND, location, "the result status is not known"
        )
    return found


def _document(
    message: Message,
    obr: Segment,
    content: tuple[bytes, MediaType],
    whole: Result | None,
    reading: Reading,
) -> DocumentFacts:
    written = moment(obr.text(22), reading) or moment(obr.text(7), reading)
    interpreter = obr.field(32)
    author = "^".join((interpreter.text(1, 2), interpreter.text(1, 3))).rstrip("^")
    return DocumentFacts(
        document_id=obr.text(3) or obr.text(2),
        asserted_at=asserted_at(message, reading),
        kind=_meaning(obr.field(4)) or "Report",
        result=whole or Result.FINAL,
        content=content[0],
        media_type=content[1],
        accession_number=obr.text(18) or None,
        author_name=author or None,
        written_at=written.value if written else None,
    )


def _observation(
    message: Message,
    order: tuple[Segment, str],
    obx: Segment,
    whole: Result | None,
    reading: Reading,
) -> ObservationFacts:
    obr, number = order
    said_at = asserted_at(message, reading)
    observed = moment(obx.text(14), reading) or moment(obr.text(7), reading)
    status = _status(obx.text(11), RESULT_OF_OBX_11, "OBX^1^11")
    code = datatypes.ce(obx.field(3))
    unit = datatypes.ce(obx.field(6))
    return ObservationFacts(
        order_number=number,
        code=(code.value or code.meaning, code.scheme, code.meaning),
        asserted_at=said_at,
        result=status or whole or Result.FINAL,
        observed_at=_when(observed.value if observed else None, said_at),
        value=_value(obx),
        unit=unit.value or unit.meaning,
        sub_id=obx.text(4),
        reference_range=obx.text(7),
        abnormal_flags=" ".join(each.text() for each in obx.fields(8) if each.text()),
    )


def _when(stated: datetime | None, said_at: datetime) -> datetime:
    return stated if stated is not None else said_at


def _value(obx: Segment) -> str:
    """Return OBX-5 as people write it."""
    kind = obx.text(2).upper()
    if kind == "SN":  # comparator, number, separator, number: >^60
        return "".join(obx.text(5, component) for component in (1, 2, 3, 4))
    if kind in {"CE", "CWE", "CNE"}:
        codes = [datatypes.ce(field) for field in obx.fields(5)]
        return "; ".join(code.meaning or code.value for code in codes if code)
    return "; ".join(field.text() for field in obx.fields(5) if field.text())


def _content(obxs: Sequence[Segment]) -> tuple[bytes, MediaType, int]:
    """Return the text or PDF in OBX segments, its media type, and how many were passed over."""
    lines: list[str] = []
    passed_over = 0
    pdf = b""
    for obx in obxs:
        kind = obx.text(2).upper()
        if kind in _TEXT:
            lines += [field.text() for field in obx.fields(5)]
        elif kind == "ED" and not pdf and (found := _pdf(obx.field(5))):
            pdf = found
        elif kind not in _VALUES and kind not in {"HD", ""}:
            passed_over += 1
    if pdf:
        return pdf, "application/pdf", passed_over
    return "\n".join(lines).strip().encode(), "text/plain", passed_over


def _pdf(field: Composite) -> bytes:
    """Return a PDF in an ED value: encoded by component 4, whatever component 2 and 3 call it."""
    if field.text(4).lower() != "base64":
        return b""
    try:
        data = base64.b64decode(field.text(5), validate=False)
    except (binascii.Error, ValueError):
        return b""
    return data if data.startswith(b"%PDF-") else b""


def _meaning(field: Composite) -> str:
    code = datatypes.ce(field)
    return code.meaning or code.value
