"""The SQL of appointments. One function is one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

from isocenter.domain.scheduling.model_appointments import Appointment, KeptAppointment
from isocenter.infra.db import Tx, jsonb


def lock_appointments(tx: Tx, peer: str, placer_id: str, filler_id: str) -> list[Appointment]:
    """The appointments of a peer that have one of the IDs, locked; the filler's first."""
    return tx.all(
        Appointment,
        """
        select appointment_key, source_peer, placer_appointment_id, filler_appointment_id,
               accession_numbers, order_numbers, status, reason, description, start_at,
               duration_min, location, said_at, asserted_at
          from scheduling.appointment
         where source_peer = %(peer)s
           and ((placer_appointment_id <> '' and placer_appointment_id = %(placer)s)
             or (filler_appointment_id <> '' and filler_appointment_id = %(filler)s))
         order by filler_appointment_id = %(filler)s desc, appointment_key
           for update
        """,
        {"peer": peer, "placer": placer_id, "filler": filler_id},
    )


def insert_appointment(tx: Tx, columns: Mapping[str, Any]) -> int:
    """Add an appointment; 0 when another transaction just added it."""
    return tx.run(
        """
        insert into scheduling.appointment
               (source_peer, placer_appointment_id, filler_appointment_id, patient_key,
                accession_numbers, order_numbers, status, reason, description, start_at,
                duration_min, location, said_at, asserted_at, updated_at)
        values (%(source_peer)s, %(placer_appointment_id)s, %(filler_appointment_id)s,
                %(patient_key)s, %(accession_numbers)s::text[], %(order_numbers)s::text[],
                %(status)s, %(reason)s, %(description)s, %(start_at)s, %(duration_min)s,
                %(location)s, %(said_at)s, %(asserted_at)s, %(now)s)
            on conflict do nothing
        """,
        {**columns, "said_at": jsonb(columns["said_at"])},
    )


def update_appointment(tx: Tx, appointment_key: int, columns: Mapping[str, Any]) -> None:
    """Write an appointment as it is known now."""
    tx.run(
        """
        update scheduling.appointment
           set placer_appointment_id = coalesce(nullif(placer_appointment_id, ''),
                                                %(placer_appointment_id)s),
               filler_appointment_id = coalesce(nullif(filler_appointment_id, ''),
                                                %(filler_appointment_id)s),
               patient_key = coalesce(%(patient_key)s, patient_key),
               accession_numbers = %(accession_numbers)s::text[],
               order_numbers = %(order_numbers)s::text[], status = %(status)s,
               reason = %(reason)s, description = %(description)s, start_at = %(start_at)s,
               duration_min = %(duration_min)s, location = %(location)s, said_at = %(said_at)s,
               asserted_at = greatest(asserted_at, %(asserted_at)s), updated_at = %(now)s
         where appointment_key = %(appointment_key)s
        """,
        {
            **columns,
            "said_at": jsonb(columns["said_at"]),
            "appointment_key": appointment_key,
        },
    )


def named_exams(tx: Tx, accession_numbers: Sequence[str]) -> list[str]:
    """Those of these exams that an appointment names by a number of their order."""
    return tx.values(
        """
        select accession_number from orders.imaging_order placed
         where accession_number = any(%s) and exists (
               select from (values
                      ('placer', placed.placer_order_number, placed.placer_namespace),
                      ('filler', placed.filler_order_number, placed.filler_namespace)
                      ) as own (kind, number, namespace)
                 join scheduling.appointment
                   on appointment.order_numbers && array[concat_ws('|', kind, number, namespace),
                                                         concat_ws('|', kind, number, '')]
                where own.number <> '')
         order by accession_number
        """,
        (list(accession_numbers),),
    )


def bind_exam(tx: Tx, order_numbers: Sequence[str], accession_number: str) -> list[Appointment]:
    """The appointments that name an order, which are of its exam now and were not before."""
    return tx.all(
        Appointment,
        """
        update scheduling.appointment
           set accession_numbers = accession_numbers || %(accession_number)s::text
         where order_numbers && %(order_numbers)s::text[]
           and not accession_numbers @> array[%(accession_number)s::text]
        returning appointment_key, source_peer, placer_appointment_id, filler_appointment_id,
               accession_numbers, order_numbers, status, reason, description, start_at,
               duration_min, location, said_at, asserted_at
        """,
        {"order_numbers": list(order_numbers), "accession_number": accession_number},
    )


def appointment(tx: Tx, appointment_key: int) -> KeptAppointment | None:
    """One appointment, with whose it is."""
    return tx.maybe(
        KeptAppointment,
        """
        select appointment_key, patient_key, status from scheduling.appointment
         where appointment_key = %s
        """,
        (appointment_key,),
    )


def appointments_of(tx: Tx, accession_number: str) -> list[Appointment]:
    """The appointments of an exam, the one that was spoken of last first."""
    return tx.all(
        Appointment,
        """
        select appointment_key, source_peer, placer_appointment_id, filler_appointment_id,
               accession_numbers, order_numbers, status, reason, description, start_at,
               duration_min, location, said_at, asserted_at
          from scheduling.appointment
         where accession_numbers @> array[%s::text]
         order by asserted_at desc, appointment_key desc
        """,
        (accession_number,),
    )
