"""The SQL of rejections. One function is one statement.

Rejected instances lie where kept conflicts lie, so that whatever looks after the bytes of those
(verification, copies, sweeping) looks after theirs.
"""

from datetime import datetime

from isocenter.infra.db import Tx

_LOCK = "select study_key from archive.study where study_instance_uid = %s for update"


def lock_study(tx: Tx, study_instance_uid: str) -> int | None:
    """The locked study's key; None when there is no such study."""
    found = tx.values(_LOCK, (study_instance_uid,))
    return found[0] if found else None


_BEGIN = """
insert into archive.rejection (
    study_instance_uid, series_instance_uid, sop_instance_uid, reason, rejected_by, rejected_at,
    number_of_instances)
values (%(study)s, %(series)s, %(instance)s, %(reason)s, %(by)s, %(now)s, 0)
returning rejection_key
"""


def begin(
    tx: Tx, path: tuple[str, str | None, str | None], *, reason: str, by: str, now: datetime
) -> int:
    """The key of a new rejection of what ``path`` names: study, series, instance."""
    study, series, instance = path
    params = {
        "study": study,
        "series": series,
        "instance": instance,
        "reason": reason,
        "by": by,
        "now": now,
    }
    return tx.value(_BEGIN, params)


_MOVE = """
with gone as (
    delete from archive.instance
     using archive.series
     where instance.series_key = series.series_key and series.study_key = %(study_key)s
       and (%(series)s::text is null or series_instance_uid = %(series)s)
       and (%(instance)s::text is null or sop_instance_uid = %(instance)s)
    returning instance.*, series.series_instance_uid
), kept as (
    insert into archive.conflicting_instance (
        sop_instance_uid, study_instance_uid, asserted_study_instance_uid,
        asserted_series_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
        sha256, dataset_offset, received_at, calling_ae_title, rejection_key)
    select sop_instance_uid, %(study)s, %(study)s, series_instance_uid, sop_class_uid,
           transfer_syntax_uid, blob_key, size_bytes, sha256, dataset_offset, received_at,
           calling_ae_title, %(rejection_key)s
      from gone
    returning 1
)
update archive.rejection set number_of_instances = (select count(*) from kept)
 where rejection_key = %(rejection_key)s
returning number_of_instances
"""


def move(
    tx: Tx, path: tuple[str, str | None, str | None], *, study_key: int, rejection_key: int
) -> int:
    """How many instances lie with the rejected ones now."""
    study, series, instance = path
    params = {
        "study": study,
        "series": series,
        "instance": instance,
        "study_key": study_key,
        "rejection_key": rejection_key,
    }
    return tx.value(_MOVE, params)


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
