"""The SQL of what must not be lost: objects to be read back, passes, findings, copies, placement.

One function is one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model import InstanceIdentity
from isocenter.domain.archive.model_integrity import (
    Finding,
    Misplaced,
    ObjectKind,
    ScrubPass,
    StoredObject,
)
from isocenter.infra.db import Tx

_UNDER_WAY_LOCKED = """
select pass_key, started_at, finished_at, kind, after_key, claimed_until, objects_total, objects,
       bytes, faults, repaired, trouble
  from archive.scrub_pass where finished_at is null
   for update
"""
_NEWEST_FINISHED = """
select pass_key, started_at, finished_at, kind, after_key, claimed_until, objects_total, objects,
       bytes, faults, repaired, trouble
  from archive.scrub_pass where finished_at is not null order by pass_key desc limit 1
"""
_UNDER_WAY = """
select pass_key, started_at, finished_at, kind, after_key, claimed_until, objects_total, objects,
       bytes, faults, repaired, trouble
  from archive.scrub_pass where finished_at is null
"""
_BEGIN = """
insert into archive.scrub_pass (started_at, objects_total) values (%s, %s) on conflict do nothing
"""


def locked_pass(tx: Tx) -> ScrubPass | None:
    """The pass that is under way, locked."""
    return tx.maybe(ScrubPass, _UNDER_WAY_LOCKED)


def current_pass(tx: Tx) -> ScrubPass | None:
    """The pass that is under way."""
    return tx.maybe(ScrubPass, _UNDER_WAY)


def last_pass(tx: Tx) -> ScrubPass | None:
    """The newest pass that is finished."""
    return tx.maybe(ScrubPass, _NEWEST_FINISHED)


def begin_pass(tx: Tx, *, objects_total: int, now: datetime) -> None:
    """Begin a pass, unless one is under way."""
    tx.run(_BEGIN, (now, objects_total))


# The planner's own count: an exact one reads the whole index.
_ABOUT = """
select coalesce(sum(greatest(reltuples, 0)), 0)::bigint
  from pg_class
 where oid in ('archive.instance'::regclass, 'archive.conflicting_instance'::regclass,
               'archive.object_copy'::regclass)
"""
_COUNT = """
select (select count(*) from archive.instance)
     + (select count(*) from archive.conflicting_instance)
     + (select count(*) from archive.object_copy)
"""


def about_how_many(tx: Tx) -> int:
    """About how many objects and copies there are; 0 when the database has not counted yet."""
    return tx.value(_ABOUT)


def how_many(tx: Tx) -> int:
    """How many objects and copies there are."""
    return tx.value(_COUNT)


_INSTANCES = """
select 'instance' as kind, instance_key as object_key, blob_key, size_bytes, sha256,
       sop_instance_uid, study_instance_uid
  from archive.instance join archive.series using (series_key) join archive.study using (study_key)
 where instance_key > %s order by instance_key limit %s
"""
_CONFLICTS = """
select 'conflict' as kind, conflict_key as object_key, blob_key, size_bytes, sha256,
       sop_instance_uid, study_instance_uid
  from archive.conflicting_instance
 where conflict_key > %s order by conflict_key limit %s
"""
_COPIES = """
select 'copy' as kind, copy_key as object_key, copy_blob_key as blob_key, size_bytes, sha256,
       sop_instance_uid, study_instance_uid
  from archive.object_copy copy
 cross join lateral (
       select * from archive.stored_object where stored_object.blob_key = copy.blob_key limit 1
       ) original
 where copy_key > %s order by copy_key limit %s
"""


def objects(tx: Tx, kind: ObjectKind, *, after: int, limit: int) -> list[StoredObject]:
    """The next objects of a kind, by key."""
    match kind:
        case ObjectKind.INSTANCE:
            statement = _INSTANCES
        case ObjectKind.CONFLICT:
            statement = _CONFLICTS
        case ObjectKind.COPY:
            statement = _COPIES
    return tx.all(StoredObject, statement, (after, limit))


_CLAIM = """
update archive.scrub_pass set kind = %s, after_key = %s, claimed_until = %s where pass_key = %s
"""
_ADVANCE = """
update archive.scrub_pass
   set kind = %(kind)s, after_key = %(after_key)s, claimed_until = null, trouble = null,
       objects = objects + %(objects)s, bytes = bytes + %(bytes)s, faults = faults + %(faults)s
 where pass_key = %(pass_key)s and finished_at is null
   and (kind, after_key) is not distinct from (%(kind)s, %(before_key)s)
"""
_FINISH = "update archive.scrub_pass set finished_at = %s, claimed_until = null where pass_key = %s"
_COUNT_REPAIR = "update archive.scrub_pass set repaired = repaired + 1 where finished_at is null"
_TROUBLE = """
update archive.scrub_pass set trouble = %s, claimed_until = null where finished_at is null
"""


def claim_portion(
    tx: Tx, pass_key: int, kind: ObjectKind, after_key: int, *, until: datetime
) -> None:
    """Keep the portion behind ``after_key`` for the caller until then."""
    tx.run(_CLAIM, (kind, after_key, until, pass_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a portion brought the pass."""

    pass_key: int
    kind: ObjectKind
    before_key: int
    after_key: int
    objects: int
    bytes: int
    faults: int


def advance(tx: Tx, progress: Progress) -> None:
    """Note a portion as read; does nothing when another did so first."""
    tx.run(_ADVANCE, {name: getattr(progress, name) for name in progress.__dataclass_fields__})


def finish_pass(tx: Tx, pass_key: int, *, now: datetime) -> None:
    """Everything has been read."""
    tx.run(_FINISH, (now, pass_key))


def count_repair(tx: Tx) -> None:
    """The pass that is under way has repaired one more."""
    tx.run(_COUNT_REPAIR)


def note_trouble(tx: Tx, trouble: str) -> None:
    """Why the pass does not get on."""
    tx.run(_TROUBLE, (trouble,))


_FIND = """
insert into archive.integrity_finding as known (
    kind, blob_key, fault, detail, sop_instance_uid, study_instance_uid, found_at)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (blob_key) where settled_at is null
   do update set fault = excluded.fault, detail = excluded.detail
returning xmax = 0
"""
_SETTLE = """
update archive.integrity_finding set settled_at = %s, settled_by = %s, settlement = %s
 where settled_at is null and blob_key = any(%s)
"""
_FINDINGS = """
select finding_key, kind, blob_key, fault, detail, sop_instance_uid, study_instance_uid, found_at,
       settled_at, settled_by, settlement
  from archive.integrity_finding
 where (settled_at is null or not %(only_open)s)
   and (%(finding_key)s::bigint is null or finding_key = %(finding_key)s)
 order by settled_at is not null, found_at desc, finding_key desc limit %(limit)s
"""


def find(tx: Tx, stored: StoredObject, fault: str, detail: str, *, now: datetime) -> bool:
    """Whether the fault is new; one that is known is restated."""
    return tx.value(
        _FIND,
        (
            stored.kind,
            stored.blob_key,
            fault,
            detail,
            stored.sop_instance_uid,
            stored.study_instance_uid,
            now,
        ),
    )


def settle(tx: Tx, blob_keys: Sequence[str], settlement: str, *, by: str, now: datetime) -> int:
    """How many open findings about these blobs are settled now."""
    return tx.run(_SETTLE, (now, by, settlement, list(blob_keys)))


def findings(
    tx: Tx, *, limit: int, only_open: bool = False, finding_key: int | None = None
) -> list[Finding]:
    """Findings, the open ones first, each newest first."""
    return tx.all(
        Finding,
        _FINDINGS,
        {"limit": limit, "only_open": only_open, "finding_key": finding_key},
    )


_OPEN_BY_FAULT = """
select fault, count(*) from archive.integrity_finding where settled_at is null group by fault
"""


@dataclass(frozen=True, slots=True)
class FaultCount:
    """How many open findings say so."""

    fault: str
    count: int


def open_by_fault(tx: Tx) -> list[FaultCount]:
    """How many findings are open, by what is wrong."""
    return tx.all(FaultCount, _OPEN_BY_FAULT)


_OPEN_OBJECTS = """
select finding.kind, 0 as object_key, finding.blob_key, size_bytes, sha256,
       finding.sop_instance_uid, finding.study_instance_uid
  from archive.integrity_finding finding
 cross join lateral (
       select size_bytes, sha256 from archive.stored_object
        where stored_object.blob_key = finding.blob_key
           or stored_object.blob_key = (select blob_key from archive.object_copy
                                         where copy_blob_key = finding.blob_key) limit 1) stored
 where settled_at is null and (%(blob_key)s::text is null or finding.blob_key = %(blob_key)s)
 order by finding_key limit %(limit)s
"""


def open_objects(tx: Tx, *, limit: int, blob_key: str | None = None) -> list[StoredObject]:
    """What open findings are about and still named by the archive, the longest open first."""
    return tx.all(StoredObject, _OPEN_OBJECTS, {"limit": limit, "blob_key": blob_key})


_SAME_BYTES = """
select copy_blob_key from archive.object_copy
 where blob_key = %(key)s
    or blob_key = (select blob_key from archive.object_copy where copy_blob_key = %(key)s)
union
select blob_key from archive.object_copy where copy_blob_key = %(key)s
"""


def same_bytes(tx: Tx, blob_key: str) -> list[str]:
    """Keys of all other blobs that hold, or should hold, the bytes of this one."""
    return [each for each in tx.values(_SAME_BYTES, {"key": blob_key}) if each != blob_key]


_REPLACE_INSTANCE = "update archive.instance set blob_key = %s where blob_key = %s"
_REPLACE_CONFLICT = "update archive.conflicting_instance set blob_key = %s where blob_key = %s"
_REPLACE_COPY = "update archive.object_copy set copy_blob_key = %s where copy_blob_key = %s"
_REPLACE_COPIED = "update archive.object_copy set blob_key = %s where blob_key = %s"


def replace_blob(tx: Tx, blob_key: str, by: str) -> int:
    """How many rows named the blob and name the other one from now on."""
    changed = 0
    for statement in (_REPLACE_INSTANCE, _REPLACE_CONFLICT, _REPLACE_COPY):
        changed += tx.run(statement, (by, blob_key))
    tx.run(_REPLACE_COPIED, (by, blob_key))
    return changed


_UNREFERENCED = """
select key from unnest(%s::text[]) as given (key)
 where not exists (select from archive.named_blob where blob_key = key)
"""


def unreferenced(tx: Tx, blob_keys: Sequence[str]) -> list[str]:
    """Those of the keys that no row names."""
    return tx.values(_UNREFERENCED, (list(blob_keys),))


_HELD = """
select exists (select from archive.stored_object
                where sop_instance_uid = %s and sha256 = %s and blob_key <> %s)
"""


def is_held_elsewhere(tx: Tx, sop_instance_uid: str, sha256: bytes, blob_key: str) -> bool:
    """Whether another blob that a row names holds the same bytes of the same instance."""
    return tx.value(_HELD, (sop_instance_uid, sha256, blob_key))


_UNKNOWN = """
select key from unnest(%s::text[]) as given (key)
 where not exists (select from archive.named_blob where blob_key = key)
   and not exists (select from archive.orphan where blob_key = key)
"""
_NOTE_ORPHAN = """
insert into archive.orphan (blob_key, sop_instance_uid, study_instance_uid, found_at)
values (%s, %s, %s, %s) on conflict do nothing
"""
_FORGET_ADOPTED = """
delete from archive.orphan
 where exists (select from archive.named_blob where named_blob.blob_key = orphan.blob_key)
"""
_COUNT_ORPHANS = "select count(*) from archive.orphan"


def unknown(tx: Tx, blob_keys: Sequence[str]) -> list[str]:
    """Those of the keys that no row names, not even as an orphan."""
    return tx.values(_UNKNOWN, (list(blob_keys),))


def note_orphan(tx: Tx, blob_key: str, identity: InstanceIdentity, *, now: datetime) -> None:
    """Note an object that the archive does not know."""
    tx.run(_NOTE_ORPHAN, (blob_key, identity.sop_instance_uid, identity.study_instance_uid, now))


def forget_adopted_orphans(tx: Tx) -> None:
    """Forget the orphans that the archive knows by now."""
    tx.run(_FORGET_ADOPTED)


def count_orphans(tx: Tx) -> int:
    """How many objects are known to lie in the stores without the archive knowing them."""
    return tx.value(_COUNT_ORPHANS)


_NOTE_FOUND_COPY = """
insert into archive.object_copy (blob_key, store, copy_blob_key, copied_at)
select blob_key, %(store)s, %(copy)s, %(now)s from archive.stored_object
 where sop_instance_uid = %(uid)s and sha256 = %(sha256)s and blob_key <> %(copy)s
   and case when strpos(blob_key, ':') > 0 then split_part(blob_key, ':', 1) else 'main' end
       <> %(store)s
 limit 1
on conflict do nothing
"""


def note_found_copy(
    tx: Tx, sop_instance_uid: str, sha256: bytes, copy: str, store: str, *, now: datetime
) -> None:
    """Note a blob as the copy of the object in another store that has the same bytes."""
    params = {"uid": sop_instance_uid, "sha256": sha256, "copy": copy, "store": store, "now": now}
    tx.run(_NOTE_FOUND_COPY, params)


_RESTORE_TIMES = """
update archive.study set first_received_at = held.first_at, last_received_at = held.last_at
  from (select study_key, min(received_at) as first_at, max(received_at) as last_at
          from archive.study join archive.series using (study_key)
          join archive.instance using (series_key)
         where study_instance_uid = any(%s) group by study_key) held
 where study.study_key = held.study_key
"""
_RESTORE_SERIES_TIMES = """
update archive.series set first_received_at = held.first_at, last_received_at = held.last_at
  from (select series_key, min(received_at) as first_at, max(received_at) as last_at
          from archive.study join archive.series using (study_key)
          join archive.instance using (series_key)
         where study_instance_uid = any(%s) group by series_key) held
 where series.series_key = held.series_key
"""


def restore_times(tx: Tx, study_instance_uids: Sequence[str]) -> None:
    """Let studies begin and end with their instances, whenever those were taken in."""
    tx.run(_RESTORE_TIMES, (list(study_instance_uids),))


def restore_series_times(tx: Tx, study_instance_uids: Sequence[str]) -> None:
    """As ``restore_times``, of the series of these studies."""
    tx.run(_RESTORE_SERIES_TIMES, (list(study_instance_uids),))


@dataclass(frozen=True, slots=True)
class HeldDigest:
    """Bytes that are held under a SOP Instance UID."""

    sop_instance_uid: str
    size_bytes: int
    sha256: bytes


_HELD_DIGESTS = """
select sop_instance_uid, size_bytes, sha256 from archive.stored_object
 where sop_instance_uid = any(%s)
"""


def held_digests(tx: Tx, sop_instance_uids: Sequence[str]) -> list[HeldDigest]:
    """What bytes are held under these SOP Instance UIDs."""
    return tx.all(HeldDigest, _HELD_DIGESTS, (list(sop_instance_uids),))


_LOCK_STUDY = "select study_key from archive.study where study_instance_uid = %s for update"
_PLACE = """
insert into archive.placement as known (study_instance_uid, store, placed_at, placed_by)
values (%s, %s, %s, %s)
on conflict (study_instance_uid)
   do update set store = excluded.store, placed_at = excluded.placed_at,
                 placed_by = excluded.placed_by
"""


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
_FOLLOW_ORIGINAL = """
update archive.object_copy set blob_key = %(by)s
 where blob_key = %(key)s and copy_blob_key <> %(key)s
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


def name_instead(tx: Tx, blob_key: str, by: str) -> None:
    """Name another blob as the object, whose copies follow it."""
    for statement in (_REPLACE_INSTANCE, _REPLACE_CONFLICT):
        tx.run(statement, (by, blob_key))
    tx.run(_FOLLOW_ORIGINAL, {"key": blob_key, "by": by})


def note_copy(tx: Tx, blob_key: str, store: str, copy_blob_key: str, *, now: datetime) -> bool:
    """Whether the blob is the copy of the object in that store now."""
    params = {"key": blob_key, "store": store, "copy": copy_blob_key, "now": now}
    return tx.run(_NOTE_COPY, params) > 0
