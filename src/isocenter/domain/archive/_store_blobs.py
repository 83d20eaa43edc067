"""The SQL of blobs: which rows name which, which hold the same bytes, which nobody names.

One function is one statement, or several that change one thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model import InstanceIdentity
from isocenter.infra.db import Tx

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


# Asked key by key: as a join, all names of some of the view's tables would be read for a few keys.
_UNREFERENCED = """
select key from unnest(%s::text[]) as given (key)
 where coalesce((select false from archive.named_blob where blob_key = key limit 1), true)
"""


def unreferenced(tx: Tx, blob_keys: Sequence[str]) -> list[str]:
    """Those of the keys that no row names."""
    return tx.values(_UNREFERENCED, (list(blob_keys),))


_HELD = """
select blob_key from archive.stored_object
 where sop_instance_uid = %s and sha256 = %s and blob_key <> %s
"""


def held_elsewhere(tx: Tx, sop_instance_uid: str, sha256: bytes, blob_key: str) -> list[str]:
    """Keys of the other blobs that should hold the same bytes of the same instance."""
    return tx.values(_HELD, (sop_instance_uid, sha256, blob_key))


_UNKNOWN = """
select key from unnest(%s::text[]) as given (key)
 where coalesce((select false from archive.named_blob where blob_key = key limit 1), true)
   and not exists (select from archive.orphan where blob_key = key)
"""
_NOTE_ORPHAN = """
insert into archive.orphan (blob_key, sop_instance_uid, study_instance_uid, found_at)
values (%s, %s, %s, %s) on conflict do nothing
"""
_FORGET_ADOPTED = """
delete from archive.orphan
 where (select true from archive.named_blob where named_blob.blob_key = orphan.blob_key limit 1)
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


_FOLLOW_ORIGINAL = """
update archive.object_copy set blob_key = %(by)s
 where blob_key = %(key)s and copy_blob_key <> %(key)s
"""


def name_instead(tx: Tx, blob_key: str, by: str) -> None:
    """Name another blob as the object, whose copies follow it."""
    for statement in (_REPLACE_INSTANCE, _REPLACE_CONFLICT):
        tx.run(statement, (by, blob_key))
    tx.run(_FOLLOW_ORIGINAL, {"key": blob_key, "by": by})
