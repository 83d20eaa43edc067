"""HL7 messages of any kind on their way: what they are about, and what each of them was to tell.

A message is made when it is sent, of what is known then, so that a merge before sending reaches the
recipient. What may no longer be true then (a status that has passed, a number that was merged) is
kept with the delivery as ``told``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from isocenter.domain.orders.model import Exam, OrderState


class MessageKind(StrEnum):
    """What a delivery of an HL7 message is of."""

    REPORT = "report"
    ORDER = "order"  # where an order is, for who placed it
    PROCEDURE = "procedure"  # what is to be done, for who works with it
    PATIENT = "patient"
    APPOINTMENT = "appointment"
    CHARGE = "charge"

    @property
    def permission(self) -> str:
        """What a peer's ``send`` calls it."""
        return SENT_AS[self]


SENT_AS: Final[Mapping[MessageKind, str]] = {
    MessageKind.REPORT: "oru",
    MessageKind.ORDER: "orm",
    MessageKind.PROCEDURE: "omi",
    MessageKind.PATIENT: "adt",
    MessageKind.APPOINTMENT: "siu",
    MessageKind.CHARGE: "dft",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be told to those who get messages of a kind.

    Attributes:
        subject: what it is about: ``order/KEY``, ``patient/KEY``, ``exam/NUMBER``,
            ``appointment/KEY``.
        occasion: why: a trigger event, or an order control with its status.
        told: what is true now and may not be when the message is made.
        accession_number: '' when it is about no exam.
        patient_key: whose lane it goes in; None: the exam's patient.
    """

    kind: MessageKind
    subject: str
    occasion: str
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])
    accession_number: str = ""
    patient_key: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a delivery tells, as its message is made of it."""

    delivery_key: int
    kind: MessageKind
    subject: str
    occasion: str
    told: dict[str, Any]
    accession_number: str
    report_id: str | None
    version: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", MessageKind(self.kind))

    @property
    def subject_key(self) -> int:
        """The number in ``subject``."""
        return int(self.subject.rpartition("/")[2])


def charge_lines(exam: Exam, *, signed: bool) -> list[dict[str, Any]]:
    """What an exam is charged with: a line for each procedure whose code the order carried.

    Nothing while it is not both completed and signed; nothing for what was not done.
    """
    if not signed or exam.order.state != OrderState.COMPLETED:
        return []
    return [
        {
            "transaction_id": f"{exam.order.accession_number}.{each.requested_procedure_id}",
            "code": each.code_value,
            "scheme": each.code_scheme or "",
            "meaning": each.code_meaning or each.description or "",
            "quantity": 1,
        }
        for each in exam.procedures
        if each.code_value and each.state == OrderState.COMPLETED
    ]


def charges_due(
    lines: Sequence[Mapping[str, Any]], charged: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What is to be posted: credits of what stands no longer, then charges of what is new.

    Args:
        lines: what the exam is charged with now.
        charged: what was posted before, the oldest first, each with its ``action``.
    """
    standing: list[dict[str, Any]] = []
    for each in charged:
        line = {name: value for name, value in each.items() if name != "action"}
        if each["action"] == "CR":
            standing.remove(line)
        else:
            standing.append(line)
    wanted = [dict(each) for each in lines]
    credits_due = [{**each, "action": "CR"} for each in standing if each not in wanted]
    return credits_due + [{**each, "action": "CG"} for each in wanted if each not in standing]
