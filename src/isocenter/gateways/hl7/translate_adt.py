"""ADT messages: which events we apply and how. Documents are made of the table below.

What concerns patients and their visits is applied. Events that are about neither (bed status,
allergies, alternate identifiers) or that would destroy what belongs to images (A29) are refused,
not swallowed.

Standard: HL7 v2.5.1 chapter 3; IHE RAD TF-2 4.1, 4.12; ITI TF-2 3.30, 3.31.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.identity.model_visits import VisitFacts, VisitNumber, VisitState
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    patient_facts,
    patient_identifiers,
)
from isocenter.gateways.hl7.translate_visits import visit_facts, visit_number
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Message, Segment


class AdtEffect(StrEnum):
    """What an event does here."""

    REGISTER = "register"  # creates or updates the patient, and the visit
    VISIT = "visit"  # changes the visit; updates the patient
    SWAP = "swap"  # two patients change places
    MERGE = "merge"  # joins two patients
    LINK = "link"  # says that two records are one person, both stay in use
    UNLINK = "unlink"
    MOVE_IDENTIFIER = "move identifier"  # to another patient
    CHANGE_IDENTIFIER = "change identifier"  # another one takes its place
    MOVE_VISIT = "move visit"  # to another patient, with its orders
    RENUMBER_VISIT = "renumber visit"  # another number, or one with another visit


@dataclass(frozen=True, slots=True)
class AdtEvent:
    """One trigger event that is applied.

    Attributes:
        state: of the visit from now on; None leaves it.
        is_pending: PV1-3 is where the patient is to be brought.
        former: MRG field with the former number of the visit.
    """

    effect: AdtEffect
    title: str
    state: VisitState | None = None
    is_pending: bool = False
    former: int = 0


_REGISTER, _VISIT, _MERGE = AdtEffect.REGISTER, AdtEffect.VISIT, AdtEffect.MERGE
_RENUMBER, _ACCOUNT, _VISIT_NUMBER = AdtEffect.RENUMBER_VISIT, 3, 5
_EXPECTED, _PRESENT = VisitState.EXPECTED, VisitState.PRESENT
_CANCELLED = VisitState.CANCELLED
EVENTS: Final[Mapping[str, AdtEvent]] = {
    "A01": AdtEvent(_REGISTER, "admit", _PRESENT),
    "A02": AdtEvent(_VISIT, "transfer", _PRESENT),
    "A03": AdtEvent(_VISIT, "discharge", VisitState.DISCHARGED),
    "A04": AdtEvent(_REGISTER, "register", _PRESENT),
    "A05": AdtEvent(_REGISTER, "pre-admit", _EXPECTED),
    "A06": AdtEvent(_VISIT, "outpatient to inpatient", _PRESENT),
    "A07": AdtEvent(_VISIT, "inpatient to outpatient", _PRESENT),
    "A08": AdtEvent(_REGISTER, "update patient information"),
    "A09": AdtEvent(_VISIT, "patient departing", is_pending=True),
    "A10": AdtEvent(_VISIT, "patient arriving", _PRESENT),
    "A11": AdtEvent(_VISIT, "cancel admit", _CANCELLED),
    "A12": AdtEvent(_VISIT, "cancel transfer", _PRESENT),
    "A13": AdtEvent(_VISIT, "cancel discharge", _PRESENT),
    "A14": AdtEvent(_VISIT, "pending admit", _EXPECTED),
    "A15": AdtEvent(_VISIT, "pending transfer", is_pending=True),
    "A16": AdtEvent(_VISIT, "pending discharge"),
    "A17": AdtEvent(AdtEffect.SWAP, "swap patients", _PRESENT),
    "A18": AdtEvent(_MERGE, "merge patient information", former=_ACCOUNT),
    "A21": AdtEvent(_VISIT, "leave of absence", VisitState.ON_LEAVE),
    "A22": AdtEvent(_VISIT, "return from leave", _PRESENT),
    "A23": AdtEvent(_VISIT, "delete visit", _CANCELLED),
    "A24": AdtEvent(AdtEffect.LINK, "link patients"),
    "A25": AdtEvent(_VISIT, "cancel pending discharge"),
    "A26": AdtEvent(_VISIT, "cancel pending transfer", _PRESENT),
    "A27": AdtEvent(_VISIT, "cancel pending admit", _CANCELLED),
    "A28": AdtEvent(_REGISTER, "add person"),
    "A30": AdtEvent(_MERGE, "merge person, identifier only"),
    "A31": AdtEvent(_REGISTER, "update person"),
    "A32": AdtEvent(_VISIT, "cancel arriving"),
    "A33": AdtEvent(_VISIT, "cancel departing", _PRESENT),
    "A34": AdtEvent(_MERGE, "merge patient, identifier only"),
    "A35": AdtEvent(_RENUMBER, "merge account, number only", former=_ACCOUNT),
    "A36": AdtEvent(_MERGE, "merge patient, identifier and account", former=_ACCOUNT),
    "A37": AdtEvent(AdtEffect.UNLINK, "unlink patients"),
    "A38": AdtEvent(_VISIT, "cancel pre-admit", _CANCELLED),
    "A39": AdtEvent(_MERGE, "merge person"),
    "A40": AdtEvent(_MERGE, "merge patient, identifier list"),
    "A41": AdtEvent(_RENUMBER, "merge account", former=_ACCOUNT),
    "A42": AdtEvent(_RENUMBER, "merge visit", former=_VISIT_NUMBER),
    "A43": AdtEvent(AdtEffect.MOVE_IDENTIFIER, "move patient identifier"),
    "A44": AdtEvent(AdtEffect.MOVE_VISIT, "move account", former=_ACCOUNT),
    "A45": AdtEvent(AdtEffect.MOVE_VISIT, "move visit", former=_VISIT_NUMBER),
    "A46": AdtEvent(AdtEffect.CHANGE_IDENTIFIER, "change patient identifier"),
    "A47": AdtEvent(AdtEffect.CHANGE_IDENTIFIER, "change patient identifier list"),
    "A49": AdtEvent(_RENUMBER, "change account number", former=_ACCOUNT),
    "A50": AdtEvent(_RENUMBER, "change visit number", former=_VISIT_NUMBER),
}


@dataclass(frozen=True, slots=True)
class PatientChange:
    """What is to be done with one patient.

    Attributes:
        prior: identifiers in MRG: of a merge, what stands for the patient from now on.
        visit: what is said of the visit.
        former_visit: its number until now.
        other: the second patient of a link.
    """

    event: AdtEvent
    patient: PatientFacts
    prior: tuple[PatientIdentifier, ...] = ()
    visit: VisitFacts | None = None
    former_visit: VisitNumber | None = None
    other: PatientFacts | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it does no more than register one patient and visit, as nearly all do."""
        return self.event.effect in {AdtEffect.REGISTER, AdtEffect.VISIT}


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
    # A40 repeats {PID [PD1] MRG [PV1]}, A17 has {PID PV1} twice, A24 and A37 name two patients.
    groups: list[list[Segment]] = list(message.groups("PID"))
    if event.effect in {AdtEffect.REGISTER, AdtEffect.VISIT}:
        pid = groups[0][0] if groups else None
        facts = patient_facts(message, pid, reading)
        return [PatientChange(event, facts, visit=_visit(message, event, groups, reading))]
    if event.effect in {AdtEffect.LINK, AdtEffect.UNLINK}:
        first, second = _two_patients(message, groups, reading)
        return [PatientChange(event, first, other=second)]
    if event.effect is AdtEffect.SWAP:
        both = _two_patients(message, groups, reading)
        return [
            PatientChange(event, facts, visit=_visit(message, event, [group], reading))
            for facts, group in zip(both, groups, strict=False)
        ]
    return [_with_mrg(message, event, group, reading) for group in groups or [[]]]


# Of what is charged and of accounts we keep the message, and what it says of patient and visit.
_ACCOUNTS: Final = {
    "dft": AdtEvent(_REGISTER, "charges noted"),
    "bar": AdtEvent(_REGISTER, "account noted"),
}


def account_changes(message: Message, kind: str, reading: Reading) -> list[PatientChange]:
    """Return what a DFT or BAR message says of patients; ``kind`` is dft or bar.

    Raises:
        MessageRefused: the PID segment or its identifier is missing.

    Standard: HL7 v2.5.1 6.4
    """
    event = _ACCOUNTS[kind]
    groups: list[list[Segment]] = list(message.groups("PID")) or [[]]
    return [
        PatientChange(
            event,
            patient_facts(message, group[0] if group else None, reading),
            visit=_visit(message, event, [group], reading),
        )
        for group in groups
    ]


def _visit(
    message: Message, event: AdtEvent, groups: Sequence[Sequence[Segment]], reading: Reading
) -> VisitFacts | None:
    group = groups[0] if groups else ()
    return visit_facts(message, group, event.state, reading, is_pending=event.is_pending)


def _two_patients(
    message: Message, groups: Sequence[Sequence[Segment]], reading: Reading
) -> tuple[PatientFacts, PatientFacts]:
    if len(groups) < 2:
        raise refused(
            AckCode.AE,
            ErrorCode.SEGMENT_SEQUENCE_ERROR,
            f"PID^{len(groups) + 1}",
            "the message names two patients: a PID segment is missing",
        )
    return (
        patient_facts(message, groups[0][0], reading),
        patient_facts(message, groups[1][0], reading),
    )


def _with_mrg(
    message: Message, event: AdtEvent, group: list[Segment], reading: Reading
) -> PatientChange:
    survivor = patient_facts(message, group[0] if group else None, reading)
    mrg = next((segment for segment in group if segment.name == "MRG"), None)
    if mrg is None:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "MRG^1", "the MRG segment is missing"
        )
    prior = patient_identifiers(mrg.fields(1), reading)
    if event.effect in {AdtEffect.RENUMBER_VISIT, AdtEffect.MOVE_VISIT}:
        return _of_visit(message, event, (survivor, prior), (group, mrg), reading)
    if not prior:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "MRG^1^1", "no prior patient identifier"
        )
    # A18 and A36 merge the account, too, where both of its numbers are said.
    former = visit_number(mrg.field(event.former), reading) if event.former else None
    own = [segment for segment in group if segment.name != "PV1"]
    account = visit_facts(message, own, None, reading) if former is not None else None
    return PatientChange(event, survivor, prior, account, former if account else None)


def _of_visit(
    message: Message,
    event: AdtEvent,
    patients: tuple[PatientFacts, tuple[PatientIdentifier, ...]],
    segments: tuple[list[Segment], Segment],
    reading: Reading,
) -> PatientChange:
    """Read what becomes of a visit or account: its number is in PV1-19 or PID-18, and in MRG."""
    survivor, prior = patients
    group, mrg = segments
    former = visit_number(mrg.field(event.former), reading)
    # An account is PID-18; the visit's own number is another thing then.
    stated = [each for each in group if each.name != "PV1" or event.former == _VISIT_NUMBER]
    visit = visit_facts(message, stated, None, reading)
    moving = event.effect is AdtEffect.MOVE_VISIT
    if visit is None and moving and former is not None:  # moved under the number that it has
        visit = VisitFacts(former, survivor.asserted_at)
    if former is None and moving and visit is not None:
        former = visit.number
    if former is None or visit is None:
        raise refused(
            AckCode.AE,
            ErrorCode.REQUIRED_FIELD_MISSING,
            f"MRG^1^{event.former}",
            "the number of the visit or account is missing",
        )
    if moving and not prior:
        raise refused(
            AckCode.AE, ErrorCode.REQUIRED_FIELD_MISSING, "MRG^1^1", "no prior patient identifier"
        )
    return PatientChange(event, survivor, prior, visit, former)
