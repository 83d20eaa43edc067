"""Order messages (ORM^O01, OMG^O19, OMI^O23) to what is to be done with which order.

One message may carry several groups of ORC, OBR and their companions. IHE repeats a group for each
requested procedure and protocol code, so groups with the same order number are one order.

Standard: HL7 v2.5.1 chapter 4; IHE RAD TF-2 4.2, 4.3, 4.4, 4.13.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from isocenter.domain.identity.model import PatientFacts
from isocenter.domain.orders.model import (
    OrderFacts,
    OrderReference,
    Priority,
)
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_patient import (
    Reading,
    asserted_at,
    authority_name,
    moment,
    patient_facts,
)
from isocenter.gateways.hl7.translate_procedure import OrderGroup, procedure_of
from isocenter.gateways.hl7.translate_visits import location
from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Composite, Message, Segment
from isocenter.standards.statuses import Instruction

MESSAGE_TYPES: Final = frozenset({("ORM", "O01"), ("OMG", "O19"), ("OMI", "O23")})


@dataclass(frozen=True, slots=True)
class Control:
    """How one combination of order control and order status is understood."""

    verb: Instruction
    title: str


_NOTE: Final = Instruction.NOTE
# ORC-1 (table 0119) and ORC-5 (table 0038); None: any status that has no row of its own. What is
# told of an order by another one who fills it is taken as what is to be done with it here.
CONTROLS: Final[Mapping[tuple[str, str | None], Control]] = {
    ("NW", None): Control(Instruction.PLACE, "new order"),
    ("NW", "CA"): Control(Instruction.CANCEL, "new order, cancelled since"),
    ("SN", None): Control(Instruction.ASSIGN_NUMBERS, "new order, numbers wanted"),
    ("RO", None): Control(Instruction.PLACE, "replacement order"),
    ("CH", None): Control(Instruction.PLACE, "child order"),
    ("XO", None): Control(Instruction.REVISE, "change order"),
    ("XO", "CM"): Control(Instruction.CORRECT, "change order that is done"),
    ("XO", "CA"): Control(Instruction.CANCEL, "change order, cancelled"),
    ("XO", "DC"): Control(Instruction.DISCONTINUE, "change order, discontinued"),
    ("XO", "HD"): Control(Instruction.HOLD, "change order, on hold"),
    ("XX", None): Control(Instruction.REVISE, "order changed, unsolicited"),
    ("XX", "CM"): Control(Instruction.CORRECT, "order changed that is done"),
    ("CA", None): Control(Instruction.CANCEL, "cancel order"),
    ("OC", None): Control(Instruction.CANCEL, "order cancelled"),
    ("CR", None): Control(Instruction.CANCEL, "cancelled as requested"),
    ("DC", None): Control(Instruction.DISCONTINUE, "discontinue order"),
    ("OD", None): Control(Instruction.DISCONTINUE, "order discontinued"),
    ("DR", None): Control(Instruction.DISCONTINUE, "discontinued as requested"),
    ("HD", None): Control(Instruction.HOLD, "hold order"),
    ("OH", None): Control(Instruction.HOLD, "order held"),
    ("HR", None): Control(Instruction.HOLD, "on hold as requested"),
    ("RL", None): Control(Instruction.RELEASE, "release previous hold"),
    ("OE", None): Control(Instruction.RELEASE, "order released"),
    ("OR", None): Control(Instruction.RELEASE, "released as requested"),
    ("RP", None): Control(Instruction.REPLACE, "replace order"),
    ("RU", None): Control(Instruction.REPLACE, "order replaced, unsolicited"),
    ("RQ", None): Control(Instruction.REPLACE, "replaced as requested"),
    ("SC", "SC"): Control(Instruction.REVISE, "status changed to scheduled"),
    ("SC", "CA"): Control(Instruction.CANCEL, "status changed to cancelled"),
    ("SC", "DC"): Control(Instruction.DISCONTINUE, "status changed to discontinued"),
    ("SC", "HD"): Control(Instruction.HOLD, "status changed to on hold"),
    # What was begun and done follows from what the scanners and the images say.
    ("SC", "IP"): Control(_NOTE, "status changed to in progress"),
    ("SC", "A"): Control(_NOTE, "status changed to some results"),
    ("SC", "CM"): Control(_NOTE, "status changed to completed"),
    ("SS", None): Control(Instruction.TELL_STATUS, "send order status"),
    ("SR", None): Control(_NOTE, "order status"),
    ("PA", None): Control(_NOTE, "parent order"),
    ("NA", None): Control(_NOTE, "number assigned"),
    ("OK", None): Control(_NOTE, "order accepted"),
    ("XR", None): Control(_NOTE, "changed as requested"),
    ("UA", None): Control(_NOTE, "unable to accept order"),
    ("UX", None): Control(_NOTE, "unable to change"),
    ("UC", None): Control(_NOTE, "unable to cancel"),
    ("UD", None): Control(_NOTE, "unable to discontinue"),
    ("UH", None): Control(_NOTE, "unable to put on hold"),
    ("UR", None): Control(_NOTE, "unable to release"),
    ("UM", None): Control(_NOTE, "unable to replace"),
    ("DE", None): Control(_NOTE, "data errors"),
    ("RR", None): Control(_NOTE, "request received"),
    ("RE", None): Control(_NOTE, "observations follow"),
}
_PLACING: Final = frozenset({
    Instruction.PLACE,
    Instruction.REVISE,
    Instruction.CORRECT,
    Instruction.ASSIGN_NUMBERS,
})
_PLAIN: Final = _PLACING - {Instruction.ASSIGN_NUMBERS}
_REPLACEMENT: Final = "RO"
_CHILD: Final = "CH"
_PARENT: Final = "PA"
_PRIOR: Final = "RE"

# TQ1-9, ORC-7.6, OBR-27.6, OBR-5: HL7 table 0485 and 0027 to DICOM (0040,1003).
_PRIORITIES: Final[Mapping[str, Priority]] = {
    "S": "STAT",
    "A": "HIGH",
    "P": "HIGH",
    "C": "HIGH",
    "R": "ROUTINE",
    "T": "MEDIUM",
    "STAT": "STAT",
    "ASAP": "HIGH",
    "ROUTINE": "ROUTINE",
}


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What is to be done with one order.

    Attributes:
        order: what the message says of it; for cancelling, only its numbers count.
        reason: ORC-16, why it is cancelled, discontinued or held.
        parent: of a child order: the one that it was parted from.
        replaces: the orders that it is done instead of.
        groups: the groups of the message that are about it, counted from 1.
    """

    control: Control
    patient: PatientFacts
    order: OrderFacts
    reason: str = ""
    parent: OrderReference | None = None
    replaces: tuple[OrderReference, ...] = ()
    groups: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it does no more than place or revise one order, as nearly all do."""
        related = self.parent is not None or bool(self.replaces)
        return not related and self.control.verb in _PLAIN

    @property
    def reference(self) -> OrderReference:
        """The numbers that say which order is meant, and when the sender said so."""
        return replace(self.order.reference(), asserted_at=self.order.asserted_at)


def order_changes(message: Message, reading: Reading) -> list[OrderChange]:
    """Return what an order message asks for, one entry per order, in the message's order.

    Raises:
        MessageRefused: a segment, a number or a known order control is missing.
    """
    patient = patient_facts(message, message.first("PID"), reading)
    groups = [
        OrderGroup(message, segments, index)
        for index, segments in enumerate(message.groups("ORC"), 1)
    ]
    if not groups:
        raise refused(
            AckCode.AE, ErrorCode.SEGMENT_SEQUENCE_ERROR, "ORC^1", "the ORC segment is missing"
        )
    changes: dict[tuple[Instruction, tuple[str | None, ...]], OrderChange] = {}
    parent: OrderReference | None = None
    for group in groups:
        code = group.orc.text(1).upper()
        if code == _PRIOR and group.index > 1:  # OMG_O19, OMI_O23: earlier results for comparison
            continue
        change = _change(group, patient, reading)
        if code == _PARENT:
            parent = change.order.reference()
        elif code == _CHILD:
            change = replace(change, parent=_parent(group) or parent)
        key = (change.control.verb, _first_number(change.order))
        known = changes.get(key)
        changes[key] = _joined(known, change) if known else change
    return _with_replacements(list(changes.values()), groups)


def _parent(group: OrderGroup) -> OrderReference | None:
    """Return ORC-8, an EIP: the parent's placer and filler order numbers."""
    said = group.orc.field(8)
    placer, filler = said.text(1, 1), said.text(2, 1)
    if not (placer or filler):
        return None
    return OrderReference(
        placer_order_number=placer or None,
        placer_namespace=said.text(1, 2) or said.text(1, 3),
        filler_order_number=filler or None,
        filler_namespace=said.text(2, 2) or said.text(2, 3),
    )


def _with_replacements(changes: list[OrderChange], groups: list[OrderGroup]) -> list[OrderChange]:
    """Let the first replacement order stand for the orders that are replaced.

    Standard: HL7 v2.5.1 4.5.1.1: groups of RP (or RU, RQ) are followed by groups of RO.
    """
    replaced = [each for each in changes if each.control.verb is Instruction.REPLACE]
    if not replaced:
        return changes
    replacements = {group.index for group in groups if group.orc.text(1).upper() == _REPLACEMENT}
    first = next((each for each in changes if replacements.intersection(each.groups)), None)
    if first is None:
        raise refused(
            AckCode.AE,
            ErrorCode.SEGMENT_SEQUENCE_ERROR,
            f"ORC^{replaced[0].groups[0]}",
            "no replacement order (RO) follows",
        )
    standing = replace(first, replaces=tuple(each.reference for each in replaced))
    return [standing if each is first else each for each in changes]


def _first_number(order: OrderFacts) -> tuple[str | None, ...]:
    """Return the number by which groups of one order are told from those of another."""
    if order.accession_number:
        return (order.accession_number,)
    if order.placer_order_number:
        return ("placer", order.placer_order_number, order.placer_namespace)
    return ("filler", order.filler_order_number, order.filler_namespace)


def _joined(change: OrderChange, more: OrderChange) -> OrderChange:
    procedures = change.order.procedures + more.order.procedures
    order = replace(change.order, procedures=procedures)
    return replace(change, order=order, groups=change.groups + more.groups)


def _change(group: OrderGroup, patient: PatientFacts, reading: Reading) -> OrderChange:
    control_code, status = group.orc.text(1).upper(), group.orc.text(5).upper()
    control = CONTROLS.get((control_code, status)) or CONTROLS.get((control_code, None))
    if control is None:
        field = 5 if (control_code, "CA") in CONTROLS else 1
        raise refused(
            AckCode.AE,
            ErrorCode.TABLE_VALUE_NOT_FOUND,
            f"ORC^{group.index}^{field}",
            "Invalid order control/status",
        )
    placing = control.verb in _PLACING
    if placing and group.obr is None:
        raise refused(
            AckCode.AE,
            ErrorCode.SEGMENT_SEQUENCE_ERROR,
            f"OBR^{group.index}",
            "the OBR segment is missing",
        )
    order = _order_facts(group, reading, described=placing)
    if order.reference().is_empty():
        raise refused(
            AckCode.AE,
            ErrorCode.REQUIRED_FIELD_MISSING,
            f"ORC^{group.index}^2",
            "no placer, filler or accession number",
        )
    reason = group.orc.text(16, 2) or group.orc.text(16)
    return OrderChange(control, patient, order, reason, groups=(group.index,))


def _order_facts(group: OrderGroup, reading: Reading, *, described: bool) -> OrderFacts:
    placer, filler = _number(group, 2), _number(group, 3)
    accession, issuer = _accession_number(group)
    facts = OrderFacts(
        asserted_at=asserted_at(group.message, reading),
        placer_order_number=placer.value or None,
        placer_namespace=authority_name(placer.authority),
        filler_order_number=filler.value or None,
        filler_namespace=authority_name(filler.authority),
        accession_number=accession or None,
        accession_issuer=issuer,
    )
    if not described:
        return facts
    obr, pv1 = group.any_obr, group.message.first("PV1") or Segment("PV1", group.orc.syntax)
    ordering = group.orc.field(12) or obr.field(16)
    return replace(
        facts,
        priority=_priority(group),
        ordering_provider_name=datatypes.xcn(ordering).name or None,
        referring_physician_name=datatypes.xcn(pv1.field(8)).name or None,
        clinical_information=_said(obr, 13),
        reason_for_study=_reason(obr),
        danger_code=_said_code(obr, 12),
        admission_id=pv1.text(19) or _pid_text(group.message, 18) or None,
        patient_class=_said(pv1, 2),
        location=location(pv1, 3),
        transport_arrangements=_said(obr, 30),
        special_needs=_said_code(group.orc, 28),
        allergies=_allergies(group.message),
        pregnancy_status=_pregnancy_status(pv1),
        patient_weight_kg=_measured(group.message, {"kg": 1.0}, below=1000.0),
        patient_size_m=_measured(group.message, {"m": 1.0, "cm": 0.01}, below=3.0),
        ordered_at=_ordered_at(group.orc, reading),
        procedures=(procedure_of(group, reading),),
    )


def _number(group: OrderGroup, position: int) -> datatypes.EntityIdentifier:
    """Return ORC-2 or ORC-3, which must equal OBR-2 or OBR-3: either may be left out."""
    own = datatypes.ei(group.orc.field(position))
    return own if own.value else datatypes.ei(group.any_obr.field(position))


def _accession_number(group: OrderGroup) -> tuple[str, str]:
    for ipc in group.ipcs:
        number = datatypes.ei(ipc.field(1))
        if number.value:
            return number.value, authority_name(number.authority)
    # IHE RAD TF-2 4.4: OBR-18 (Placer Field 1) is the accession number in 2.3.1.
    return group.any_obr.text(18), ""


def _priority(group: OrderGroup) -> Priority | None:
    codes = (
        *(tq1.text(9) for tq1 in group.tq1s),
        group.orc.text(7, 6),
        group.any_obr.text(27, 6),
        group.any_obr.text(5),
    )
    return next((_PRIORITIES[code.upper()] for code in codes if code.upper() in _PRIORITIES), None)


def _said(segment: Segment, position: int) -> str | None:
    """Return a text: None not said, empty said to be none."""
    return "" if segment.is_null(position) else (segment.text(position) or None)


def _said_code(segment: Segment, position: int) -> str | None:
    if segment.is_null(position):
        return ""
    code = datatypes.ce(segment.field(position))
    return code.meaning or code.value or None


def _reason(obr: Segment) -> str | None:
    if obr.is_null(31):
        return ""
    codes = [datatypes.ce(field) for field in obr.fields(31)]
    return "; ".join(code.meaning or code.value for code in codes if code) or None


def _pid_text(message: Message, position: int) -> str:
    pid = message.first("PID")
    return pid.text(position) if pid else ""


def _allergies(message: Message) -> str | None:
    codes = [datatypes.ce(segment.field(3)) for segment in message.every("AL1")]
    return "; ".join(code.meaning or code.value for code in codes if code) or None


def _pregnancy_status(pv1: Segment) -> int | None:
    # Table 0009: B6 is pregnant; PS3.3 C.2.3: 3 is definitely pregnant.
    return 3 if any(field.text() == "B6" for field in pv1.fields(15)) else None


def _measured(message: Message, factors: Mapping[str, float], *, below: float) -> float | None:
    """Return what an OBX in one of these units says of the patient: weight in kg, size in m.

    Other numbers of an order have other units. Standard: IHE RAD TF-2 4.2, 4.5 (mapping of OBX).
    """
    for obx in message.every("OBX"):
        factor = factors.get(obx.text(6).lower())
        if obx.text(2) == "NM" and factor is not None:
            return _positive_number(obx.field(5), factor, below)
    return None


def _positive_number(field: Composite, factor: float, below: float) -> float | None:
    try:
        value = round(float(field.text()) * factor, 4)
    except ValueError:
        return None
    # Nobody has more; "inf" and "nan" are floats too.
    return value if 0 < value < below else None


def _ordered_at(orc: Segment, reading: Reading) -> datetime | None:
    stated = moment(orc.text(9), reading)
    return stated.value if stated else None
