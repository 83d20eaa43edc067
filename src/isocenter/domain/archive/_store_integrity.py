"""The SQL of reading everything back: objects, passes, findings.

One function is one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model_integrity import (
    Finding,
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


_OBJECT_OF = """
select kind, object_key, blob_key, size_bytes, sha256, sop_instance_uid, study_instance_uid
  from archive.stored_object where blob_key = %s limit 1
"""


def object_of(tx: Tx, blob_key: str) -> StoredObject | None:
    """The instance or kept content that has its bytes in this blob."""
    return tx.maybe(StoredObject, _OBJECT_OF, (blob_key,))


def open_objects(tx: Tx, *, limit: int, blob_key: str | None = None) -> list[StoredObject]:
    """What open findings are about and still named by the archive, the longest open first."""
    return tx.all(StoredObject, _OPEN_OBJECTS, {"limit": limit, "blob_key": blob_key})
