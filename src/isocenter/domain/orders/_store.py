"""The SQL of schema ``orders``. One function is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.orders.model import AccessionFormat, Order, OrderReference, Procedure
from isocenter.infra.db import Tx, jsonb

_DRAWN_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RelatedOrder:
    """An order that belongs to another one.

    Attributes:
        relation: what it is to the other: ``replacement``, ``replaced``, ``parent`` or ``child``.
    """

    relation: str
    accession_number: str


@dataclass(frozen=True, slots=True)
class InsertedProcedure:
    """A procedure of an order that was just inserted.

    Attributes:
        position: of the order among those to insert.
    """

    position: int
    order_key: int
    accession_number: str
    procedure_key: int
    study_instance_uid: str


def lock_orders(tx: Tx, references: Sequence[OrderReference]) -> list[Order]:
    """The orders that any of the numbers belongs to, locked in order of their keys."""
    placers = [each for each in references if each.placer_order_number]
    fillers = [each for each in references if each.filler_order_number]
    return tx.all(
        Order,
        """
        select * from orders.imaging_order
         where order_key in (
               select order_key
                 from unnest(%(placers)s::text[], %(placer_namespaces)s::text[])
                      as said (placer_order_number, placer_namespace)
                 join orders.imaging_order using (placer_order_number, placer_namespace)
                union all
               select order_key
                 from unnest(%(fillers)s::text[], %(filler_namespaces)s::text[])
                      as said (filler_order_number, filler_namespace)
                 join orders.imaging_order using (filler_order_number, filler_namespace)
                union all
               select order_key from orders.imaging_order
                where accession_number = any(%(accession_numbers)s))
         order by order_key
           for no key update
        """,
        {
            "placers": [each.placer_order_number for each in placers],
            "placer_namespaces": [each.placer_namespace for each in placers],
            "fillers": [each.filler_order_number for each in fillers],
            "filler_namespaces": [each.filler_namespace for each in fillers],
            "accession_numbers": [e.accession_number for e in references if e.accession_number],
        },
    )


def orders_by(tx: Tx, reference: OrderReference) -> list[Order]:
    """The orders that any of the numbers belongs to."""
    return tx.all(
        Order,
        """
        select * from orders.imaging_order
         where (placer_order_number = %(placer)s and placer_namespace = %(placer_namespace)s)
            or (filler_order_number = %(filler)s and filler_namespace = %(filler_namespace)s)
            or accession_number = %(accession_number)s
         order by order_key
        """,
        {
            "placer": reference.placer_order_number,
            "placer_namespace": reference.placer_namespace,
            "filler": reference.filler_order_number,
            "filler_namespace": reference.filler_namespace,
            "accession_number": reference.accession_number,
        },
    )


def procedures_of(tx: Tx, order_key: int) -> list[Procedure]:
    """The procedures of an order, oldest first."""
    return tx.all(
        Procedure,
        "select * from orders.requested_procedure where order_key = %s order by procedure_key",
        (order_key,),
    )


def exam_of_study(tx: Tx, study_instance_uid: str) -> str | None:
    """The accession number of the exam that a study was ordered by."""
    return tx.value(
        """
        select o.accession_number
          from orders.requested_procedure p join orders.imaging_order o using (order_key)
         where p.study_instance_uid = %s
        """,
        (study_instance_uid,),
    )


_INSERT_ORDERS = """
with numbered as materialized (
    select nextval('orders.imaging_order_order_key_seq') as order_key,
           coalesce(f.accession_number_said, orders.issue_accession_number(
               %(prefix)s, %(digits)s, %(at_once)s)) as accession_number, f.*
      from jsonb_to_recordset(%(orders)s) as f (
           position int, placer_order_number text, placer_namespace text,
           filler_order_number text, filler_namespace text, accession_number_said text,
           accession_issuer text, patient_key bigint, priority text,
           ordering_provider_name text, referring_physician_name text,
           clinical_information text, reason_for_study text, danger_code text,
           admission_id text, patient_class text, location text,
           transport_arrangements text, special_needs text, allergies text,
           pregnancy_status smallint, patient_weight_kg double precision,
           patient_size_m double precision, ordered_at timestamptz, source_peer text,
           asserted_at timestamptz, said_at jsonb)
), placed as (
    insert into orders.imaging_order
           (order_key, placer_order_number, placer_namespace, filler_order_number,
            filler_namespace, accession_number, accession_issuer, patient_key, priority,
            ordering_provider_name, referring_physician_name, clinical_information,
            reason_for_study, danger_code, admission_id, patient_class, location,
            transport_arrangements, special_needs, allergies, pregnancy_status,
            patient_weight_kg, patient_size_m, ordered_at, source_peer, state_changed_at,
            placed_at, asserted_at, said_at, updated_at)
    select order_key, placer_order_number, placer_namespace, filler_order_number,
           filler_namespace, accession_number, accession_issuer, patient_key, priority,
           ordering_provider_name, referring_physician_name, clinical_information,
           reason_for_study, danger_code, admission_id, patient_class, location,
           transport_arrangements, special_needs, allergies, pregnancy_status,
           patient_weight_kg, patient_size_m, ordered_at, source_peer, %(now)s, %(now)s,
           asserted_at, said_at, %(now)s
      from numbered
     where accession_number is not null
     order by placer_order_number, placer_namespace, accession_number
        on conflict do nothing
    returning order_key
), said as materialized (
    select nextval('orders.requested_procedure_procedure_key_seq') as procedure_key, f.*
      from jsonb_to_recordset(%(procedures)s) as f (
           of_position int, position int, requested_procedure_id text,
           study_instance_uid text, study_instance_uid_issued boolean, code_value text,
           code_scheme text, code_meaning text, description text, laterality text,
           said_at jsonb)
), added as (
    insert into orders.requested_procedure
           (procedure_key, order_key, requested_procedure_id, study_instance_uid,
            study_instance_uid_issued, code_value, code_scheme, code_meaning, description,
            laterality, said_at)
    select said.procedure_key, placed.order_key,
           coalesce(said.requested_procedure_id, 'RP' || said.procedure_key),
           said.study_instance_uid, said.study_instance_uid_issued, said.code_value,
           said.code_scheme, said.code_meaning, said.description, said.laterality,
           said.said_at
      from placed
      join numbered using (order_key)
      join said on said.of_position = numbered.position
     order by said.study_instance_uid
    returning procedure_key, order_key
)
select numbered.position, order_key, numbered.accession_number, procedure_key,
       said.study_instance_uid
  from added join numbered using (order_key) join said using (procedure_key)
 order by numbered.position, said.position
"""


def insert_orders(
    tx: Tx,
    orders: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
    form: AccessionFormat,
    now: datetime,
) -> list[InsertedProcedure]:
    """New orders of (columns, procedures) each, with the procedures in their order.

    An order of which a number is taken is left out. Without an accession number it gets the next of
    the sequence that no order has; it is left out when the next thousand are taken.
    """
    return tx.all(
        InsertedProcedure,
        _INSERT_ORDERS,
        {
            "prefix": form.prefix,
            "digits": form.digits,
            "at_once": _DRAWN_AT_ONCE,
            "orders": jsonb([
                {**columns, "position": position} for position, (columns, _) in enumerate(orders)
            ]),
            "procedures": jsonb([
                {**each, "of_position": position}
                for position, (_, procedures) in enumerate(orders)
                for each in procedures
            ]),
            "now": now,
        },
    )


def add_procedures(
    tx: Tx, order_key: int, procedures: Sequence[Mapping[str, Any]]
) -> list[Procedure]:
    """Further procedures of an order, in their order."""
    return tx.all(
        Procedure,
        """
        with said as (
            select nextval('orders.requested_procedure_procedure_key_seq') as procedure_key, f.*
              from jsonb_to_recordset(%(procedures)s) as f (
                   position int, requested_procedure_id text, study_instance_uid text,
                   study_instance_uid_issued boolean, code_value text, code_scheme text,
                   code_meaning text, description text, laterality text, said_at jsonb)
        ), added as (
            insert into orders.requested_procedure
                   (procedure_key, order_key, requested_procedure_id, study_instance_uid,
                    study_instance_uid_issued, code_value, code_scheme, code_meaning, description,
                    laterality, said_at)
            select procedure_key, %(order_key)s,
                   coalesce(requested_procedure_id, 'RP' || procedure_key), study_instance_uid,
                   study_instance_uid_issued, code_value, code_scheme, code_meaning, description,
                   laterality, said_at
              from said
            returning *
        )
        select added.* from added join said using (procedure_key) order by said.position
        """,
        {"order_key": order_key, "procedures": jsonb(list(procedures))},
    )


def update_order(tx: Tx, order_key: int, columns: Mapping[str, Any]) -> None:
    """Write what is known about an order now."""
    tx.run(
        """
        update orders.imaging_order
           set placer_order_number = %(placer_order_number)s,
               placer_namespace = %(placer_namespace)s,
               filler_order_number = %(filler_order_number)s,
               filler_namespace = %(filler_namespace)s,
               accession_issuer = %(accession_issuer)s,
               priority = %(priority)s, ordering_provider_name = %(ordering_provider_name)s,
               referring_physician_name = %(referring_physician_name)s,
               clinical_information = %(clinical_information)s,
               reason_for_study = %(reason_for_study)s, danger_code = %(danger_code)s,
               admission_id = %(admission_id)s, patient_class = %(patient_class)s,
               location = %(location)s, transport_arrangements = %(transport_arrangements)s,
               special_needs = %(special_needs)s, allergies = %(allergies)s,
               pregnancy_status = %(pregnancy_status)s,
               patient_weight_kg = %(patient_weight_kg)s,
               patient_size_m = %(patient_size_m)s, ordered_at = %(ordered_at)s,
               asserted_at = greatest(asserted_at, %(asserted_at)s), said_at = %(said_at)s,
               updated_at = %(now)s
         where order_key = %(order_key)s
        """,
        {**columns, "said_at": jsonb(columns["said_at"]), "order_key": order_key},
    )


def update_procedure(tx: Tx, procedure_key: int, columns: Mapping[str, Any]) -> None:
    """Write what is known about a procedure now."""
    tx.run(
        """
        update orders.requested_procedure
           set requested_procedure_id = %(requested_procedure_id)s,
               study_instance_uid = %(study_instance_uid)s,
               study_instance_uid_issued = %(study_instance_uid_issued)s,
               code_value = %(code_value)s, code_scheme = %(code_scheme)s,
               code_meaning = %(code_meaning)s, description = %(description)s,
               laterality = %(laterality)s, said_at = %(said_at)s
         where procedure_key = %(procedure_key)s
        """,
        {**columns, "said_at": jsonb(columns["said_at"]), "procedure_key": procedure_key},
    )


def set_order_state(
    tx: Tx, order_key: int, state: str, *, reason: str | None, said_at: int | None, now: datetime
) -> None:
    """Move an order to a state; ``said_at``: microseconds since 1970 of the instruction."""
    tx.run(
        """
        update orders.imaging_order
           set state = %(state)s, state_reason = coalesce(%(reason)s, state_reason),
               state_changed_at = %(now)s, updated_at = %(now)s,
               said_at = case when %(said_at)s::bigint is null then said_at
                              else said_at || jsonb_build_object('state', %(said_at)s::bigint) end
         where order_key = %(order_key)s
        """,
        {
            "state": state,
            "reason": reason,
            "said_at": said_at,
            "now": now,
            "order_key": order_key,
        },
    )


def set_hold(
    tx: Tx, order_key: int, state: str, *, reason: str | None, said_at: int, now: datetime
) -> None:
    """Put an order on hold or release it; ``said_at`` as for ``set_order_state``."""
    tx.run(
        """
        update orders.imaging_order
           set state_reason = case when state = %(state)s then state_reason else %(reason)s end,
               state_changed_at = case when state = %(state)s then state_changed_at
                                       else %(now)s end,
               state = %(state)s, updated_at = %(now)s,
               said_at = said_at || jsonb_build_object('hold', %(said_at)s::bigint)
         where order_key = %(order_key)s
        """,
        {
            "state": state,
            "reason": reason,
            "said_at": said_at,
            "now": now,
            "order_key": order_key,
        },
    )


def set_relations(
    tx: Tx, order_key: int, *, parent_key: int | None = None, replaced_by_key: int | None = None
) -> None:
    """Note what an order was parted from, or replaced by; None leaves what was noted before."""
    tx.run(
        """
        update orders.imaging_order
           set parent_key = coalesce(%s, parent_key),
               replaced_by_key = coalesce(%s, replaced_by_key)
         where order_key = %s
        """,
        (parent_key, replaced_by_key, order_key),
    )


def move_orders(tx: Tx, admission_id: str, keys: tuple[int, int], now: datetime) -> list[Order]:
    """The orders of a visit that were of one patient (from, to) and are of the other now."""
    return tx.all(
        Order,
        """
        update orders.imaging_order placed
           set patient_key = %(to_key)s, updated_at = %(now)s
         where admission_id = %(admission_id)s
           and (select current_key from identity.current_patient
                 where patient_key = placed.patient_key)
               = (select current_key from identity.current_patient
                   where patient_key = %(from_key)s)
           and patient_key <> %(to_key)s
        returning *
        """,
        {"admission_id": admission_id, "from_key": keys[0], "to_key": keys[1], "now": now},
    )


def rename_admission(
    tx: Tx, numbers: tuple[str, str], patient_key: int, now: datetime
) -> list[Order]:
    """The orders of a patient's visit, which have its new number (former, new) now."""
    return tx.all(
        Order,
        """
        update orders.imaging_order placed
           set admission_id = %(number)s, updated_at = %(now)s
         where admission_id = %(former)s
           and (select current_key from identity.current_patient
                 where patient_key = placed.patient_key)
               = (select current_key from identity.current_patient
                   where patient_key = %(patient_key)s)
        returning *
        """,
        {"former": numbers[0], "number": numbers[1], "patient_key": patient_key, "now": now},
    )


def related_orders(tx: Tx, order_key: int) -> list[RelatedOrder]:
    """The orders that an order was replaced by, replaces, was parted from and was parted into."""
    return tx.all(
        RelatedOrder,
        """
        select case when other.order_key = own.replaced_by_key then 'replacement'
                    when other.order_key = own.parent_key then 'parent'
                    when other.replaced_by_key = own.order_key then 'replaced'
                    else 'child' end as relation,
               other.accession_number
          from orders.imaging_order own
          join orders.imaging_order other
            on other.order_key in (own.replaced_by_key, own.parent_key)
            or other.replaced_by_key = own.order_key or other.parent_key = own.order_key
         where own.order_key = %s
         order by other.order_key
        """,
        (order_key,),
    )


def set_numbers(tx: Tx, order_key: int, columns: Mapping[str, Any], now: datetime) -> None:
    """Write the placer and filler order numbers of an order."""
    tx.run(
        """
        update orders.imaging_order
           set placer_order_number = %(placer_order_number)s,
               placer_namespace = %(placer_namespace)s,
               filler_order_number = %(filler_order_number)s,
               filler_namespace = %(filler_namespace)s, updated_at = %(now)s
         where order_key = %(order_key)s
        """,
        {**columns, "order_key": order_key, "now": now},
    )


def set_procedure_states(tx: Tx, procedure_keys: Sequence[int], state: str) -> None:
    """Move procedures to a state."""
    tx.run(
        "update orders.requested_procedure set state = %s where procedure_key = any(%s)",
        (state, list(procedure_keys)),
    )
