"""The SQL of rejections. One function is one statement, or several that change one thing.

Rejected instances lie where kept conflicts lie, so that whatever looks after the bytes of those
(verification, copies, sweeping) looks after theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.archive.model_outgoing import KeyedLocation
from isocenter.domain.archive.model_rejection import HeldInstance, Rejection, UnwrittenNote
from isocenter.infra.db import Tx
from isocenter.standards.dicom.key_object import Reference

Path = tuple[str, str | None, str | None]
"""Study Instance UID; Series and SOP Instance UID where not all of the study is meant."""

_LOCK = """
select study_instance_uid, study_key from archive.study
 where study_instance_uid = any(%s) order by study_instance_uid for update
"""


@dataclass(frozen=True, slots=True)
class LockedStudy:
    """A study whose row is locked."""

    study_instance_uid: str
    study_key: int


def lock_studies(tx: Tx, study_instance_uids: Sequence[str]) -> dict[str, int]:
    """The keys of those of the studies that there are, locked."""
    found = tx.all(LockedStudy, _LOCK, (list(study_instance_uids),))
    return {each.study_instance_uid: each.study_key for each in found}


_BEGIN = """
insert into archive.rejection (
    study_instance_uid, series_instance_uid, sop_instance_uid, reason, rejected_by, rejected_at,
    number_of_instances, code, note_sop_instance_uid)
values (%(study)s, %(series)s, %(instance)s, %(reason)s, %(by)s, %(now)s, 0, %(code)s, %(note)s)
returning rejection_key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A new rejection; ``code`` and ``note_sop_instance_uid`` are of the document that says it."""

    path: Path
    reason: str
    rejected_by: str
    code: str
    note_sop_instance_uid: str


def begin(tx: Tx, beginning: Beginning, *, now: datetime) -> int:
    """The key of a new rejection of what its path names."""
    study, series, instance = beginning.path
    params = {
        "study": study,
        "series": series,
        "instance": instance,
        "reason": beginning.reason,
        "by": beginning.rejected_by,
        "now": now,
        "code": beginning.code,
        "note": beginning.note_sop_instance_uid,
    }
    return tx.value(_BEGIN, params)


_MOVE = """
with gone as (
    delete from archive.instance
     using archive.series, archive.study
     where study.study_key = %(study_key)s and series.study_key = study.study_key
       and instance.series_key = series.series_key
       and (%(series)s::text is null or series_instance_uid = %(series)s)
       and (%(instances)s::text[] is null or sop_instance_uid = any(%(instances)s))
    returning instance.*, series.series_instance_uid, study.study_instance_uid
)
insert into archive.conflicting_instance (
    sop_instance_uid, study_instance_uid, asserted_study_instance_uid,
    asserted_series_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
    sha256, dataset_offset, received_at, calling_ae_title, rejection_key)
select sop_instance_uid, study_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid,
       transfer_syntax_uid, blob_key, size_bytes, sha256, dataset_offset, received_at,
       calling_ae_title, %(rejection_key)s
  from gone
"""


def move(
    tx: Tx,
    study_key: int,
    *,
    rejection_key: int,
    series: str | None = None,
    instances: Sequence[str] | None = None,
) -> int:
    """How many instances of the study lie with the rejected ones now; None stands for all."""
    params = {
        "study_key": study_key,
        "series": series,
        "instances": None if instances is None else list(instances),
        "rejection_key": rejection_key,
    }
    return tx.run(_MOVE, params)


_COUNT = """
update archive.rejection
   set number_of_instances = number_of_instances + %(instances)s,
       number_awaited = number_awaited + %(awaited)s,
       number_differing = number_differing + %(differing)s
 where rejection_key = %(key)s
"""


def count(
    tx: Tx, rejection_key: int, *, instances: int = 0, awaited: int = 0, differing: int = 0
) -> None:
    """Add to what became of the instances that the rejection names."""
    tx.run(
        _COUNT,
        {
            "key": rejection_key,
            "instances": instances,
            "awaited": awaited,
            "differing": differing,
        },
    )


_RECOUNT_SERIES = """
update archive.series
   set number_of_instances = (
           select count(*) from archive.instance where instance.series_key = series.series_key),
       -- It describes what is shown no more.
       metadata_blob_key = null, metadata_instances = 0, last_received_at = %(now)s
 where study_key = %(study_key)s
"""
_DROP_SERIES = "delete from archive.series where study_key = %s and number_of_instances = 0"
_RECOUNT_STUDY = """
update archive.study
   set (number_of_series, number_of_instances, modalities) = (
           select count(*), coalesce(sum(number_of_instances), 0),
                  coalesce(array_agg(distinct modality order by modality)
                           filter (where modality <> ''), '{}')
             from archive.series where series.study_key = study.study_key),
       sop_classes = array(
           select distinct sop_class_uid
             from archive.series join archive.instance using (series_key)
            where series.study_key = study.study_key order by 1)
 where study_key = %s
returning number_of_instances
"""
_DROP_STUDY = "delete from archive.study where study_key = %s and number_of_instances = 0"


def recount(tx: Tx, study_key: int, *, now: datetime) -> int:
    """How many instances the study has left; empty series and an empty study are gone."""
    tx.run(_RECOUNT_SERIES, {"study_key": study_key, "now": now})
    tx.run(_DROP_SERIES, (study_key,))
    remaining: int = tx.value(_RECOUNT_STUDY, (study_key,))
    tx.run(_DROP_STUDY, (study_key,))
    return remaining


_PLACES = """
select study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid
  from archive.instance join archive.series using (series_key) join archive.study using (study_key)
 where sop_instance_uid = any(%s)
"""
_REJECTED = """
select sop_instance_uid from archive.conflicting_instance
 where rejection_key is not null and sop_instance_uid = any(%s)
"""


def places(tx: Tx, sop_instance_uids: Sequence[str]) -> list[Reference]:
    """Where those of the instances are that are shown."""
    return tx.all(Reference, _PLACES, (list(sop_instance_uids),))


def rejected(tx: Tx, sop_instance_uids: Sequence[str]) -> set[str]:
    """Those of the instances that are rejected already."""
    return set(tx.values(_REJECTED, (list(sop_instance_uids),)))


_AWAIT = """
insert into archive.awaited_rejection (sop_instance_uid, rejection_key)
select uid, %(key)s from unnest(%(uids)s::text[]) as given (uid)
"""
_AWAITED = """
select sop_instance_uid, max(rejection_key) as rejection_key from archive.awaited_rejection
 where sop_instance_uid = any(%s) group by sop_instance_uid
"""
_AWAITED_AND_SHOWN = """
select awaited.sop_instance_uid, max(rejection_key) as rejection_key
  from archive.awaited_rejection awaited join archive.instance using (sop_instance_uid)
 group by awaited.sop_instance_uid limit %s
"""
_AWAIT_NO_MORE = "delete from archive.awaited_rejection where sop_instance_uid = any(%s)"


@dataclass(frozen=True, slots=True)
class Awaited:
    """An instance that was rejected before it came."""

    sop_instance_uid: str
    rejection_key: int


def await_instances(tx: Tx, rejection_key: int, sop_instance_uids: Sequence[str]) -> None:
    """Have the instances rejected when they come."""
    tx.run(_AWAIT, {"key": rejection_key, "uids": list(sop_instance_uids)})


def awaited(tx: Tx, sop_instance_uids: Sequence[str]) -> dict[str, int]:
    """The newest rejections that wait for these instances, by SOP Instance UID."""
    found = tx.all(Awaited, _AWAITED, (list(sop_instance_uids),))
    return {each.sop_instance_uid: each.rejection_key for each in found}


def awaited_and_shown(tx: Tx, *, limit: int) -> dict[str, int]:
    """As ``awaited``, of instances that came in the same moment as the note."""
    found = tx.all(Awaited, _AWAITED_AND_SHOWN, (limit,))
    return {each.sop_instance_uid: each.rejection_key for each in found}


def await_no_more(tx: Tx, sop_instance_uids: Sequence[str]) -> None:
    """Forget that the instances are rejected when they come."""
    tx.run(_AWAIT_NO_MORE, (list(sop_instance_uids),))


_NOTE_KNOWN = """
select exists (select from archive.rejection where note_sop_instance_uid = %(uid)s)
    or exists (select from archive.restoration where note_sop_instance_uid = %(uid)s)
"""


def note_known(tx: Tx, sop_instance_uid: str) -> bool:
    """Whether what the document says was done already."""
    return tx.value(_NOTE_KNOWN, {"uid": sop_instance_uid})


@dataclass(frozen=True, slots=True)
class ShownNote:
    """A note among the instances of a study, and under which rejection it can be hidden."""

    sop_instance_uid: str
    rejection_key: int
    code: str


_SHOWN_NOTES = """
with here as (
    select instance.sop_instance_uid as uid
      from archive.instance join archive.series using (series_key)
     where study_key = %s and sop_class_uid = %s
)
select distinct on (uid) uid as sop_instance_uid, rejection_key, code
  from (select uid, rejection_key, code
          from here join archive.rejection on note_sop_instance_uid = uid
        union all
        select uid, rejection_key, ''
          from here join archive.restoration on note_sop_instance_uid = uid) note
 order by uid, rejection_key
"""


def shown_notes(tx: Tx, study_key: int, sop_class_uid: str) -> list[ShownNote]:
    """The study's notes that are shown; the code of one that revokes is ''."""
    return tx.all(ShownNote, _SHOWN_NOTES, (study_key, sop_class_uid))


_HELD = """
select sop_instance_uid, asserted_study_instance_uid as study_instance_uid,
       asserted_series_instance_uid as series_instance_uid, sop_class_uid, blob_key, size_bytes,
       sha256, received_at, calling_ae_title, rejection_key
  from archive.conflicting_instance held
 where rejection_key is not null and asserted_study_instance_uid = %(study)s
   and (%(series)s::text is null or asserted_series_instance_uid = %(series)s)
   and (%(instance)s::text is null or sop_instance_uid = %(instance)s)
   and not exists (select from archive.rejection
                    where note_sop_instance_uid = held.sop_instance_uid)
   and not exists (select from archive.restoration
                    where note_sop_instance_uid = held.sop_instance_uid)
   -- What is shown in another study comes back when that split is undone, and what the other study
   -- showed until a split was undone does not come back.
   and not exists (select from archive.split_instance join archive.split using (split_key)
                    where original_sop_instance_uid = held.sop_instance_uid and undone_at is null)
   and not exists (select from archive.split_instance moved join archive.split using (split_key)
                    where moved.sop_instance_uid = held.sop_instance_uid
                      and undone_at is not null)
 order by conflict_key
 limit %(limit)s
"""


def held(tx: Tx, path: Path, *, limit: int) -> list[HeldInstance]:
    """The rejected instances that the path names, without notes, in the order of rejection."""
    study, series, instance = path
    params = {"study": study, "series": series, "instance": instance, "limit": limit}
    return tx.all(HeldInstance, _HELD, params)


_HELD_BY = """
select sop_instance_uid, asserted_study_instance_uid as study_instance_uid,
       asserted_series_instance_uid as series_instance_uid, sop_class_uid, blob_key, size_bytes,
       sha256, received_at, calling_ae_title, rejection_key
  from archive.conflicting_instance held
 where rejection_key = %(key)s
   and sop_instance_uid <> (select coalesce(note_sop_instance_uid, '') from archive.rejection
                             where rejection_key = %(key)s)
 order by conflict_key
"""


def held_by(tx: Tx, rejection_key: int) -> list[HeldInstance]:
    """The instances that one rejection took out of use."""
    return tx.all(HeldInstance, _HELD_BY, {"key": rejection_key})


_LET_GO = """
delete from archive.conflicting_instance
 where rejection_key is not null and sop_instance_uid = any(%s)
returning sop_instance_uid
"""
_FORGET_AWAITED_OF_STUDY = """
delete from archive.awaited_rejection
 using archive.rejection
 where rejection.rejection_key = awaited_rejection.rejection_key
   and rejection.study_instance_uid = %(study)s
   and (%(instance)s::text is null or awaited_rejection.sop_instance_uid = %(instance)s)
"""


def let_go(tx: Tx, sop_instance_uids: Sequence[str]) -> set[str]:
    """Those of the instances that were rejected, and are no more; they are to be admitted again."""
    return set(tx.values(_LET_GO, (list(sop_instance_uids),)))


def forget_awaited(tx: Tx, path: Path) -> int:
    """How many instances that have not come are no longer rejected when they come."""
    study, _, instance = path
    return tx.run(_FORGET_AWAITED_OF_STUDY, {"study": study, "instance": instance})


_RESTORE = """
insert into archive.restoration (
    study_instance_uid, rejection_key, sop_instance_uids, reason, restored_by, restored_at,
    note_sop_instance_uid)
values (%(study)s, %(key)s, %(uids)s, %(reason)s, %(by)s, %(now)s, %(note)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What is brought back, why and by whom; ``rejection_key`` is the newest one undone."""

    study_instance_uid: str
    rejection_key: int
    sop_instance_uids: Sequence[str]
    reason: str
    restored_by: str
    note_sop_instance_uid: str


def note_restoration(tx: Tx, undoing: Undoing, *, now: datetime) -> None:
    """Keep that instances were brought back."""
    params = {
        "study": undoing.study_instance_uid,
        "key": undoing.rejection_key,
        "uids": list(undoing.sop_instance_uids),
        "reason": undoing.reason,
        "by": undoing.restored_by,
        "note": undoing.note_sop_instance_uid,
        "now": now,
    }
    tx.run(_RESTORE, params)


_REJECTIONS = """
select rejection_key, study_instance_uid, series_instance_uid, sop_instance_uid, code, reason,
       rejected_by, rejected_at, note_sop_instance_uid, number_of_instances, number_awaited,
       number_differing,
       (select count(*) from archive.conflicting_instance held
         where held.rejection_key = rejection.rejection_key
           and held.sop_instance_uid is distinct from note_sop_instance_uid)::int as number_hidden
  from archive.rejection
 where (%(study)s::text is null or study_instance_uid = %(study)s)
   and (%(before)s::bigint is null or rejection_key < %(before)s)
 order by rejection_key desc limit %(limit)s
"""


def rejections(
    tx: Tx, study_instance_uid: str | None, *, before: int | None, limit: int
) -> list[Rejection]:
    """Rejections, the newest first, of one study or of all."""
    return tx.all(
        Rejection, _REJECTIONS, {"study": study_instance_uid, "before": before, "limit": limit}
    )


_UNWRITTEN = """
select study_instance_uid, code, reason, array[]::text[] as sop_instance_uids, rejection_key
  from archive.rejection
 where note_sop_instance_uid = %(uid)s
union all
select study_instance_uid, '', reason, sop_instance_uids, rejection_key
  from archive.restoration
 where note_sop_instance_uid = %(uid)s
limit 1
"""
_HAS_NOTE = """
select exists (select from archive.stored_object where sop_instance_uid = %s)
"""


def unwritten(tx: Tx, note_sop_instance_uid: str) -> UnwrittenNote | None:
    """What a note is to say that there is no document of yet; None when there is one."""
    if tx.value(_HAS_NOTE, (note_sop_instance_uid,)):
        return None
    return tx.maybe(UnwrittenNote, _UNWRITTEN, {"uid": note_sop_instance_uid})


_NOTE = """
select %(key)s::bigint as instance_key, study_instance_uid, series_instance_uid, sop_instance_uid,
       sop_class_uid, transfer_syntax_uid, null::int as instance_number,
       null::int as number_of_frames, blob_key, size_bytes, sha256, dataset_offset,
       null::bigint as pixel_data_offset, null::bytea as frame_ranges,
       instance.calling_ae_title
  from archive.study join archive.series using (study_key) join archive.instance using (series_key)
 where sop_instance_uid = %(uid)s
union all
select %(key)s, study_instance_uid, asserted_series_instance_uid, sop_instance_uid, sop_class_uid,
       transfer_syntax_uid, null, null, blob_key, size_bytes, sha256, dataset_offset, null, null,
       calling_ae_title
  from archive.conflicting_instance
 where sop_instance_uid = %(uid)s and rejection_key is not null
 limit 1
"""


def note_location(tx: Tx, sop_instance_uid: str, *, key: int) -> KeyedLocation | None:
    """Where a note's document is, shown or hidden, under a key of the caller's."""
    return tx.maybe(KeyedLocation, _NOTE, {"uid": sop_instance_uid, "key": key})


_SENDER = """
select calling_ae_title from archive.instance where sop_instance_uid = %(uid)s
union all
select calling_ae_title from archive.conflicting_instance
 where sop_instance_uid = %(uid)s and rejection_key is not null
 limit 1
"""


def sender_of(tx: Tx, sop_instance_uid: str) -> str:
    """The calling AE title of whoever sent the note; "" for none."""
    return tx.value(_SENDER, {"uid": sop_instance_uid}) or ""
