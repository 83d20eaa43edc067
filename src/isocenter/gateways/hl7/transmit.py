"""Sends one message to a peer at once because a person wants it: a test, or one edited by hand.

Nothing is tried again: who sent it sees the answer, or why there is none. It goes over a connection
of its own, so that no other message's acknowledgement can be taken for its own.
"""

import ssl
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, Hl7Peer
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7 import outbound
from isocenter.gateways.hl7.link import Address, Answer, Link
from isocenter.gateways.hl7.receive import new_control_id
from isocenter.infra.db import Tx
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.decision import Outcome
from isocenter.standards.hl7v2.er7 import Message, body_digest, parse
from isocenter.standards.hl7v2.writer import stamped

CONNECT_TIMEOUT_S = 10.0


class NotAMessage(IsocenterError):
    """What is to be sent cannot be read as HL7."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NoPort(IsocenterError):
    """The peer only sends to us."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Transmission:
    """A message that is sent by hand.

    Attributes:
        data: with a control id and a time of its own.
        answer: what came back; None before it was sent.
    """

    peer: Hl7Peer
    data: bytes
    control_id: str
    message: Message
    answer: Answer | None = None


def prepared(peer: Hl7Peer, written: bytes, *, now: datetime, is_test: bool) -> Transmission:
    """The message as it will go: MSH-7 and MSH-10 made anew, MSH-11 T for a test.

    Raises:
        NotAMessage, NoPort.
    """
    if peer.port is None:
        raise NoPort(f"{peer.name} only sends to us: it has no port")
    try:
        parse(written)
    except RemoteProtocolError as error:
        raise NotAMessage(str(error)) from error
    control_id = new_control_id()
    anew = {7: format_dtm(now), 10: control_id} | ({11: "T"} if is_test else {})
    lines = written.strip(b"\r\n \x0b\x1c").replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    data = stamped(lines + b"\r", anew)
    return Transmission(peer, data, control_id, parse(data))


async def transmit(wanted: Transmission, *, tls: ssl.SSLContext | None) -> Transmission:
    """The transmission with its answer; failures are answers too."""
    peer = wanted.peer
    link = Link(
        Address(peer.host, peer.port or 0, tls if peer.tls else None),
        connect_timeout_s=CONNECT_TIMEOUT_S,
    )
    try:
        trouble = await link.open()
        trouble = trouble or await link.send(wanted.data, timeout_s=peer.ack_timeout_s)
        answer = (
            Answer(Outcome.NO_ANSWER, reason=trouble)
            if trouble
            else await link.answer(wanted.control_id, timeout_s=peer.ack_timeout_s)
        )
    finally:
        link.close()
    return replace(wanted, answer=answer)


def record(tx: Tx, actor: Actor, sent: Transmission, reason: str, *, now: datetime) -> int:
    """Put what was sent, why and by whom, into the log; gives its key."""
    answer, facts = sent.answer, outbound.facts_of(sent.data)
    accepted = answer is not None and answer.outcome is Outcome.ACCEPTED
    return peers.record_sent_by_hand(
        tx,
        actor,
        Hl7Message(
            direction="out",
            peer=sent.peer.name,
            control_id=sent.control_id,
            message_type=facts.message_type[:20],
            body_digest=body_digest(sent.data),
            raw=sent.data,
            acknowledgement=answer.acknowledgement if answer else None,
            acknowledgement_code=answer.ack.code.value if answer and answer.ack else None,
            patient_id=facts.patient_id,
            accession_number=outbound.exam_named(tx, sent.message),
            effect="sent by hand",
            error=None if accepted or answer is None else answer.reason,
            reason=reason,
            requested_by=actor.name,
        ),
        now=now,
    )
