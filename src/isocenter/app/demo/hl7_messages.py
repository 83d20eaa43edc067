"""The messages of the demonstration EHR: registration, orders in three styles, acknowledgements.

Plain text, written apart from the product's own HL7 code. HL7 v2.3.1 and v2.5.1 as IHE asks.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from isocenter.app.demo.cast import Exam, Patient
from isocenter.app.demo.hl7_text import message, moment, segment

APPLICATION, FACILITY = "DEMO_EHR", "DEMO_HOSPITAL"
AUTHORITY = "DEMO"

Fields = Mapping[int, str]


@dataclass
class Envelope:
    """What is the same in the header of every message, and the numbers that are not."""

    receiver: tuple[str, str]
    run: str

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def header(self, message_type: str, version: str, now: datetime) -> str:
        """The MSH segment of a new message."""
        control_id = f"{self.run}{next(self._numbers):05d}"
        application, facility = self.receiver
        return (
            f"MSH|^~\\&|{APPLICATION}|{FACILITY}|{application}|{facility}|{moment(now)}||"
            f"{message_type}|{control_id}|P|{version}"
        )


def registration(envelope: Envelope, event: str, patient: Patient, now: datetime) -> str:
    """An ADT message about one patient: A04 registers, A08 updates.

    Standard: RAD TF-2 4.1
    """
    return message(
        envelope.header(f"ADT^{event}^ADT_A01", "2.5.1", now),
        segment("EVN", {1: event, 2: moment(now)}),
        _pid(patient),
        segment("PV1", {1: "1", 2: "O", 3: "RADIOLOGY^^^DEMO", 19: patient.visit}),
    )


def merge(envelope: Envelope, survivor: Patient, prior: Patient, now: datetime) -> str:
    """ADT^A40: the prior patient's number now belongs to the survivor.

    Standard: RAD TF-2 4.12
    """
    return message(
        envelope.header("ADT^A40^ADT_A39", "2.5.1", now),
        segment("EVN", {1: "A40", 2: moment(now)}),
        _pid(survivor),
        segment("MRG", {1: f"{prior.number}^^^{AUTHORITY}^MR", 7: prior.name}),
    )


def order(envelope: Envelope, exam: Exam, now: datetime, *, control: str = "NW") -> str:
    """An order as the exam's style says: ORM^O01, ORM^O01 with ZDS, or OMI^O23.

    ``control`` is ORC-1: "NW" for a new order, "CA" to cancel it.
    """
    return {"orm": _orm, "zds": _orm_with_zds, "omi": _omi}[exam.style](
        envelope, exam, now, control
    )


def acknowledgement(message: str, control_id: str, now: datetime) -> str:
    """The AA answer to a received message.

    Standard: HL7 v2.5.1 2.9.2
    """
    header = message.split("\r", 1)[0].split("|")
    event = header[8].split("^")
    trigger = f"^{event[1]}" if len(event) > 1 else ""
    return (
        f"MSH|^~\\&|{header[4]}|{header[5]}|{header[2]}|{header[3]}|{moment(now)}||"
        f"ACK{trigger}^ACK|{control_id}|P|{header[11]}\rMSA|AA|{header[9]}\r"
    )


def _orm(envelope: Envelope, exam: Exam, now: datetime, control: str) -> str:
    return message(
        envelope.header("ORM^O01", "2.3.1", now),
        _pid(exam.patient),
        _visit(exam),
        _orc(exam, control, now),
        segment("OBR", _obr(exam)),
    )


def _orm_with_zds(envelope: Envelope, exam: Exam, now: datetime, control: str) -> str:
    scheduled = {18: exam.accession_number, 19: exam.procedure_id, 20: f"{exam.procedure_id}.1"}
    return message(
        envelope.header("ORM^O01", "2.3.1", now),
        _pid(exam.patient),
        _visit(exam),
        _orc(exam, control, now),
        segment("OBR", _obr(exam) | scheduled),
        segment("ZDS", {1: f"{exam.study_instance_uid}^^Application^DICOM"}),
    )


def _omi(envelope: Envelope, exam: Exam, now: datetime, control: str) -> str:
    kind, plan = exam.kind, _obr(exam)
    del plan[24], plan[27]
    return message(
        envelope.header("OMI^O23^OMI_O23", "2.5.1", now),
        _pid(exam.patient),
        _visit(exam),
        _orc(exam, control, now),
        segment("TQ1", {1: "1", 7: moment(now), 9: f"{exam.priority}^^HL70485"}),
        segment("OBR", plan),
        segment(
            "IPC",
            {
                1: f"{exam.accession_number}^{APPLICATION}",
                2: f"{exam.procedure_id}^{APPLICATION}",
                3: f"{exam.study_instance_uid}^{APPLICATION}",
                4: f"{exam.procedure_id}.1^{APPLICATION}",
                5: kind.modality,
                6: f"{kind.code}^{kind.description}^DEMO",
                9: kind.station,
            },
        ),
    )


def _pid(patient: Patient) -> str:
    return segment(
        "PID",
        {
            1: "1",
            3: f"{patient.number}^^^{AUTHORITY}^MR",
            5: patient.name,
            7: patient.birth_date,
            8: patient.sex,
            11: "1 Test Lane^^Sampletown^^00000",
            18: f"{patient.visit}^^^{AUTHORITY}",
        },
    )


def _visit(exam: Exam) -> str:
    referring = f"9001^{exam.referrer}"
    return segment(
        "PV1", {1: "1", 2: "O", 3: "RADIOLOGY^^^DEMO", 8: referring, 19: exam.patient.visit}
    )


def _orc(exam: Exam, control: str, now: datetime) -> str:
    fields = {
        1: control,
        2: f"{exam.placer_number}^{APPLICATION}",
        9: moment(now),
        12: f"9001^{exam.referrer}",
    }
    if exam.style != "omi":
        fields[7] = f"^^^{moment(now)}^^{exam.priority}"
    return segment("ORC", fields)


def _obr(exam: Exam) -> dict[int, str]:
    kind = exam.kind
    return {
        1: "1",
        2: f"{exam.placer_number}^{APPLICATION}",
        4: f"{kind.code}^{kind.description}^DEMO",
        13: exam.question,
        16: f"9001^{exam.referrer}",
        24: kind.modality,
        27: f"^^^{moment(exam.ordered_at)}^^{exam.priority}",
        31: f"^{exam.question}",
    }
