"""The SQL of splits. One function is one statement.

An image that is split off is kept where rejected ones are, and has a second row under new UIDs in
the other study, with the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.archive.model_rejection import HeldInstance
from isocenter.domain.archive.model_splits import Split, SplitInstance
from isocenter.infra.db import Tx, jsonb

_MAKE_STUDY = """
insert into archive.study (study_instance_uid, first_received_at, last_received_at)
values (%(uid)s, %(now)s, %(now)s) on conflict (study_instance_uid) do nothing returning study_key
"""
_BEGIN = """
insert into archive.split (
    study_instance_uid, to_study_instance_uid, joins, reason, split_by, split_at)
values (%(study)s, %(to_study)s, %(joins)s, %(reason)s, %(by)s, %(now)s)
returning split_key
"""
_ADD_SERIES = """
insert into archive.split_series (
    split_key, series_instance_uid, to_series_instance_uid, is_whole)
select %(key)s, uid, to_uid, is_whole
  from unnest(%(old)s::text[], %(new)s::text[], %(whole)s::bool[]) as given (uid, to_uid, is_whole)
"""
_ADD_INSTANCES = """
with due as (update archive.split set record_due = true where split_key = %(key)s)
insert into archive.split_instance (sop_instance_uid, original_sop_instance_uid, split_key)
select new_uid, old_uid, %(key)s
  from unnest(%(old)s::text[], %(new)s::text[]) as given (old_uid, new_uid)
"""


def make_study(tx: Tx, study_instance_uid: str, *, now: datetime) -> bool:
    """Whether there was no such study; there is one now, which knows nothing of itself yet."""
    return tx.value(_MAKE_STUDY, {"uid": study_instance_uid, "now": now}) is not None


def begin(
    tx: Tx, uids: tuple[str, str], *, joins: bool, reason: str, by: str, now: datetime
) -> int:
    """The key of a new split from one study to the other."""
    study, to_study = uids
    params = {
        "study": study,
        "to_study": to_study,
        "joins": joins,
        "reason": reason,
        "by": by,
        "now": now,
    }
    return int(tx.value(_BEGIN, params))


@dataclass(frozen=True, slots=True)
class SplitSeries:
    """A series of which images are split off, and the series that they are shown as."""

    split_key: int
    series_instance_uid: str
    to_series_instance_uid: str
    is_whole: bool


def add_series(tx: Tx, series: Sequence[SplitSeries]) -> None:
    """Keep which series become which, all of one split."""
    params = {
        "key": series[0].split_key,
        "old": [each.series_instance_uid for each in series],
        "new": [each.to_series_instance_uid for each in series],
        "whole": [each.is_whole for each in series],
    }
    tx.run(_ADD_SERIES, params)


def add_instances(tx: Tx, split_key: int, uids: Mapping[str, str]) -> None:
    """Keep which instances become which."""
    tx.run(_ADD_INSTANCES, {"key": split_key, "old": list(uids), "new": list(uids.values())})


@dataclass(frozen=True, slots=True)
class ChosenInstance:
    """An instance of a study that may be split off; ``was_split`` off another one before."""

    sop_instance_uid: str
    series_instance_uid: str
    modality: str | None
    was_split: bool


_CHOSEN = """
select sop_instance_uid, series_instance_uid, modality,
       exists (select from archive.split_instance
                where split_instance.sop_instance_uid = instance.sop_instance_uid) as was_split
  from archive.series join archive.instance using (series_key)
 where study_key = %(study_key)s
   and (series_instance_uid = any(%(series)s) or sop_instance_uid = any(%(instances)s))
   -- Notes are about the study that they are in.
   and not exists (select from archive.rejection
                    where note_sop_instance_uid = instance.sop_instance_uid)
   and not exists (select from archive.restoration
                    where note_sop_instance_uid = instance.sop_instance_uid)
 order by series_number nulls last, series_key, instance_number nulls last, instance_key
 limit %(limit)s
"""


def chosen(
    tx: Tx, study_key: int, series: Sequence[str], instances: Sequence[str], *, limit: int
) -> list[ChosenInstance]:
    """The instances of the study that are meant, in the order in which people look at them."""
    params = {
        "study_key": study_key,
        "series": list(series),
        "instances": list(instances),
        "limit": limit,
    }
    return tx.all(ChosenInstance, _CHOSEN, params)


_COPY_SERIES = """
insert into archive.series as known (
    study_key, series_instance_uid, modality, series_number, series_description, series_date,
    series_time, body_part_examined, laterality, station_name, manufacturer,
    manufacturer_model_name, protocol_name, performed_procedure_step_start_date,
    performed_procedure_step_start_time, first_received_at, last_received_at)
select %(to_key)s, to_uid, modality, series_number, series_description, series_date,
       series_time, body_part_examined, laterality, station_name, manufacturer,
       manufacturer_model_name, protocol_name, performed_procedure_step_start_date,
       performed_procedure_step_start_time, first_received_at, %(now)s
  from unnest(%(old)s::text[], %(new)s::text[]) as given (uid, to_uid)
  join archive.series on study_key = %(key)s and series_instance_uid = uid
 order by to_uid
on conflict on constraint series_in_study do nothing
"""
_COPY_INSTANCES = """
insert into archive.instance (
    series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number, rows,
    columns, bits_allocated, number_of_frames, blob_key, size_bytes, sha256, dataset_offset,
    pixel_data_offset, frame_ranges, received_at, calling_ae_title)
select target.series_key, moved.sop_instance_uid, sop_class_uid, transfer_syntax_uid,
       instance_number, rows, columns, bits_allocated, number_of_frames, blob_key, size_bytes,
       sha256, dataset_offset, pixel_data_offset, frame_ranges, received_at, calling_ae_title
  from archive.split_instance moved
  join archive.instance on instance.sop_instance_uid = moved.original_sop_instance_uid
  join archive.series source on source.series_key = instance.series_key
  join archive.split_series using (split_key, series_instance_uid)
  join archive.series target
    on target.study_key = %(to_key)s
   and target.series_instance_uid = split_series.to_series_instance_uid
 where split_key = %(split)s
 order by instance.instance_key
"""
_RECEIVED_FROM = """
update archive.study
   set calling_ae_titles = array(
           select distinct calling_ae_title
             from archive.series join archive.instance using (series_key)
            where series.study_key = study.study_key order by 1),
       completed_at = null, last_received_at = %(now)s
 where study_key = %(key)s
"""


def copy_series(
    tx: Tx, keys: tuple[int, int], series: Sequence[SplitSeries], *, now: datetime
) -> None:
    """Have the series in the other study; ``keys`` are of the two studies."""
    key, to_key = keys
    params = {
        "key": key,
        "to_key": to_key,
        "old": [each.series_instance_uid for each in series],
        "new": [each.to_series_instance_uid for each in series],
        "now": now,
    }
    tx.run(_COPY_SERIES, params)


def copy_instances(tx: Tx, to_key: int, split_key: int) -> int:
    """How many instances are shown in the other study that were not: all that are still here."""
    return tx.run(_COPY_INSTANCES, {"to_key": to_key, "split": split_key})


def reopen(tx: Tx, study_key: int, *, now: datetime) -> None:
    """Have the study say who sent its images; more may come."""
    tx.run(_RECEIVED_FROM, {"key": study_key, "now": now})


@dataclass(frozen=True, slots=True)
class SeriesSample:
    """Where the first instance of a series is."""

    blob_key: str
    size_bytes: int
    dataset_offset: int
    transfer_syntax_uid: str


_SAMPLES = """
select sample.*
  from archive.series
 cross join lateral (
       select blob_key, size_bytes, dataset_offset, transfer_syntax_uid from archive.instance
        where instance.series_key = series.series_key order by instance_key limit 1) sample
 where study_key = %(key)s
   -- What was split off another study says what that one says.
   and not exists (select from archive.split_series join archive.split using (split_key)
                    where to_series_instance_uid = series.series_instance_uid
                      and to_study_instance_uid = %(uid)s and joins)
 order by first_received_at, series_key limit %(limit)s
"""
_RESTATE = """
update archive.study set
    patient_id = %(patient_id)s, issuer_of_patient_id = %(issuer_of_patient_id)s,
    patient_name = %(patient_name)s, patient_name_normalised = %(patient_name_normalised)s,
    patient_name_phonetic = %(patient_name_phonetic)s,
    patient_birth_date = %(patient_birth_date)s, patient_sex = %(patient_sex)s,
    accession_number = %(accession_number)s, study_id = %(study_id)s,
    study_date = %(study_date)s, study_time = %(study_time)s,
    study_description = %(study_description)s,
    referring_physician_name = %(referring_physician_name)s,
    referring_physician_normalised = %(referring_physician_normalised)s,
    disagreements = %(disagreements)s
 where study_key = %(study_key)s
"""


def samples(tx: Tx, study_key: int, study_instance_uid: str, *, limit: int) -> list[SeriesSample]:
    """An instance of each series of the study that came with it, the oldest series first."""
    params = {"key": study_key, "uid": study_instance_uid, "limit": limit}
    return tx.all(SeriesSample, _SAMPLES, params)


def restate(tx: Tx, study_key: int, said: Mapping[str, Any], against: Mapping[str, Any]) -> None:
    """Have the study say what its images say, and in what they differ."""
    tx.run(_RESTATE, {**said, "disagreements": jsonb(dict(against)), "study_key": study_key})


_STATED = """
select stated from archive.split
 where to_study_instance_uid = %s and undone_at is null and not joins and stated <> '{}'
 order by split_key limit 1
"""


def stated_for(tx: Tx, study_instance_uid: str) -> dict[str, Any]:
    """What a record stated of the study, by column; nothing of nearly all studies."""
    found: dict[str, str] | None = tx.value(_STATED, (study_instance_uid,))
    return dict(found or {})


_SPLITS = """
select split.split_key, split.study_instance_uid, to_study_instance_uid, joins, reason, split_by,
       split_at, undone_at, undone_by,
       (select jsonb_object_agg(series_instance_uid, to_series_instance_uid)
          from archive.split_series where split_series.split_key = split.split_key) as series,
       (select count(*) from archive.split_instance join archive.instance using (sop_instance_uid)
         where split_instance.split_key = split.split_key)::int as number_of_instances
  from archive.split
"""
_OF_STUDY = (
    _SPLITS
    + "where study_instance_uid = %(study)s or to_study_instance_uid = %(study)s"
    + " order by split_key desc limit %(limit)s"
)
_ONE = _SPLITS + "where split_key = %s for update"
# Whole series of which images came after the rest was split off.
_LATE = (
    _SPLITS
    + """
 where undone_at is null and study_instance_uid = %s
   and exists (
       select from archive.split_series
         join archive.study on study.study_instance_uid = split.study_instance_uid
         join archive.series
           on series.study_key = study.study_key
          and series.series_instance_uid = split_series.series_instance_uid
        where split_series.split_key = split.split_key and is_whole)
 order by split_key
"""
)
_SERIES_OF = """
select split_key, series_instance_uid, to_series_instance_uid, is_whole
  from archive.split_series where split_key = %s order by series_instance_uid
"""
_UNDO = """
update archive.split
   set undone_at = %(now)s, undone_by = %(by)s, said = %(said)s, record_due = true
 where split_key = %(key)s
"""


def of_study(tx: Tx, study_instance_uid: str, *, limit: int) -> list[Split]:
    """Splits of the study's images and of images into it, the newest first."""
    return tx.all(Split, _OF_STUDY, {"study": study_instance_uid, "limit": limit})


def one(tx: Tx, split_key: int) -> Split | None:
    """The split, locked."""
    return tx.maybe(Split, _ONE, (split_key,))


def late(tx: Tx, study_instance_uid: str) -> list[Split]:
    """Splits that hold and whose series have images in the study again."""
    return tx.all(Split, _LATE, (study_instance_uid,))


def series_of(tx: Tx, split_key: int) -> list[SplitSeries]:
    """Which series become which."""
    return tx.all(SplitSeries, _SERIES_OF, (split_key,))


def undo(tx: Tx, split_key: int, said: Mapping[int, str], *, by: str, now: datetime) -> None:
    """Keep that the split holds no more, and what its images said until now."""
    texts = jsonb({f"{tag:08X}": text for tag, text in said.items()})
    tx.run(_UNDO, {"key": split_key, "said": texts, "by": by, "now": now})


_INSTANCES = """
select study.study_instance_uid, series_instance_uid, instance.sop_instance_uid,
       original_sop_instance_uid, split_key, joins,
       greatest(split_at, corrected_at) as changed_at,
       coalesce(corrected_patient_id, patient_id) as patient_id,
       case when corrected_patient_id is null then issuer_of_patient_id
            else corrected_issuer_of_patient_id end as issuer_of_patient_id,
       coalesce(corrected_patient_name, patient_name) as patient_name,
       coalesce(corrected_patient_birth_date, patient_birth_date) as patient_birth_date,
       coalesce(corrected_patient_sex, patient_sex) as patient_sex,
       coalesce(corrected_accession_number, accession_number) as accession_number,
       coalesce(corrected_referring_physician_name, referring_physician_name)
           as referring_physician_name,
       study_id, study_date, study_time, study_description
  from archive.split
  join archive.split_instance moved using (split_key)
  join archive.instance on instance.sop_instance_uid = moved.sop_instance_uid
  join archive.series using (series_key)
  join archive.study using (study_key)
 where split.to_study_instance_uid = any(%(studies)s)
   and (%(instances)s::text[] is null or moved.sop_instance_uid = any(%(instances)s))
 order by instance.instance_key
"""


def instances(
    tx: Tx, study_instance_uids: Sequence[str], sop_instance_uids: Sequence[str] | None = None
) -> list[SplitInstance]:
    """The instances of the studies that came with others; or those of them that are named."""
    params = {
        "studies": list(study_instance_uids),
        "instances": None if sop_instance_uids is None else list(sop_instance_uids),
    }
    return tx.all(SplitInstance, _INSTANCES, params)


_SHOWN = """
select moved.sop_instance_uid
  from archive.split_instance moved join archive.instance using (sop_instance_uid)
 where split_key = %s
"""
_ORIGINALS = """
select held.sop_instance_uid, asserted_study_instance_uid as study_instance_uid,
       asserted_series_instance_uid as series_instance_uid, sop_class_uid, blob_key, size_bytes,
       sha256, received_at, calling_ae_title, rejection_key
  from archive.split_instance moved
  join archive.conflicting_instance held
    on held.sop_instance_uid = moved.original_sop_instance_uid and held.rejection_key is not null
 where split_key = %(key)s and moved.sop_instance_uid = any(%(shown)s)
 order by conflict_key
"""
_SAID = """
select said from archive.split join archive.split_instance using (split_key)
 where sop_instance_uid = %s
"""


def shown(tx: Tx, split_key: int) -> list[str]:
    """SOP Instance UIDs of the split's instances that are shown in the other study."""
    return tx.values(_SHOWN, (split_key,))


def originals(tx: Tx, split_key: int, shown_uids: Sequence[str]) -> list[HeldInstance]:
    """What these instances came as."""
    return tx.all(HeldInstance, _ORIGINALS, {"key": split_key, "shown": list(shown_uids)})


def said(tx: Tx, sop_instance_uid: str) -> dict[int, str]:
    """What an instance of a split that was undone had said, by tag; empty for all others."""
    found: dict[str, str] = tx.value(_SAID, (sop_instance_uid,)) or {}
    return {int(tag, 16): text for tag, text in found.items()}
