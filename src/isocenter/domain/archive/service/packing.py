"""Packs: which series are to be packed, and the moment in which members take their blobs' places.

Writing a pack and reading it back takes long and is the caller's, outside of transactions. A pack
that was written is noted at once, or the sweeper could take it while it is being checked; only one
that is still noted can be exchanged. The blobs that were packed stay as long as other blobs that
nobody names, so that whoever is reading them goes on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_integrity
from isocenter.domain.archive import _store_packs as _store
from isocenter.domain.archive.model_packs import Exchange, PackTotals, Unpacked
from isocenter.infra.db import Tx

# A worker that died with a series in its hands gives it back after this time.
_CLAIM: Final = timedelta(hours=1)


def want_packs(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> int:
    """How many of the study's series are to be looked at."""
    authorize(actor, Action.STUDY_STORE)
    return _store.want_study(tx, study_instance_uid, now=now)


def want_all_packs(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """How many series of all complete studies are to be looked at that were not."""
    authorize(actor, Action.PEER_WRITE)  # whoever answers for the installation
    return _store.want_all(tx, now=now)


def next_series(tx: Tx, actor: Actor, *, now: datetime) -> int | None:
    """The key of a series to pack; it is the caller's for an hour."""
    authorize(actor, Action.STUDY_STORE)
    return _store.claim(tx, now=now, until=now + _CLAIM)


def unpacked(
    tx: Tx, actor: Actor, series_key: int, store: str, *, size_bytes_max: int
) -> Sequence[Unpacked]:
    """Objects and copies of the series that lie alone in blobs of the store, day by day."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.unpacked(tx, series_key, store, size_bytes_max=size_bytes_max)


def note_pack(
    tx: Tx, actor: Actor, blob_key: str, *, members: int, size_bytes: int, now: datetime
) -> None:
    """Keep a pack that was written until its members are named."""
    authorize(actor, Action.STUDY_STORE)
    _store.note_pack(tx, blob_key, members=members, size_bytes=size_bytes, now=now)


def discard_pack(tx: Tx, actor: Actor, blob_key: str) -> None:
    """Keep a pack no more that was not exchanged: the sweeper takes it."""
    authorize(actor, Action.STUDY_STORE)
    _store.discard_unchecked(tx, blob_key)


def exchange(
    tx: Tx,
    actor: Actor,
    series_key: int,
    pack_key: str,
    exchanges: Sequence[Exchange],
    *,
    now: datetime,
) -> int:
    """How many objects and copies have their bytes in the pack from now on.

    Nothing changes (0) when the pack is not noted any more. What has gone or moved meanwhile is
    left as it is. The caller has read every member back: findings about its blob are settled.
    """
    authorize(actor, Action.STUDY_STORE)
    if not _store.complete_pack(tx, pack_key, now=now):
        return 0
    changed = _store.exchange(tx, series_key, exchanges, now=now)
    if not changed:
        _store.forget_pack(tx, pack_key)
    _store.hold(tx, series_key, until=now + _CLAIM)
    sound = [each.blob_key for each in exchanges]
    _store_integrity.settle(tx, sound, "found sound again", by=actor.name, now=now)
    return changed


def settle_series(tx: Tx, actor: Actor, series_key: int, *, begun_at: datetime) -> None:
    """Nothing is left to do for the series of what was wanted before the work began."""
    authorize(actor, Action.STUDY_STORE)
    _store.settle(tx, series_key, begun_at=begun_at)


def put_off_series(tx: Tx, actor: Actor, series_key: int, *, due_at: datetime) -> None:
    """Give the series back; whoever is free takes it up at ``due_at``."""
    authorize(actor, Action.STUDY_STORE)
    _store.put_off(tx, series_key, due_at=due_at)


def pack_totals(tx: Tx, viewer: Viewer) -> PackTotals:
    """How many packs there are, how much they hold, and how much is left to do."""
    viewer.require(Action.SYSTEM_READ)
    return _store.totals(tx)
