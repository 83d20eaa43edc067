"""The SQL of schema ``scheduling``. One function is one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.scheduling.model import Step
from isocenter.infra.db import Tx, jsonb
from isocenter.standards.dicom.matching import person_name_key


def _derived(columns: Mapping[str, Any]) -> dict[str, str]:
    name = columns["performing_physician_name"] or ""
    return {"performing_physician_normalised": person_name_key(name)}


def lock_steps(tx: Tx, accession_number: str) -> list[Step]:
    """The steps of an exam, oldest first, locked."""
    return lock_steps_of(tx, [accession_number])


def lock_steps_of(tx: Tx, accession_numbers: Sequence[str]) -> list[Step]:
    """The steps of exams, locked exam by exam, of each the oldest first."""
    return tx.all(
        Step,
        """
        select step_key, procedure_key, accession_number, scheduled_procedure_step_id, modality,
               station_ae_titles, station_name, location, start_at, performing_physician_name,
               description, pre_medication, requested_contrast_agent, protocol_codes, status,
               waiting_status, imaged_status, performed_status, closed, status_changed_at, said_at,
               booked_at, updated_at
          from scheduling.scheduled_procedure_step
         where accession_number = any(%s) order by accession_number, step_key
           for no key update
        """,
        (list(accession_numbers),),
    )


def insert_steps(tx: Tx, rows: Sequence[Mapping[str, Any]], now: datetime) -> list[int]:
    """The keys of new steps, in their order."""
    return tx.values(
        """
        with said as (
            select nextval('scheduling.scheduled_procedure_step_step_key_seq') as step_key, f.*
              from jsonb_to_recordset(%(rows)s) as f (
                   position int, procedure_key bigint, accession_number text,
                   scheduled_procedure_step_id text, modality text, station_ae_titles text[],
                   station_name text, location text, start_at timestamptz,
                   performing_physician_name text, performing_physician_normalised text,
                   description text, pre_medication text, requested_contrast_agent text,
                   protocol_codes jsonb, said_at jsonb)
        ), added as (
            insert into scheduling.scheduled_procedure_step
                   (step_key, procedure_key, accession_number, scheduled_procedure_step_id,
                    modality, station_ae_titles, station_name, location, start_at,
                    performing_physician_name, performing_physician_normalised, description,
                    pre_medication, requested_contrast_agent, protocol_codes, said_at,
                    status_changed_at,
                    booked_at, updated_at)
            select step_key, procedure_key, accession_number,
                   coalesce(scheduled_procedure_step_id, 'SPS' || step_key), modality,
                   station_ae_titles, station_name, location, start_at,
                   performing_physician_name, performing_physician_normalised, description,
                   pre_medication, requested_contrast_agent, protocol_codes, said_at, %(now)s,
                   %(now)s, %(now)s
              from said
            returning step_key
        )
        select step_key from added join said using (step_key) order by said.position
        """,
        {
            "rows": jsonb([
                {**row, **_derived(row), "position": position} for position, row in enumerate(rows)
            ]),
            "now": now,
        },
    )


def update_step(tx: Tx, step_key: int, columns: Mapping[str, Any], now: datetime) -> None:
    """Write what is known about a step now."""
    tx.run(
        """
        update scheduling.scheduled_procedure_step
           set scheduled_procedure_step_id = %(scheduled_procedure_step_id)s,
               modality = %(modality)s, station_ae_titles = %(station_ae_titles)s::text[],
               station_name = %(station_name)s, location = %(location)s, start_at = %(start_at)s,
               performing_physician_name = %(performing_physician_name)s,
               performing_physician_normalised = %(performing_physician_normalised)s,
               description = %(description)s, pre_medication = %(pre_medication)s,
               requested_contrast_agent = %(requested_contrast_agent)s,
               protocol_codes = %(protocol_codes)s, said_at = %(said_at)s, updated_at = %(now)s
         where step_key = %(step_key)s
        """,
        {
            **columns,
            **_derived(columns),
            "protocol_codes": jsonb(columns["protocol_codes"]),
            "said_at": jsonb(columns["said_at"]),
            "step_key": step_key,
            "now": now,
        },
    )


def set_statuses(tx: Tx, steps: Sequence[Step], now: datetime) -> None:
    """Write the statuses of steps and what they follow from."""
    tx.run(
        """
        update scheduling.scheduled_procedure_step step
           set status = said.status, waiting_status = said.waiting_status,
               imaged_status = said.imaged_status, performed_status = said.performed_status,
               closed = said.closed, updated_at = %(now)s,
               status_changed_at = case when step.status = said.status
                                        then step.status_changed_at else %(now)s end
          from jsonb_to_recordset(%(rows)s) as said (
               step_key bigint, status text, waiting_status text, imaged_status text,
               performed_status text, closed boolean)
         where step.step_key = said.step_key
        """,
        {"rows": jsonb([_status_row(each) for each in steps]), "now": now},
    )


def _status_row(step: Step) -> dict[str, Any]:
    return {
        "step_key": step.step_key,
        "status": step.status,
        "waiting_status": step.waiting_status,
        "imaged_status": step.imaged_status,
        "performed_status": step.performed_status,
        "closed": step.closed,
    }


def accession_number_of(tx: Tx, step_key: int) -> str | None:
    """The exam that a step belongs to."""
    return tx.value(
        "select accession_number from scheduling.scheduled_procedure_step where step_key = %s",
        (step_key,),
    )
