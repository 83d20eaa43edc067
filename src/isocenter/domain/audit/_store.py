"""The SQL of schema ``audit``. One function is one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.audit.model import AuditEntry, AuditRecord
from isocenter.infra.db import Tx, jsonb

_SEAL_LOCK = 0x15_0CE1_0002


_INSERT = """
insert into audit.record (recorded_at, action, outcome, actor, actor_kind, source,
                          object_type, object_id, patient_id, detail)
values (%(recorded_at)s, %(action)s, %(outcome)s, %(actor)s, %(actor_kind)s, %(source)s,
        %(object_type)s, %(object_id)s, %(patient_id)s, %(detail)s)
"""
_INSERT_ALL = """
insert into audit.record (recorded_at, action, outcome, actor, actor_kind, source,
                          object_type, object_id, patient_id, detail)
select recorded_at, action, outcome, actor, actor_kind, source, object_type, object_id,
       patient_id, detail
  from jsonb_to_recordset(%s) as said (
       position int, recorded_at timestamptz, action text, outcome text, actor text,
       actor_kind text, source text, object_type text, object_id text, patient_id text,
       detail jsonb)
 order by position
"""


def insert_all(tx: Tx, entries: Sequence[tuple[AuditEntry, datetime]]) -> None:
    """Add records of (act, when it was done), in their order."""
    rows = [_row(position, *each) for position, each in enumerate(entries)]
    if len(rows) == 1:  # most often, as of each search: two thirds of the time of a set of one
        row = rows[0]
        tx.run(_INSERT, {**row, "detail": jsonb(row["detail"])})
    else:
        tx.run(_INSERT_ALL, (jsonb(rows),))


def _row(position: int, entry: AuditEntry, now: datetime) -> dict[str, Any]:
    return {
        "position": position,
        "recorded_at": now,
        "action": entry.action,
        "outcome": entry.outcome,
        "actor": entry.actor,
        "actor_kind": entry.actor_kind,
        "source": entry.source,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "patient_id": entry.patient_id,
        "detail": dict(entry.detail),
    }


def lock_chain(tx: Tx) -> None:
    """Wait until no other transaction seals."""
    tx.value("select pg_advisory_xact_lock(%s)", (_SEAL_LOCK,))


def chain_end(tx: Tx) -> AuditRecord | None:
    """The record sealed last."""
    return tx.maybe(
        AuditRecord,
        """
        select record_key, recorded_at, action, outcome, actor, actor_kind, source, object_type,
               object_id, patient_id, detail, chain_position, previous_digest, digest
          from audit.record where chain_position is not null
         order by chain_position desc limit 1
        """,
    )


def unsealed(tx: Tx, limit: int) -> list[AuditRecord]:
    """Records that are not sealed and whose place in the order is settled, oldest first.

    Only transactions below the horizon have all ended. A number beyond every present one is from
    the database's earlier life in another cluster, before it was restored here.
    """
    return tx.all(
        AuditRecord,
        """
        select record_key, recorded_at, action, outcome, actor, actor_kind, source, object_type,
               object_id, patient_id, detail, chain_position, previous_digest, digest
          from audit.record
         where chain_position is null
           and (transaction_id < pg_snapshot_xmin(pg_current_snapshot())
                or transaction_id >= pg_snapshot_xmax(pg_current_snapshot()))
         order by record_key limit %s
        """,
        (limit,),
    )


def set_seals(tx: Tx, seals: Sequence[tuple[int, int, bytes, bytes]]) -> None:
    """Seal records: (record key, chain position, previous digest, digest) each."""
    keys, positions, previous, digests = (list(column) for column in zip(*seals, strict=True))
    tx.run(
        """
        update audit.record r
           set chain_position = s.chain_position, previous_digest = s.previous_digest,
               digest = s.digest
          from unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[])
               as s (record_key, chain_position, previous_digest, digest)
         where r.record_key = s.record_key
        """,
        (keys, positions, previous, digests),
    )


def sealed_after(tx: Tx, chain_position: int, limit: int) -> list[AuditRecord]:
    """Sealed records behind a position, in the order of the chain."""
    return tx.all(
        AuditRecord,
        """
        select record_key, recorded_at, action, outcome, actor, actor_kind, source, object_type,
               object_id, patient_id, detail, chain_position, previous_digest, digest
          from audit.record where chain_position > %s order by chain_position limit %s
        """,
        (chain_position, limit),
    )


def search(tx: Tx, wanted: Mapping[str, Any]) -> list[AuditRecord]:
    """Records that fit, newest first."""
    return tx.all(
        AuditRecord,
        """
        select record_key, recorded_at, action, outcome, actor, actor_kind, source, object_type,
               object_id, patient_id, detail, chain_position, previous_digest, digest
          from audit.record
         where (%(patient_id)s::text is null or patient_id = %(patient_id)s)
           and (%(actor)s::text is null or actor = %(actor)s)
           and (%(action)s::text is null or action = %(action)s)
           and (%(object_type)s::text is null or object_type = %(object_type)s)
           and (%(object_id)s::text is null or object_id = %(object_id)s)
           and (%(recorded_from)s::timestamptz is null or recorded_at >= %(recorded_from)s)
           and (%(recorded_to)s::timestamptz is null or recorded_at < %(recorded_to)s)
           and (%(before)s::bigint is null or record_key < %(before)s)
         order by record_key desc limit %(limit)s
        """,
        wanted,
    )
