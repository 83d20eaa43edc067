"""What a message asks for, done: one message type, one service.

Standard: HL7 v2.5.1 2.9.2, 2.15.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import AccessionFormat
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.hl7.refusal import refused
from isocenter.gateways.hl7.translate_adt import PatientChange, patient_changes
from isocenter.gateways.hl7.translate_orders import (
    MESSAGE_TYPES,
    OrderChange,
    OrderVerb,
    order_changes,
)
from isocenter.gateways.hl7.translate_patient import Reading
from isocenter.infra.db import Tx
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode
from isocenter.standards.hl7v2.er7 import Message

_PROCESSING_IDS: Final = frozenset({"", "P", "T", "D"})


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """How messages are understood.

    Attributes:
        zone: where the clocks of senders stand that state no offset.
        accession_format: of accession numbers that are issued.
    """

    zone: tzinfo = UTC
    accession_format: AccessionFormat = field(default_factory=AccessionFormat)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message changed. ``text`` is one line without patient data."""

    text: str
    patient_id: str | None = None
    accession_number: str | None = None


def apply(
    tx: Tx,
    message: Message,
    sent_by: tuple[Hl7Peer, str],
    options: ReceiveOptions,
    *,
    now: datetime,
) -> Effect:
    """Do what the message asks for.

    Args:
        tx: everything that is changed is in it.
        message: parsed.
        sent_by: the peer, and the address that it called from.
        options: how messages are understood.
        now: aware.

    Raises:
        IsocenterError: it is not applied; ``MessageRefused`` when that is about the message itself.
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
    reading = Reading(options.zone, peer.assigning_authority, now)
    if kind == "adt":
        return _apply_patients(tx, actor, patient_changes(message, trigger, reading), now=now)
    return _apply_orders(tx, actor, order_changes(message, reading), options, now=now)


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
    if (message_code, trigger) in MESSAGE_TYPES:
        return "orm"
    if message_code in {known for known, _ in MESSAGE_TYPES}:
        raise refused(
            AckCode.AR, ErrorCode.UNSUPPORTED_EVENT_CODE, "MSH^1^9^1^2", "event is not applied here"
        )
    raise refused(
        AckCode.AR,
        ErrorCode.UNSUPPORTED_MESSAGE_TYPE,
        "MSH^1^9^1^1",
        "message type is not applied here",
    )


def _apply_patients(
    tx: Tx, actor: Actor, changes: Sequence[PatientChange], *, now: datetime
) -> Effect:
    texts: list[str] = []
    for change in changes:
        if change.prior:
            done = identity.merge(tx, actor, change.patient, change.prior, now=now)
        else:
            done = identity.register(tx, actor, change.patient, now=now)
        what = "created" if done.created else ", ".join(done.changed) or "nothing changed"
        texts.append(f"{change.event.title}: {what}")
    return Effect("; ".join(texts), changes[0].patient.identifiers[0].value)


def _apply_orders(
    tx: Tx,
    actor: Actor,
    changes: Sequence[OrderChange],
    options: ReceiveOptions,
    *,
    now: datetime,
) -> Effect:
    texts: list[str] = []
    accession_number: str | None = None
    for change in changes:
        number, what = _apply_order(tx, actor, change, options, now=now)
        accession_number = accession_number or number
        texts.append(f"{change.control.title}: {what}")
    patient = changes[0].patient.identifiers[0].value
    return Effect("; ".join(texts), patient, accession_number)


def _apply_order(
    tx: Tx, actor: Actor, change: OrderChange, options: ReceiveOptions, *, now: datetime
) -> tuple[str, str]:
    match change.control.verb:
        case OrderVerb.PLACE | OrderVerb.REVISE:
            placed = scheduling.place_order(
                tx,
                actor,
                change.patient,
                change.order,
                now=now,
                accession_format=options.accession_format,
            )
            what = "created" if placed.created else ", ".join(placed.changed) or "nothing changed"
            return placed.accession_number, what
        case OrderVerb.CANCEL:
            closed = scheduling.cancel_order(
                tx, actor, change.reference, now=now, reason=change.reason
            )
        case OrderVerb.DISCONTINUE:
            closed = scheduling.discontinue_order(
                tx, actor, change.reference, now=now, reason=change.reason
            )
    return closed.accession_number, "closed" if closed.changed else "nothing changed"
