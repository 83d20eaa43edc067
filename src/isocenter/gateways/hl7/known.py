"""What is known now of all that a batch of messages is about, in a constant number of statements.

Which message says what of it is not decided here: see ``outbound``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution.model_messages import MessageKind, Telling
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_content, patient_content, report_content
from isocenter.readmodels.exam_content import ExamAppointment, ExamContent
from isocenter.readmodels.patient_content import PatientContent, VisitContent
from isocenter.readmodels.report_content import ReportContent, ReportVersion

_READER: Final = Actor.system("hl7.sender")
_OF_EXAMS: Final = frozenset({MessageKind.ORDER, MessageKind.PROCEDURE, MessageKind.CHARGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What messages are made of. What there is not is left out.

    Attributes:
        exams: by accession number.
        patients: records by key, merges not followed.
        appointments: by key.
        open_visits: by patient.
        numbered_visits: by their numbers.
    """

    reports: Mapping[ReportVersion, ReportContent]
    exams: Mapping[str, ExamContent]
    patients: Mapping[int, PatientContent]
    appointments: Mapping[int, ExamAppointment]
    open_visits: Mapping[int, VisitContent]
    numbered_visits: Mapping[str, VisitContent]


def known_of(tx: Tx, tellings: Collection[Telling]) -> Known:
    """All that these messages are about."""
    reading = Viewer.of(_READER, Action.REPORT_READ)
    viewing = Viewer.of(_READER, Action.EXAM_READ)
    asking = Viewer.of(_READER, Action.PATIENT_READ)
    of_patients = [each for each in tellings if each.kind is MessageKind.PATIENT]
    of_appointments = [each for each in tellings if each.kind is MessageKind.APPOINTMENT]
    appointments = exam_content.appointments(
        tx, viewing, [each.subject_key for each in of_appointments if not is_of_exam(each)]
    )
    numbers = {each.accession_number for each in tellings if each.kind in _OF_EXAMS}
    numbers |= {each.accession_number for each in of_appointments if is_of_exam(each)}
    people: set[int | None] = {each.subject_key for each in of_patients}
    people |= {each.told.get("other_key") for each in of_patients}
    for each in appointments.values():
        numbers |= set(each.accession_numbers)
        people.add(each.patient_key)
    return Known(
        reports=report_content.for_deliveries(tx, reading, _reports(tellings)),
        exams=exam_content.exams(tx, viewing, sorted(numbers)),
        patients=patient_content.records(tx, asking, sorted(key for key in people if key)),
        appointments=appointments,
        open_visits=patient_content.open_visits(
            tx, asking, sorted({each.subject_key for each in of_patients if not visit_of(each)})
        ),
        numbered_visits=patient_content.numbered_visits(
            tx, asking, sorted({visit_of(each) for each in of_patients} - {""})
        ),
    )


def is_of_exam(telling: Telling) -> bool:
    """Whether an appointment is an exam's own, not one that another scheduler makes."""
    return telling.subject.startswith("exam/")


def visit_of(telling: Telling) -> str:
    """The number of the visit that a patient's message names; '' when it names none."""
    return telling.told.get("visit_number") or ""


def _reports(tellings: Collection[Telling]) -> list[ReportVersion]:
    return [
        (each.report_id or "", each.version or 0)
        for each in tellings
        if each.kind is MessageKind.REPORT
    ]
