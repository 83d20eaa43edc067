"""Received messages from their bytes to their acknowledgements, inside one transaction.

The raw message, what it changed and what was answered become durable together, or not at all. The
caller opens the transaction, commits, and only then sends what is returned here.

Standard: HL7 v2.5.1 2.9.2; IHE ITI TF-2 Appendix C.2.3.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer, sender
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.apply import Effect, Intent, ReceiveOptions, apply, apply_all, intent_of
from isocenter.gateways.hl7.refusal import MessageRefused, answer_to, refused
from isocenter.gateways.hl7.respond import refusal, response
from isocenter.infra import ids
from isocenter.infra.db import Tx
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import ack, charsets, sequence
from isocenter.standards.hl7v2.ack import AckCode, Content, ErrorCode, Origin, Problem
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.er7 import Flaw, Message, Segment, body_digest, parse
from isocenter.standards.hl7v2.field_map import apply_map, parse_received_map

CONTROL_ID_LENGTH: Final = 20  # MSH-10 holds 20 characters before 2.6
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
class Reply:
    """The acknowledgement to send, and what may be logged about it.

    Attributes:
        acknowledgement: to be sent at once; empty: nothing is.
        repeated: the message had been answered before; this is the same answer.
        apart: the application acknowledgement that goes out on our own connection.
    """

    acknowledgement: bytes
    code: AckCode
    peer: str
    message_type: str
    control_id: str
    effect: str
    error_code: int | None = None
    repeated: bool = False
    apart: "Apart | None" = None


@dataclass(frozen=True, slots=True)
class Apart:
    """An application acknowledgement as a message of its own, with its MSH-10."""

    message: bytes
    code: AckCode
    control_id: str


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


@dataclass(frozen=True, slots=True)
class Understood:
    """A message that was read: whose it is and what it asks for."""

    received: _Received
    intent: Intent


def understand(
    data: bytes, caller: Caller, options: ReceiveOptions, *, now: datetime
) -> Understood:
    """Read a message, without looking at what is known.

    Raises:
        IsocenterError: it is refused for what it says; call ``refuse``.
    """
    received = _identify(data, caller)
    sent_by = (received.peer, caller.address)
    number = sequence.stated(received.message.header.text(13))
    if received.peer.sequence_numbers and number is not None and number <= 0:
        # It starts the link, or puts it in order again, and says nothing else.
        actor = Actor.hl7_peer(received.peer.name, caller.address, received.peer.receive)
        return Understood(received, Intent(actor))
    return Understood(received, intent_of(received.message, sent_by, options, now=now))


def receive(
    tx: Tx, messages: Sequence[Understood], options: ReceiveOptions, *, now: datetime
) -> list[Reply]:
    """Apply messages and return their acknowledgements; everything of them is in ``tx``.

    Several at a time are plain and share no names. Whether a message is a repetition is found out
    at the end, when it is recorded: repetitions are rare, and looking first would cost every
    message a statement.

    Raises:
        IsocenterError: one of them cannot be applied, or was before. Roll back; then try them one
            by one, and call ``refuse`` for the one.
    """
    intents = [each.intent for each in messages]
    with tx.gathered():
        effects = (
            [apply(tx, intents[0], options, now=now)]
            if len(intents) == 1
            else apply_all(tx, intents, options, now=now)
        )
    replies: list[Reply] = []
    records: list[Hl7Message] = []
    for each, effect in zip(messages, effects, strict=True):
        received = each.received
        wanted = received.peer.order_responses
        content = response(received.message, effect.answers, wanted=wanted) or Content()
        expected = _take_sequence_number(tx, received, now=now)
        if expected is not None:
            content = replace(content, expected_sequence_number=expected)
        said = _said_of(effect, content)
        reply = _reply(received.origin, said, received, now=now)
        replies.append(reply)
        records.append(_record_of(received, reply, effect))
    if len(peers.record_messages(tx, records, now=now)) < len(records):
        raise AnsweredBefore("the message was answered before")
    for reply in replies:
        _queue(tx, reply, now=now)
    return replies


def _said_of(effect: Effect, content: Content) -> "_Said":
    told = effect.query_answer
    if told is None:
        return _Said(AckCode.AA, effect.text, content=content)
    content = replace(content, message_type=told.message_type, segments=told.segments)
    first, more = (told.problems[0], told.problems[1:]) if told.problems else (None, ())
    return _Said(told.code, effect.text, first, content, more)


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
        reply = _reply(origin, _Said(code, "refused", problem), None, now=now)
        if tx is not None:
            _record_unidentified(tx, data, caller, reply, error, now=now)
        return reply
    known = _stored_reply(tx, received, now=now) if tx is not None else None
    if known is not None and tx is not None:
        _queue(tx, known, now=now)
        return known
    wanted = received.peer.order_responses
    problem, content = refusal(received.message, problem, wanted=wanted)
    content = content or Content()
    if isinstance(error, peers.OutOfSequence):
        content = replace(content, expected_sequence_number=error.expected)
    said = _Said(code, "refused", problem, content)
    # What is not recorded is not kept: nothing is said of it but that.
    reply = _reply(received.origin, said, received, now=now, is_kept=tx is not None)
    if tx is not None:
        _queue(tx, reply, now=now)
        record = _record_of(received, reply, Effect("refused"), error=text)
        peers.record_message(tx, record, now=now)
    return reply


def reject_oversized(head: bytes, message_bytes_max: int, *, now: datetime) -> bytes:
    """Return the AR for a message that is larger than the limit, known only by its head."""
    problem = Problem(
        ErrorCode.VALUE_TOO_LONG, "", f"the message is larger than {message_bytes_max} bytes"
    )
    said = _Said(AckCode.AR, "refused", problem)
    return _reply(ack.read_origin(head), said, None, now=now).acknowledgement


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
    message = in_character_set_of(peer, message)
    origin = ack.origin_of(message)
    return _Received(data, mapped(peer, message), origin, peer, body_digest(data))


def in_character_set_of(peer: Hl7Peer, message: Message) -> Message:
    """Return the message read in the peer's character set where it names none itself."""
    own_set = charsets.python_codec(peer.character_set)
    if Flaw.CHARSET_ASSUMED in message.flaws and own_set not in {None, "utf-8"}:
        return parse(message.raw, default_charset=peer.character_set)
    return message


def mapped(peer: Hl7Peer, message: Message) -> Message:
    """Return the message as the peer's map has it read."""
    if not peer.received_map:
        return message
    lines = [each.raw for each in message.segments]
    lines = apply_map(parse_received_map(peer.received_map), lines, message.syntax)
    segments = [Segment(each, message.syntax) for each in lines]
    return Message(message.raw, segments, message.syntax, message.flaws)


def _take_sequence_number(tx: Tx, received: _Received, *, now: datetime) -> int | None:
    """Return MSA-4 for a peer whose messages are numbered. Raises ``OutOfSequence``."""
    number = sequence.stated(received.message.header.text(13))
    if number is None or not received.peer.sequence_numbers:
        return None
    return peers.take_sequence_number(tx, received.peer.name, number, now=now).expected


def _queue(tx: Tx, reply: Reply, *, now: datetime) -> None:
    """Have the application acknowledgement sent that goes apart."""
    if reply.apart is not None:
        control_id, data = reply.apart.control_id, reply.apart.message
        peers.queue_acknowledgement(tx, reply.peer, control_id, data, now=now)


def _stored_reply(tx: Tx, received: _Received, *, now: datetime) -> Reply | None:
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
    known = ack.parse_ack(stored)
    reply = Reply(
        stored,
        known.code,
        received.peer.name,
        received.message_type,
        received.control_id,
        "repeated",
        repeated=True,
    )
    if not _goes_apart(received, known.code):
        return reply
    apart = Apart(stored, known.code, known.sent_id)
    return replace(_committed(received, now=now), effect="repeated", repeated=True, apart=apart)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is answered, before the sender's mode is looked at."""

    code: AckCode
    effect: str
    problem: Problem | None = None
    content: Content = field(default_factory=Content)
    more: tuple[Problem, ...] = ()


def _reply(
    origin: Origin,
    said: _Said,
    received: _Received | None,
    *,
    now: datetime,
    is_kept: bool = True,
) -> Reply:
    if received is not None and is_kept and _goes_apart(received, said.code):
        return _reply_apart(received, said, now=now)
    code, problem = _code_wanted(origin, said.code), said.problem
    # What became of orders is said by who processed them: a commit code says nothing of it.
    content = said.content if code is said.code else Content()
    data = ack.build_ack(
        origin,
        code,
        control_id=new_control_id(),
        timestamp=format_dtm(now),
        problems=(problem, *said.more) if problem else (),
        content=content,
    )
    return Reply(
        data,
        code,
        received.peer.name if received else "",
        received.message_type if received else "",
        received.control_id if received else "",
        said.effect,
        problem.code.value if problem else None,
    )


def _goes_apart(received: _Received, code: AckCode) -> bool:
    """Whether the application acknowledgement is a message of its own, on our own connection.

    That needs a port of the sender's. Others get one answer that says all: see ``_code_wanted``.

    Standard: HL7 v2.5.1 2.9.3; IHE ITI TF-2 Appendix C.2.1 (who listens does not initiate)
    """
    origin = received.origin
    return (
        received.peer.port is not None
        and origin.is_enhanced
        and ack.is_wanted(origin.application, succeeded=code is AckCode.AA)
    )


def _reply_apart(received: _Received, said: _Said, *, now: datetime) -> Reply:
    control_id = new_control_id()
    data = ack.build_ack(
        received.origin,
        said.code,
        control_id=control_id,
        timestamp=format_dtm(now),
        problems=(said.problem, *said.more) if said.problem else (),
        content=replace(said.content, accept=ack.Condition.ALWAYS.value),
    )
    return replace(
        _committed(received, now=now),
        effect=said.effect,
        error_code=said.problem.code.value if said.problem else None,
        apart=Apart(data, said.code, control_id),
    )


def _committed(received: _Received, *, now: datetime) -> Reply:
    """The accept acknowledgement: the message is kept, whatever becomes of it."""
    origin = received.origin
    wanted = ack.is_wanted(origin.accept, succeeded=True)
    data = ack.build_ack(origin, AckCode.CA, control_id=new_control_id(), timestamp=format_dtm(now))
    return Reply(
        data if wanted else b"",
        AckCode.CA,
        received.peer.name,
        received.message_type,
        received.control_id,
        "",
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


def _record_of(
    received: _Received, reply: Reply, effect: Effect, *, error: str | None = None
) -> Hl7Message:
    flaws = ", ".join(flaw.value for flaw in received.message.flaws)
    digest = received.digest
    if error is not None or not received.control_id:
        # A refusal must not be repeated for ever: when its reason is gone, the same message is
        # welcome. And without a control id two equal messages are two messages.
        digest = _digest_of_this_copy(received.digest)
    return Hl7Message(
        direction="in",
        peer=received.peer.name,
        control_id=received.control_id,
        message_type=received.message_type,
        body_digest=digest,
        raw=received.data,
        acknowledgement=reply.apart.message if reply.apart else reply.acknowledgement,
        acknowledgement_code=(reply.apart or reply).code.value,
        patient_id=effect.patient_id,
        accession_number=effect.accession_number,
        effect=f"{effect.text} ({flaws})" if flaws else effect.text,
        error=error,
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
