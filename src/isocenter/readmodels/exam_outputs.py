"""What the archive has of an exam: its series with their instances."""

from dataclasses import dataclass

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class SeriesOutput:
    """A series; ``sop_class_uids`` and ``sop_instance_uids`` are of the same instances."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uids: list[str]
    sop_instance_uids: list[str]


_SERIES = """
with named as (
    select study_key, study_instance_uid from archive.study where study_instance_uid = %(study)s
     union
    select study_key, study_instance_uid from archive.study
     where accession_number is not null
       and upper(btrim(accession_number)) = upper(btrim(%(accession_number)s))
), own as (
    select study_key, study_instance_uid from named
     where not exists (select from reconcile.link
                        where link.study_instance_uid = named.study_instance_uid
                          and link.accession_number <> %(accession_number)s)
     union
    select study_key, study_instance_uid
      from reconcile.link join archive.study using (study_instance_uid)
     where link.accession_number = %(accession_number)s
)
select study_instance_uid, series_instance_uid,
       array_agg(sop_class_uid order by instance_number nulls last, instance_key) as sop_class_uids,
       array_agg(sop_instance_uid order by instance_number nulls last, instance_key)
           as sop_instance_uids
  from own join archive.series using (study_key) join archive.instance using (series_key)
 group by study_instance_uid, series_key, series_instance_uid, series_number
 order by study_instance_uid, series_number nulls last, series_key
"""


def series_of_exam(
    tx: Tx, viewer: Viewer, accession_number: str, study_instance_uid: str
) -> list[SeriesOutput]:
    """The series of the studies that are linked to the exam, or that name it and are no other's."""
    viewer.require(Action.STUDY_READ)
    params = {"accession_number": accession_number, "study": study_instance_uid}
    return tx.all(SeriesOutput, _SERIES, params)
