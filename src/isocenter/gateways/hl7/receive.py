"""One received message from its bytes to its acknowledgement, inside one transaction.

The raw message, what it changed and what was answered become durable together, or not at all. The
socket side opens the transaction, commits, and only then sends what is returned here.

Standard: HL7 v2.5.1 2.9.2; IHE ITI TF-2 Appendix C.2.3.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import AccessionFormat
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer, sender
from isocenter.domain.scheduling import service as scheduling
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.refusal import MessageRefused, answer_to, refused
from isocenter.gateways.hl7.translate_adt import PatientChange, patient_changes
from isocenter.gateways.hl7.translate_orders import (
    MESSAGE_TYPES,
    OrderChange,
    OrderVerb,
    order_changes,
)
from isocenter.gateways.hl7.translate_patient import Reading
from isocenter.infra import ids
from isocenter.infra.db import Tx
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import ack, charsets
from isocenter.standards.hl7v2.ack import AckCode, ErrorCode, Origin, Problem
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.er7 import Flaw, Message, body_digest, parse

CONTROL_ID_LENGTH: Final = 20  # MSH-10 holds 20 characters before 2.6
_PROCESSING_IDS: Final = frozenset({"", "P", "T", "D"})
_COMMIT_CODES: Final = {AckCode.AA: AckCode.CA, AckCode.AE: AckCode.CE, AckCode.AR: AckCode.CR}


class AnsweredBefore(IsocenterError):
    """The same message was received and answered before."""

    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end: its address and the peers that may call from there."""

    address: str
    peers: tuple[Hl7Peer, ...]


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
class Reply:
    """The acknowledgement to send, and what may be logged about it.

    Attributes:
        repeated: the message had been answered before; this is the same answer.
    """

    acknowledgement: bytes
    code: AckCode
    peer: str
    message_type: str
    control_id: str
    effect: str
    error_code: int | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message changed. ``text`` is one line without patient data."""

    text: str
    patient_id: str | None = None
    accession_number: str | None = None


@dataclass(frozen=True, slots=True)
class _Received:
    data: bytes
    message: Message
    origin: Origin
    peer: Hl7Peer
    digest: bytes

    @property
    def message_type(self) -> str:
        header = self.message.header
        return "^".join(filter(None, (header.text(9, 1), header.text(9, 2))))[:20]

    @property
    def control_id(self) -> str:
        return self.message.header.text(10)


def receive(
    tx: Tx, data: bytes, caller: Caller, options: ReceiveOptions, *, now: datetime
) -> Reply:
    """Apply one message and return its acknowledgement; everything of it is in ``tx``.

    Whether the message is a repetition is found out at the end, when it is recorded: repetitions
    are rare, and looking first would cost every message a statement.

    Raises:
        IsocenterError: it cannot be applied, or was before. Roll back, then call ``refuse``.
    """
    received = _identify(data, caller)
    effect = _apply(tx, received, caller, options, now=now)
    reply = _reply(received.origin, AckCode.AA, received, effect=effect.text, now=now)
    if _record(tx, received, reply, effect, now=now) is None:
        raise AnsweredBefore("the message was answered before")
    return reply


def refuse(
    tx: Tx | None,
    data: bytes,
    caller: Caller,
    error: IsocenterError | None,
    *,
    now: datetime,
) -> Reply:
    """Return the acknowledgement of a message that was not applied, and record it in ``tx``.

    A repetition gets the answer that it got before, whatever became of its patient or order since.

    Args:
        tx: None when there is no database to record in.
        data: the message.
        caller: who sent it.
        error: why; None for a defect of ours, of which the sender learns no more than that.
        now: aware.
    """
    has_ipc = b"\rIPC" in data or b"\nIPC" in data
    code, problem = (
        answer_to(error, has_ipc=has_ipc)
        if error
        else (AckCode.AE, Problem(ErrorCode.APPLICATION_INTERNAL_ERROR))
    )
    text = problem.user_text or ack.ERROR_TEXT[problem.code]
    try:
        received = _identify(data, caller)
    except (IsocenterError, RemoteProtocolError):
        origin = ack.read_origin(data[:4096])
        reply = _reply(origin, code, None, problem=problem, effect="refused", now=now)
        if tx is not None:
            _record_unidentified(tx, data, caller, reply, error, now=now)
        return reply
    known = _stored_reply(tx, received) if tx is not None else None
    if known is not None:
        return known
    reply = _reply(received.origin, code, received, problem=problem, effect="refused", now=now)
    if tx is not None:
        _record(tx, received, reply, Effect("refused"), error=text, now=now)
    return reply


def reject_oversized(head: bytes, message_bytes_max: int, *, now: datetime) -> bytes:
    """Return the AR for a message that is larger than the limit, known only by its head."""
    problem = Problem(
        ErrorCode.VALUE_TOO_LONG, "", f"the message is larger than {message_bytes_max} bytes"
    )
    return _reply(
        ack.read_origin(head), AckCode.AR, None, problem=problem, effect="refused", now=now
    ).acknowledgement


def new_control_id() -> str:
    """Return a new MSH-10."""
    return ids.new_id()[:CONTROL_ID_LENGTH]


def _identify(data: bytes, caller: Caller) -> _Received:
    """Parse the message and find out which peer sent it."""
    try:
        message = parse(data)
    except RemoteProtocolError as error:
        raise refused(AckCode.AR, ErrorCode.SEGMENT_SEQUENCE_ERROR, "MSH^1", str(error)) from error
    header = message.header
    peer = sender(caller.peers, header.text(3), header.text(4))
    if peer is None:
        raise refused(
            AckCode.AR,
            ErrorCode.TABLE_VALUE_NOT_FOUND,
            "MSH^1^3",
            "Sending Application and/or Facility not recognized",
        )
    own_set = charsets.python_codec(peer.character_set)
    if Flaw.CHARSET_ASSUMED in message.flaws and own_set not in {None, "utf-8"}:
        message = parse(data, default_charset=peer.character_set)
    return _Received(data, message, ack.origin_of(message), peer, body_digest(data))


def _stored_reply(tx: Tx, received: _Received) -> Reply | None:
    """Return the answer that was given to this very message before.

    A message without control id says nothing about being a repetition.
    """
    if not received.control_id:
        return None
    stored = peers.stored_acknowledgement(
        tx, received.peer.name, received.control_id, received.digest
    )
    if stored is None:
        return None
    return Reply(
        stored,
        ack.parse_ack(stored).code,
        received.peer.name,
        received.message_type,
        received.control_id,
        "repeated",
        repeated=True,
    )


def _apply(
    tx: Tx, received: _Received, caller: Caller, options: ReceiveOptions, *, now: datetime
) -> Effect:
    message, peer = received.message, received.peer
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
    actor = Actor.hl7_peer(peer.name, caller.address, peer.receive)
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


def _reply(
    origin: Origin,
    code: AckCode,
    received: _Received | None,
    *,
    effect: str,
    now: datetime,
    problem: Problem | None = None,
) -> Reply:
    code = _code_wanted(origin, code)
    problems = (problem,) if problem else ()
    data = ack.build_ack(
        origin, code, control_id=new_control_id(), timestamp=format_dtm(now), problems=problems
    )
    return Reply(
        data,
        code,
        received.peer.name if received else "",
        received.message_type if received else "",
        received.control_id if received else "",
        effect,
        problem.code.value if problem else None,
    )


def _code_wanted(origin: Origin, code: AckCode) -> AckCode:
    """Return the code in the mode that the sender asked for; there is always exactly one answer.

    Processing is over when we answer, so the application acknowledgement needs no second message.
    The commit code goes to senders that want an accept acknowledgement and no application one.
    """
    succeeded = code is AckCode.AA
    if not origin.is_enhanced or ack.is_wanted(origin.application, succeeded=succeeded):
        return code
    return _COMMIT_CODES[code] if ack.is_wanted(origin.accept, succeeded=succeeded) else code


def _record(
    tx: Tx,
    received: _Received,
    reply: Reply,
    effect: Effect,
    *,
    now: datetime,
    error: str | None = None,
) -> int | None:
    flaws = ", ".join(flaw.value for flaw in received.message.flaws)
    digest = received.digest
    if error is not None or not received.control_id:
        # A refusal must not be repeated for ever: when its reason is gone, the same message is
        # welcome. And without a control id two equal messages are two messages.
        digest = _digest_of_this_copy(received.digest)
    return peers.record_message(
        tx,
        Hl7Message(
            direction="in",
            peer=received.peer.name,
            control_id=received.control_id,
            message_type=received.message_type,
            body_digest=digest,
            raw=received.data,
            acknowledgement=reply.acknowledgement,
            acknowledgement_code=reply.code.value,
            patient_id=effect.patient_id,
            accession_number=effect.accession_number,
            effect=f"{effect.text} ({flaws})" if flaws else effect.text,
            error=error,
        ),
        now=now,
    )


def _record_unidentified(
    tx: Tx,
    data: bytes,
    caller: Caller,
    reply: Reply,
    error: IsocenterError | None,
    *,
    now: datetime,
) -> None:
    application = ack.read_origin(data[:4096]).sending[0]
    unrecognised = (
        isinstance(error, MessageRefused) and error.problem.code is ErrorCode.TABLE_VALUE_NOT_FOUND
    )
    if unrecognised:
        peers.record_unknown_hl7_caller(tx, caller.address, application[:64], now=now)
    peers.record_message(
        tx,
        Hl7Message(
            direction="in",
            # The address is one of a known peer: which of them it was is not certain.
            peer=caller.peers[0].name if len(caller.peers) == 1 else caller.address,
            control_id="",
            message_type="",
            body_digest=_digest_of_this_copy(data),
            raw=data,
            acknowledgement=reply.acknowledgement,
            acknowledgement_code=reply.code.value,
            effect="refused",
            error=error.message if error else "defect",
        ),
        now=now,
    )


def _digest_of_this_copy(data: bytes) -> bytes:
    return hashlib.sha256(data + ids.new_id().encode()).digest()
