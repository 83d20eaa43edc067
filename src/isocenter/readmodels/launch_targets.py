"""Which studies another system means that wants to show images to somebody.

The numbers that are known now (after merges and matching) count before those that the images state.
Reads only; who may see them is decided before.

Standard: IHE Radiology Technical Framework, Volume 2, 4.106
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.access.model_launch import STUDIES_MAX, Invocation, RequestType
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokedStudy:
    """A study that is meant.

    Attributes:
        accession_number: of the order that it is matched with; None: no order claims it.
        report_state: None while its exam has no report.
    """

    study_instance_uid: str
    accession_number: str | None
    study_date: date | None
    study_description: str | None
    modalities: list[str]
    number_of_instances: int
    report_state: str | None


_OF_STUDIES: Final = """
with meant as (
    select study_key from archive.study where study_instance_uid = any(%(study_instance_uids)s)
     union
    select study_key from archive.study
     where coalesce(study.corrected_accession_number, study.accession_number)
           = any(%(accession_numbers)s)
     union
    select study_key from orders.imaging_order
      join reconcile.link using (order_key)
      join archive.study using (study_instance_uid)
     where imaging_order.accession_number = any(%(accession_numbers)s)
)
"""
_OF_PATIENT: Final = """
with meant as (
    select study_key from archive.study
     where coalesce(study.corrected_patient_id, study.patient_id) = %(patient_id)s
       and (%(issuer_of_patient_id)s = ''
            or coalesce(study.corrected_issuer_of_patient_id, study.issuer_of_patient_id, '')
               in ('', %(issuer_of_patient_id)s))
)
"""
_FOUND: Final = """
select study.study_instance_uid, o.accession_number, study.study_date, study.study_description,
       study.modalities, study.number_of_instances, report.state as report_state
  from meant
  join archive.study using (study_key)
  left join reconcile.link using (study_instance_uid)
  left join orders.imaging_order o using (order_key)
  left join reporting.report on report.order_key = o.order_key
 where study.number_of_instances > 0
   and (cardinality(%(modalities)s::text[]) = 0 or study.modalities && %(modalities)s::text[])
   and (%(study_date_from)s::date is null or study.study_date >= %(study_date_from)s)
   and (%(study_date_to)s::date is null or study.study_date <= %(study_date_to)s)
 order by study.study_date desc nulls last, study.study_time desc nulls last, study.study_key desc
 limit %(limit)s
"""


def invoked_studies(tx: Tx, viewer: Viewer, wanted: Invocation) -> list[InvokedStudy]:
    """The studies that are meant, the newest first: 50 at most."""
    viewer.require(Action.STUDY_READ)
    given = {
        "study_instance_uids": list(wanted.study_instance_uids),
        "accession_numbers": list(wanted.accession_numbers),
        "patient_id": wanted.patient_id,
        "issuer_of_patient_id": wanted.issuer_of_patient_id,
        "modalities": list(wanted.modalities),
        "study_date_from": wanted.study_date_from,
        "study_date_to": wanted.study_date_to,
        "limit": wanted.newest or STUDIES_MAX,
    }
    if wanted.request_type is RequestType.PATIENT:
        return tx.all(InvokedStudy, _OF_PATIENT + _FOUND, given)
    return tx.all(InvokedStudy, _OF_STUDIES + _FOUND, given)
