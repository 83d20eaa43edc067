"""The SQL of renditions. One function is one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.archive.model_renditions import (
    MadeRendition,
    Rendition,
    RenditionTotals,
    Unrendered,
)
from isocenter.infra.db import Tx, jsonb

_WANT_STUDY = """
insert into archive.rendition_due (series_key, due_at)
select series_key, %s from archive.series join archive.study using (study_key)
 where study_instance_uid = %s and modality = any(%s)
 order by series_key
on conflict (series_key) do nothing
"""
_WANT_ALL = """
insert into archive.rendition_due (series_key, due_at)
select series_key, %s from archive.series join archive.study using (study_key)
 where completed_at is not null and modality = any(%s)
 order by series_key
on conflict (series_key) do nothing
"""


def want_study(tx: Tx, study_instance_uid: str, modalities: Sequence[str], now: datetime) -> int:
    """How many series of the study are due now that were not."""
    return tx.run(_WANT_STUDY, (now, study_instance_uid, list(modalities)))


def want_all(tx: Tx, modalities: Sequence[str], now: datetime) -> int:
    """How many series of complete studies are due now that were not."""
    return tx.run(_WANT_ALL, (now, list(modalities)))


_CLAIM = """
update archive.rendition_due set claimed_until = %(until)s
 where series_key = (
       select series_key from archive.rendition_due
        where due_at <= %(now)s and (claimed_until is null or claimed_until < %(now)s)
        order by due_at, series_key limit 1 for update skip locked)
returning series_key
"""
_HOLD = "update archive.rendition_due set claimed_until = %s where series_key = %s"
_PUT_OFF = """
update archive.rendition_due set claimed_until = null, due_at = %s where series_key = %s
"""
_UNRENDERED = """
select instance_key, instance.blob_key, instance.size_bytes, instance.sha256
  from archive.instance left join archive.rendition using (instance_key)
 where series_key = %s and source_sha256 is distinct from instance.sha256
 order by instance_number nulls last, instance_key limit %s
"""
# An instance that came meanwhile keeps its series due.
_SETTLE = """
delete from archive.rendition_due
 where series_key = %(series)s
   and not exists (select from archive.instance left join archive.rendition using (instance_key)
                    where series_key = %(series)s
                      and source_sha256 is distinct from instance.sha256)
"""


def claim(tx: Tx, *, now: datetime, until: datetime) -> int | None:
    """The key of the series that is due longest, kept for the caller until then."""
    found: list[int] = tx.values(_CLAIM, {"now": now, "until": until})
    return found[0] if found else None


def hold(tx: Tx, series_key: int, *, until: datetime) -> None:
    """Keep the series for the caller longer."""
    tx.run(_HOLD, (until, series_key))


def put_off(tx: Tx, series_key: int, *, due_at: datetime) -> None:
    """Let the series be until then."""
    tx.run(_PUT_OFF, (due_at, series_key))


def unrendered(tx: Tx, series_key: int, *, limit: int) -> list[Unrendered]:
    """Instances of the series of which nothing was made yet, as people look at them."""
    return tx.all(Unrendered, _UNRENDERED, (series_key, limit))


def settle(tx: Tx, series_key: int) -> bool:
    """Whether nothing is left to do for the series, which is due no more."""
    return tx.run(_SETTLE, {"series": series_key}) > 0


_RECORD = """
insert into archive.rendition as known (
    instance_key, source_sha256, blob_key, size_bytes, sha256, frame_ranges, obstacle, made_at)
select instance_key, source_sha256, given.blob_key, given.size_bytes, given.sha256,
       given.frame_ranges, given.obstacle, %(now)s
  from jsonb_to_recordset(%(made)s) as given (
       instance_key bigint, source_sha256 bytea, blob_key text, size_bytes bigint, sha256 bytea,
       frame_ranges bytea, obstacle text)
  join archive.instance using (instance_key)
 where instance.sha256 = source_sha256
 order by instance_key
   for key share of instance
on conflict (instance_key) do update
   set source_sha256 = excluded.source_sha256, blob_key = excluded.blob_key,
       size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
       frame_ranges = excluded.frame_ranges, obstacle = excluded.obstacle,
       made_at = excluded.made_at
returning instance_key
"""


def record(tx: Tx, made: Sequence[MadeRendition], *, now: datetime) -> list[int]:
    """Keys of the instances that have these renditions now; others are gone or have other bytes."""
    rows: list[dict[str, Any]] = [
        {
            "instance_key": each.instance_key,
            "source_sha256": _octets(each.source_sha256),
            "blob_key": each.blob_key,
            "size_bytes": each.size_bytes,
            "sha256": _octets(each.sha256),
            "frame_ranges": _octets(each.frame_ranges),
            "obstacle": each.obstacle,
        }
        for each in made
    ]
    return tx.values(_RECORD, {"made": jsonb(rows), "now": now})


def _octets(value: bytes | None) -> str | None:
    """The form of a ``bytea`` in a JSON parameter."""
    return None if value is None else "\\x" + value.hex()


_OF_INSTANCES = """
select instance_key, sop_instance_uid, rendition.blob_key, rendition.size_bytes, rendition.sha256,
       rendition.frame_ranges
  from archive.instance join archive.rendition using (instance_key)
 where sop_instance_uid = any(%s) and source_sha256 = instance.sha256
   and rendition.blob_key is not null
"""
_OF_BLOBS = """
select instance_key, sop_instance_uid, rendition.blob_key, rendition.size_bytes, rendition.sha256,
       rendition.frame_ranges
  from archive.instance join archive.rendition using (instance_key)
 where instance.blob_key = any(%s) and rendition.blob_key is not null
"""


def of_instances(tx: Tx, sop_instance_uids: Sequence[str]) -> list[Rendition]:
    """The renditions of the instances that have one."""
    return tx.all(Rendition, _OF_INSTANCES, (list(sop_instance_uids),))


def of_blobs(tx: Tx, blob_keys: Sequence[str]) -> list[Rendition]:
    """The renditions of the instances that are in these blobs."""
    return tx.all(Rendition, _OF_BLOBS, (list(blob_keys),))


_WHOLE_SERIES = """
select series_instance_uid
  from archive.study join archive.series using (study_key)
  join archive.instance using (series_key) left join archive.rendition using (instance_key)
 where study_instance_uid = %s
 group by series_instance_uid
having bool_and(rendition.blob_key is not null and source_sha256 = instance.sha256)
 order by series_instance_uid
"""


def whole_series(tx: Tx, study_instance_uid: str) -> list[str]:
    """The UIDs of the study's series of which every instance has a rendition."""
    return tx.values(_WHOLE_SERIES, (study_instance_uid,))


_FORGET = """
with gone as (
    delete from archive.rendition where blob_key = any(%(keys)s) returning instance_key
)
insert into archive.rendition_due (series_key, due_at)
select distinct series_key, %(now)s::timestamptz
  from gone join archive.instance using (instance_key)
on conflict (series_key) do nothing
"""
_FORGET_ALL = "delete from archive.rendition"
_FORGET_DUE = "delete from archive.rendition_due"


def forget(tx: Tx, blob_keys: Sequence[str], *, now: datetime) -> None:
    """Name these renditions no more, and have them made again."""
    tx.run(_FORGET, {"keys": list(blob_keys), "now": now})


def forget_all(tx: Tx) -> int:
    """How many renditions there were; none are left, nor to be made."""
    tx.run(_FORGET_DUE)
    return tx.run(_FORGET_ALL)


_MISPLACED = """
select instance_key, sop_instance_uid, rendition.blob_key, rendition.size_bytes, rendition.sha256,
       rendition.frame_ranges
  from archive.study join archive.series using (study_key)
  join archive.instance using (series_key) join archive.rendition using (instance_key)
 where study_instance_uid = %s and rendition.blob_key is not null
   and case when strpos(rendition.blob_key, ':') > 0
            then split_part(rendition.blob_key, ':', 1) else 'main' end
    <> case when strpos(instance.blob_key, ':') > 0
            then split_part(instance.blob_key, ':', 1) else 'main' end
"""


def misplaced(tx: Tx, study_instance_uid: str) -> list[Rendition]:
    """Renditions of the study that are in another store than their originals."""
    return tx.all(Rendition, _MISPLACED, (study_instance_uid,))


_TOTALS = """
select count(blob_key)::bigint as renditions,
       coalesce(sum(size_bytes), 0)::bigint as size_bytes,
       count(obstacle)::bigint as impossible,
       (select count(*) from archive.rendition_due)::bigint as series_due
  from archive.rendition
"""


def totals(tx: Tx) -> RenditionTotals:
    """How many there are and how much is left to do."""
    return tx.one(RenditionTotals, _TOTALS)
