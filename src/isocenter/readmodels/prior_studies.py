"""The other studies of a study's patient, for comparison.

The patient is known by the order that a study was matched with, and only for studies without one by
the patient ID and its issuer that the images state. Relevance is what reading rooms go by: the same
modality and body region first, then the newest.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

PRIORS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorStudy:
    """A study of the same patient.

    Attributes:
        accession_number: of the order it is matched with, else what the images state.
        relevance: 2 the same modality and body part, 1 one of both, 0 neither.
        report_state: None while its exam has no report.
    """

    study_instance_uid: str
    study_date: date | None
    study_description: str | None
    modalities: list[str]
    body_parts: list[str]
    number_of_series: int
    number_of_instances: int
    accession_number: str | None
    relevance: int
    report_state: str | None


_PRIORS = """
with current as (
    select study.study_key, study.patient_id, study.issuer_of_patient_id, study.modalities,
           imaging_order.patient_key,
           array(select distinct upper(body_part_examined) from archive.series
                  where series.study_key = study.study_key
                    and body_part_examined is not null) as body_parts
      from archive.study
      left join reconcile.link using (study_instance_uid)
      left join orders.imaging_order using (order_key)
     where study.study_instance_uid = %(study)s
)
select other.study_instance_uid, other.study_date, other.study_description, other.modalities,
       parts.body_parts, other.number_of_series, other.number_of_instances,
       coalesce(o.accession_number, other.accession_number) as accession_number,
       (other.modalities && current.modalities)::int
         + (parts.body_parts && current.body_parts)::int as relevance,
       report.state as report_state
  from current
  join archive.study other on other.study_key <> current.study_key
  left join reconcile.link on link.study_instance_uid = other.study_instance_uid
  left join orders.imaging_order o on o.order_key = link.order_key
  left join reporting.report on report.order_key = link.order_key
 cross join lateral (
       select array(select distinct upper(body_part_examined) from archive.series
                     where series.study_key = other.study_key
                       and body_part_examined is not null) as body_parts) parts
 where case when current.patient_key is not null and o.patient_key is not null
            then o.patient_key = current.patient_key
            else other.patient_id = current.patient_id
             and coalesce(other.issuer_of_patient_id, '')
                 = coalesce(current.issuer_of_patient_id, '') end
 order by relevance desc, other.study_date desc nulls last, other.study_key desc
 limit %(limit)s
"""


def prior_studies(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[PriorStudy]:
    """Other studies of the patient, the most relevant first; empty when the study is unknown."""
    viewer.require(Action.STUDY_READ)
    return tx.all(PriorStudy, _PRIORS, {"study": study_instance_uid, "limit": PRIORS_MAX})
