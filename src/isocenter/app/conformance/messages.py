"""The messages of the bench's ADT source, order placer and scheduler.

Plain text, written apart from the product's own HL7 code. HL7 v2.3.1 and v2.5.1 as IHE asks.
"""

import itertools
from dataclasses import dataclass, field
from datetime import datetime

from isocenter.app.demo.hl7_text import message, moment, segment

AUTHORITY = "CONFORMANCE"
_VERSIONS = {"OMI": "2.5.1", "OMG": "2.5.1", "ADT": "2.5.1", "SIU": "2.5.1", "ORM": "2.3.1"}
_STRUCTURES = {
    "A08": "ADT_A01", "A04": "ADT_A01", "A05": "ADT_A05", "A11": "ADT_A09", "A40": "ADT_A39",
    "S13": "SIU_S12",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as the ADT source knows it."""

    number: str
    name: str
    birth_date: str = "19700101"
    sex: str = "F"


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the placer and the scheduler know it. Empty numbers are for others to give."""

    person: Person
    placer_number: str
    accession_number: str
    study_instance_uid: str
    start_at: datetime
    station: str
    modality: str = "CT"
    code: str = "CTHEAD^CT of the head^L"
    filler_number: str = ""

    @property
    def procedure_id(self) -> str:
        """The requested procedure's number."""
        return f"R{self.accession_number}"


@dataclass(slots=True)
class Envelope:
    """Who sends to whom, and the numbers of the messages."""

    application: str
    receiver: str
    run: str
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def header(self, kind: str, event: str, now: datetime) -> str:
        """The MSH segment of a new message."""
        version, structure = _VERSIONS[kind], _STRUCTURES.get(event, f"{kind}_{event}")
        named = f"{kind}^{event}" if version == "2.3.1" else f"{kind}^{event}^{structure}"
        return (
            f"MSH|^~\\&|{self.application}|CONFORMANCE|{self.receiver}|RADIOLOGY|{moment(now)}||"
            f"{named}|{self.run}{next(self._numbers):04d}|P|{version}"
        )


def registration(envelope: Envelope, event: str, person: Person, now: datetime) -> str:
    """An ADT message about one patient.

    Standard: RAD TF-2 4.1, 4.12
    """
    return message(
        envelope.header("ADT", event, now),
        segment("EVN", {1: event, 2: moment(now)}),
        _pid(person),
        segment("PV1", {1: "1", 2: "O", 3: "RADIOLOGY^^^C", 19: f"V{person.number}"}),
    )


def merge(envelope: Envelope, survivor: Person, prior: Person, now: datetime) -> str:
    """ADT^A40: the prior patient's number belongs to the survivor.

    Standard: RAD TF-2 4.12
    """
    return message(
        envelope.header("ADT", "A40", now),
        segment("EVN", {1: "A40", 2: moment(now)}),
        _pid(survivor),
        segment("MRG", {1: f"{prior.number}^^^{AUTHORITY}^MR", 7: prior.name}),
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What a message wants with an order: ORC-1 and ORC-5, in one of three styles.

    Attributes:
        style: "ORM", "OMG" (the placer's), "ZDS" or "OMI" (the scheduler's).
    """

    control: str = "NW"
    status: str = ""
    style: str = "ZDS"


def order(envelope: Envelope, placed: Order, wish: Wish, now: datetime) -> str:
    """An order message.

    Standard: RAD TF-2 4.2, 4.3, 4.4, 4.13
    """
    kind, event = {"OMG": ("OMG", "O19"), "OMI": ("OMI", "O23")}.get(wish.style, ("ORM", "O01"))
    numbers = {2: _entity(placed.placer_number), 3: _entity(placed.filler_number)}
    orc = {1: wish.control, **numbers, 5: wish.status, 9: moment(now), 12: "9001^Referrer^Alma"}
    obr = {1: "1", **numbers, 4: placed.code, 13: "conformance", 16: "9001^Referrer^Alma"}
    extra: list[str] = []
    start = {7: f"^^^{moment(placed.start_at)}^^R"}
    if kind == "ORM":
        orc |= start
        obr |= {24: placed.modality, 27: f"^^^{moment(placed.start_at)}^^R"}
    else:
        timing = {1: "1", 7: moment(placed.start_at), 9: "R^^HL70485"}
        extra = [segment("TQ1", timing)]
    if wish.style == "ZDS":
        procedure = placed.procedure_id
        obr |= {18: placed.accession_number, 19: procedure, 20: f"{procedure}.1"}
        obr |= {21: placed.station}
    if wish.style == "OMG":
        obr |= {24: placed.modality}
    return message(
        envelope.header(kind, event, now),
        _pid(placed.person),
        segment("PV1", {1: "1", 2: "O", 3: "RADIOLOGY^^^C", 19: f"V{placed.person.number}"}),
        segment("ORC", orc),
        *extra,
        segment("OBR", obr),
        *_scheduled(placed, wish.style),
    )


def _scheduled(placed: Order, style: str) -> list[str]:
    """The segment in which a scheduler says the study and, in OMI, the step."""
    if style == "ZDS":
        return [segment("ZDS", {1: f"{placed.study_instance_uid}^^Application^DICOM"})]
    if style != "OMI":
        return []
    fields = {
        1: _entity(placed.accession_number),
        2: _entity(placed.procedure_id),
        3: _entity(placed.study_instance_uid),
        4: _entity(f"{placed.procedure_id}.1"),
        5: placed.modality,
        6: placed.code,
        9: placed.station,
    }
    return [segment("IPC", fields)]


def appointment(envelope: Envelope, event: str, booked: Order, now: datetime) -> str:
    """SIU: when an order's exam takes place.

    Standard: RAD TF-2 4.48
    """
    named = _entity(booked.placer_number)
    schedule = {1: named, 2: f"F{booked.placer_number}", 6: "BOOKED", 9: "30", 10: "min", 26: named}
    return message(
        envelope.header("SIU", event, now),
        segment("SCH", schedule),
        segment("TQ1", {1: "1", 7: moment(booked.start_at)}),
        _pid(booked.person),
        segment("RGS", {1: "1"}),
        segment("AIS", {1: "1", 2: "A", 3: booked.code, 7: "30", 8: "min"}),
    )


def _entity(number: str) -> str:
    return f"{number}^{AUTHORITY}" if number else ""


def _pid(person: Person) -> str:
    return segment(
        "PID",
        {
            1: "1",
            3: f"{person.number}^^^{AUTHORITY}^MR",
            5: person.name,
            7: person.birth_date,
            8: person.sex,
        },
    )
