"""ORM^O01, OMG^O19 and OMI^O23: where an order is, and what is to be done for it.

Who placed an order learns how far it is (order controls SC, OC, OD, OH…); who works with it gets
the requested procedures, their Study Instance UIDs and steps: OMI^O23 with IPC, or for receivers
before 2.5 ORM^O01 with the OBR fields and the ZDS segment that IHE uses there.

Standard: HL7 v2.5.1 4.4 to 4.5; IHE RAD TF-2 4.3, 4.4, 4.13
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from isocenter.gateways.hl7.encode_patient import pid, visit_number, xcn
from isocenter.gateways.hl7.envelope import Envelope, sealed
from isocenter.readmodels.exam_content import ExamContent, ExamProcedure, ExamStep
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm, xpn_of

_KINDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ORM": ("ORM", "O01", "ORM_O01"),
    "OMG": ("OMG", "O19", "OMG_O19"),
    "OMI": ("OMI", "O23", "OMI_O23"),
}
# DICOM (0040,1003) to table 0485, and before 2.5 to table 0027.
_PRIORITIES: Final[Mapping[str, str]] = {
    "STAT": "S",
    "HIGH": "A",
    "ROUTINE": "R",
    "MEDIUM": "T",
    "LOW": "R",
}
# ORM^O01 is no message from this version on.
_ORM_UNTIL = (2, 7)
# Table 0123 has N since 2.7.
_PENDING, _PENDING_SINCE = "N", (2, 7)


def encode_order(content: ExamContent, told: Mapping[str, Any], envelope: Envelope) -> bytes:
    """Return the message that tells a placer where its order is.

    Args:
        content: the exam as it is known now.
        told: ``control`` (ORC-1), ``status`` (ORC-5), ``result_status`` (OBR-25), ``reason``.
        envelope: to whom it goes.

    Standard: IHE RAD TF-2 4.3
    """
    usual = "ORM" if envelope.number < _ORM_UNTIL else "OMG"
    kind = _KINDS[envelope.order_message or usual]
    return _encode(content, told, envelope, kind)


def encode_procedure(content: ExamContent, told: Mapping[str, Any], envelope: Envelope) -> bytes:
    """Return the message that tells a performer what is to be done; as ``encode_order``.

    Standard: IHE RAD TF-2 4.4, 4.13
    """
    usual = "ORM" if envelope.is_before_2_5 else "OMI"
    return _encode(content, told, envelope, _KINDS[envelope.order_message or usual])


def _encode(
    content: ExamContent,
    told: Mapping[str, Any],
    envelope: Envelope,
    kind: tuple[str, str, str],
) -> bytes:
    # TQ1 is in OMG and OMI since 2.5; ORM never got it (HL7 v2.5.1 4.4.1).
    has_tq1 = not envelope.is_before_2_5 and kind[0] != "ORM"
    segments = [_patient(content, envelope), _visit(content, envelope)]
    for procedure in content.procedures:
        steps: list[ExamStep | None] = [*content.steps_of(procedure)]
        if kind[0] == "OMI":
            about = (procedure, steps[0] if steps else None)
            segments += _group(content, about, told, envelope, has_tq1=has_tq1)
            segments += [_ipc(content, procedure, each) for each in steps if each is not None]
            continue
        for step in steps or [None]:
            segments += _group(content, (procedure, step), told, envelope, has_tq1=has_tq1)
            if kind[0] == "ORM":
                segments.append(_zds(procedure))
    return sealed(envelope, kind, segments)


def _patient(content: ExamContent, envelope: Envelope) -> str:
    if content.patient is None:
        return writer.segment("PID", {1: "1"})
    return pid(content.patient, envelope)


def _visit(content: ExamContent, envelope: Envelope) -> str:
    return writer.segment(
        "PV1",
        {
            1: "1",
            2: content.patient_class or "U",
            3: content.location,
            8: xcn("", content.referring_physician_name),
            19: visit_number(content.admission_id, envelope),
        },
    )


def _group(
    content: ExamContent,
    about: tuple[ExamProcedure, ExamStep | None],
    told: Mapping[str, Any],
    envelope: Envelope,
    *,
    has_tq1: bool,
) -> Iterator[str]:
    step = about[1]
    priority = _PRIORITIES.get(content.priority or "", "")
    # Without a stated time it is not known when it begins.
    start = format_dtm(step.start_at) if step is not None and step.is_timed else ""
    timing = ("", "", "", start, "", priority) if start or priority else None
    yield writer.segment(
        "ORC",
        {
            1: told["control"],
            2: placer(content),
            3: filler(content),
            5: told["status"],
            # IHE RAD TF-2 4.4: where there is TQ1, ORC-7 carries no start.
            7: None if has_tq1 else timing,
            9: format_dtm(envelope.made_at),
            12: xcn("", content.ordering_provider_name),
            16: ("", told["reason"]) if told.get("reason") else None,
        },
    )
    if has_tq1 and (start or priority):
        yield writer.segment("TQ1", {1: "1", 7: start, 9: priority})
    yield _obr(content, about, told, envelope)


def _obr(
    content: ExamContent,
    about: tuple[ExamProcedure, ExamStep | None],
    told: Mapping[str, Any],
    envelope: Envelope,
) -> str:
    procedure, step = about
    is_old = envelope.is_before_2_5
    performer = xpn_of(step.performing_physician_name or "") if step is not None else ()
    timed = step is not None and step.is_timed
    return writer.segment(
        "OBR",
        {
            1: "1",
            2: placer(content),
            3: filler(content),
            4: service(procedure, step),
            12: content.danger_code,
            13: content.clinical_information,
            # Laterality is the fifth component of SPS, which is withdrawn since 2.5.
            15: ("", "", "", "", procedure.laterality) if is_old and procedure.laterality else None,
            16: xcn("", content.ordering_provider_name),
            18: content.accession_number,
            19: procedure.requested_procedure_id,
            20: step.scheduled_procedure_step_id if step is not None else None,
            24: (step.modality if step is not None else "") or None,
            25: _result_status(told, envelope),
            27: ("", "", "", format_dtm(step.start_at)) if is_old and timed and step else None,
            30: content.transport_arrangements,
            31: ("", content.reason_for_study) if content.reason_for_study else None,
            34: (("", *performer[:2]),) if any(performer) else None,
            44: _coded(procedure),
        },
    )


def _result_status(told: Mapping[str, Any], envelope: Envelope) -> str | None:
    stated = str(told.get("result_status") or "")
    if not stated and told["status"] == "CM" and envelope.number >= _PENDING_SINCE:
        return _PENDING
    return stated or None


def service(procedure: ExamProcedure, step: ExamStep | None) -> writer.Repetition:
    """Return OBR-4: the procedure's code, and the protocol's as the alternate one."""
    protocols = step.protocol_codes if step is not None else []
    alternate = (
        (protocols[0]["value"], protocols[0].get("meaning", ""), protocols[0].get("scheme", ""))
        if protocols
        else ()
    )
    described = procedure.description or procedure.code_meaning or "Imaging"
    code = _coded(procedure)
    return (*(code if code is not None else ("", described, "")), *alternate)


def _coded(procedure: ExamProcedure) -> tuple[str, str, str] | None:
    if not procedure.code_value:
        return None
    meaning = procedure.code_meaning or procedure.description or ""
    return (procedure.code_value, meaning, procedure.code_scheme or "")


def _ipc(content: ExamContent, procedure: ExamProcedure, step: ExamStep) -> str:
    return writer.segment(
        "IPC",
        {
            1: (content.accession_number, content.accession_issuer),
            2: procedure.requested_procedure_id,
            3: procedure.study_instance_uid,
            4: step.scheduled_procedure_step_id,
            5: step.modality or None,
            6: [
                (each["value"], each.get("meaning", ""), each.get("scheme", ""))
                for each in step.protocol_codes
            ],
            7: step.station_name,
            8: ("", step.location) if step.location else None,
            9: [*step.station_ae_titles],
        },
    )


def _zds(procedure: ExamProcedure) -> str:
    # IHE RAD TF-2 4.4.4.1.2.6: an RP whose first component is the UID.
    return writer.segment("ZDS", {1: (procedure.study_instance_uid, "", "Application", "DICOM")})


def placer(content: ExamContent) -> writer.Field:
    """Return ORC-2; None for an order that has no placer order number."""
    if not content.placer_order_number:
        return None
    return (content.placer_order_number, content.placer_namespace)


def filler(content: ExamContent) -> writer.Repetition:
    """Return ORC-3: we fill orders under their accession number unless they have another."""
    if content.filler_order_number:
        return (content.filler_order_number, content.filler_namespace)
    return content.accession_number
