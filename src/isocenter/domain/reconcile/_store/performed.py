"""What modalities say that they did: whether a study is whole, and for which order it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class WrongEntryRow:
    """A performed step that was discontinued because the wrong worklist entry had been taken."""

    sop_instance_uid: str
    station_ae_title: str
    made_objects: bool
    is_all: bool


_WRONG_ENTRY = """
with performed as (
    select performed_key, sop_instance_uid, performed_station_ae_title,
           status = 'DISCONTINUED' and discontinuation_reason_code = '110514'
               and discontinuation_reason_scheme = 'DCM' as wrong
      from worklist.scheduled_reference join worklist.performed_procedure_step using (performed_key)
     where study_instance_uid = %s
)
select sop_instance_uid, performed_station_ae_title as station_ae_title,
       exists (select from worklist.performed_series
                where performed_series.performed_key = performed.performed_key
                  and cardinality(sop_instance_uids) > 0) as made_objects,
       not exists (select from performed where wrong is not true) as is_all
  from performed where wrong order by made_objects desc, sop_instance_uid limit 1
"""


def wrong_entry(tx: Tx, study_instance_uid: str) -> WrongEntryRow | None:
    """Whether a modality took the wrong worklist entry for a study."""
    return tx.maybe(WrongEntryRow, _WRONG_ENTRY, (study_instance_uid,))


@dataclass(frozen=True, slots=True)
class ReceivedSeries:
    """A series that a performed step names and of which all objects are here."""

    performed_key: int
    series_instance_uid: str


_RECEIVED_SERIES = """
select performed_key, series_instance_uid
  from worklist.performed_series
 where not received and cardinality(sop_instance_uids) > 0
   and performed_key in (select performed_key from worklist.scheduled_reference
                          where study_instance_uid = %s)
   and not exists (select from unnest(sop_instance_uids) as uid
                    where not exists (select from archive.instance where sop_instance_uid = uid))
 order by 1, 2
"""


def received_series(tx: Tx, study_instance_uid: str) -> list[ReceivedSeries]:
    """Series of a study's performed steps that were not known to be all here, and are."""
    return tx.all(ReceivedSeries, _RECEIVED_SERIES, (study_instance_uid,))


_ALL_RECEIVED = """
select bool_or(status = 'COMPLETED') and bool_and(status <> 'IN PROGRESS')
       and bool_or(cardinality(sop_instance_uids) > 0)
       and coalesce(bool_and(received or cardinality(sop_instance_uids) = 0), false)
  from worklist.scheduled_reference
  join worklist.performed_procedure_step using (performed_key)
  left join worklist.performed_series using (performed_key)
 where study_instance_uid = %s
"""


def all_received(tx: Tx, study_instance_uid: str) -> bool:
    """Whether the modalities have ended and everything that they say they made is here."""
    return bool(tx.value(_ALL_RECEIVED, (study_instance_uid,)))


_PERFORMED_FOR = """
with said as (
    select performed_key, study_instance_uid from worklist.scheduled_reference
     where accession_number <> '' and upper(btrim(accession_number)) = any(%s))
select study_instance_uid from said where study_instance_uid <> ''
union
select study.study_instance_uid from said
  join worklist.performed_series using (performed_key)
  join archive.series using (series_instance_uid)
  join archive.study using (study_key)
"""
_MADE_BY = """
select distinct study_instance_uid
  from worklist.performed_procedure_step as performed
  join worklist.performed_series using (performed_key)
  join archive.series using (series_instance_uid)
  join archive.study using (study_key)
 where performed.sop_instance_uid = %s
"""


def studies_performed_for(tx: Tx, accession_numbers: Sequence[str]) -> list[str]:
    """Studies that modalities say they made for these orders."""
    return tx.values(_PERFORMED_FOR, ([each.strip().upper() for each in accession_numbers],))


def studies_made_by(tx: Tx, sop_instance_uid: str) -> list[str]:
    """Studies with series that a performed step says it made, whatever study it names."""
    return tx.values(_MADE_BY, (sop_instance_uid,))
