"""The SQL of the archive's tables. One function is one statement.

Rows are locked in one order everywhere: studies by UID, then series by UID, then instances by UID.
Whoever changes a study's counters holds its row, so admissions of one study take turns and
admissions of different studies do not wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from isocenter.domain.archive.model import (
    InstanceLocation,
    KeptConflict,
    Series,
    SeriesMetadata,
    ShownSeries,
    Study,
)
from isocenter.infra.db import Tx, jsonb

# A batch travels as one JSON parameter with the columns' names: encoding fifty arrays costs more
# than the database needs for the whole statement.
Rows = Sequence[Mapping[str, Any]]


def octets(value: bytes | None) -> str | None:
    """The form of a ``bytea`` in ``Rows``."""
    return None if value is None else "\\x" + value.hex()


@dataclass(frozen=True, slots=True)
class Place:
    """A series of a study that instances go to, with what is known of the study, both locked."""

    study_key: int
    study_instance_uid: str
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    accession_number: str | None
    study_id: str | None
    study_date: date | None
    study_time: time | None
    study_description: str | None
    referring_physician_name: str | None
    number_of_instances: int
    completed_at: datetime | None
    disagreements: dict[str, list[str]]
    series_key: int
    series_instance_uid: str


_PLACES = """
with study as (
    insert into archive.study as known (
        study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
        patient_name_normalised, patient_name_phonetic, patient_birth_date, patient_sex,
        accession_number, study_id, study_date, study_time, study_description,
        referring_physician_name, referring_physician_normalised, first_received_at,
        last_received_at)
    select study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
           patient_name_normalised, patient_name_phonetic, patient_birth_date, patient_sex,
           accession_number, study_id, study_date, study_time, study_description,
           referring_physician_name, referring_physician_normalised, %(now)s, %(now)s
      from jsonb_to_recordset(%(studies)s) as given (
           study_instance_uid text, patient_id text, issuer_of_patient_id text, patient_name text,
           patient_name_normalised text, patient_name_phonetic text, patient_birth_date date,
           patient_sex text, accession_number text, study_id text, study_date date,
           study_time time, study_description text, referring_physician_name text,
           referring_physician_normalised text)
     order by study_instance_uid
    on conflict (study_instance_uid) do update set study_instance_uid = known.study_instance_uid
    returning *
), series as (
    insert into archive.series as known (
        study_key, series_instance_uid, modality, series_number, series_description, series_date,
        series_time, body_part_examined, laterality, station_name, manufacturer,
        manufacturer_model_name, protocol_name, performed_procedure_step_start_date,
        performed_procedure_step_start_time, first_received_at, last_received_at)
    select study.study_key, given.series_instance_uid, given.modality, given.series_number,
           given.series_description, given.series_date, given.series_time, given.body_part_examined,
           given.laterality, given.station_name, given.manufacturer, given.manufacturer_model_name,
           given.protocol_name, given.performed_procedure_step_start_date,
           given.performed_procedure_step_start_time, %(now)s, %(now)s
      from jsonb_to_recordset(%(series)s) as given (
           study_instance_uid text, series_instance_uid text, modality text, series_number int,
           series_description text, series_date date, series_time time, body_part_examined text,
           laterality text, station_name text, manufacturer text, manufacturer_model_name text,
           protocol_name text, performed_procedure_step_start_date date,
           performed_procedure_step_start_time time)
      join study using (study_instance_uid)
     order by given.study_instance_uid, given.series_instance_uid
    on conflict on constraint series_in_study
       do update set series_instance_uid = known.series_instance_uid
    returning known.series_key, known.study_key, known.series_instance_uid
)
select study.study_key, study_instance_uid, patient_id, issuer_of_patient_id, patient_name,
       patient_birth_date, patient_sex, accession_number, study_id, study_date, study_time,
       study_description, referring_physician_name, number_of_instances, completed_at,
       disagreements, series_key, series_instance_uid
  from series join study using (study_key)
"""


def places(tx: Tx, studies: Rows, series: Rows, *, now: datetime) -> list[Place]:
    """The locked rows of all ``series`` and their ``studies``, made where they did not exist."""
    return tx.all(Place, _PLACES, {"studies": jsonb(studies), "series": jsonb(series), "now": now})


_STORE = """
with given as materialized (
    select *
      from jsonb_to_recordset(%(instances)s) as given (
           series_key bigint, sop_instance_uid text, sop_class_uid text, transfer_syntax_uid text,
           instance_number int, rows int, columns int, bits_allocated int, number_of_frames int,
           blob_key text, size_bytes bigint, sha256 bytea, dataset_offset bigint,
           pixel_data_offset bigint, frame_ranges bytea, received_at timestamptz,
           calling_ae_title text)
), place as materialized (
    -- Locks studies before series, as everywhere; counted below, so it is complete before that.
    select series.series_key
      from archive.study join archive.series using (study_key)
     where series.series_key in (select series_key from given)
     order by study.study_instance_uid, series.series_instance_uid
       for update of study
), stored as (
    insert into archive.instance (
        series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number, rows,
        columns, bits_allocated, number_of_frames, blob_key, size_bytes, sha256, dataset_offset,
        pixel_data_offset, frame_ranges, received_at, calling_ae_title)
    select *
      from given
     where (select count(*) from place) > 0 and series_key in (select series_key from place)
       -- What somebody rejected does not come back because it is sent again.
       and not exists (
           select from archive.conflicting_instance rejected
            where rejected.sop_instance_uid = given.sop_instance_uid
              and rejection_key is not null)
       and not exists (
           select from archive.awaited_rejection awaited
            where awaited.sop_instance_uid = given.sop_instance_uid)
     order by sop_instance_uid
    on conflict (sop_instance_uid) do nothing
    returning series_key, sop_instance_uid, sop_class_uid, calling_ae_title
), per_series as (
    select series_key, count(*) as number, array_agg(distinct sop_class_uid) as sop_classes,
           array_agg(distinct calling_ae_title) as calling_ae_titles
      from stored group by series_key
), grown as (
    update archive.series
       set number_of_instances = series.number_of_instances + per_series.number,
           last_received_at = greatest(series.last_received_at, %(now)s)
      from per_series
     where series.series_key = per_series.series_key
    returning series.study_key, series.modality, per_series.number, per_series.sop_classes,
              per_series.calling_ae_titles, series.number_of_instances = per_series.number as is_new
), per_study as (
    select study_key, sum(number) as number, count(*) filter (where is_new) as new_series
      from grown group by study_key
), grown_study as (
    update archive.study
       set number_of_instances = study.number_of_instances + per_study.number,
           number_of_series = study.number_of_series + per_study.new_series,
           last_received_at = greatest(study.last_received_at, %(now)s),
           completed_at = null,
           modalities = array(
               select unnest(study.modalities) union
               select modality from grown where grown.study_key = study.study_key and modality <> ''
               order by 1),
           sop_classes = array(
               select unnest(study.sop_classes) union
               select unnest(sop_classes) from grown where grown.study_key = study.study_key
               order by 1),
           calling_ae_titles = array(
               select unnest(study.calling_ae_titles) union
               select unnest(calling_ae_titles) from grown where grown.study_key = study.study_key
               order by 1)
      from per_study
     where study.study_key = per_study.study_key
)
select sop_instance_uid from stored
"""


def store(tx: Tx, instances: Rows, *, now: datetime) -> set[str]:
    """SOP Instance UIDs of the rows that were inserted; series and studies are counted on.

    Not inserted is what is there already, and what names a series that is not.
    """
    return set(tx.values(_STORE, {"instances": jsonb(instances), "now": now}))


@dataclass(frozen=True, slots=True)
class Known:
    """An instance that was here before."""

    sop_instance_uid: str
    blob_key: str
    sha256: bytes
    study_instance_uid: str


_KNOWN = """
select sop_instance_uid, blob_key, sha256, study_instance_uid
  from archive.instance
  join archive.series using (series_key)
  join archive.study using (study_key)
 where sop_instance_uid = any(%(uids)s)
union all
select sop_instance_uid, blob_key, sha256, study_instance_uid
  from archive.conflicting_instance
 where rejection_key is not null and sop_instance_uid = any(%(uids)s)
"""


def known(tx: Tx, sop_instance_uids: Sequence[str]) -> list[Known]:
    """What is stored under these SOP Instance UIDs, rejected ones included."""
    return tx.all(Known, _KNOWN, {"uids": list(sop_instance_uids)})


_KEEP_CONFLICTS = """
insert into archive.conflicting_instance (
    sop_instance_uid, study_instance_uid, asserted_study_instance_uid, asserted_series_instance_uid,
    sop_class_uid, transfer_syntax_uid, blob_key, size_bytes, sha256, dataset_offset, received_at,
    calling_ae_title, rejection_key)
select *
  from jsonb_to_recordset(%s) as given (
       sop_instance_uid text, study_instance_uid text, asserted_study_instance_uid text,
       asserted_series_instance_uid text, sop_class_uid text, transfer_syntax_uid text,
       blob_key text, size_bytes bigint, sha256 bytea, dataset_offset bigint,
       received_at timestamptz, calling_ae_title text, rejection_key bigint)
 order by sop_instance_uid
on conflict on constraint conflicting_once do nothing
returning blob_key
"""


def keep_conflicts(tx: Tx, conflicts: Rows) -> set[str]:
    """Blob keys of those that were not kept already."""
    return set(tx.values(_KEEP_CONFLICTS, (jsonb(conflicts),)))


_DROP_EMPTY_SERIES = """
delete from archive.series where series_key = any(%s) and number_of_instances = 0
"""
_DROP_EMPTY_STUDIES = """
delete from archive.study
 where study_key = any(%s) and number_of_instances = 0
   and not exists (select from archive.series where series.study_key = study.study_key)
"""


def drop_empty_series(tx: Tx, series_keys: Sequence[int]) -> None:
    """Remove series that were made for instances which then were not new."""
    tx.run(_DROP_EMPTY_SERIES, (list(series_keys),))


def drop_empty_studies(tx: Tx, study_keys: Sequence[int]) -> None:
    """Remove studies that were made for instances which then were not new."""
    tx.run(_DROP_EMPTY_STUDIES, (list(study_keys),))


_SUPPLEMENT = """
update archive.study set
    patient_id = coalesce(study.patient_id, given.patient_id),
    issuer_of_patient_id = coalesce(study.issuer_of_patient_id, given.issuer_of_patient_id),
    patient_name = coalesce(study.patient_name, given.patient_name),
    patient_name_normalised =
        coalesce(study.patient_name_normalised, given.patient_name_normalised),
    patient_name_phonetic = coalesce(study.patient_name_phonetic, given.patient_name_phonetic),
    patient_birth_date = coalesce(study.patient_birth_date, given.patient_birth_date),
    patient_sex = coalesce(study.patient_sex, given.patient_sex),
    accession_number = coalesce(study.accession_number, given.accession_number),
    study_id = coalesce(study.study_id, given.study_id),
    study_date = coalesce(study.study_date, given.study_date),
    study_time = coalesce(study.study_time, given.study_time),
    study_description = coalesce(study.study_description, given.study_description),
    referring_physician_name =
        coalesce(study.referring_physician_name, given.referring_physician_name),
    referring_physician_normalised =
        coalesce(study.referring_physician_normalised, given.referring_physician_normalised),
    disagreements = given.disagreements
from jsonb_to_recordset(%s) as given (
    study_key bigint, patient_id text, issuer_of_patient_id text, patient_name text,
    patient_name_normalised text, patient_name_phonetic text, patient_birth_date date,
    patient_sex text, accession_number text, study_id text, study_date date, study_time time,
    study_description text, referring_physician_name text, referring_physician_normalised text,
    disagreements jsonb)
where study.study_key = given.study_key
"""


def supplement(tx: Tx, studies: Rows) -> None:
    """Give studies the values that they lacked, and note in what their instances disagree."""
    tx.run(_SUPPLEMENT, (jsonb(studies),))


_STUDY = """
select study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date,
       patient_sex, accession_number, study_date, study_time, study_description, modalities,
       number_of_series, number_of_instances, disagreements, first_received_at, last_received_at,
       completed_at
  from archive.study
 where study_instance_uid = %s
"""


def study(tx: Tx, study_instance_uid: str) -> Study | None:
    """The study."""
    return tx.maybe(Study, _STUDY, (study_instance_uid,))


_SERIES = """
select study_instance_uid, series_instance_uid, modality, series_number, series_description,
       series.number_of_instances, series.last_received_at, metadata_blob_key, metadata_instances
  from archive.series join archive.study using (study_key)
 where study_instance_uid = %s
 order by series_number nulls last, series_key
"""


def series_of(tx: Tx, study_instance_uid: str) -> list[Series]:
    """The study's series by number."""
    return tx.all(Series, _SERIES, (study_instance_uid,))


_SHOWN_SERIES = """
select study_instance_uid, series_instance_uid, modality, series_number, series_description,
       series.number_of_instances, series.last_received_at, metadata_blob_key, metadata_instances,
       study.corrected_at is not null
           or exists (select from archive.split
                       where to_study_instance_uid = study.study_instance_uid) as says_otherwise
  from archive.series join archive.study using (study_key)
 where study_instance_uid = %s
 order by series_number nulls last, series_key
"""


def shown_series_of(tx: Tx, study_instance_uid: str) -> list[ShownSeries]:
    """The study's series by number, and whether its images may have to say something else."""
    return tx.all(ShownSeries, _SHOWN_SERIES, (study_instance_uid,))


_LOCATIONS = """
select study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid,
       transfer_syntax_uid, instance_number, number_of_frames, blob_key, size_bytes, sha256,
       dataset_offset, pixel_data_offset, frame_ranges, instance.calling_ae_title
  from archive.study join archive.series using (study_key) join archive.instance using (series_key)
 where study_instance_uid = %(study)s
   and (%(series)s::text is null or series_instance_uid = %(series)s)
   and (%(instance)s::text is null or sop_instance_uid = %(instance)s)
 order by series_number nulls last, series_key, instance_number nulls last, instance_key
"""

# Asking for one instance is the hot path of frame requests: its own statement has its own plan.
_LOCATION = """
select study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid,
       transfer_syntax_uid, instance_number, number_of_frames, blob_key, size_bytes, sha256,
       dataset_offset, pixel_data_offset, frame_ranges, instance.calling_ae_title
  from archive.instance join archive.series using (series_key) join archive.study using (study_key)
 where sop_instance_uid = %(instance)s and study_instance_uid = %(study)s
   and (%(series)s::text is null or series_instance_uid = %(series)s)
"""


def locations(
    tx: Tx, study: str, series: str | None = None, instance: str | None = None
) -> list[InstanceLocation]:
    """Where the instances are, by series number and instance number."""
    statement = _LOCATIONS if instance is None else _LOCATION
    return tx.all(
        InstanceLocation, statement, {"study": study, "series": series, "instance": instance}
    )


_CONFLICTS = """
select sop_instance_uid, sha256, calling_ae_title, received_at
  from archive.conflicting_instance
 where study_instance_uid = %s and rejection_key is null
 order by conflict_key
"""


def conflicts(tx: Tx, study_instance_uid: str) -> list[KeptConflict]:
    """What is kept beside the study's instances."""
    return tx.all(KeptConflict, _CONFLICTS, (study_instance_uid,))


_STUDIES_WITH_ACCESSION_NUMBER = """
select study_instance_uid from archive.study
 where accession_number is not null and upper(btrim(accession_number)) = any(%s)
"""


def studies_with_accession_numbers(tx: Tx, normalised: Sequence[str]) -> list[str]:
    """UIDs of the studies whose images carry one of these accession numbers."""
    return tx.values(_STUDIES_WITH_ACCESSION_NUMBER, (list(normalised),))


_EXISTING = "select study_instance_uid from archive.study where study_instance_uid = any(%s)"


def existing(tx: Tx, study_instance_uids: Sequence[str]) -> list[str]:
    """Those of the UIDs of which there are images."""
    return tx.values(_EXISTING, (list(study_instance_uids),))


_SET_METADATA = """
with described as (
    update archive.series
       set metadata_blob_key = %(blob_key)s, metadata_instances = %(instances)s,
           request_attributes = %(request_attributes)s,
           timezone_offset_from_utc = %(timezone_offset_from_utc)s
      from archive.study
     where study.study_key = series.study_key and study_instance_uid = %(study)s
       and series_instance_uid = %(series)s and metadata_instances < %(instances)s
       and series.number_of_instances >= %(instances)s
    returning series.study_key
), of_study as (
    update archive.study
       set timezone_offset_from_utc = %(timezone_offset_from_utc)s
      from described
     where study.study_key = described.study_key and %(timezone_offset_from_utc)s::text is not null
       and study.timezone_offset_from_utc is distinct from %(timezone_offset_from_utc)s
)
select count(*) from described
"""


def set_metadata(tx: Tx, study: str, series: str, made: SeriesMetadata) -> bool:
    """Whether the object is newer than what was named before, and is named now."""
    params = {
        "study": study,
        "series": series,
        "blob_key": made.blob_key,
        "instances": made.instances,
        "request_attributes": jsonb(made.request_attributes),
        "timezone_offset_from_utc": made.timezone_offset_from_utc,
    }
    return tx.value(_SET_METADATA, params) > 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """A study that has just been taken for complete."""

    study_instance_uid: str
    patient_id: str | None
    calling_ae_titles: list[str]
    number_of_series: int
    number_of_instances: int


_COMPLETE = """
with quiet as (
    select study_key from archive.study
     where completed_at is null and last_received_at <= %(quiet_since)s and number_of_instances > 0
       and not study_instance_uid = any(%(in_progress)s)
     order by study_instance_uid
     limit %(limit)s
     for update skip locked
)
update archive.study set completed_at = %(now)s
  from quiet
 where study.study_key = quiet.study_key
returning study_instance_uid, patient_id, calling_ae_titles, number_of_series, number_of_instances
"""


def complete(
    tx: Tx, *, quiet_since: datetime, in_progress: Sequence[str], limit: int, now: datetime
) -> list[Quiet]:
    """Studies that got nothing since, now complete. Those being written to are left for later."""
    params = {
        "quiet_since": quiet_since,
        "in_progress": list(in_progress),
        "limit": limit,
        "now": now,
    }
    return tx.all(Quiet, _COMPLETE, params)


_COMPLETE_ONE = """
update archive.study set completed_at = %(now)s
 where study_instance_uid = %(study)s and completed_at is null and number_of_instances > 0
returning study_instance_uid, patient_id, calling_ae_titles, number_of_series, number_of_instances
"""


def complete_one(tx: Tx, study_instance_uid: str, now: datetime) -> Quiet | None:
    """The study, now complete; None when it is already, or has no images."""
    return tx.maybe(Quiet, _COMPLETE_ONE, {"study": study_instance_uid, "now": now})
