"""What an order message asks for, done order by order, and what is to be answered about each.

Standard: HL7 v2.5.1 4.5.1.1; IHE RAD TF-2 4.2, 4.3, 4.4, 4.13.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import AccessionFormat, Order, OrderReference, OrderVerb
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model import PlacedOrder
from isocenter.gateways.hl7.translate_orders import OrderChange
from isocenter.infra.db import Tx
from isocenter.standards.statuses import Instruction


@dataclass(frozen=True, slots=True)
class Issuing:
    """How numbers are issued.

    Attributes:
        accession_format: of accession numbers.
        namespace: of placer and filler order numbers: our own name as an application.
    """

    accession_format: AccessionFormat
    namespace: str


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """What may be answered about an order.

    Attributes:
        change: what was asked for.
        what: one line without patient data.
        order: as it is now; None when nothing is answered about it but that it was applied.
    """

    change: OrderChange
    what: str
    accession_number: str
    order: Order | None = None

    @property
    def text(self) -> str:
        """What was asked for and what came of it."""
        return f"{self.change.control.title}: {self.what}"


def apply_orders(
    tx: Tx, actor: Actor, changes: Sequence[OrderChange], issuing: Issuing, *, now: datetime
) -> list[OrderAnswer]:
    """Do what each of the changes says, in their order. Raises what the services raise."""
    answers: dict[int, OrderAnswer] = {}
    replacement: PlacedOrder | None = None
    for position, change in enumerate(changes):
        if change.control.verb is Instruction.REPLACE:
            continue
        if change.control.verb in _PLACING:
            placed = _place(tx, actor, change, issuing, now=now)
            replacement = placed if change.replaces else replacement
            answers[position] = _answer_of(tx, actor, change, placed, issuing, now=now)
        else:
            answers[position] = _close(tx, actor, change, now=now)
    # An order is replaced by one that is there.
    for position, change in enumerate(changes):
        if change.control.verb is Instruction.REPLACE and replacement is not None:
            done = scheduling.replace_order(tx, actor, change.reference, replacement, now=now)
            what = "replaced" if done.changed else "nothing changed"
            answers[position] = _told(tx, actor, change, what, done.accession_number)
    return [answers[position] for position in sorted(answers)]


def verb_of(change: OrderChange) -> OrderVerb:
    """The orders stage's verb for a change that places or revises."""
    if change.control.verb is Instruction.ASSIGN_NUMBERS:
        return OrderVerb.PLACE
    return OrderVerb(change.control.verb.value)


def what_came_of(placed: PlacedOrder) -> str:
    """One line about an order that was placed or revised."""
    return "created" if placed.created else ", ".join(placed.changed) or "nothing changed"


_PLACING = frozenset({
    Instruction.PLACE,
    Instruction.REVISE,
    Instruction.CORRECT,
    Instruction.ASSIGN_NUMBERS,
})


def _place(
    tx: Tx, actor: Actor, change: OrderChange, issuing: Issuing, *, now: datetime
) -> PlacedOrder:
    registered = identity.register(tx, actor, change.patient, now=now)
    request = scheduling.PlacementRequest(
        actor, registered.patient_key, change.order, verb_of(change)
    )
    form = issuing.accession_format
    return scheduling.place_orders(tx, [request], now=now, accession_format=form)[0]


def _answer_of(
    tx: Tx,
    actor: Actor,
    change: OrderChange,
    placed: PlacedOrder,
    issuing: Issuing,
    *,
    now: datetime,
) -> OrderAnswer:
    number, what = placed.accession_number, what_came_of(placed)
    if change.parent is not None:
        orders.part_from(tx, actor, placed.order_key, change.parent, now=now)
    if change.control.verb is Instruction.ASSIGN_NUMBERS:
        order = orders.assign_numbers(tx, actor, number, issuing.namespace, now=now)
        return OrderAnswer(change, what, number, order)
    return _told(tx, actor, change, what, number)


def _close(tx: Tx, actor: Actor, change: OrderChange, *, now: datetime) -> OrderAnswer:
    reference, reason = change.reference, change.reason
    match change.control.verb:
        case Instruction.CANCEL:
            done = scheduling.cancel_order(tx, actor, reference, now=now, reason=reason)
        case Instruction.DISCONTINUE:
            done = scheduling.discontinue_order(tx, actor, reference, now=now, reason=reason)
        case Instruction.HOLD:
            done = scheduling.hold_order(tx, actor, reference, now=now, reason=reason)
        case Instruction.RELEASE:
            done = scheduling.release_order(tx, actor, reference, now=now, reason=reason)
        case Instruction.TELL_STATUS:
            order = orders.find_exam(tx, actor, reference).order
            return OrderAnswer(change, "told", order.accession_number, order)
        case _:
            order = orders.add_numbers(tx, actor, reference, now=now)
            return OrderAnswer(change, "noted", order.accession_number, order)
    return _told(
        tx,
        actor,
        change,
        _DONE[change.control.verb] if done.changed else "nothing changed",
        done.accession_number,
    )


_DONE = {
    Instruction.CANCEL: "closed",
    Instruction.DISCONTINUE: "closed",
    Instruction.HOLD: "on hold",
    Instruction.RELEASE: "released",
}


def _told(
    tx: Tx, actor: Actor, change: OrderChange, what: str, accession_number: str
) -> OrderAnswer:
    reference = OrderReference(accession_number=accession_number)
    return OrderAnswer(change, what, accession_number, orders.find_exam(tx, actor, reference).order)
