"""The SQL of workitems that stand for scheduled steps. One function is one statement.

What is known of the steps is read across the stages below.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.worklist.model_step_workitems import (
    ClaimedWorkitem,
    Performance,
    ScheduledFacts,
)
from isocenter.infra.db import Tx


def facts(tx: Tx, accession_numbers: Sequence[str]) -> list[ScheduledFacts]:
    """What is known of the steps of exams, of each exam the oldest first."""
    return tx.all(
        ScheduledFacts,
        """
        select step.step_key, placed.state = 'held' as held, placed.state_reason, step.modality,
               step.station_ae_titles, step.station_name, step.start_at,
               step.description as step_description, step.pre_medication,
               step.requested_contrast_agent, step.protocol_codes,
               procedure.requested_procedure_id, procedure.study_instance_uid,
               procedure.code_value, procedure.code_scheme, procedure.code_meaning,
               procedure.description as procedure_description,
               placed.accession_number, placed.accession_issuer, placed.placer_order_number,
               placed.filler_order_number, placed.priority,
               placed.ordering_provider_name as requesting_physician,
               placed.referring_physician_name, placed.clinical_information,
               placed.reason_for_study, placed.danger_code as patient_state, placed.admission_id,
               placed.special_needs, placed.allergies, placed.pregnancy_status,
               coalesce(placed.ordered_at, placed.placed_at)::date as ordered_on,
               patient.patient_id, patient.issuer_of_patient_id, patient.person_name,
               patient.birth_date, patient.sex
          from scheduling.scheduled_procedure_step step
          join orders.requested_procedure procedure using (procedure_key)
          join orders.imaging_order placed using (order_key)
          join identity.current_patient patient using (patient_key)
         where step.accession_number = any(%s) order by step.accession_number, step.step_key
        """,
        (list(accession_numbers),),
    )


def performances(tx: Tx, step_keys: Sequence[int]) -> list[Performance]:
    """What modalities said of scheduled steps and a person did not set aside, oldest first."""
    return tx.all(
        Performance,
        """
        select step_key, performed_station_ae_title, started_at, ended_at,
               discontinuation_reason_code, discontinuation_reason_scheme,
               discontinuation_reason_meaning, attributes
          from worklist.performance
          join worklist.performed_procedure_step using (performed_key)
         where step_key = any(%s) and set_aside_at is null
         order by started_at, performed_key
        """,
        (list(step_keys),),
    )


def claimed(tx: Tx, step_keys: Sequence[int]) -> list[ClaimedWorkitem]:
    """The workitems by which somebody says what becomes of scheduled steps."""
    return tx.all(
        ClaimedWorkitem,
        """
        select step_key, state, set_aside_at is not null as is_set_aside from worklist.workitem
         where step_key = any(%s) and claimed_by is not null
        """,
        (list(step_keys),),
    )


def exam_of(tx: Tx, sop_instance_uid: str) -> str | None:
    """Accession number of the exam for whose step a workitem stands."""
    return tx.value(
        """
        select accession_number from worklist.workitem
          join scheduling.scheduled_procedure_step using (step_key)
         where sop_instance_uid = %s
        """,
        (sop_instance_uid,),
    )


def exams_of_patients(tx: Tx, patient_keys: Sequence[int]) -> list[str]:
    """Exams of patients, under whatever name an order has them, whose workitems wait."""
    return tx.values(
        """
        select distinct placed.accession_number
          from orders.imaging_order placed
          join scheduling.scheduled_procedure_step step using (accession_number)
          join worklist.workitem using (step_key)
         where workitem.state = 'SCHEDULED'
           and placed.patient_key in (
               select patient_key from identity.patient where patient_key = any(%(keys)s)
               union
               select patient_key from identity.patient where survivor_key = any(%(keys)s))
         order by 1
        """,
        {"keys": list(patient_keys)},
    )


def exams_without(tx: Tx, limit: int) -> list[str]:
    """Exams with a step that waits and for which no workitem ever stood, the newest first."""
    return tx.values(
        """
        select accession_number from scheduling.scheduled_procedure_step step
         where status in ('SCHEDULED', 'ARRIVED', 'READY') and not closed
           and not exists (select from worklist.workitem
                            where workitem.step_key = step.step_key)
           and exists (select from orders.imaging_order placed
                        where placed.accession_number = step.accession_number
                          and placed.state <> 'held')
         group by accession_number order by max(step.step_key) desc limit %s
        """,
        (limit,),
    )


def set_aside(tx: Tx, accession_number: str, now: datetime) -> int:
    """Have what was canceled by whoever had claimed it count no more; gives how many it were."""
    return tx.run(
        """
        update worklist.workitem set set_aside_at = %(now)s
         where set_aside_at is null and claimed_by is not null and state = 'CANCELED'
           and step_key in (
               select step_key from scheduling.scheduled_procedure_step
                where accession_number = %(accession_number)s
                  and performed_status = 'DISCONTINUED' and not closed)
        """,
        {"accession_number": accession_number, "now": now},
    )
