"""The SQL of performed procedure steps. One function is one statement.

What scheduled steps may be meant is read across the stages below.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from isocenter.domain.worklist.model import (
    NamedStep,
    Performed,
    PerformedSeries,
    PerformedStep,
    ScheduledReference,
    StepStart,
)
from isocenter.infra.db import Tx, jsonb


def insert(tx: Tx, step: StepStart, peer: str, now: datetime) -> int | None:
    """The key of a new performed step; None when there is one with its UID."""
    return tx.value(
        """
        insert into worklist.performed_procedure_step
               (sop_instance_uid, status, performed_procedure_step_id, performed_station_ae_title,
                modality, patient_id, patient_name, started_at, attributes, peer, received_at,
                updated_at)
        values (%(sop_instance_uid)s, 'IN PROGRESS', %(performed_procedure_step_id)s,
                %(performed_station_ae_title)s, %(modality)s, %(patient_id)s, %(patient_name)s,
                %(started_at)s, %(attributes)s, %(peer)s, %(now)s, %(now)s)
            on conflict (sop_instance_uid) do nothing
        returning performed_key
        """,
        {
            "sop_instance_uid": step.sop_instance_uid,
            "performed_procedure_step_id": step.performed_procedure_step_id,
            "performed_station_ae_title": step.performed_station_ae_title,
            "modality": step.modality,
            "patient_id": step.patient_id,
            "patient_name": step.patient_name,
            "started_at": step.started_at,
            "attributes": jsonb(step.attributes),
            "peer": peer,
            "now": now,
        },
    )


def insert_references(tx: Tx, performed_key: int, references: Sequence[ScheduledReference]) -> None:
    """Keep what a performed step says that it was doing."""
    tx.run(
        """
        insert into worklist.scheduled_reference
               (performed_key, position, study_instance_uid, accession_number,
                requested_procedure_id, scheduled_procedure_step_id)
        select %(performed_key)s, position, study_instance_uid, accession_number,
               requested_procedure_id, scheduled_procedure_step_id
          from jsonb_to_recordset(%(rows)s) as said (
               position int, study_instance_uid text, accession_number text,
               requested_procedure_id text, scheduled_procedure_step_id text)
        """,
        {
            "performed_key": performed_key,
            "rows": jsonb([
                {
                    "position": position,
                    "study_instance_uid": each.study_instance_uid,
                    "accession_number": each.accession_number,
                    "requested_procedure_id": each.requested_procedure_id,
                    "scheduled_procedure_step_id": each.scheduled_procedure_step_id,
                }
                for position, each in enumerate(references)
            ]),
        },
    )


def replace_series(tx: Tx, performed_key: int, series: Iterable[PerformedSeries]) -> None:
    """Keep what a performed step says that it made, in place of what it said before."""
    tx.run(
        """
        with said as (
            select series_instance_uid, sop_instance_uids
              from jsonb_to_recordset(%(rows)s) as said (
                   series_instance_uid text, sop_instance_uids text[])
        ), gone as (
            delete from worklist.performed_series
             where performed_key = %(performed_key)s
               and series_instance_uid not in (select series_instance_uid from said)
        )
        insert into worklist.performed_series as known
               (performed_key, series_instance_uid, sop_instance_uids)
        select %(performed_key)s, series_instance_uid, sop_instance_uids from said
            on conflict (performed_key, series_instance_uid) do update
           set sop_instance_uids = excluded.sop_instance_uids,
               received = known.received and known.sop_instance_uids @> excluded.sop_instance_uids
        """,
        {
            "performed_key": performed_key,
            "rows": jsonb([
                {
                    "series_instance_uid": each.series_instance_uid,
                    "sop_instance_uids": each.sop_instance_uids,
                }
                for each in series
            ]),
        },
    )


_STEP = """
select performed_key, sop_instance_uid, status, performed_procedure_step_id,
       performed_station_ae_title, modality, patient_id, patient_name, started_at, ended_at,
       discontinuation_reason_code, discontinuation_reason_scheme, discontinuation_reason_meaning,
       attributes, peer, received_at, updated_at
  from worklist.performed_procedure_step where sop_instance_uid = %s
"""
# Not "for update": rows that refer to the step may be written by whoever holds its order.
_LOCKED_STEP = _STEP + "for no key update"


def lock(tx: Tx, sop_instance_uid: str) -> PerformedStep | None:
    """The performed step, locked."""
    return tx.maybe(PerformedStep, _LOCKED_STEP, (sop_instance_uid,))


def read(tx: Tx, sop_instance_uid: str) -> PerformedStep | None:
    """The performed step."""
    return tx.maybe(PerformedStep, _STEP, (sop_instance_uid,))


def update(tx: Tx, step: PerformedStep, now: datetime) -> None:
    """Write what is known of a performed step now."""
    tx.run(
        """
        update worklist.performed_procedure_step
           set status = %(status)s, ended_at = %(ended_at)s,
               discontinuation_reason_code = %(code)s, discontinuation_reason_scheme = %(scheme)s,
               discontinuation_reason_meaning = %(meaning)s, attributes = %(attributes)s,
               updated_at = %(now)s
         where performed_key = %(performed_key)s
        """,
        {
            "performed_key": step.performed_key,
            "status": step.status,
            "ended_at": step.ended_at,
            "code": step.discontinuation_reason_code,
            "scheme": step.discontinuation_reason_scheme,
            "meaning": step.discontinuation_reason_meaning,
            "attributes": jsonb(step.attributes),
            "now": now,
        },
    )


def references_of(tx: Tx, performed_key: int) -> list[ScheduledReference]:
    """What a performed step says that it was doing, in its order."""
    return tx.all(
        ScheduledReference,
        """
        select study_instance_uid, accession_number, requested_procedure_id,
               scheduled_procedure_step_id
          from worklist.scheduled_reference where performed_key = %s order by position
        """,
        (performed_key,),
    )


def exams_named(tx: Tx, references: Sequence[ScheduledReference]) -> list[str]:
    """Accession numbers of the orders that references may mean, in the order of locking."""
    return tx.values(
        """
        select accession_number from orders.requested_procedure
          join orders.imaging_order using (order_key)
         where study_instance_uid = any(%(study_instance_uids)s)
         union
        select accession_number from orders.imaging_order
         where upper(btrim(accession_number)) = any(%(accession_numbers)s)
         order by 1
        """,
        {
            "study_instance_uids": [each.study_instance_uid for each in references],
            "accession_numbers": [
                each.accession_number.strip(" ").upper()
                for each in references
                if each.accession_number
            ],
        },
    )


def exams_meant(tx: Tx, performed_key: int) -> list[str]:
    """Accession numbers of the exams whose steps a performed one was found to mean."""
    return tx.values(
        """
        select distinct accession_number from worklist.performance
          join scheduling.scheduled_procedure_step using (step_key)
         where performed_key = %s order by 1
        """,
        (performed_key,),
    )


def named_exams(tx: Tx, accession_numbers: Sequence[str]) -> list[str]:
    """The exams whose steps any performed step may mean, or was found to mean, in one order."""
    return tx.values(
        """
        select distinct exam.number
          from unnest(%s::text[]) as exam (number)
         where exists (
               select from worklist.performance
                 join scheduling.scheduled_procedure_step using (step_key)
                where accession_number = exam.number)
            or exists (
               select from worklist.scheduled_reference
                where accession_number <> ''
                  and upper(btrim(accession_number)) = upper(btrim(exam.number)))
            or exists (
               select from orders.imaging_order
                 join orders.requested_procedure using (order_key)
                 join worklist.scheduled_reference using (study_instance_uid)
                where imaging_order.accession_number = exam.number)
         order by 1
        """,
        (list(accession_numbers),),
    )


def named_steps(tx: Tx, accession_number: str) -> list[NamedStep]:
    """The steps of an exam by all their names, oldest first."""
    return tx.all(
        NamedStep,
        """
        select step_key, study_instance_uid, accession_number, requested_procedure_id,
               scheduled_procedure_step_id
          from scheduling.scheduled_procedure_step
          join orders.requested_procedure using (procedure_key)
         where accession_number = %s order by step_key
        """,
        (accession_number,),
    )


def performed_for(
    tx: Tx, accession_number: str, study_instance_uids: Collection[str]
) -> list[Performed]:
    """References of performed steps that may mean those of an exam."""
    return tx.all(
        Performed,
        """
        select performed_key, status, discontinuation_reason_code, discontinuation_reason_scheme,
               set_aside_at is not null as is_set_aside, study_instance_uid, accession_number,
               requested_procedure_id, scheduled_procedure_step_id
          from worklist.scheduled_reference
          join worklist.performed_procedure_step using (performed_key)
         where study_instance_uid = any(%(study_instance_uids)s)
            or (accession_number <> ''
                and upper(btrim(accession_number)) = upper(btrim(%(accession_number)s)))
         order by performed_key, position
        """,
        {
            "study_instance_uids": list(study_instance_uids),
            "accession_number": accession_number,
        },
    )


def set_performance(tx: Tx, step_keys: Sequence[int], pairs: Collection[tuple[int, int]]) -> None:
    """Keep which performed steps mean these scheduled ones: pairs of (step key, performed key)."""
    tx.run(
        """
        with said as (
            select step_key, performed_key
              from unnest(%(steps)s::bigint[], %(performed)s::bigint[])
                   as said (step_key, performed_key)
        ), gone as (
            delete from worklist.performance
             where step_key = any(%(step_keys)s)
               and (step_key, performed_key) not in (select step_key, performed_key from said)
        )
        insert into worklist.performance (step_key, performed_key)
        select step_key, performed_key from said order by 1, 2 on conflict do nothing
        """,
        {
            "step_keys": list(step_keys),
            "steps": [step_key for step_key, _ in pairs],
            "performed": [performed_key for _, performed_key in pairs],
        },
    )


def set_aside(tx: Tx, accession_number: str, by: str, now: datetime) -> list[int]:
    """Have what modalities discontinued of an exam's steps count no more; gives the keys."""
    return tx.values(
        """
        update worklist.performed_procedure_step set set_aside_at = %(now)s, set_aside_by = %(by)s
         where set_aside_at is null and status = 'DISCONTINUED'
           and performed_key in (
               select performed_key from worklist.performance
                 join scheduling.scheduled_procedure_step using (step_key)
                where accession_number = %(accession_number)s
                  and performed_status = 'DISCONTINUED' and not closed)
        returning performed_key
        """,
        {"accession_number": accession_number, "by": by, "now": now},
    )


def confirm_series(tx: Tx, keys: Sequence[tuple[int, str]]) -> None:
    """Keep that all objects of series have been received: (performed key, series UID)."""
    tx.run(
        """
        update worklist.performed_series series set received = true
          from unnest(%s::bigint[], %s::text[]) as said (performed_key, series_instance_uid)
         where series.performed_key = said.performed_key
           and series.series_instance_uid = said.series_instance_uid and not received
        """,
        ([key for key, _ in keys], [uid for _, uid in keys]),
    )


def studies_in_progress(tx: Tx, since: datetime) -> list[str]:
    """Studies that a modality began after ``since`` and has not said to have ended."""
    return tx.values(
        """
        select distinct study_instance_uid from worklist.performed_procedure_step
          join worklist.scheduled_reference using (performed_key)
         where status = 'IN PROGRESS' and started_at > %(since)s
         union
        select study_instance_uid from worklist.workitem
          join scheduling.scheduled_procedure_step using (step_key)
          join orders.requested_procedure using (procedure_key)
         where workitem.state = 'IN PROGRESS' and claimed_by is not null
           and workitem.updated_at > %(since)s
        """,
        {"since": since},
    )


def told_at(tx: Tx, performed_key: int, recipient: str) -> datetime | None:
    """When what a peer was told last of a performed step had been said; None: nothing yet."""
    return tx.value(
        "select told_at from worklist.step_forward where performed_key = %s and recipient = %s",
        (performed_key, recipient),
    )


def set_told(tx: Tx, performed_key: int, recipient: str, said_at: datetime) -> None:
    """Keep that a peer was told what had been said of a performed step at a moment."""
    tx.run(
        """
        insert into worklist.step_forward (performed_key, recipient, told_at) values (%s, %s, %s)
            on conflict (performed_key, recipient) do update set told_at = excluded.told_at
        """,
        (performed_key, recipient, said_at),
    )
