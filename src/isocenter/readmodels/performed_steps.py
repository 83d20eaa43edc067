"""What scanners say that they did, newest first, with the exams that they mean."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

LIMIT_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStep:
    """One performed procedure step.

    Attributes:
        accession_numbers: of the exams whose scheduled steps it means, and of those that its study
            was matched with; empty for an unscheduled one.
        asserted_accession_numbers: what it says itself.
        expected: objects that it says it made.
    """

    performed_key: int
    sop_instance_uid: str
    performed_procedure_step_id: str
    status: str
    performed_station_ae_title: str
    modality: str
    patient_id: str | None
    patient_name: str | None
    started_at: datetime
    ended_at: datetime | None
    discontinuation_reason: str | None
    study_instance_uids: list[str]
    asserted_accession_numbers: list[str]
    accession_numbers: list[str]
    expected: int
    peer: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepQuery:
    """Which steps to list; None does not restrict. ``before`` is the key to page from."""

    status: str | None = None
    unscheduled: bool | None = None
    limit: int = 50
    before: int | None = None


_STEPS = """
select performed_key, sop_instance_uid, performed_procedure_step_id, status,
       performed_station_ae_title, modality, patient_id, patient_name, started_at, ended_at,
       discontinuation_reason_meaning as discontinuation_reason, said.study_instance_uids,
       said.asserted_accession_numbers, meant.accession_numbers, made.expected, peer, received_at
  from worklist.performed_procedure_step step
 cross join lateral (
       select array_agg(distinct study_instance_uid) as study_instance_uids,
              coalesce(array_agg(distinct accession_number) filter (where accession_number <> ''),
                       '{}') as asserted_accession_numbers
         from worklist.scheduled_reference
        where scheduled_reference.performed_key = step.performed_key) said
 cross join lateral (
       select coalesce(array_agg(accession_number order by 1), '{}') as accession_numbers
         from (select accession_number from worklist.performance
                 join scheduling.scheduled_procedure_step using (step_key)
                where performance.performed_key = step.performed_key
                union
               select accession_number from reconcile.link
                where study_instance_uid = any(said.study_instance_uids)) exam) meant
 cross join lateral (
       select coalesce(sum(cardinality(sop_instance_uids)), 0)::int as expected
         from worklist.performed_series
        where performed_series.performed_key = step.performed_key) made
 where (%(before)s::bigint is null or performed_key < %(before)s)
   and (%(status)s::text is null or status = %(status)s)
   and (%(unscheduled)s::boolean is null
        or (cardinality(meant.accession_numbers) = 0) = %(unscheduled)s)
 order by performed_key desc limit %(limit)s
"""


def performed_steps(tx: Tx, viewer: Viewer, query: StepQuery) -> list[ListedStep]:
    """The steps that fit, newest first."""
    viewer.require(Action.EXAM_READ)
    return tx.all(
        ListedStep,
        _STEPS,
        {
            "status": query.status,
            "unscheduled": query.unscheduled,
            "limit": max(1, min(query.limit, LIMIT_MAX)),
            "before": query.before,
        },
    )
