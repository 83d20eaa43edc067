"""One instance for each study or series of an answer: where to read what is not indexed.

Standard: PS3.18 10.6.1.2.3
"""

from collections.abc import Sequence
from typing import Final, LiteralString

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model import InstanceLocation
from isocenter.infra.db import Tx

_COLUMNS: Final[LiteralString] = """
select study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid,
       transfer_syntax_uid, instance_number, number_of_frames, blob_key, size_bytes, sha256,
       dataset_offset, pixel_data_offset, null::bytea as frame_ranges,
       instance.calling_ae_title"""
_OF_STUDIES: Final[LiteralString] = """
  from unnest(%s::text[]) as asked (study_instance_uid)
  join archive.study using (study_instance_uid)
 cross join lateral (
       select * from archive.series
        where series.study_key = study.study_key and number_of_instances > 0
        order by series_key limit 1) as series
 cross join lateral (
       select * from archive.instance
        where instance.series_key = series.series_key
        order by instance_number limit 1) as instance"""
_OF_SERIES: Final[LiteralString] = """
  from unnest(%s::text[], %s::text[]) as asked (study_instance_uid, series_instance_uid)
  join archive.study using (study_instance_uid)
  join archive.series using (series_instance_uid, study_key)
 cross join lateral (
       select * from archive.instance
        where instance.series_key = series.series_key
        order by instance_number limit 1) as instance"""


def of_studies(
    tx: Tx, viewer: Viewer, study_instance_uids: Sequence[str]
) -> dict[str, InstanceLocation]:
    """The first instance of each study, by Study Instance UID."""
    viewer.require(Action.STUDY_READ)
    statement: LiteralString = "".join((_COLUMNS, _OF_STUDIES))
    found = tx.all(InstanceLocation, statement, [list(study_instance_uids)])
    return {each.study_instance_uid: each for each in found}


def of_series(
    tx: Tx, viewer: Viewer, uids: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], InstanceLocation]:
    """The first instance of each series, by Study and Series Instance UID."""
    viewer.require(Action.STUDY_READ)
    statement: LiteralString = "".join((_COLUMNS, _OF_SERIES))
    studies, series = [each[0] for each in uids], [each[1] for each in uids]
    found = tx.all(InstanceLocation, statement, [studies, series])
    return {(each.study_instance_uid, each.series_instance_uid): each for each in found}
