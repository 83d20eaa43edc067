"""What waits to be read: exams with complete, matched images and without a signed report."""

from dataclasses import dataclass
from datetime import date, datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingItem:
    """An exam to be read.

    Attributes:
        listed_at: since when it has been complete and matched.
        drafted_by: who is writing its report; None while nobody is.
    """

    accession_number: str
    priority: str | None
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    procedure: str | None
    clinical_information: str | None
    modalities: list[str]
    study_instance_uids: list[str]
    number_of_instances: int
    listed_at: datetime
    report_id: str | None
    drafted_by: str | None


# Most linked exams have been read long ago; those that have not are found first.
_READING_LIST = """
with unread as (
    select link.order_key, max(greatest(linked_at, completed_at)) as listed_at,
           array_agg(study_instance_uid order by first_received_at, study_key) as study_uids,
           sum(number_of_instances)::int as number_of_instances
      from reconcile.link join archive.study using (study_instance_uid)
     where not exists (select from reporting.report
                        where report.order_key = link.order_key and report.state = 'signed')
     group by link.order_key
    having bool_and(completed_at is not null)
)
select o.accession_number, o.priority, patient.patient_id, patient.person_name as patient_name,
       patient.birth_date as patient_birth_date, patient.sex as patient_sex,
       procedure.names as procedure, o.clinical_information,
       array(select distinct unnest(modalities) from archive.study
              where study_instance_uid = any(unread.study_uids) order by 1) as modalities,
       unread.study_uids as study_instance_uids, unread.number_of_instances, unread.listed_at,
       report.report_id, report.updated_by as drafted_by
  from unread
  join orders.imaging_order o using (order_key)
  join identity.current_patient patient using (patient_key)
 cross join lateral (
       select string_agg(coalesce(nullif(description, ''), nullif(code_meaning, ''), code_value),
                         ', ' order by procedure_key) as names
         from orders.requested_procedure p where p.order_key = o.order_key) procedure
  left join reporting.report using (order_key)
 where o.state <> 'cancelled'
   and not exists (
       select from reconcile.reconciliation_case c
        where c.state = 'open' and c.study_instance_uid = any(unread.study_uids))
   and (%(modality)s::text is null or exists (
       select from archive.study
        where study_instance_uid = any(unread.study_uids) and %(modality)s = any(modalities)))
 order by case o.priority when 'STAT' then 0 when 'HIGH' then 1 else 2 end, listed_at, order_key
 limit %(limit)s
"""


def reading_list(
    tx: Tx, viewer: Viewer, *, modality: str | None = None, limit: int = 200
) -> list[ReadingItem]:
    """Exams to be read: the urgent first, then the longest waiting."""
    viewer.require(Action.STUDY_READ)
    return tx.all(ReadingItem, _READING_LIST, {"modality": modality, "limit": limit})
