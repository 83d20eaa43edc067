"""The log of HL7 messages."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.peers import _store as store
from isocenter.domain.peers.model import (
    Hl7Message,
    MessageFilter,
    MessageUnknown,
    RecordedMessage,
)
from isocenter.infra.db import Tx

_PAGE_MAX = 500


def stored_acknowledgement(tx: Tx, peer: str, control_id: str, body_digest: bytes) -> bytes | None:
    """What was answered to the same message before; None: it is new.

    ``body_digest`` covers the message without MSH-7 and MSH-10, because senders reuse control ids
    for other messages, and date repetitions anew.
    """
    return store.acknowledgement(tx, peer, control_id, body_digest)


def record_message(tx: Tx, message: Hl7Message, *, now: datetime) -> int | None:
    """The key of the message in the log; None when the same one was received before."""
    keys = record_messages(tx, [message], now=now)
    return keys[0] if keys else None


def record_messages(tx: Tx, messages: Sequence[Hl7Message], *, now: datetime) -> list[int]:
    """The keys of the messages in the log, without those that were received before."""
    return store.insert_messages(tx, messages, now)


def search_messages(
    tx: Tx, actor: Actor, wanted: MessageFilter, *, limit: int = 100
) -> list[RecordedMessage]:
    """Messages that fit, newest first, at most 500. Audited by the caller who shows them."""
    authorize(actor, Action.MESSAGE_READ)
    return store.messages(tx, wanted, min(limit, _PAGE_MAX))


def message(tx: Tx, actor: Actor, message_key: int, *, now: datetime) -> RecordedMessage:
    """One message; reading it is audited. Raises ``MessageUnknown``."""
    authorize(actor, Action.MESSAGE_READ)
    found = store.message(tx, message_key)
    if found is None:
        raise MessageUnknown("there is no such message")
    entry = AuditEntry(
        action="message.read",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="message",
        object_id=str(message_key),
        patient_id=found.patient_id,
    )
    audit.record(tx, entry, now=now)
    return found
