"""The log of HL7 messages: recorded, searched, read, and processed again when a person says so."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.peers import _store_messages as store
from isocenter.domain.peers.model import (
    Hl7Message,
    ListedMessage,
    MessageFilter,
    MessageUnknown,
    RecordedMessage,
)
from isocenter.domain.peers.model_replay import (
    RATE_PER_S_MAX,
    REPLAYS_AT_ONCE_MAX,
    NotReplayable,
    Replay,
    ReplayWish,
    checked_reason,
)
from isocenter.infra.db import Tx
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.er7 import parse
from isocenter.standards.hl7v2.words import words_of

_PAGE_MAX = 500
_LATE = timedelta(seconds=5)
_COMMITTED_LATE_MAX = timedelta(minutes=5)


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


def record_sent_by_hand(tx: Tx, actor: Actor, message: Hl7Message, *, now: datetime) -> int:
    """The key of a message that a person had sent, in the log. On record in the audit, too."""
    authorize(actor, Action.MESSAGE_REPLAY)
    (key,) = record_messages(tx, [message], now=now)
    _record(tx, actor, "message.send", _known(tx, key), now=now, detail={"reason": message.reason})
    return key


def search_messages(
    tx: Tx, actor: Actor, wanted: MessageFilter, *, limit: int = 100
) -> list[ListedMessage]:
    """Messages that fit, newest first, at most 500. Audited by the caller who shows them."""
    authorize(actor, Action.MESSAGE_READ)
    return store.messages(tx, wanted, min(limit, _PAGE_MAX))


def found_keys(tx: Tx, actor: Actor, wanted: MessageFilter, *, limit: int) -> list[int]:
    """The keys of messages that fit, newest first."""
    authorize(actor, Action.MESSAGE_READ)
    return [each.message_key for each in store.messages(tx, wanted, limit)]


def message(tx: Tx, actor: Actor, message_key: int, *, now: datetime) -> RecordedMessage:
    """One message; reading it is audited. Raises ``MessageUnknown``."""
    authorize(actor, Action.MESSAGE_READ)
    found = _known(tx, message_key)
    _record(tx, actor, "message.read", found, now=now)
    return found


def message_before(tx: Tx, actor: Actor, of: ListedMessage) -> int | None:
    """The key of the message before this one about the same exam, or patient; None: the first."""
    authorize(actor, Action.MESSAGE_READ)
    return store.neighbour(tx, of)


def recorded_traffic(
    tx: Tx, actor: Actor, peer: str, *, since: datetime, limit: int
) -> list[RecordedMessage]:
    """What a peer sent lately, newest first, with its bytes, for trying a configuration on it."""
    authorize(actor, Action.MESSAGE_READ)
    wanted = MessageFilter(direction="in", peer=peer, received_from=since)
    return store.raw_messages(tx, wanted, limit)


def process_again(
    tx: Tx,
    actor: Actor,
    message_keys: Sequence[int],
    wanted: ReplayWish,
    *,
    now: datetime,
) -> list[int]:
    """Have messages that came in processed again, the oldest first, so many a second.

    Args:
        tx: the caller's.
        actor: a person who may replay; on record with every message.
        message_keys: at most ``REPLAYS_AT_ONCE_MAX``.
        wanted: why, how fast, and what instead.
        now: aware.

    Returns:
        the keys of what was asked for.

    Raises:
        MessageUnknown, NotReplayable, ReasonMissing.
    """
    authorize(actor, Action.MESSAGE_REPLAY)
    why = checked_reason(wanted.reason)
    if len(message_keys) > REPLAYS_AT_ONCE_MAX:
        raise NotReplayable(f"at most {REPLAYS_AT_ONCE_MAX} messages at once")
    if wanted.edited is not None and len(message_keys) != 1:
        raise NotReplayable("one message is edited at a time")
    gap = timedelta(seconds=1 / max(0.1, min(wanted.rate_per_s, RATE_PER_S_MAX)))
    due = [(key, now + number * gap) for number, key in enumerate(sorted(set(message_keys)))]
    found = store.listed_messages(tx, [key for key, _ in due])
    if len(found) < len(due):
        raise MessageUnknown("there is no such message")
    if any(each.direction != "in" for each in found):
        raise NotReplayable("what went out is sent again from the deliveries")
    with tx.gathered():
        for each in found:
            _record(tx, actor, "message.replay", each, now=now, detail={"reason": why})
    return store.insert_replays(tx, due, edited=wanted.edited, why=(why, actor.name), now=now)


def replays_of(tx: Tx, actor: Actor, message_key: int) -> list[Replay]:
    """When, why and by whom a message was processed again, latest first."""
    authorize(actor, Action.MESSAGE_READ)
    return store.replays_of(tx, message_key)


def replays_waiting(tx: Tx, actor: Actor) -> int:
    """How many messages wait to be processed again."""
    authorize(actor, Action.MESSAGE_READ)
    return store.replays_waiting(tx)


def cancel_replays(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """How many messages are no longer processed again that waited for it."""
    authorize(actor, Action.MESSAGE_REPLAY)
    count = store.cancel_replays(tx, now=now)
    entry = AuditEntry(
        action="message.replay.cancel",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="message",
        object_id="",
        detail={"count": count},
    )
    audit.record(tx, entry, now=now)
    return count


def claim_replay(tx: Tx, *, now: datetime) -> tuple[Replay, RecordedMessage] | None:
    """What is to be processed again next, held until the transaction ends; None: nothing is due.

    After a stop the rest of what was asked for together is put off, so that its rate is held.
    """
    replay = store.claim_replay(tx, now=now)
    if replay is not None and (late := now - replay.due_at) > _LATE:
        store.put_off_replays(tx, replay, late)
    return (replay, _known(tx, replay.message_key)) if replay else None


def finish_replay(tx: Tx, replay: Replay, result_key: int | None, *, now: datetime) -> None:
    """Note which message a replay became."""
    store.finish_replay(tx, replay.replay_key, result_key, now=now)


def keep_words(
    tx: Tx, *, limit: int, now: datetime, looking_back: timedelta = _COMMITTED_LATE_MAX
) -> int:
    """Make up to ``limit`` messages findable by their words, the oldest first; gives how many.

    A message whose transaction took a while may be recorded behind later ones. It is found when it
    was received within the time of ``looking_back``, all of whose messages are looked through.
    """
    unread = store.without_words(tx, before=now - looking_back, limit=limit)
    if unread:
        store.keep_words(tx, [key for key, _ in unread], [_words(raw) for _, raw in unread])
    return len(unread)


def _words(raw: bytes) -> list[str]:
    try:
        return words_of(parse(raw))
    except RemoteProtocolError:
        return []


def _known(tx: Tx, message_key: int) -> RecordedMessage:
    found = store.message(tx, message_key)
    if found is None:
        raise MessageUnknown("there is no such message")
    return found


def _record(
    tx: Tx,
    actor: Actor,
    action: str,
    of: ListedMessage,
    *,
    now: datetime,
    detail: Mapping[str, str | None] | None = None,
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="message",
        object_id=str(of.message_key),
        patient_id=of.patient_id,
        detail=detail or {},
    )
    audit.record(tx, entry, now=now)
