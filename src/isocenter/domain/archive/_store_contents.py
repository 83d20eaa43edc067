"""The SQL of conflicting contents: several objects under one SOP Instance UID, one of them shown.

One function is one statement.
"""

from isocenter.domain.archive.model import InstanceIdentity, ReceivedInstance
from isocenter.domain.archive.model_contents import Content
from isocenter.infra.db import Tx

_CONTENTS = """
select instance.sop_instance_uid, null::bigint as conflict_key, instance.blob_key,
       instance.size_bytes, instance.sha256, instance.calling_ae_title, instance.received_at,
       study_instance_uid as asserted_study_instance_uid,
       series_instance_uid as asserted_series_instance_uid
  from archive.study join archive.series using (study_key) join archive.instance using (series_key)
 where sop_instance_uid in (select sop_instance_uid from archive.conflicting_instance
                             where study_instance_uid = %(study)s and rejection_key is null)
union all
select sop_instance_uid, conflict_key, blob_key, size_bytes, sha256, calling_ae_title, received_at,
       asserted_study_instance_uid, asserted_series_instance_uid
  from archive.conflicting_instance
 where study_instance_uid = %(study)s and rejection_key is null
 order by sop_instance_uid, conflict_key nulls first
 limit %(limit)s
"""


def contents(tx: Tx, study_instance_uid: str, *, limit: int) -> list[Content]:
    """All contents of the study's instances that have several, the shown one first."""
    return tx.all(Content, _CONTENTS, {"study": study_instance_uid, "limit": limit})


_KEPT = """
select sop_instance_uid, conflict_key, blob_key, size_bytes, sha256, calling_ae_title, received_at,
       asserted_study_instance_uid, asserted_series_instance_uid
  from archive.conflicting_instance where conflict_key = %s and rejection_key is null
   for update
"""


def kept(tx: Tx, conflict_key: int) -> Content | None:
    """A content that is kept beside the shown one, locked."""
    return tx.maybe(Content, _KEPT, (conflict_key,))


_LOCK_PLACE = """
select study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid
  from archive.study join archive.series using (study_key) join archive.instance using (series_key)
 where sop_instance_uid = %s
   for update of study, instance
"""


def locked_place(tx: Tx, sop_instance_uid: str) -> InstanceIdentity | None:
    """Where the instance is, with its study and itself locked."""
    return tx.maybe(InstanceIdentity, _LOCK_PLACE, (sop_instance_uid,))


_KEEP_SHOWN = """
update archive.conflicting_instance kept
   set sop_class_uid = shown.sop_class_uid, transfer_syntax_uid = shown.transfer_syntax_uid,
       blob_key = shown.blob_key, size_bytes = shown.size_bytes, sha256 = shown.sha256,
       dataset_offset = shown.dataset_offset, received_at = shown.received_at,
       calling_ae_title = shown.calling_ae_title
  from archive.instance shown
 where kept.conflict_key = %s and shown.sop_instance_uid = kept.sop_instance_uid
"""
_SHOW = """
update archive.instance
   set sop_class_uid = %(sop_class_uid)s, transfer_syntax_uid = %(transfer_syntax_uid)s,
       instance_number = %(instance_number)s, rows = %(rows)s, columns = %(columns)s,
       bits_allocated = %(bits_allocated)s, number_of_frames = %(number_of_frames)s,
       blob_key = %(blob_key)s, size_bytes = %(size_bytes)s, sha256 = %(sha256)s,
       dataset_offset = %(dataset_offset)s, pixel_data_offset = %(pixel_data_offset)s,
       frame_ranges = %(frame_ranges)s, received_at = %(received_at)s,
       calling_ae_title = %(calling_ae_title)s
 where sop_instance_uid = %(sop_instance_uid)s
"""
_FORGET_METADATA = """
update archive.series set metadata_blob_key = null, metadata_instances = 0
  from archive.instance
 where instance.series_key = series.series_key and sop_instance_uid = %s
"""


def keep_shown(tx: Tx, conflict_key: int) -> None:
    """Let the row of the kept content hold what is shown now."""
    tx.run(_KEEP_SHOWN, (conflict_key,))


def show(
    tx: Tx, identity: InstanceIdentity, received: ReceivedInstance, numbers: dict[str, int | None]
) -> None:
    """Let the instance's row hold this content; ``numbers`` are its indexed numbers."""
    params = {
        "sop_instance_uid": identity.sop_instance_uid,
        "sop_class_uid": identity.sop_class_uid,
        "transfer_syntax_uid": received.transfer_syntax_uid,
        "blob_key": received.blob_key,
        "size_bytes": received.size_bytes,
        "sha256": received.sha256,
        "dataset_offset": received.dataset_offset,
        "pixel_data_offset": received.pixel_data_offset,
        "frame_ranges": received.frame_ranges,
        "received_at": received.received_at,
        "calling_ae_title": received.calling_ae_title,
        **numbers,
    }
    tx.run(_SHOW, params)


def forget_metadata(tx: Tx, sop_instance_uid: str) -> None:
    """Have the metadata of the instance's series made anew."""
    tx.run(_FORGET_METADATA, (sop_instance_uid,))
