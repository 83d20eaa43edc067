"""ORR^O02, ORG^O20 and ORI^O24: what became of each order of a message.

IHE has orders answered by ACK; these are for senders that asked for numbers (SN) or for a status
(SS), and for peers that are set up to be answered so.

Standard: HL7 v2.5.1 4.4.2, 4.4.4, 4.4.10, 4.5.1.1; IHE RAD TF-2 4.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from isocenter.gateways.hl7.apply_orders import OrderAnswer
from isocenter.gateways.hl7.translate_orders import CONTROLS, MESSAGE_TYPES, Control
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.ack import Content, Problem
from isocenter.standards.hl7v2.er7 import Message, Segment
from isocenter.standards.statuses import ORDERS, RESPONSE_TEXT, RESPONSES, Instruction

_RESPONSES: Final[Mapping[tuple[str, str], tuple[str, str, str]]] = {
    ("ORM", "O01"): ("ORR", "O02", "ORR_O02"),
    ("OMG", "O19"): ("ORG", "O20", "ORG_O20"),
    ("OMI", "O23"): ("ORI", "O24", "ORI_O24"),
}
_ALWAYS_TOLD: Final = frozenset({Instruction.ASSIGN_NUMBERS, Instruction.TELL_STATUS})


def response(message: Message, answers: Sequence[OrderAnswer], *, wanted: bool) -> Content | None:
    """Return what is answered about the orders of a message that was applied; None: plain ACK.

    Args:
        message: the message.
        answers: what came of its orders.
        wanted: its sender is answered so, whatever it asks for.
    """
    if not (wanted or any(each.change.control.verb in _ALWAYS_TOLD for each in answers)):
        return None
    kind = _kind(message)
    by_group = {number: each for each in answers for number in each.change.groups}
    segments: list[str] = []
    for number, group in enumerate(message.groups("ORC"), 1):
        if number in by_group:
            segments += _followed(kind[0], group, by_group[number])
    return Content(kind, tuple(segments))


def refusal(message: Message, problem: Problem, *, wanted: bool) -> tuple[Problem, Content | None]:
    """Return the problem in the protocol's terms, and what is answered about the orders."""
    if _type_of(message) not in MESSAGE_TYPES:
        return problem, None
    groups = list(message.groups("ORC"))
    controls = [_control(group[0]) for group in groups]
    known = [each.verb for each in controls if each is not None]
    if not known:
        return problem, None
    code = RESPONSES[known[_at_fault(problem, len(known))]].refused
    told = replace(problem, application_code=(code, RESPONSE_TEXT[code]))
    if not (wanted or _ALWAYS_TOLD.intersection(known)):
        return told, None
    segments = [
        _orc(group[0], RESPONSES[control.verb].refused if control else "UA", {}, "")
        for group, control in zip(groups, controls, strict=True)
    ]
    return told, Content(_kind(message), tuple(segments))


def _type_of(message: Message) -> tuple[str, str]:
    return message.header.text(9, 1).upper(), message.header.text(9, 2).upper()


def _kind(message: Message) -> tuple[str, str, str]:
    return _RESPONSES[_type_of(message)]


def _control(orc: Segment) -> Control | None:
    code, status = orc.text(1).upper(), orc.text(5).upper()
    return CONTROLS.get((code, status)) or CONTROLS.get((code, None))


def _at_fault(problem: Problem, count: int) -> int:
    """Which group the problem is in, as far as its location tells, from 0."""
    parts = problem.location.split("^")
    number = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 1
    return min(number, count) - 1


def _followed(kind: str, group: list[Segment], answer: OrderAnswer) -> Iterator[str]:
    order = answer.order
    if order is None:
        return
    numbers: dict[int, writer.Field] = {}
    if order.placer_order_number:
        numbers[2] = (order.placer_order_number, order.placer_namespace)
    if order.filler_order_number:
        numbers[3] = (order.filler_order_number, order.filler_namespace)
    code = RESPONSES[answer.change.control.verb].followed
    yield _orc(group[0], code, numbers, ORDERS[order.state].order_status)
    obr = next((each for each in group if each.name == "OBR"), None)
    if obr is None:
        return
    syntax = group[0].syntax
    fields: dict[int, writer.Field] = {
        1: "1",
        **_numbers(group[0], numbers),
        4: writer.Verbatim(obr.raw_field(4)),
    }
    if kind != "ORI":
        # IHE RAD TF-2 4.4: OBR-18 is the accession number in ORM; OMI has it in IPC-1.
        fields[18] = order.accession_number
    yield writer.segment("OBR", fields, syntax)
    if kind == "ORI":
        ipcs = [each for each in group if each.name == "IPC"]
        for ipc in ipcs[:1]:
            said = {n: writer.Verbatim(ipc.raw_field(n)) for n in (2, 3, 4, 5)}
            issued: writer.Field = (order.accession_number, order.accession_issuer)
            yield writer.segment("IPC", {1: issued, **said}, syntax)


def _orc(orc: Segment, code: str, numbers: Mapping[int, writer.Field], status: str) -> str:
    fields: dict[int, writer.Field] = {1: code, **_numbers(orc, numbers), 5: status}
    return writer.segment("ORC", fields, orc.syntax)


def _numbers(orc: Segment, numbers: Mapping[int, writer.Field]) -> dict[int, writer.Field]:
    """Return the order's numbers, as the sender wrote them where it did."""
    return {
        position: writer.Verbatim(orc.raw_field(position))
        if orc.raw_field(position)
        else numbers.get(position)
        for position in (2, 3)
    }
