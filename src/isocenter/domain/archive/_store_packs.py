"""The SQL of packs. One function is one statement, or several that change one thing."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.archive.model_packs import Exchange, PackTotals, Unpacked
from isocenter.infra.db import Tx

_WANT_STUDY = """
insert into archive.pack_due (series_key, due_at)
select series_key, %s from archive.series join archive.study using (study_key)
 where study_instance_uid = %s
 order by series_key
on conflict (series_key) do update set due_at = excluded.due_at
"""
_WANT_ALL = """
insert into archive.pack_due (series_key, due_at)
select series_key, %s from archive.series join archive.study using (study_key)
 where completed_at is not null
 order by series_key
on conflict (series_key) do nothing
"""


def want_study(tx: Tx, study_instance_uid: str, *, now: datetime) -> int:
    """How many series of the study are due now."""
    return tx.run(_WANT_STUDY, (now, study_instance_uid))


def want_all(tx: Tx, *, now: datetime) -> int:
    """How many series of complete studies are due now that were not."""
    return tx.run(_WANT_ALL, (now,))


_CLAIM = """
update archive.pack_due set claimed_until = %(until)s
 where series_key = (
       select series_key from archive.pack_due
        where due_at <= %(now)s and (claimed_until is null or claimed_until < %(now)s)
        order by due_at, series_key limit 1 for update skip locked)
returning series_key
"""
_HOLD = "update archive.pack_due set claimed_until = %s where series_key = %s"
_PUT_OFF = """
update archive.pack_due set claimed_until = null, due_at = %s where series_key = %s
"""
# What was wanted again while a worker was at it stays due.
_SETTLE = "delete from archive.pack_due where series_key = %s and due_at <= %s"
_GIVE_BACK = "update archive.pack_due set claimed_until = null where series_key = %s"


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


def settle(tx: Tx, series_key: int, *, begun_at: datetime) -> None:
    """The series is due no more, unless it was wanted again since the work began."""
    tx.run(_SETTLE, (series_key, begun_at))
    tx.run(_GIVE_BACK, (series_key,))


# What is known to be damaged is repaired first, and what belongs elsewhere carried there.
_UNPACKED = """
select blob_key, size_bytes, sha256
  from (select blob_key, size_bytes, sha256, instance_number, instance_key
          from archive.instance
         where series_key = %(series)s
           and not exists (
               select from archive.placement join archive.study using (study_instance_uid)
                 join archive.series using (study_key)
                where series_key = %(series)s and placement.store <> %(store)s)
        union all
        select copy_blob_key, size_bytes, sha256, instance_number, instance_key
          from archive.instance join archive.object_copy using (blob_key)
         where series_key = %(series)s) held
 where strpos(blob_key, '@') = 0 and size_bytes <= %(size)s
   and case when strpos(blob_key, ':') > 0 then split_part(blob_key, ':', 1) else 'main' end
       = %(store)s
   and not exists (select from archive.integrity_finding finding
                    where finding.blob_key = held.blob_key and settled_at is null)
 order by substr(split_part(blob_key, ':', case when strpos(blob_key, ':') > 0 then 2 else 1 end),
                 1, 10),
       instance_number nulls last, instance_key
"""


def unpacked(tx: Tx, series_key: int, store: str, *, size_bytes_max: int) -> list[Unpacked]:
    """Objects and copies of the series alone in blobs of the store.

    They are ordered by the day of their key, and within it as people look at them.
    """
    params = {"series": series_key, "store": store, "size": size_bytes_max}
    return tx.all(Unpacked, _UNPACKED, params)


_NOTE = """
insert into archive.pack (blob_key, members, size_bytes, written_at) values (%s, %s, %s, %s)
"""
_DISCARD = "delete from archive.pack where blob_key = %s and exchanged_at is null"
_DONE = """
update archive.pack set exchanged_at = %s where blob_key = %s and exchanged_at is null
"""
_FORGET = "delete from archive.pack where blob_key = %s"
_FORGET_UNCHECKED = "delete from archive.pack where exchanged_at is null and written_at < %s"
_FORGET_PACKED = "delete from archive.packed_blob where packed_at < %s"
_NOTE_FOUND = """
insert into archive.pack (blob_key, members, size_bytes, written_at, exchanged_at)
values (%(key)s, %(members)s, %(size)s, %(now)s, %(now)s) on conflict do nothing
"""


def note_pack(tx: Tx, blob_key: str, *, members: int, size_bytes: int, now: datetime) -> None:
    """Keep a pack that was written and whose members nobody names yet."""
    tx.run(_NOTE, (blob_key, members, size_bytes, now))


def note_found_pack(tx: Tx, blob_key: str, *, members: int, size_bytes: int, now: datetime) -> None:
    """Count a pack that was found in a store."""
    params = {"key": blob_key, "members": members, "size": size_bytes, "now": now}
    tx.run(_NOTE_FOUND, params)


def discard_unchecked(tx: Tx, blob_key: str) -> None:
    """Keep a pack no more that was not good for anything."""
    tx.run(_DISCARD, (blob_key,))


def complete_pack(tx: Tx, blob_key: str, *, now: datetime) -> bool:
    """Whether the pack was still kept; from now on its members' names keep it."""
    return tx.run(_DONE, (now, blob_key)) > 0


def forget_pack(tx: Tx, blob_key: str) -> None:
    """The pack has been removed."""
    tx.run(_FORGET, (blob_key,))


def forget_spared(tx: Tx, *, older_than: datetime) -> None:
    """Keep packs that were never checked, and blobs that were packed, no longer than that."""
    tx.run(_FORGET_UNCHECKED, (older_than,))
    tx.run(_FORGET_PACKED, (older_than,))


_LOCK_STUDY = """
select study_key from archive.study
 where study_key = (select study_key from archive.series where series_key = %s)
   for update
"""
_LOCK_INSTANCES = """
select instance_key from archive.instance where blob_key = any(%s) order by instance_key for update
"""
_EXCHANGE_INSTANCE = """
update archive.instance set blob_key = new_key
  from unnest(%(old)s::text[], %(new)s::text[]) as given (old_key, new_key)
 where blob_key = old_key
"""
_EXCHANGE_CONFLICT = """
update archive.conflicting_instance set blob_key = new_key
  from unnest(%(old)s::text[], %(new)s::text[]) as given (old_key, new_key)
 where blob_key = old_key
"""
_EXCHANGE_COPY = """
update archive.object_copy set copy_blob_key = new_key
  from unnest(%(old)s::text[], %(new)s::text[]) as given (old_key, new_key)
 where copy_blob_key = old_key
"""
_EXCHANGE_COPIED = """
update archive.object_copy set blob_key = new_key
  from unnest(%(old)s::text[], %(new)s::text[]) as given (old_key, new_key)
 where blob_key = old_key
"""
_SPARE = """
insert into archive.packed_blob (blob_key, packed_at) select key, %s from unnest(%s::text[]) key
on conflict (blob_key) do update set packed_at = excluded.packed_at
"""


def exchange(tx: Tx, series_key: int, exchanges: Sequence[Exchange], *, now: datetime) -> int:
    """How many rows named these blobs and name the members from now on. The blobs stay a while."""
    old = [each.blob_key for each in exchanges]
    tx.values(_LOCK_STUDY, (series_key,))
    tx.values(_LOCK_INSTANCES, (old,))
    params = {"old": old, "new": [each.member_key for each in exchanges]}
    changed = 0
    for statement in (_EXCHANGE_INSTANCE, _EXCHANGE_CONFLICT, _EXCHANGE_COPY):
        changed += tx.run(statement, params)
    tx.run(_EXCHANGE_COPIED, params)
    tx.run(_SPARE, (now, old))
    return changed


_TOTALS = """
select count(*)::bigint as packs, coalesce(sum(members), 0)::bigint as members,
       coalesce(sum(size_bytes), 0)::bigint as size_bytes,
       (select count(*) from archive.pack_due)::bigint as series_due
  from archive.pack where exchanged_at is not null
"""


def totals(tx: Tx) -> PackTotals:
    """How many there are and how much is left to do."""
    return tx.one(PackTotals, _TOTALS)
