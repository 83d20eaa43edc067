"""The SQL of the log of HL7 messages, their words, and of those that wait to be processed again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from isocenter.domain.peers.model import (
    Hl7Message,
    ListedMessage,
    MessageFilter,
    RecordedMessage,
)
from isocenter.domain.peers.model_replay import Replay
from isocenter.infra.db import Tx, jsonb
from isocenter.standards.hl7v2.words import order_word, sought_words


def acknowledgement(tx: Tx, peer: str, control_id: str, body_digest: bytes) -> bytes | None:
    """What was answered to a message."""
    return tx.value(
        """
        select acknowledgement from peers.message
         where peer = %s and control_id = %s and body_digest = %s and direction = 'in'
        """,
        (peer, control_id, body_digest),
    )


def insert_messages(tx: Tx, messages: Sequence[Hl7Message], now: datetime) -> list[int]:
    """The keys of the recorded messages, without those that were recorded before.

    One that was processed under the control id of another that was processed is marked.
    """
    named: set[tuple[str, str]] = set()
    repeated = [
        (each.peer, each.control_id) in named or named.add((each.peer, each.control_id))
        for each in messages
    ]
    described = [
        {
            "position": position,
            "direction": each.direction,
            "peer": each.peer,
            "control_id": each.control_id,
            "message_type": each.message_type,
            "acknowledgement_code": each.acknowledgement_code,
            "patient_id": each.patient_id,
            "accession_number": each.accession_number,
            "effect": each.effect,
            "error": each.error,
            "replay_of": each.replay_of,
            "reason": each.reason,
            "requested_by": each.requested_by,
            "control_id_repeated": bool(repeated[position - 1]),
        }
        for position, each in enumerate(messages, 1)
    ]
    return tx.values(
        """
        insert into peers.message
               (direction, peer, control_id, message_type, body_digest, raw, acknowledgement,
                acknowledgement_code, patient_id, accession_number, effect, error, received_at,
                replay_of, reason, requested_by, control_id_reused)
        select direction, peer, control_id, message_type, body_digest, raw, acknowledgement,
               acknowledgement_code, patient_id, accession_number, effect, error, %(now)s,
               replay_of, reason, requested_by,
               direction = 'in' and control_id <> '' and replay_of is null and error is null
               and (control_id_repeated or exists (
                   select from peers.message as known
                    where known.peer = described.peer and known.control_id = described.control_id
                      and known.direction = 'in' and known.body_digest <> stored.body_digest
                      and known.error is null and known.replay_of is null))
          from jsonb_to_recordset(%(described)s) as described (
               position int, direction text, peer text, control_id text, message_type text,
               acknowledgement_code text, patient_id text, accession_number text, effect text,
               error text, replay_of bigint, reason text, requested_by text,
               control_id_repeated bool)
          join unnest(%(digests)b::bytea[], %(raws)b::bytea[], %(acknowledgements)b::bytea[])
               with ordinality as stored (body_digest, raw, acknowledgement, position)
         using (position)
         order by position
            on conflict do nothing
        returning message_key
        """,
        {
            "described": jsonb(described),
            "digests": [each.body_digest for each in messages],
            "raws": [each.raw for each in messages],
            "acknowledgements": [each.acknowledgement for each in messages],
            "now": now,
        },
    )


_CONDITIONS: dict[str, LiteralString] = {
    "direction": "message.direction = %(direction)s",
    "peer": "message.peer = %(peer)s",
    "control_id": "message.control_id = %(control_id)s",
    "message_type": "message.message_type = %(message_type)s",
    "patient_id": "message.patient_id = %(patient_id)s",
    "accession_number": "message.accession_number = %(accession_number)s",
    "received_from": "message.received_at >= %(received_from)s",
    "received_to": "message.received_at < %(received_to)s",
    "before": "message.message_key < %(before)s",
}


_LISTED: LiteralString = """
select message_key, direction, peer, control_id, message_type, acknowledgement_code, patient_id,
       accession_number, effect, error, received_at, replay_of, reason, requested_by,
       control_id_reused
  from peers.message as message """


_KEYS: LiteralString = "select message_key from peers.message as message where "
_NEWEST: LiteralString = " order by message_key desc limit %(limit)s"


def messages(tx: Tx, wanted: MessageFilter, limit: int) -> list[ListedMessage]:
    """Messages that fit, newest first."""
    if wanted.text is None and wanted.order_number is None:
        return _listed(tx, wanted, limit, "", {})
    words = [f"{_quoted(each)}:*" for each in sought_words(wanted.text or "")]
    if wanted.order_number is not None:
        words.append(_quoted(order_word(wanted.order_number)))
    if not words:
        return []  # nothing in it is a word
    # A common word is among the latest messages, a rare one in few: nobody can know before, and
    # statistics do not say how many words begin with something.
    newest = wanted.before or tx.value(
        "select coalesce(max(message_key), 0) + 1 from peers.message"
    )
    sought: dict[str, Any] = {"words": " & ".join(words), "oldest": newest - _LATEST}
    found = _listed(tx, replace(wanted, before=newest), limit, _AMONG_LATEST, sought)
    if len(found) == limit:
        return found
    sought["rare"] = _rare_of(tx, words, newest)
    tx.run("set local enable_seqscan = off")
    for blocks in _BLOCKS:
        oldest = newest // _BLOCK - blocks
        sought["blocks"] = list(range(oldest, newest // _BLOCK + 1))
        found = _listed(tx, wanted, limit, _BY_BLOCK, {**sought, "oldest": oldest * _BLOCK})
        if len(found) == limit or oldest <= 0:
            break
    else:
        found = _listed(tx, wanted, limit, _BY_WORD, sought)
    tx.run("set local enable_seqscan to default")
    return found


def _rare_of(tx: Tx, words: Sequence[str], newest: int) -> str:
    """What the index is asked for: the words that few of the latest messages have.

    All that begins with a common word is a long list, which is made whole before it is compared.
    """
    if len(words) == 1:
        return words[0]
    counts = tx.values(
        """
        select count(*) filter (where words @@ word)
          from unnest(%(sought)s::tsquery[]) with ordinality as sought (word, place)
         cross join (select words from peers.message_words
                      where message_key >= %(oldest)s and message_key < %(newest)s
                     offset 0) as latest
         group by place order by place
        """,
        {"sought": list(words), "oldest": newest - _LATEST, "newest": newest},
    )
    by_count = sorted(zip(counts, words, strict=True))
    rare = [word for count, word in by_count if count <= _LATEST * _COMMON_SHARE]
    return " & ".join(rare or [by_count[0][1]])


_LATEST = 2_000
# The index knows in which block of this many keys a message is.
_BLOCK = 16_384
_BLOCKS = (1, 6)
_COMMON_SHARE = 0.02
# "offset 0" has what is inside done first, and no further than rows are needed.
_AMONG_LATEST: LiteralString = """
  join (select message_key, words from peers.message_words
         where message_key >= %(oldest)s and message_key < %(before)s
         order by message_key desc offset 0) as found using (message_key)
 where found.words @@ %(words)s::tsquery and """
_FOUND: LiteralString = """
 where message_key = any(array(
           select message_key from peers.message_words
            where words @@ %(rare)s::tsquery and (words || '') @@ %(words)s::tsquery"""
_BY_BLOCK: LiteralString = _FOUND + " and array[message_key >> 14] && %(blocks)s::bigint[])) and "
_BY_WORD: LiteralString = _FOUND + ")) and "


def _listed(
    tx: Tx, wanted: MessageFilter, limit: int, joined: LiteralString, sought: Mapping[str, Any]
) -> list[ListedMessage]:
    parts: list[LiteralString] = ["true"]
    parameters: dict[str, Any] = {**sought, "limit": limit}
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            parts.append(condition)
            parameters[name] = value
    if wanted.with_error:
        parts.append("message.error is not null")
    if wanted.control_id_reused:
        parts.append("message.control_id_reused")
    where = " and ".join(parts)
    if not joined:  # their keys are in the index that finds them; so no other one is chosen
        where = f"message_key = any(array({_KEYS}{where}{_NEWEST}))"
    statement: LiteralString = "".join((_LISTED, joined or " where ", where, _NEWEST))
    return tx.all(ListedMessage, statement, parameters)


def _quoted(word: str) -> str:
    """A word as one lexeme of a query, whatever is in it."""
    doubled = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"


def message(tx: Tx, message_key: int) -> RecordedMessage | None:
    """One message."""
    return tx.maybe(
        RecordedMessage,
        """
        select message_key, direction, peer, control_id, message_type, raw, acknowledgement,
               acknowledgement_code, patient_id, accession_number, effect, error, received_at,
               replay_of, reason, requested_by, control_id_reused
          from peers.message where message_key = %s
        """,
        (message_key,),
    )


def listed_messages(tx: Tx, message_keys: Sequence[int]) -> list[ListedMessage]:
    """The messages with these keys, oldest first."""
    statement: LiteralString = "".join((
        _LISTED,
        " where message_key = any(%s) order by message_key",
    ))
    return tx.all(ListedMessage, statement, (list(message_keys),))


def raw_messages(tx: Tx, wanted: MessageFilter, limit: int) -> list[RecordedMessage]:
    """Messages of a peer that came in, newest first, with their bytes."""
    return tx.all(
        RecordedMessage,
        """
        select message_key, direction, peer, control_id, message_type, raw, acknowledgement,
               acknowledgement_code, patient_id, accession_number, effect, error, received_at,
               replay_of, reason, requested_by, control_id_reused
          from peers.message
         where peer = %(peer)s and direction = %(direction)s and received_at >= %(received_from)s
           and replay_of is null
         order by received_at desc, message_key desc limit %(limit)s
        """,
        {
            "peer": wanted.peer,
            "direction": wanted.direction,
            "received_from": wanted.received_from,
            "limit": limit,
        },
    )


def neighbour(tx: Tx, of: ListedMessage) -> int | None:
    """The message before this one about the same exam or patient, of its peer and direction."""
    return tx.value(
        """
        select message_key from peers.message
         where message_key < %(message_key)s and peer = %(peer)s and direction = %(direction)s
           and case when %(accession_number)s::text is null then patient_id = %(patient_id)s
                    else accession_number = %(accession_number)s end
         order by message_key desc limit 1
        """,
        {
            "message_key": of.message_key,
            "peer": of.peer,
            "direction": of.direction,
            "accession_number": of.accession_number,
            "patient_id": of.patient_id,
        },
    )


def without_words(tx: Tx, *, before: datetime, limit: int) -> list[tuple[int, bytes]]:
    """The oldest messages whose words are not kept yet: key and bytes.

    Of those received ``before`` only what is behind the last whose words are kept.
    """
    rows = tx.all(
        _Unread,
        """
        select message_key, raw from peers.message as message
         where message_key > coalesce((
                   select max(message_key) from peers.message_words
                    where message_key <= (select message_key from peers.message
                                           where received_at < %(before)s
                                           order by received_at desc limit 1)), 0)
           and not exists (select from peers.message_words as kept
                            where kept.message_key = message.message_key)
         order by message_key limit %(limit)s
        """,
        {"before": before, "limit": limit},
    )
    return [(row.message_key, row.raw) for row in rows]


@dataclass(frozen=True, slots=True)
class _Unread:
    message_key: int
    raw: bytes


def keep_words(tx: Tx, message_keys: Sequence[int], words: Sequence[Sequence[str]]) -> int:
    """Keep the words of messages."""
    return tx.run(
        """
        insert into peers.message_words (message_key, words)
        select (each ->> 0)::bigint,
               array_to_tsvector(array(select jsonb_array_elements_text(each -> 1)))
          from jsonb_array_elements(%s) as each
            on conflict do nothing
        """,
        (jsonb([[key, list(each)] for key, each in zip(message_keys, words, strict=True)]),),
    )


def insert_replays(
    tx: Tx,
    replays: Sequence[tuple[int, datetime]],
    *,
    edited: bytes | None,
    why: tuple[str, str],
    now: datetime,
) -> list[int]:
    """Have messages processed again: (key, due), with one reason and by one person."""
    return tx.values(
        """
        insert into peers.replay (message_key, edited, reason, requested_by, requested_at, due_at)
        select message_key, %(edited)b, %(reason)s, %(by)s, %(now)s, due_at
          from unnest(%(keys)s::bigint[], %(due)s::timestamptz[]) as wanted (message_key, due_at)
        returning replay_key
        """,
        {
            "keys": [key for key, _ in replays],
            "due": [due for _, due in replays],
            "edited": edited,
            "reason": why[0],
            "by": why[1],
            "now": now,
        },
    )


def claim_replay(tx: Tx, *, now: datetime) -> Replay | None:
    """The replay that is due next, locked until the transaction ends."""
    return tx.maybe(
        Replay,
        """
        select replay_key, message_key, edited, reason, requested_by, requested_at, due_at, done_at,
               canceled_at, result_key
          from peers.replay
         where done_at is null and canceled_at is null and due_at <= %s
         order by due_at, replay_key limit 1 for update skip locked
        """,
        (now,),
    )


def put_off_replays(tx: Tx, replay: Replay, by: timedelta) -> None:
    """Have what waits and was asked for together with a replay done so much later."""
    tx.run(
        """
        update peers.replay set due_at = due_at + %(by)s
         where done_at is null and canceled_at is null and replay_key > %(replay_key)s
           and requested_at = %(requested_at)s and requested_by = %(requested_by)s
        """,
        {
            "by": by,
            "replay_key": replay.replay_key,
            "requested_at": replay.requested_at,
            "requested_by": replay.requested_by,
        },
    )


def finish_replay(tx: Tx, replay_key: int, result_key: int | None, *, now: datetime) -> None:
    """Note what came of a replay."""
    tx.run(
        "update peers.replay set done_at = %s, result_key = %s where replay_key = %s",
        (now, result_key, replay_key),
    )


def replays_of(tx: Tx, message_key: int) -> list[Replay]:
    """What was asked for of a message, latest first."""
    return tx.all(
        Replay,
        """
        select replay_key, message_key, edited, reason, requested_by, requested_at, due_at, done_at,
               canceled_at, result_key
          from peers.replay where message_key = %s order by replay_key desc limit 50
        """,
        (message_key,),
    )


def replays_waiting(tx: Tx) -> int:
    """How many replays wait."""
    return tx.value(
        "select count(*) from peers.replay where done_at is null and canceled_at is null"
    )


def cancel_replays(tx: Tx, *, now: datetime) -> int:
    """No longer process what waits."""
    return tx.run(
        "update peers.replay set canceled_at = %s where done_at is null and canceled_at is null",
        (now,),
    )
