"""Renditions: which instances are to get one, which have one, and what becomes of it.

A rendition is made from its original and holds nothing else: it is served while its original has
the bytes that it was made of, and goes with it. Making one takes long and is the caller's, outside
of transactions. The blob that a rendition leaves is removed by the sweeper.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_renditions as _store
from isocenter.domain.archive.model_renditions import (
    MadeRendition,
    Rendition,
    RenditionTotals,
    Unrendered,
)
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx

# A worker that died with a series in its hands gives it back after this time.
_CLAIM: Final = timedelta(minutes=10)


def want_renditions(
    tx: Tx, actor: Actor, study_instance_uid: str, modalities: Sequence[str], *, now: datetime
) -> int:
    """How many of the study's series of these modalities are to be looked at that were not."""
    authorize(actor, Action.STUDY_STORE)
    return _store.want_study(tx, study_instance_uid, modalities, now)


def want_all_renditions(tx: Tx, actor: Actor, modalities: Sequence[str], *, now: datetime) -> int:
    """How many series of all complete studies are to be looked at that were not."""
    authorize(actor, Action.PEER_WRITE)  # whoever answers for the installation
    return _store.want_all(tx, modalities, now)


def discard_all_renditions(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """How many renditions there were: none is served any more, and the sweeper takes the blobs."""
    authorize(actor, Action.PEER_WRITE)
    count = _store.forget_all(tx)
    entry = AuditEntry(
        action="rendition.discard",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="archive",
        object_id="",
        detail={"renditions": count},
    )
    record(tx, entry, now=now)
    return count


def next_series(tx: Tx, actor: Actor, *, now: datetime) -> int | None:
    """The key of a series to make renditions for; it is the caller's for ten minutes."""
    authorize(actor, Action.STUDY_STORE)
    return _store.claim(tx, now=now, until=now + _CLAIM)


def unrendered(tx: Tx, actor: Actor, series_key: int, *, limit: int) -> Sequence[Unrendered]:
    """Instances of the series that nothing was made of yet."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.unrendered(tx, series_key, limit=limit)


def record_renditions(
    tx: Tx, actor: Actor, series_key: int, made: Sequence[MadeRendition], *, now: datetime
) -> set[int]:
    """Keys of the instances that have these renditions from now on; the series stays the caller's.

    Others have gone or changed: their renditions are of no use.
    """
    authorize(actor, Action.STUDY_STORE)
    _store.hold(tx, series_key, until=now + _CLAIM)
    return set(_store.record(tx, made, now=now))


def settle_series(tx: Tx, actor: Actor, series_key: int) -> bool:
    """Whether nothing is left to do for the series, which then is due no more."""
    authorize(actor, Action.STUDY_STORE)
    return _store.settle(tx, series_key)


def put_off_series(tx: Tx, actor: Actor, series_key: int, *, due_at: datetime) -> None:
    """Give the series back; whoever is free takes it up at ``due_at``."""
    authorize(actor, Action.STUDY_STORE)
    _store.put_off(tx, series_key, due_at=due_at)


def renditions_of(tx: Tx, viewer: Viewer, sop_instance_uids: Sequence[str]) -> dict[str, Rendition]:
    """The renditions of those instances that have one, by SOP Instance UID."""
    viewer.require(Action.STUDY_READ)
    return {each.sop_instance_uid: each for each in _store.of_instances(tx, sop_instance_uids)}


def rendered_series(tx: Tx, viewer: Viewer, study_instance_uid: str) -> Sequence[str]:
    """The UIDs of the study's series of which every instance has a rendition."""
    viewer.require(Action.STUDY_READ)
    return _store.whole_series(tx, study_instance_uid)


def renditions_beside(tx: Tx, actor: Actor, blob_keys: Sequence[str]) -> Sequence[Rendition]:
    """The renditions that were made of the originals in these blobs."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.of_blobs(tx, blob_keys)


def remake(tx: Tx, actor: Actor, blob_keys: Sequence[str], *, now: datetime) -> None:
    """Serve these renditions no more, and have them made again."""
    authorize(actor, Action.STUDY_STORE)
    _store.forget(tx, blob_keys, now=now)


def misplaced_renditions(tx: Tx, actor: Actor, study_instance_uid: str) -> Sequence[Rendition]:
    """Renditions of the study that do not lie in the store of their originals."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.misplaced(tx, study_instance_uid)


def rendition_totals(tx: Tx, viewer: Viewer) -> RenditionTotals:
    """How many there are, how much room they take, and how much is left to do."""
    viewer.require(Action.SYSTEM_READ)
    return _store.totals(tx)
