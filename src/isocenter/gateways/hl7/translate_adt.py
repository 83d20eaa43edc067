"""ADT messages: which events we apply and how. Documents are made of the table below.

We keep patients, not visits. Events that move a visit still carry the patient's demographics, and
those are applied. Events whose whole meaning would be lost here are refused, not swallowed.

Standard: HL7 v2.5.1 chapter 3; IHE RAD TF-2 4.1, 4.12; ITI TF-2 3.30, 3.31.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    patient_facts,
    patient_identifiers,
)
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Message, Segment


class AdtEffect(StrEnum):
    """What an event does here."""

    REGISTER = "register"  # creates or updates the patient
    VISIT = "visit"  # moves a visit, which we do not keep; updates the patient
    MERGE = "merge"  # joins two patients


@dataclass(frozen=True, slots=True)
class AdtEvent:
    """One trigger event that is applied."""

    effect: AdtEffect
    title: str


_REGISTER, _VISIT, _MERGE = AdtEffect.REGISTER, AdtEffect.VISIT, AdtEffect.MERGE
EVENTS: Final[Mapping[str, AdtEvent]] = {
    "A01": AdtEvent(_REGISTER, "admit"),
    "A02": AdtEvent(_VISIT, "transfer"),
    "A03": AdtEvent(_VISIT, "discharge"),
    "A04": AdtEvent(_REGISTER, "register"),
    "A05": AdtEvent(_REGISTER, "pre-admit"),
    "A06": AdtEvent(_VISIT, "outpatient to inpatient"),
    "A07": AdtEvent(_VISIT, "inpatient to outpatient"),
    "A08": AdtEvent(_REGISTER, "update patient information"),
    "A09": AdtEvent(_VISIT, "patient departing"),
    "A10": AdtEvent(_VISIT, "patient arriving"),
    "A11": AdtEvent(_VISIT, "cancel admit"),
    "A12": AdtEvent(_VISIT, "cancel transfer"),
    "A13": AdtEvent(_VISIT, "cancel discharge"),
    "A14": AdtEvent(_VISIT, "pending admit"),
    "A15": AdtEvent(_VISIT, "pending transfer"),
    "A16": AdtEvent(_VISIT, "pending discharge"),
    "A18": AdtEvent(_MERGE, "merge patient information"),
    "A21": AdtEvent(_VISIT, "leave of absence"),
    "A22": AdtEvent(_VISIT, "return from leave"),
    "A25": AdtEvent(_VISIT, "cancel pending discharge"),
    "A26": AdtEvent(_VISIT, "cancel pending transfer"),
    "A27": AdtEvent(_VISIT, "cancel pending admit"),
    "A28": AdtEvent(_REGISTER, "add person"),
    "A31": AdtEvent(_REGISTER, "update person"),
    "A32": AdtEvent(_VISIT, "cancel arriving"),
    "A33": AdtEvent(_VISIT, "cancel departing"),
    "A34": AdtEvent(_MERGE, "merge patient, identifier only"),
    "A36": AdtEvent(_MERGE, "merge patient, identifier and account"),
    "A38": AdtEvent(_VISIT, "cancel pre-admit"),
    "A40": AdtEvent(_MERGE, "merge patient, identifier list"),
}


@dataclass(frozen=True, slots=True)
class PatientChange:
    """What is to be done with one patient: ``prior`` is not empty for a merge."""

    event: AdtEvent
    patient: PatientFacts
    prior: tuple[PatientIdentifier, ...] = ()


def patient_changes(message: Message, trigger: str, reading: Reading) -> list[PatientChange]:
    """Return what an ADT message asks for, in its order.

    Raises:
        MessageRefused: the event is not applied here (201), or a segment or field is missing.
    """
    event = EVENTS.get(trigger)
    if event is None:
        raise refused(
            AckCode.AR,
            ErrorCode.UNSUPPORTED_EVENT_CODE,
            "MSH^1^9^1^2",
            f"event {trigger[:3]} is not applied here",
        )
    if event.effect is not AdtEffect.MERGE:
        return [PatientChange(event, patient_facts(message, message.first("PID"), reading))]
    # A40 repeats {PID [PD1] MRG [PV1]}.
    groups = list(message.groups("PID")) or [[]]
    return [_merge(message, event, group, reading) for group in groups]


def _merge(
    message: Message, event: AdtEvent, group: list[Segment], reading: Reading
) -> PatientChange:
    survivor = patient_facts(message, group[0] if group else None, reading)
    mrg = next((segment for segment in group if segment.name == "MRG"), None)
    if mrg is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "MRG^1", "the MRG segment is missing"
        )
    prior = patient_identifiers(mrg.fields(1), reading)
    if not prior:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "MRG^1^1", "no prior patient identifier"
        )
    return PatientChange(event, survivor, prior)
