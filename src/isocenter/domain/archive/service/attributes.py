"""Attributes that an administrator has indexed, and the reading of all that was stored before.

A new attribute is built first: a worker goes through every series that is stored. From then on
searches know it. What comes later is indexed whenever a series' metadata is made, which is when its
study is complete; so admission costs nothing more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_attributes as _store
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_attributes import (
    ATTRIBUTES_MAX,
    AttributeKnown,
    AttributeRefused,
    IndexedAttribute,
    Model,
    NewAttribute,
    NoReindex,
    Reindex,
    ReindexError,
    ReindexState,
    SeriesValues,
    UnknownAttribute,
    series_values,
)
from isocenter.domain.archive.service.description import INDEXED_TAGS
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx

# A worker that died in the middle gives the work back after this time.
_CLAIM: Final = timedelta(minutes=10)
_ERRORS_PER_SERIES_MAX: Final = 100


def add_attribute(tx: Tx, actor: Actor, new: NewAttribute, *, now: datetime) -> int:
    """The key of the attribute, which is indexed from now on; all that is stored is read for it.

    Raises:
        AttributeKnown: it is indexed already.
        AttributeRefused: searches know it anyhow, or there are too many.
    """
    authorize(actor, Action.PEER_WRITE)  # whoever answers for the installation
    if new.tag in INDEXED_TAGS:
        raise AttributeRefused(f"searches know {new.name} without this")
    _store.keep_out(tx)
    if _store.count(tx) >= ATTRIBUTES_MAX:
        raise AttributeRefused(f"at most {ATTRIBUTES_MAX} attributes are indexed")
    key = _store.add(tx, new, by=actor.name, now=now)
    if key is None:
        raise AttributeKnown(f"{new.name} is indexed already")
    _audit(tx, actor, "attribute.add", new.name, now=now)
    _begin(tx, actor, now=now)
    return key


def remove_attribute(tx: Tx, actor: Actor, attribute_key: int, *, now: datetime) -> None:
    """Forget the attribute and its values; the objects keep theirs. Raises ``UnknownAttribute``."""
    authorize(actor, Action.PEER_WRITE)
    name = _store.remove(tx, attribute_key)
    if name is None:
        raise UnknownAttribute("no indexed attribute has this key")
    _audit(tx, actor, "attribute.remove", name, now=now)


def indexed_attributes(tx: Tx, viewer: Viewer) -> Sequence[IndexedAttribute]:
    """All attributes that were added, the oldest first."""
    viewer.require(Action.SYSTEM_READ)
    return _store.attributes(tx)


def begin_reindex(tx: Tx, actor: Actor, *, now: datetime) -> None:
    """Have everything that is stored read from the beginning; one that runs ends."""
    authorize(actor, Action.PEER_WRITE)
    _begin(tx, actor, now=now)
    _audit(tx, actor, "reindex.begin", "", now=now)


def cancel_reindex(tx: Tx, actor: Actor, *, now: datetime) -> None:
    """End the re-indexing; searches go on without what it was for. Raises ``NoReindex``."""
    authorize(actor, Action.PEER_WRITE)
    found = _store.newest_locked(tx)
    if found is None or found.state is not ReindexState.RUNNING:
        raise NoReindex("no re-indexing is running")
    _store.end(tx, found.reindex_key, ReindexState.CANCELLED, by=actor.name, now=now)
    _audit(tx, actor, "reindex.cancel", "", now=now)


def resume_reindex(tx: Tx, actor: Actor, *, now: datetime) -> None:
    """Go on with the re-indexing that was cancelled last, where it was. Raises ``NoReindex``."""
    authorize(actor, Action.PEER_WRITE)
    found = _store.newest_locked(tx)
    if found is None or found.state is not ReindexState.CANCELLED:
        raise NoReindex("no re-indexing was cancelled")
    _store.go_on(tx, found.reindex_key)
    _audit(tx, actor, "reindex.resume", "", now=now)


def newest_reindex(tx: Tx, viewer: Viewer) -> Reindex | None:
    """The re-indexing that is running, or the last one."""
    viewer.require(Action.SYSTEM_READ)
    return _store.newest(tx)


def reindex_errors(
    tx: Tx, viewer: Viewer, reindex_key: int, *, after: int = 0, limit: int
) -> Sequence[ReindexError]:
    """What it could not index, in the order in which it was found."""
    viewer.require(Action.SYSTEM_READ)
    return _store.errors_of(tx, reindex_key, after=after, limit=limit)


def next_portion(
    tx: Tx, actor: Actor, *, limit: int, now: datetime
) -> tuple[Reindex, Sequence[Series]] | None:
    """The series to be read next, the caller's for ten minutes; None when there is nothing to do.

    When all have been read the attributes are ready.
    """
    authorize(actor, Action.STUDY_STORE)
    if not _store.claim(tx, now=now, until=now + _CLAIM):
        return None
    found = _store.newest(tx)
    if found is None:
        return None
    series = _store.next_series(tx, found.after_key, limit=limit)
    if series:
        return found, series
    _store.end(tx, found.reindex_key, ReindexState.FINISHED, by=actor.name, now=now)
    _store.make_ready(tx)
    return None


def release_portion(tx: Tx, actor: Actor, reindex_key: int) -> None:
    """Give the work back: another may go on at once."""
    authorize(actor, Action.STUDY_STORE)
    _store.release(tx, reindex_key)


def record_reindexed(
    tx: Tx,
    actor: Actor,
    reindex_key: int,
    series: Series,
    *,
    errors: Sequence[ReindexError],
    now: datetime,
) -> bool:
    """Whether to go on, behind this series: False when somebody has cancelled it."""
    authorize(actor, Action.STUDY_STORE)
    _store.note(tx, reindex_key, errors)
    return _store.advance(
        tx,
        reindex_key,
        series,
        instances=series.number_of_instances,
        errors=len(errors),
        until=now + _CLAIM,
    )


def index_series(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    series_instance_uid: str,
    models: Sequence[Model],
) -> list[ReindexError]:
    """Put the values of the series' instances into the index; gives what could not be put there.

    ``models`` is the DICOM JSON of all its instances, in the order in which people look at them.
    """
    authorize(actor, Action.STUDY_STORE)
    known = _store.attributes_for_indexing(tx)
    if not known:
        return []
    place = _store.place(tx, study_instance_uid, series_instance_uid)
    if place is None:
        return []
    rows: list[dict[str, Any]] = []
    errors: list[ReindexError] = []
    for attribute in known:
        values, failed = series_values(models, attribute)
        rows += _rows(values, place)
        errors += [
            ReindexError(
                study_instance_uid=study_instance_uid,
                series_instance_uid=series_instance_uid,
                sop_instance_uid=uid,
                attribute=attribute.name,
                detail=detail,
            )
            for uid, detail in failed[:_ERRORS_PER_SERIES_MAX]
        ]
    _store.clear(tx, place.series_key)
    _store.put(tx, place.series_key, rows)
    return errors


def _rows(values: SeriesValues, place: _store.SeriesPlace) -> list[dict[str, Any]]:
    attribute = values.attribute
    entity_key = {"study": place.study_key, "series": place.series_key}.get(attribute.level)
    return [
        {
            "attribute_key": attribute.attribute_key,
            "entity_key": entity_key,
            "sop_instance_uid": uid,
            "position": position,
            "value": each.value,
            "matched": each.matched,
            "phonetic": each.phonetic,
            "number": None if each.number is None else str(each.number),
            "day": each.day and each.day.isoformat(),
            "time_of_day": each.time_of_day and each.time_of_day.isoformat(),
            "moment": each.moment and each.moment.isoformat(),
        }
        for uid, found in values.found
        for position, each in enumerate(found, 1)
    ]


def _begin(tx: Tx, actor: Actor, *, now: datetime) -> None:
    running = _store.newest_locked(tx)
    if running is not None and running.state is ReindexState.RUNNING:
        _store.end(tx, running.reindex_key, ReindexState.CANCELLED, by=actor.name, now=now)
    _store.begin(tx, by=actor.name, now=now)


def _audit(tx: Tx, actor: Actor, action: str, name: str, *, now: datetime) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="attribute",
        object_id=name,
    )
    record(tx, entry, now=now)
