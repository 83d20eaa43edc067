"""The SQL of attributes that an administrator has indexed. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_attributes import (
    IndexedAttribute,
    NewAttribute,
    Reindex,
    ReindexError,
)
from isocenter.infra.db import Tx, jsonb

# Whoever indexes a series holds a weaker lock until it is committed: an attribute is added when no
# series is being indexed that does not know of it.
_KEEP_OUT = "lock table archive.indexed_attribute in exclusive mode"
_COUNT = "select count(*) from archive.indexed_attribute"
_ADD = """
insert into archive.indexed_attribute (tag, private_creator, name, vr, level, added_at, added_by)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict do nothing
returning attribute_key
"""
_ALL = """
select attribute_key, tag, private_creator, name, vr, level, state, added_at, added_by
  from archive.indexed_attribute order by attribute_key
"""
_FOR_INDEXING = """
select attribute_key, tag, private_creator, name, vr, level, state, added_at, added_by
  from archive.indexed_attribute order by attribute_key
   for key share
"""
_REMOVE = "delete from archive.indexed_attribute where attribute_key = %s returning name"
_READY = "update archive.indexed_attribute set state = 'ready' where state = 'building'"


def keep_out(tx: Tx) -> None:
    """Let nobody index a series until the end of the transaction."""
    tx.run(_KEEP_OUT)


def count(tx: Tx) -> int:
    """How many attributes are indexed."""
    return tx.value(_COUNT)


def add(tx: Tx, new: NewAttribute, *, by: str, now: datetime) -> int | None:
    """The new attribute's key; None when it is there."""
    row = (new.tag, new.private_creator, new.name, new.vr, new.level, now, by)
    found: list[int] = tx.values(_ADD, row)
    return found[0] if found else None


def attributes(tx: Tx) -> list[IndexedAttribute]:
    """All indexed attributes."""
    return tx.all(IndexedAttribute, _ALL)


def attributes_for_indexing(tx: Tx) -> list[IndexedAttribute]:
    """All indexed attributes, none of which comes or goes until the end of the transaction."""
    return tx.all(IndexedAttribute, _FOR_INDEXING)


def remove(tx: Tx, attribute_key: int) -> str | None:
    """The name of the attribute that is gone with all its values; None when there was none."""
    found: list[str] = tx.values(_REMOVE, (attribute_key,))
    return found[0] if found else None


def make_ready(tx: Tx) -> int:
    """How many attributes searches know from now on."""
    return tx.run(_READY)


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """A series and its study, the series locked."""

    series_key: int
    study_key: int


_PLACE = """
select series_key, study_key from archive.series join archive.study using (study_key)
 where study_instance_uid = %s and series_instance_uid = %s
   for no key update of series
"""
_CLEAR = "delete from archive.attribute_value where series_key = %s"
_PUT = """
insert into archive.attribute_value (
    attribute_key, series_key, entity_key, position, value, matched, phonetic, number, day,
    time_of_day, moment)
select attribute_key, %(series)s, coalesce(entity_key, instance_key), position, value, matched,
       phonetic, number, day, time_of_day, moment
  from jsonb_to_recordset(%(values)s) as given (
       attribute_key bigint, entity_key bigint, sop_instance_uid text, position int, value text,
       matched text, phonetic text, number numeric, day date, time_of_day time,
       moment timestamptz)
  left join archive.instance
    -- An image that was split off another study is named by its bytes as it was there.
    on instance.sop_instance_uid = coalesce((
           select moved.sop_instance_uid
             from archive.split_instance moved join archive.instance shown using (sop_instance_uid)
            where moved.original_sop_instance_uid = given.sop_instance_uid
              and shown.series_key = %(series)s limit 1), given.sop_instance_uid)
   and instance.series_key = %(series)s
 where coalesce(entity_key, instance_key) is not null
on conflict do nothing
"""


def place(tx: Tx, study_instance_uid: str, series_instance_uid: str) -> SeriesPlace | None:
    """The series, locked; None when there is none."""
    return tx.maybe(SeriesPlace, _PLACE, (study_instance_uid, series_instance_uid))


def clear(tx: Tx, series_key: int) -> None:
    """Forget what was read in the series."""
    tx.run(_CLEAR, (series_key,))


def put(tx: Tx, series_key: int, values: Sequence[dict[str, Any]]) -> None:
    """Note values that were read in the series."""
    tx.run(_PUT, {"series": series_key, "values": jsonb(values)})


_NEWEST = """
select reindex_key, state, started_at, started_by, ended_at, ended_by, after_key, series_total,
       series, instances, errors
  from archive.reindex order by reindex_key desc limit 1
"""
_NEWEST_LOCKED = """
select reindex_key, state, started_at, started_by, ended_at, ended_by, after_key, series_total,
       series, instances, errors
  from archive.reindex order by reindex_key desc limit 1 for update
"""
_BEGIN = """
insert into archive.reindex (started_at, started_by, series_total)
select %s, %s, count(*) from archive.series
"""
_END = """
update archive.reindex
   set state = %s, ended_at = %s, ended_by = %s, claimed_until = null
 where reindex_key = %s and state = 'running'
"""
_GO_ON = """
update archive.reindex
   set state = 'running', ended_at = null, ended_by = null, claimed_until = null
 where reindex_key = %s
"""
_CLAIM = """
update archive.reindex set claimed_until = %(until)s
 where state = 'running' and (claimed_until is null or claimed_until < %(now)s)
returning reindex_key
"""
_RELEASE = "update archive.reindex set claimed_until = null where reindex_key = %s"
_NEXT = """
select study_instance_uid, series_instance_uid, modality, series_number, series_description,
       series.number_of_instances, series.last_received_at, metadata_blob_key, metadata_instances
  from archive.series join archive.study using (study_key)
 where series_key > %s order by series_key limit %s
"""
_ADVANCE = """
update archive.reindex
   set after_key = coalesce((select series_key from archive.series join archive.study
                             using (study_key)
                              where study_instance_uid = %(study)s
                                and series_instance_uid = %(series)s), after_key),
       series = series + 1, instances = instances + %(instances)s, errors = errors + %(errors)s,
       claimed_until = %(until)s
 where reindex_key = %(key)s and state = 'running'
"""
_NOTE = """
insert into archive.reindex_error (
    reindex_key, study_instance_uid, series_instance_uid, sop_instance_uid, attribute, detail)
values (%s, %s, %s, %s, %s, %s)
"""
_ERRORS = """
select study_instance_uid, series_instance_uid, sop_instance_uid, attribute, detail
  from archive.reindex_error where reindex_key = %s and error_key > %s order by error_key limit %s
"""


def newest(tx: Tx) -> Reindex | None:
    """The newest re-indexing."""
    return tx.maybe(Reindex, _NEWEST)


def newest_locked(tx: Tx) -> Reindex | None:
    """The newest re-indexing, locked."""
    return tx.maybe(Reindex, _NEWEST_LOCKED)


def begin(tx: Tx, *, by: str, now: datetime) -> None:
    """Begin one from the first series on."""
    tx.run(_BEGIN, (now, by))


def end(tx: Tx, reindex_key: int, state: str, *, by: str, now: datetime) -> None:
    """It runs no more."""
    tx.run(_END, (state, now, by, reindex_key))


def go_on(tx: Tx, reindex_key: int) -> None:
    """It runs again, where it was."""
    tx.run(_GO_ON, (reindex_key,))


def claim(tx: Tx, *, now: datetime, until: datetime) -> bool:
    """Whether one is running that is the caller's until then."""
    return bool(tx.values(_CLAIM, {"now": now, "until": until}))


def release(tx: Tx, reindex_key: int) -> None:
    """It is nobody's now."""
    tx.run(_RELEASE, (reindex_key,))


def next_series(tx: Tx, after_key: int, *, limit: int) -> list[Series]:
    """The next series by key."""
    return tx.all(Series, _NEXT, (after_key, limit))


def advance(
    tx: Tx, reindex_key: int, series: Series, *, instances: int, errors: int, until: datetime
) -> bool:
    """Whether it still runs, now behind this series."""
    params = {
        "key": reindex_key,
        "study": series.study_instance_uid,
        "series": series.series_instance_uid,
        "instances": instances,
        "errors": errors,
        "until": until,
    }
    return tx.run(_ADVANCE, params) > 0


def note(tx: Tx, reindex_key: int, errors: Sequence[ReindexError]) -> None:
    """Note what could not be indexed."""
    tx.run_many(
        _NOTE,
        [
            (
                reindex_key,
                each.study_instance_uid,
                each.series_instance_uid,
                each.sop_instance_uid,
                each.attribute,
                each.detail,
            )
            for each in errors
        ],
    )


def errors_of(tx: Tx, reindex_key: int, *, after: int, limit: int) -> list[ReindexError]:
    """What could not be indexed, in the order in which it was found."""
    return tx.all(ReindexError, _ERRORS, (reindex_key, after, limit))
