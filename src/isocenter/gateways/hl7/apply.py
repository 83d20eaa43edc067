"""What a message asks for, done: one message type, one service, several messages at a time.

Standard: HL7 v2.5.1 2.9.2, 2.15.9.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts
from isocenter.domain.orders.model import AccessionFormat
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7.apply_orders import (
    Issuing,
    OrderAnswer,
    apply_orders,
    verb_of,
    what_came_of,
)
from isocenter.gateways.hl7.apply_patients import apply_patients, record_visits
from isocenter.gateways.hl7.apply_patients import what_came_of as patient_outcome
from isocenter.gateways.hl7.apply_queries import QueryAnswer, answer
from isocenter.gateways.hl7.apply_results import apply_results
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_adt import PatientChange, account_changes, patient_changes
from isocenter.gateways.hl7.translate_appointments import (
    APPOINTMENT_EVENTS,
    AppointmentChange,
    appointment_change,
)
from isocenter.gateways.hl7.translate_orders import MESSAGE_TYPES, OrderChange, order_changes
from isocenter.gateways.hl7.translate_patient import Reading
from isocenter.gateways.hl7.translate_queries import MESSAGE_TYPES as QUERY_TYPES
from isocenter.gateways.hl7.translate_queries import Query, query_of
from isocenter.gateways.hl7.translate_results import (
    MDM_EVENTS,
    ResultChange,
    document_notice,
    observation_results,
)
from isocenter.infra.db import Tx
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Message

# What else is applied: MSH-9.1 in lower case is how peers' permissions name it.
_OTHERS: Final[Mapping[str, Collection[str]]] = {
    "SIU": APPOINTMENT_EVENTS,
    "ORU": {"R01"},
    "MDM": MDM_EVENTS,
    "DFT": {"P03", "P11"},
    "BAR": {"P01", "P02", "P05", "P06", "P10", "P12"},
}
_PROCESSING_IDS: Final = frozenset({"", "P", "T", "D"})


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """How messages are understood.

    Attributes:
        zone: where the clocks of senders stand that state no offset.
        accession_format: of accession numbers that are issued.
        application: our MSH-3, and the namespace of order numbers that are issued.
        trusted_authorities: whose patient identifiers are kept of peers that say nothing else;
            empty: everybody's.
        accept_inverse_merges: of a merge and its inverse the later holds; else that is refused.
    """

    zone: tzinfo = UTC
    accession_format: AccessionFormat = field(default_factory=AccessionFormat)
    application: str = "ISOCENTER"
    trusted_authorities: frozenset[str] = frozenset()
    accept_inverse_merges: bool = True


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message changed.

    Attributes:
        text: one line without patient data.
        answers: what may be answered about its orders.
        query_answer: what its sender asked for.
    """

    text: str
    patient_id: str | None = None
    accession_number: str | None = None
    answers: tuple[OrderAnswer, ...] = ()
    query_answer: QueryAnswer | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message asks for: changes of patients or orders, in its order, or an answer.

    Attributes:
        answered: its sender wants to know what became of each order.
    """

    actor: Actor
    patients: tuple[PatientChange, ...] = ()
    orders: tuple[OrderChange, ...] = ()
    answered: bool = False
    results: tuple[ResultChange, ...] = ()
    appointment: AppointmentChange | None = None
    query: Query | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it registers one patient or places one order, as nearly all messages do."""
        if self.orders:
            return len(self.orders) == 1 and self.orders[0].is_plain and not self.answered
        return len(self.patients) == 1 and self.patients[0].is_plain

    @property
    def facts(self) -> PatientFacts:
        """Of the patient that it names first. Not of a message that names none."""
        return self.orders[0].patient if self.orders else self.patients[0].patient

    def names(self) -> set[tuple[str, ...]]:
        """What tells its patient and order from others: two intents that share none are free."""
        if not (self.orders or self.patients):
            return set()
        found = {("patient", i.assigning_authority, i.value) for i in self.facts.identifiers}
        numbers: set[tuple[str, ...]] = set()
        for each in self.orders:
            order = each.order
            numbers |= {
                ("placer", order.placer_order_number or "", order.placer_namespace),
                ("filler", order.filler_order_number or "", order.filler_namespace),
                ("accession", order.accession_number or ""),
            }
        for change in self.patients:
            if change.visit is not None:
                number = change.visit.number
                numbers.add(("visit", number.value, number.assigning_authority))
        return found | {each for each in numbers if each[1]}


def intent_of(
    message: Message, sent_by: tuple[Hl7Peer, str], options: ReceiveOptions, *, now: datetime
) -> Intent:
    """Return what the message asks for, without looking at what is known.

    Args:
        message: parsed.
        sent_by: the peer, and the address that it called from.
        options: how messages are understood.
        now: aware.

    Raises:
        MessageRefused: something about the message itself.
    """
    peer, address = sent_by
    _check_header(message)
    message_code, trigger = message.header.text(9, 1).upper(), message.header.text(9, 2).upper()
    kind = _kind_of(message_code, trigger)
    if kind not in peer.receive:
        raise refused(
            AckCode.AR,
            ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
            "MSH^1^9",
            f"{message_code[:3]} is not accepted from this sender",
        )
    actor = Actor.hl7_peer(peer.name, address, peer.receive)
    trusted = peer.trusted_authorities or options.trusted_authorities
    reading = Reading(options.zone, peer.assigning_authority, now, trusted)
    if kind == "qbp":
        return Intent(actor, query=query_of(message, trigger, reading))
    if kind == "siu":
        return Intent(actor, appointment=appointment_change(message, trigger, reading))
    if kind == "oru":
        return Intent(actor, results=tuple(observation_results(message, reading)))
    if kind == "mdm":
        return Intent(actor, results=tuple(document_notice(message, trigger, reading)))
    if kind in {"dft", "bar"}:
        return Intent(actor, patients=tuple(account_changes(message, kind, reading)))
    if kind == "adt":
        return Intent(actor, patients=tuple(patient_changes(message, trigger, reading)))
    orders = tuple(order_changes(message, reading))
    return Intent(actor, orders=orders, answered=peer.order_responses)


def apply(tx: Tx, intent: Intent, options: ReceiveOptions, *, now: datetime) -> Effect:
    """Do what a message asks for. Raises what the services raise."""
    if intent.is_plain:
        return apply_all(tx, [intent], options, now=now)[0]
    if intent.query is not None:
        return _answer(tx, intent.actor, intent.query, now=now)
    if intent.appointment is not None:
        return _apply_appointment(tx, intent.actor, intent.appointment, now=now)
    if intent.results:
        texts = apply_results(tx, intent.actor, intent.results, now=now)
        return Effect("; ".join(texts), intent.results[0].patient.identifiers[0].value)
    if not (intent.orders or intent.patients):
        return Effect("sequence numbers agreed on")
    if intent.orders:
        return _apply_orders(tx, intent.actor, intent.orders, options, now=now)
    return _apply_patients(tx, intent.actor, intent.patients, options, now=now)


def apply_all(
    tx: Tx, intents: Sequence[Intent], options: ReceiveOptions, *, now: datetime
) -> list[Effect]:
    """Do what several plain messages ask for that share no names; what one raises concerns all."""
    wanted = [(each.actor, each.facts) for each in intents]
    registered = identity.register_all(tx, wanted, now=now)
    visited = [
        ((intent.actor, intent.patients[0]), patient)
        for intent, patient in zip(intents, registered, strict=True)
        if intent.patients
    ]
    record_visits(tx, [each for each, _ in visited], [each for _, each in visited], now=now)
    requests = [
        scheduling.PlacementRequest(
            intent.actor,
            patient.patient_key,
            intent.orders[0].order,
            verb_of(intent.orders[0]),
        )
        for intent, patient in zip(intents, registered, strict=True)
        if intent.orders
    ]
    placed = iter(
        scheduling.place_orders(tx, requests, now=now, accession_format=options.accession_format)
        if requests
        else []
    )
    effects: list[Effect] = []
    for intent, patient in zip(intents, registered, strict=True):
        patient_id = intent.facts.identifiers[0].value
        if intent.orders:
            order = next(placed)
            number = order.accession_number
            answer = OrderAnswer(intent.orders[0], what_came_of(order), number)
            effects.append(Effect(answer.text, patient_id, number, (answer,)))
        else:
            text = f"{intent.patients[0].event.title}: {patient_outcome(patient)}"
            effects.append(Effect(text, patient_id))
    return effects


def _check_header(message: Message) -> None:
    headers = len(message.every("MSH"))
    if headers != 1 or b"\x0bMSH" in message.raw:
        raise refused(
            AckCode.AR,
            ErrorCode.SEGMENT_SEQUENCE_ERROR,
            "MSH^2",
            "one block holds more than one message",
        )
    if message.header.text(11).upper() not in _PROCESSING_IDS:
        raise refused(
            AckCode.AR, ErrorCode.UNSUPPORTED_PROCESSING_ID, "MSH^1^11", "processing id not known"
        )
    version = message.header.text(12)
    if version and not version.startswith("2"):
        raise refused(AckCode.AR, ErrorCode.UNSUPPORTED_VERSION_ID, "MSH^1^12", "not HL7 version 2")


def _kind_of(message_code: str, trigger: str) -> str:
    """Return the kind of message as peers' permissions name it."""
    if message_code == "ADT":
        return "adt"
    if (message_code, trigger) in QUERY_TYPES:
        return "qbp"
    if (message_code, trigger) in MESSAGE_TYPES:
        return "orm"
    if trigger in _OTHERS.get(message_code, ()):
        return message_code.lower()
    if message_code in {*_OTHERS, *(known for known, _ in MESSAGE_TYPES)}:
        raise refused(
            AckCode.AR, ErrorCode.UNSUPPORTED_EVENT_CODE, "MSH^1^9^1^2", "event is not applied here"
        )
    raise refused(
        AckCode.AR,
        ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
        "MSH^1^9^1^1",
        "message type is not applied here",
    )


def _answer(tx: Tx, actor: Actor, query: Query, *, now: datetime) -> Effect:
    told = answer(tx, actor, query, now=now)
    text = f"asked for {query.kind.name.lower()}: {told.found} patients told"
    return Effect(text, query.identifier[0] or None, query_answer=told)


def _apply_patients(
    tx: Tx,
    actor: Actor,
    changes: Sequence[PatientChange],
    options: ReceiveOptions,
    *,
    now: datetime,
) -> Effect:
    inverse = options.accept_inverse_merges
    texts = apply_patients(tx, actor, changes, accept_inverse=inverse, now=now)
    return Effect("; ".join(texts), changes[0].patient.identifiers[0].value)


def _apply_appointment(tx: Tx, actor: Actor, change: AppointmentChange, *, now: datetime) -> Effect:
    patient = change.patient
    key = identity.register(tx, actor, patient, now=now).patient_key if patient else None
    done = scheduling.keep_appointment(
        tx, actor, change.facts, key, may_be_new=change.may_be_new, now=now
    )
    what = "created" if done.created else ", ".join(done.changed) or "nothing changed"
    return Effect(
        f"{change.event.title}: {what}",
        patient.identifiers[0].value if patient else None,
        next(iter(done.accession_numbers), None),
    )


def _apply_orders(
    tx: Tx,
    actor: Actor,
    changes: Sequence[OrderChange],
    options: ReceiveOptions,
    *,
    now: datetime,
) -> Effect:
    issuing = Issuing(options.accession_format, options.application)
    answers = apply_orders(tx, actor, changes, issuing, now=now)
    patient = changes[0].patient.identifiers[0].value
    text = "; ".join(each.text for each in answers)
    return Effect(text, patient, answers[0].accession_number, tuple(answers))
