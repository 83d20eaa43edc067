"""Recording who did what, sealing the records into a chain, and finding breaks in it.

Recording needs no permission: whoever acts is recorded. Reading does, but this stage knows no
actors: callers check that before they search.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from isocenter.domain.audit import _store as store
from isocenter.domain.audit.model import CHAIN_START, AuditEntry, AuditFilter, AuditRecord, seal_of
from isocenter.infra.db import Tx

_BATCH = 1000
_PAGE_MAX = 500


def record(tx: Tx, entry: AuditEntry, *, now: datetime) -> None:
    """Keep that something was done; it stays exactly when the transaction does.

    It is written at the end of a ``gathered`` part where there is one.
    """
    tx.add(store.insert_all, (entry, now))


def record_many(tx: Tx, entries: Sequence[AuditEntry], *, now: datetime) -> None:
    """Keep several acts in one statement."""
    if entries:
        store.insert_all(tx, [(entry, now) for entry in entries])


def seal(tx: Tx, *, limit: int = _BATCH) -> int:
    """Chain the records that came since the last time, and tell how many they were."""
    store.lock_chain(tx)
    waiting = store.unsealed(tx, limit)
    if not waiting:
        return 0
    end = store.chain_end(tx)
    position = (end.chain_position or 0) if end else 0
    digest = (end.digest or CHAIN_START) if end else CHAIN_START
    seals: list[tuple[int, int, bytes, bytes]] = []
    for each in waiting:
        position += 1
        previous, digest = digest, seal_of(each, position, digest)
        seals.append((each.record_key, position, previous, digest))
    store.set_seals(tx, seals)
    return len(seals)


def verify_chain(tx: Tx) -> int | None:
    """The key of the first record at which the chain is broken; None when it is whole.

    A record that was changed is reported itself; where one was removed, the record behind it.
    Whether the newest records were cut off shows only against a digest kept elsewhere.
    """
    position, digest = 0, CHAIN_START
    while batch := store.sealed_after(tx, position, _BATCH):
        for each in batch:
            whole = (
                each.chain_position == position + 1
                and each.previous_digest == digest
                and each.digest == seal_of(each, position + 1, digest)
            )
            if not whole:
                return each.record_key
            position, digest = position + 1, each.digest or CHAIN_START
    return None


def chain_end(tx: Tx) -> tuple[int, bytes]:
    """How many records are sealed, and the digest of the last: worth keeping elsewhere."""
    end = store.chain_end(tx)
    return ((end.chain_position or 0), end.digest or CHAIN_START) if end else (0, CHAIN_START)


def search(tx: Tx, wanted: AuditFilter, *, limit: int = 100) -> list[AuditRecord]:
    """Records that fit, newest first, at most 500. The caller has checked ``AUDIT_READ``."""
    return store.search(tx, {**asdict(wanted), "limit": min(limit, _PAGE_MAX)})
