"""The SQL of visits. One function is one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.identity.model_visits import Visit, VisitNumber
from isocenter.infra.db import Tx, jsonb


def record_visits(tx: Tx, rows: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """Write what is said of visits: of each column the newest assertion holds.

    Gives the numbers of the visits of which something was said that was not known to be said.
    """
    return tx.values(
        """
        insert into identity.visit as known
               (assigning_authority, visit_number, patient_key, state, patient_class, location,
                prior_location, pending_location, attending_doctor_name, admitted_at,
                discharged_at, source_peer, said_at, asserted_at, updated_at)
        select assigning_authority, visit_number, patient_key, coalesce(state, 'present'),
               patient_class, location, prior_location, pending_location, attending_doctor_name,
               admitted_at, nullif(discharged_at, '')::timestamptz, source_peer, said_at,
               asserted_at, %(now)s
          from jsonb_to_recordset(%(rows)s) as said (
               assigning_authority text, visit_number text, patient_key bigint, state text,
               patient_class text, location text, prior_location text, pending_location text,
               attending_doctor_name text, admitted_at timestamptz, discharged_at text,
               source_peer text, said_at jsonb, asserted_at timestamptz)
         order by visit_number, assigning_authority
            on conflict (visit_number, assigning_authority) do update
           set patient_key = case when identity.holds(known.said_at, excluded.said_at,
                    'patient_key') then excluded.patient_key else known.patient_key end,
               state = case when identity.holds(known.said_at, excluded.said_at, 'state')
                    then excluded.state else known.state end,
               patient_class = case when identity.holds(known.said_at, excluded.said_at,
                    'patient_class') then excluded.patient_class else known.patient_class end,
               location = case when identity.holds(known.said_at, excluded.said_at, 'location')
                    then excluded.location else known.location end,
               prior_location = case when identity.holds(known.said_at, excluded.said_at,
                    'prior_location') then excluded.prior_location else known.prior_location end,
               pending_location = case when identity.holds(known.said_at, excluded.said_at,
                    'pending_location') then excluded.pending_location
                    else known.pending_location end,
               attending_doctor_name = case when identity.holds(known.said_at, excluded.said_at,
                    'attending_doctor_name') then excluded.attending_doctor_name
                    else known.attending_doctor_name end,
               admitted_at = case when identity.holds(known.said_at, excluded.said_at,
                    'admitted_at') then excluded.admitted_at else known.admitted_at end,
               discharged_at = case when identity.holds(known.said_at, excluded.said_at,
                    'discharged_at') then excluded.discharged_at else known.discharged_at end,
               said_at = identity.newest(known.said_at, excluded.said_at),
               asserted_at = greatest(known.asserted_at, excluded.asserted_at),
               updated_at = %(now)s
         where identity.newest(known.said_at, excluded.said_at) <> known.said_at
        returning visit_number
        """,
        {"rows": jsonb(list(rows)), "now": now},
    )


def lock_visits(tx: Tx, numbers: Sequence[VisitNumber]) -> list[Visit]:
    """The visits that have any of the numbers, locked."""
    return tx.all(
        Visit,
        """
        select visit_key, assigning_authority, visit_number, patient_key, state, patient_class,
               location, prior_location, pending_location, attending_doctor_name, admitted_at,
               discharged_at, asserted_at
          from identity.visit
         where (visit_number, assigning_authority) in
               (select * from unnest(%s::text[], %s::text[]))
         order by visit_key for no key update
        """,
        ([each.value for each in numbers], [each.assigning_authority for each in numbers]),
    )


def renumber_visit(tx: Tx, visit_key: int, number: VisitNumber, now: datetime) -> None:
    """Let a visit be known by another number."""
    tx.run(
        """
        update identity.visit
           set visit_number = %s, assigning_authority = %s, updated_at = %s
         where visit_key = %s
        """,
        (number.value, number.assigning_authority, now, visit_key),
    )


def delete_visit(tx: Tx, visit_key: int) -> None:
    """Remove a visit that was taken up by another one."""
    tx.run("delete from identity.visit where visit_key = %s", (visit_key,))


def visits_of(tx: Tx, patient_key: int) -> list[Visit]:
    """The visits of the person that a row stands for, newest first."""
    return tx.all(
        Visit,
        """
        select visit_key, assigning_authority, visit_number, patient_key, state, patient_class,
               location, prior_location, pending_location, attending_doctor_name, admitted_at,
               discharged_at, asserted_at
          from identity.visit
          join identity.current_patient c using (patient_key)
         where c.current_key = (select current_key from identity.current_patient
                                 where patient_key = %s)
         order by coalesce(admitted_at, asserted_at) desc, visit_key desc
        """,
        (patient_key,),
    )
