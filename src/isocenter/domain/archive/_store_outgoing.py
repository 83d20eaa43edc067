"""The SQL of instances on their way out. One function is one statement."""

from collections.abc import Sequence

from isocenter.domain.archive.model_outgoing import (
    InstanceSpan,
    KeyedLocation,
    SeriesGrowth,
    StoredInstance,
)
from isocenter.infra.db import Tx
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION

_GROWTH = """
select series_instance_uid, accession_number, study_description, referring_physician_name,
       modality, series_description, body_part_examined, grown.*
  from archive.study join archive.series using (study_key)
  cross join lateral (
       select array_agg(distinct calling_ae_title) as calling_ae_titles,
              count(*)::int as instances, max(instance_key) as newest_key
         from archive.instance
        where instance.series_key = series.series_key and instance_key > %(after)s
          and calling_ae_title <> %(not_from)s
          -- Notes go to who holds what they are about, whatever the routes say.
          and not (sop_class_uid = %(note_class)s and exists (
              select from archive.rejection
               where note_sop_instance_uid = instance.sop_instance_uid))) grown
 where study_instance_uid = %(study)s and instances > 0
 order by series_key
"""


def growth(tx: Tx, study: str, *, after: int, not_from: str) -> list[SeriesGrowth]:
    """The study's series that have instances beyond a key, but for those of one sender."""
    params = {
        "study": study,
        "after": after,
        "not_from": not_from,
        "note_class": KEY_OBJECT_SELECTION,
    }
    return tx.all(SeriesGrowth, _GROWTH, params)


_BETWEEN = """
select instance_key, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid,
       transfer_syntax_uid, instance_number, number_of_frames, blob_key, size_bytes, sha256,
       dataset_offset, pixel_data_offset, frame_ranges, instance.calling_ae_title
  from archive.study join archive.series using (study_key) join archive.instance using (series_key)
 where study_instance_uid = %(study)s and series_instance_uid = any(%(series)s)
   and instance_key > %(after)s and instance_key <= %(through)s and calling_ae_title <> %(not_from)s
 order by instance_key limit %(limit)s
"""


def between(tx: Tx, span: InstanceSpan, *, limit: int) -> list[KeyedLocation]:
    """Where the instances of the span are, in the order of their keys."""
    params = {
        "study": span.study_instance_uid,
        "series": list(span.series_instance_uids),
        "after": span.after_key,
        "through": span.through_key,
        "not_from": span.not_from,
        "limit": limit,
    }
    return tx.all(KeyedLocation, _BETWEEN, params)


_STORED = """
select sop_instance_uid, sop_class_uid, blob_key, size_bytes, sha256
  from archive.instance where sop_instance_uid = any(%(uids)s)
union all
-- A note is kept for good, although nobody is shown it.
select sop_instance_uid, sop_class_uid, blob_key, size_bytes, sha256
  from archive.conflicting_instance
 where rejection_key is not null and sop_instance_uid = any(%(uids)s)
   and exists (select from archive.rejection
                where note_sop_instance_uid = conflicting_instance.sop_instance_uid)
"""


def stored(tx: Tx, sop_instance_uids: Sequence[str]) -> list[StoredInstance]:
    """Those of the instances that are here."""
    return tx.all(StoredInstance, _STORED, {"uids": list(sop_instance_uids)})
