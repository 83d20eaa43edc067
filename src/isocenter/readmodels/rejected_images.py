"""Images that are kept and that nobody is shown: what an administrator may bring back into use."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

ROWS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSeries:
    """Images of one series that are out of use, by the newest rejection of some of them.

    Attributes:
        instances: how many are out of use; ``shown`` are not.
        patient_id: as the study says it, or as it was when the images were rejected.
        split_to: Study Instance UID of the study that shows them instead; they come back when that
            split is undone, on the page of their study. '' for images that were not split off.
        replaced: they were shown for images that are where they came again: they stay away.
    """

    rejection_key: int
    study_instance_uid: str
    series_instance_uid: str
    instances: int
    shown: int
    code: str
    reason: str
    rejected_by: str
    rejected_at: datetime
    patient_id: str | None
    patient_name: str | None
    study_date: date | None
    study_description: str | None
    split_to: str
    replaced: bool

    @property
    def can_be_restored(self) -> bool:
        """Whether restoring brings any of them back."""
        return not self.split_to and not self.replaced


_REJECTED = """
with held as (
    select asserted_study_instance_uid as study_instance_uid,
           asserted_series_instance_uid as series_instance_uid,
           max(rejection_key) as rejection_key, count(*)::int as instances,
           min(sop_instance_uid) as example
      from archive.conflicting_instance
     where rejection_key is not null
       and not exists (select from archive.rejection
                        where note_sop_instance_uid = conflicting_instance.sop_instance_uid)
       and not exists (select from archive.restoration
                        where note_sop_instance_uid = conflicting_instance.sop_instance_uid)
       and (%(study)s::text is null or asserted_study_instance_uid = %(study)s)
     group by 1, 2
    having %(before)s::bigint is null or max(rejection_key) < %(before)s
     order by max(rejection_key) desc limit %(limit)s)
select held.rejection_key, held.study_instance_uid, held.series_instance_uid, held.instances,
       coalesce(series.number_of_instances, 0) as shown, rejection.code, rejection.reason,
       rejection.rejected_by, rejection.rejected_at,
       coalesce(study.corrected_patient_id, study.patient_id, "then".patient_id) as patient_id,
       coalesce(study.corrected_patient_name, study.patient_name) as patient_name,
       study.study_date, study.study_description,
       coalesce((select to_study_instance_uid from archive.split_instance moved
                   join archive.split using (split_key)
                  where original_sop_instance_uid = held.example and undone_at is null limit 1), '')
           as split_to,
       exists (select from archive.split_instance moved join archive.split using (split_key)
                where moved.sop_instance_uid = held.example and undone_at is not null) as replaced
  from held
  join archive.rejection using (rejection_key)
  left join archive.study on study.study_instance_uid = held.study_instance_uid
  left join archive.series
    on series.study_key = study.study_key and series.series_instance_uid = held.series_instance_uid
  left join lateral (
       select patient_id from audit.record
        where object_type = 'study' and object_id = held.study_instance_uid
          and patient_id is not null
        order by recorded_at desc limit 1) as "then" on true
 order by held.rejection_key desc, held.series_instance_uid
"""


def rejected_series(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str | None = None,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[RejectedSeries]:
    """Series with images out of use, the newest rejection first; ``before`` pages."""
    viewer.require(Action.STUDY_REJECT)
    params = {"study": study_instance_uid, "before": before, "limit": min(limit, ROWS_MAX)}
    return tx.all(RejectedSeries, _REJECTED, params)
