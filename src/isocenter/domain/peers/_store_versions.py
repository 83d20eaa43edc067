"""The SQL of peers' versions, of golden messages, and of what was said in an hour."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.peers.model_meaning import Meaning
from isocenter.domain.peers.model_traffic import TrafficHour
from isocenter.domain.peers.model_versions import Golden
from isocenter.infra.db import Tx, jsonb


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a peer."""

    version: int
    description: dict[str, Any]
    note: str
    made_by: str
    made_at: datetime
    promoted_at: datetime | None


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One golden message."""

    golden_key: int
    peer: str
    title: str
    raw: bytes
    expected: dict[str, Any]
    kept_by: str
    kept_at: datetime

    def golden(self) -> Golden:
        """The row as the model's message."""
        expected = self.expected
        meaning = Meaning(expected["answer"], expected["refusal"], expected["facts"])
        return Golden(
            self.golden_key, self.peer, self.title, self.raw, meaning, self.kept_by, self.kept_at
        )


def versions(tx: Tx, name: str) -> list[VersionRow]:
    """All versions of a peer, latest first."""
    return tx.all(
        VersionRow,
        """
        select version, description, note, made_by, made_at, promoted_at
          from peers.hl7_peer_version where name = %s order by version desc
        """,
        (name,),
    )


def lock_versions(tx: Tx, name: str) -> None:
    """Have versions of a peer made one after the other."""
    tx.run("select from peers.hl7_peer where name = %s for update", (name,))


def insert_version(
    tx: Tx,
    name: str,
    row: VersionRow,
) -> None:
    """Add a version."""
    tx.run(
        """
        insert into peers.hl7_peer_version
               (name, version, description, note, made_by, made_at, promoted_at)
        values (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            name,
            row.version,
            jsonb(row.description),
            row.note,
            row.made_by,
            row.made_at,
            row.promoted_at,
        ),
    )


def promote_version(tx: Tx, name: str, version: int, now: datetime) -> None:
    """Have a version count from now on."""
    tx.run(
        "update peers.hl7_peer_version set promoted_at = %s where name = %s and version = %s",
        (now, name, version),
    )


def discard_version(tx: Tx, name: str, version: int) -> int:
    """Remove a draft; 0 when there is none."""
    return tx.run(
        """
        delete from peers.hl7_peer_version
         where name = %s and version = %s and promoted_at is null
        """,
        (name, version),
    )


def insert_golden(
    tx: Tx, peer: str, kept: tuple[str, bytes, Meaning], by: str, now: datetime
) -> int:
    """Keep a message: (title, bytes, what it means); gives its key."""
    title, raw, expected = kept
    meaning = {
        "answer": expected.answer,
        "refusal": expected.refusal,
        "facts": dict(expected.facts),
    }
    return tx.value(
        """
        insert into peers.golden_message (peer, title, raw, expected, kept_by, kept_at)
        values (%s, %s, %b, %s, %s, %s) returning golden_key
        """,
        (peer, title, raw, jsonb(meaning), by, now),
    )


def golden_messages(tx: Tx, peer: str) -> list[Golden]:
    """The golden messages of a peer, in the order in which they were kept."""
    rows = tx.all(
        GoldenRow,
        """
        select golden_key, peer, title, raw, expected, kept_by, kept_at
          from peers.golden_message where peer = %s order by golden_key
        """,
        (peer,),
    )
    return [row.golden() for row in rows]


def delete_golden(tx: Tx, golden_key: int) -> str | None:
    """Forget a golden message; gives the peer's name, None when there is none."""
    return tx.value(
        "delete from peers.golden_message where golden_key = %s returning peer", (golden_key,)
    )


def count_traffic(tx: Tx, *, since: datetime) -> int:
    """Count what was said in each hour from ``since`` on, which begins an hour."""
    return tx.run(
        """
        insert into peers.traffic (peer, direction, hour, messages, errors)
        select peer, direction, date_trunc('hour', received_at), count(*), count(error)
          from peers.message where received_at >= %s and replay_of is null
         group by peer, direction, date_trunc('hour', received_at)
            on conflict (peer, direction, hour) do update
           set messages = excluded.messages, errors = excluded.errors
         where (traffic.messages, traffic.errors) <> (excluded.messages, excluded.errors)
        """,
        (since,),
    )


def traffic(tx: Tx, *, direction: str, since: datetime) -> list[TrafficHour]:
    """What every peer said in each hour."""
    return tx.all(
        TrafficHour,
        """
        select peer, direction, hour, messages, errors from peers.traffic
         where direction = %s and hour >= %s order by peer, hour
        """,
        (direction, since),
    )


@dataclass(frozen=True, slots=True)
class LastMessage:
    """When a peer spoke last."""

    peer: str
    last_at: datetime


def last_messages(tx: Tx) -> list[LastMessage]:
    """When each enabled HL7 peer that may send spoke last."""
    return tx.all(
        LastMessage,
        """
        select peer.name as peer, latest.received_at as last_at
          from peers.hl7_peer as peer
         cross join lateral (
               select received_at from peers.message
                where message.peer = peer.name and direction = 'in' and replay_of is null
                order by received_at desc limit 1) as latest
         where peer.enabled and cardinality(peer.receive) > 0
         order by peer.name
        """,
    )
