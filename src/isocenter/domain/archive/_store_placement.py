"""The SQL of where objects belong, and of their copies. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model_integrity import Misplaced, ObjectKind, StoredObject
from isocenter.infra.db import Tx

_LOCK_STUDY = "select study_key from archive.study where study_instance_uid = %s for update"
_PLACE = """
insert into archive.placement as known (study_instance_uid, store, placed_at, placed_by)
values (%s, %s, %s, %s)
on conflict (study_instance_uid)
   do update set store = excluded.store, placed_at = excluded.placed_at,
                 placed_by = excluded.placed_by
"""


_PLACE_WHERE_ALL_IS = """
with kept as (
    select study_instance_uid,
           case when strpos(blob_key, ':') > 0 then split_part(blob_key, ':', 1) else 'main' end
               as store
      from archive.stored_object
)
insert into archive.placement (study_instance_uid, store, placed_at, placed_by)
select study_instance_uid, min(store), %(now)s, %(by)s from kept
 group by study_instance_uid
having count(distinct store) = 1 and not min(store) = any(%(but)s)
on conflict (study_instance_uid) do nothing
"""


def place_where_all_is(tx: Tx, *, but: Sequence[str], by: str, now: datetime) -> int:
    """How many studies are placed now where all of their objects are, unless in one of ``but``."""
    return tx.run(_PLACE_WHERE_ALL_IS, {"but": list(but), "by": by, "now": now})


def lock_study(tx: Tx, study_instance_uid: str) -> bool:
    """Whether there is such a study, now locked."""
    return tx.value(_LOCK_STUDY, (study_instance_uid,)) is not None


def place(tx: Tx, study_instance_uid: str, store: str, *, by: str, now: datetime) -> None:
    """Note where the study belongs."""
    tx.run(_PLACE, (study_instance_uid, store, now, by))


@dataclass(frozen=True, slots=True, kw_only=True)
class _MisplacedRow:
    kind: str
    object_key: int
    blob_key: str
    size_bytes: int
    sha256: bytes
    sop_instance_uid: str
    study_instance_uid: str
    store: str
    copy_blob_key: str | None


_MISPLACED = """
select object.kind, object_key, object.blob_key, size_bytes, sha256, sop_instance_uid,
       study_instance_uid, placement.store, copy.copy_blob_key
  from archive.placement join archive.stored_object object using (study_instance_uid)
  left join archive.object_copy copy
    on copy.blob_key = object.blob_key and copy.store = placement.store
 where study_instance_uid = %s
   and placement.store <> case when strpos(object.blob_key, ':') > 0
                               then split_part(object.blob_key, ':', 1) else 'main' end
 order by object.kind, object_key limit %s
"""


def misplaced(tx: Tx, study_instance_uid: str, *, limit: int) -> list[Misplaced]:
    """Objects that are not in the store where their study belongs."""
    return [
        Misplaced(
            StoredObject(
                kind=ObjectKind(each.kind),
                object_key=each.object_key,
                blob_key=each.blob_key,
                size_bytes=each.size_bytes,
                sha256=each.sha256,
                sop_instance_uid=each.sop_instance_uid,
                study_instance_uid=each.study_instance_uid,
            ),
            each.store,
            each.copy_blob_key,
        )
        for each in tx.all(_MisplacedRow, _MISPLACED, (study_instance_uid, limit))
    ]


_UNCOPIED = """
select kind, object_key, blob_key, size_bytes, sha256, sop_instance_uid, study_instance_uid
  from archive.stored_object object
 where (%(study)s::text is null or study_instance_uid = %(study)s)
   and %(store)s <> case when strpos(blob_key, ':') > 0
                         then split_part(blob_key, ':', 1) else 'main' end
   and not exists (select from archive.object_copy copy
                    where copy.blob_key = object.blob_key and copy.store = %(store)s)
   and not exists (select from archive.integrity_finding finding
                    where finding.blob_key = object.blob_key and settled_at is null)
 order by kind, object_key limit %(limit)s
"""
_TURN_COPY = """
update archive.object_copy
   set blob_key = %(copy)s, copy_blob_key = %(original)s,
       store = case when strpos(%(original)s, ':') > 0
                    then split_part(%(original)s, ':', 1) else 'main' end
 where copy_blob_key = %(copy)s and blob_key = %(original)s
"""
_NOTE_COPY = """
insert into archive.object_copy (blob_key, store, copy_blob_key, copied_at)
select %(key)s, %(store)s, %(copy)s, %(now)s
 where exists (select from archive.stored_object where blob_key = %(key)s)
on conflict do nothing
"""


def uncopied(
    tx: Tx, store: str, study_instance_uid: str | None, *, limit: int
) -> list[StoredObject]:
    """Objects that are neither in ``store`` nor copied there, without those that are damaged."""
    params = {"store": store, "study": study_instance_uid, "limit": limit}
    return tx.all(StoredObject, _UNCOPIED, params)


def turn_copy(tx: Tx, copy_blob_key: str, blob_key: str) -> bool:
    """Whether the copy is the original now, and the original its copy."""
    return tx.run(_TURN_COPY, {"copy": copy_blob_key, "original": blob_key}) > 0


def note_copy(tx: Tx, blob_key: str, store: str, copy_blob_key: str, *, now: datetime) -> bool:
    """Whether the blob is the copy of the object in that store now."""
    params = {"key": blob_key, "store": store, "copy": copy_blob_key, "now": now}
    return tx.run(_NOTE_COPY, params) > 0
