"""SIU: appointments, those that we book with an order and those that another scheduler makes.

Standard: HL7 v2.5.1 10.3, 10.6.1 (SCH), 10.6.3 to 10.6.7 (RGS, AIS, AIG, AIL, AIP); IHE RAD TF-2
4.48
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from isocenter.gateways.hl7.encode_order import filler, placer, service
from isocenter.gateways.hl7.encode_patient import pid, visit_number, xcn
from isocenter.gateways.hl7.envelope import Envelope, sealed
from isocenter.readmodels.exam_content import ExamAppointment, ExamContent, ExamStep
from isocenter.readmodels.patient_content import PatientContent
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.statuses import APPOINTMENT_ENDED, SCH_25_OF

_TIMED_UNTIL: Final = (2, 7)  # SCH-9 and SCH-11 are no more: TQ1 and AIS say it
_MINUTES: Final = ("min", "minute", "UCUM")
_DEPARTMENT: Final = ("D", "Department", "HL70305")
_ADD, _UPDATE, _DELETE = "A", "U", "D"
_NEW: Final = "S12"
_EVENTS: Final = {
    _NEW: "Booked",
    "S13": "Moved",
    "S14": "Changed",
    "S15": "Cancelled",
    "S16": "Discontinued",
    "S17": "Deleted",
    "S26": "Patient did not come",
}


@dataclass(frozen=True, slots=True)
class AppointmentMessage:
    """What a SIU message is made of.

    Attributes:
        trigger: S12 to S17 or S26.
        told: ``status``, as ``SCH_25_OF`` knows it.
        exams: whose appointment it is.
        appointment: as another scheduler made it; None: it is ours, of the only exam.
        patient: None when nobody is named.
    """

    trigger: str
    told: Mapping[str, Any]
    exams: Sequence[ExamContent]
    appointment: ExamAppointment | None
    patient: PatientContent | None


def encode_siu(content: AppointmentMessage, envelope: Envelope) -> bytes:
    """Return the message. Standard: HL7 v2.5.1 10.3."""
    segments = [_sch(content, envelope)]
    start = _start(content)
    if start and not envelope.is_before_2_5:
        segments.append(writer.segment("TQ1", {1: "1", 7: start}))
    if content.patient is not None:
        segments.append(pid(content.patient, envelope))
        segments += [_pv1(each, envelope) for each in content.exams[:1]]
    segments += _resources(content, envelope)
    return sealed(envelope, ("SIU", content.trigger, "SIU_S12"), segments)


def _sch(content: AppointmentMessage, envelope: Envelope) -> str:
    appointment = content.appointment
    exams = content.exams
    number = exams[0].accession_number if exams else ""
    duration = appointment.duration_min if appointment else None
    described = appointment.description if appointment else None
    start = _start(content)
    timing: dict[int, writer.Field] = {}
    if envelope.number < _TIMED_UNTIL:
        timing = {
            9: str(duration) if duration else None,
            10: _MINUTES if duration else None,
            11: ("", "", str(duration or ""), start) if start else None,
        }
    # SCH-6, SCH-16 and SCH-20 are required; who made an appointment is not kept: it is the system.
    by = (envelope.sending[0],)
    return writer.segment(
        "SCH",
        {
            1: appointment.placer_appointment_id if appointment else None,
            2: appointment.filler_appointment_id if appointment else number,
            6: ("", _event(content)),
            7: ("", described or _reason(exams)) if described or _reason(exams) else None,
            **timing,
            16: by,
            20: by,
            25: SCH_25_OF[content.told["status"]],
            26: [each for exam in exams if (each := _ei(placer(exam)))],
            27: [each for exam in exams if (each := _ei(filler(exam)))],
        },
    )


def _event(content: AppointmentMessage) -> str:
    """Return why the message is sent: the reason that was given, else what happened."""
    said = content.appointment.reason if content.appointment else None
    return said or _EVENTS.get(content.trigger, "Changed")


def _ei(number: writer.Field) -> writer.Repetition:
    return number if isinstance(number, str | tuple) else ""


def _reason(exams: Sequence[ExamContent]) -> str:
    return next((each.reason_for_study for each in exams if each.reason_for_study), "")


def _start(content: AppointmentMessage) -> str:
    if content.appointment is not None:
        start_at = content.appointment.start_at
        return format_dtm(start_at) if start_at else ""
    times = [step.start_at for exam in content.exams for step in exam.steps if step.is_timed]
    return format_dtm(min(times)) if times else ""


def _pv1(exam: ExamContent, envelope: Envelope) -> str:
    return writer.segment(
        "PV1",
        {
            1: "1",
            2: exam.patient_class or "U",
            8: xcn("", exam.referring_physician_name),
            19: visit_number(exam.admission_id, envelope),
        },
    )


def _resources(content: AppointmentMessage, envelope: Envelope) -> Iterator[str]:
    """Return a group for each step; of an appointment that names no exam one for itself."""
    action = _ADD if content.trigger == _NEW else _UPDATE
    if content.trigger in APPOINTMENT_ENDED.values():
        action = _DELETE
    number = 0
    for exam in content.exams:
        for procedure in exam.procedures:
            for step in exam.steps_of(procedure):
                number += 1
                yield writer.segment("RGS", {1: str(number), 2: action})
                yield _ais(content, action, service(procedure, step), step)
                yield from _where(step, action, envelope)
    if number == 0 and content.appointment is not None:
        described = content.appointment.description
        yield writer.segment("RGS", {1: "1", 2: action})
        yield _ais(content, action, ("", described or "Imaging"), None)
        if content.appointment.location:
            yield _ail(content.appointment.location, action, envelope)


def _ais(
    content: AppointmentMessage, action: str, what: writer.Repetition, step: ExamStep | None
) -> str:
    own = content.appointment is None
    start = format_dtm(step.start_at) if own and step is not None and step.is_timed else ""
    duration = content.appointment.duration_min if content.appointment else None
    return writer.segment(
        "AIS",
        {
            1: "1",
            2: action,
            3: what,
            4: start or _start(content),
            7: str(duration) if duration else None,
            8: _MINUTES if duration else None,
        },
    )


def _where(step: ExamStep, action: str, envelope: Envelope) -> Iterator[str]:
    if step.station_ae_titles or step.station_name:
        title = next(iter(step.station_ae_titles), "")
        # AIG-4 is required: what kind of resource it is.
        yield writer.segment(
            "AIG",
            {1: "1", 2: action, 3: (title, step.station_name or ""), 4: (step.modality or "DEV",)},
        )
    if step.location:
        yield _ail(step.location, action, envelope)
    if step.performing_physician_name:
        yield writer.segment("AIP", {1: "1", 2: action, 3: xcn("", step.performing_physician_name)})


def _ail(location: str, action: str, envelope: Envelope) -> str:
    # AIL-4 was required until 2.4: a place of radiology is in a department (table 0305).
    kind = _DEPARTMENT if envelope.is_before_2_5 else None
    return writer.segment("AIL", {1: "1", 2: action, 3: location, 4: kind})
