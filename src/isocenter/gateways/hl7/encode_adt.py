"""ADT: who a patient is, and for whom a record stands.

A merge that was undone is told as what it is, two persons that are unlinked (A37), followed by what
is known of the parted one: HL7 has no event that takes back A40.

Standard: HL7 v2.5.1 3.3.8 (A08), 3.3.24 (A24), 3.3.28 (A28), 3.3.31 (A31), 3.3.37 (A37), 3.3.40
(A40), 3.3.43 (A43), 3.3.45 (A45), 3.3.47 (A47); IHE RAD TF-2 4.12
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.encode_patient import (
    evn,
    identifiers,
    mrg,
    pid,
    pv1,
    visit_number,
)
from isocenter.gateways.hl7.envelope import Envelope, sealed
from isocenter.readmodels.patient_content import PatientContent, VisitContent
from isocenter.standards.hl7v2 import writer

_STRUCTURES: Final[Mapping[str, str]] = {
    "A08": "ADT_A01",
    "A24": "ADT_A24",
    "A28": "ADT_A05",
    "A31": "ADT_A05",
    "A37": "ADT_A37",
    "A40": "ADT_A39",
    "A43": "ADT_A43",
    "A45": "ADT_A45",
    "A47": "ADT_A30",
}
# With A30 went its structure; A47 has this one since.
_A47_SINCE_2_7: Final = "ADT_A44"


class Nameless(IsocenterError):
    """The record gave away every identifier, so that nobody could know who is meant."""

    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class PatientMessage:
    """What an ADT message is made of.

    Attributes:
        trigger: A28, A31, A24, A37, A40, A43, A45 or A47.
        patient: the record that it is about; of a merge the one that remains.
        told: what was true when it was queued.
        other: the second record of a link or a merge that was undone; the former owner of a visit.
        visit: of an update, or the one that is moved.
    """

    trigger: str
    patient: PatientContent
    told: Mapping[str, Any]
    other: PatientContent | None = None
    visit: VisitContent | None = None


def encode_adt(content: PatientMessage, envelope: Envelope) -> bytes:
    """Return the message.

    Raises:
        Nameless: the record that it is about has no identifier.
    """
    if not content.patient.identifiers:
        raise Nameless("the record has no identifier any more")
    trigger = content.trigger
    if trigger in {"A28", "A31"} and envelope.patient_update == "A08":
        trigger = "A08"
    segments = [evn(envelope, trigger), pid(content.patient, envelope), *_rest(content, envelope)]
    structure = _STRUCTURES[trigger]
    if trigger == "A47" and envelope.number >= (2, 7):
        structure = _A47_SINCE_2_7
    return sealed(envelope, ("ADT", trigger, structure), segments)


def _rest(content: PatientMessage, envelope: Envelope) -> list[str]:
    told, other = content.told, content.other
    named = told.get("identifiers", [])
    match content.trigger:
        case "A24" | "A37":
            return [_second(content, envelope)]
        case "A40":
            return [mrg(named, name=other.person_name if other else None)]
        case "A43" | "A47":
            return [mrg(named)]
        case "A45":
            prior = other.identifiers if other else []
            number = visit_number(told["visit_number"], envelope)
            return [mrg(prior, visit=number), pv1(content.visit, envelope)]
        case _:
            return [pv1(content.visit, envelope, vip=content.patient.vip)]


def _second(content: PatientMessage, envelope: Envelope) -> str:
    if content.other is None or not content.other.identifiers:
        # It has none any more: those that it had when this was said.
        return writer.segment("PID", {1: "2", 3: identifiers(content.told.get("identifiers", []))})
    return pid(content.other, envelope, set_id=2)
