"""What images and orders say: one statement for the study, and two for the orders.

They are read with the study's row in ``reconcile.study`` locked: whoever decides later sees all
that was committed before. Nothing of other stages is written here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the archive says of a study."""

    study_instance_uid: str
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    accession_number: str | None
    issuer_of_accession_number: str | None
    referring_physician_name: str | None
    disagreements: dict[str, list[str]]
    complete: bool
    conflicting: list[str]
    modalities: list[str]
    calling_ae_titles: list[str]
    study_date: date | None
    first_received_at: datetime
    description: str
    body_parts: list[str]
    number_of_instances: int


_STUDY_FACTS = """
select study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date,
       patient_sex, accession_number, issuer_of_accession_number, referring_physician_name,
       disagreements, completed_at is not null as complete,
       array(select distinct sop_instance_uid from archive.conflicting_instance
              where conflicting_instance.study_instance_uid = study.study_instance_uid
                and rejection_key is null
              order by 1) as conflicting,
       modalities, calling_ae_titles, study_date, first_received_at,
       concat_ws(' ', study_description, said.description) as description, said.body_parts,
       number_of_instances
  from archive.study
 cross join lateral (
       select string_agg(concat_ws(' ', series_description, protocol_name), ' '
                         order by series_instance_uid) as description,
              coalesce(array_agg(distinct body_part_examined)
                       filter (where body_part_examined is not null), '{}') as body_parts
         from archive.series where series.study_key = study.study_key) said
 where study_instance_uid = %s
"""


def study_facts(tx: Tx, study_instance_uid: str) -> StudyFacts | None:
    """What the archive says of the study."""
    return tx.maybe(StudyFacts, _STUDY_FACTS, (study_instance_uid,))


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What orders and identity say of an order, the patient resolved through all merges."""

    order_key: int
    accession_number: str
    accession_issuer: str
    state: str
    patient_key: int
    person_name: str | None
    other_names: list[str]
    birth_date: date | None
    study_instance_uids: list[str]
    identifiers: list[tuple[str, str]]
    procedure: str | None
    modalities: list[str]
    station_ae_titles: list[str]
    scheduled_at: datetime | None
    given_to: list[str]
    performed: bool
    has_images: bool


_NAMED = """
with performed as (
    select performed_key from worklist.scheduled_reference where study_instance_uid = %(study)s
    union
    select performed_key from worklist.performed_series
     where series_instance_uid in (
           select series_instance_uid from archive.series join archive.study using (study_key)
            where study_instance_uid = %(study)s))
select order_key from orders.requested_procedure where study_instance_uid = %(study)s
union
select order_key from orders.imaging_order
 where reconcile.accession_key(accession_number) = any(%(accession_keys)s)
union
select order_key from performed join worklist.scheduled_reference as said using (performed_key)
  join orders.imaging_order
    on upper(btrim(imaging_order.accession_number)) = upper(btrim(said.accession_number))
 where said.accession_number <> ''
"""


def orders_named(
    tx: Tx, study_instance_uid: str, accession_keys: Collection[str]
) -> frozenset[int]:
    """Keys of the orders that something identifies: study UID, number, a performed step."""
    params = {"study": study_instance_uid, "accession_keys": sorted(accession_keys)}
    return frozenset(tx.values(_NAMED, params))


_ORDERS = """
with performed as (
    select performed_key from worklist.scheduled_reference where study_instance_uid = %(study)s
    union
    select performed_key from worklist.performed_series
     where series_instance_uid in (
           select series_instance_uid from archive.series join archive.study using (study_key)
            where study_instance_uid = %(study)s))
select o.order_key, o.accession_number, o.accession_issuer, o.state,
       patient.current_key as patient_key, patient.person_name, patient.birth_date,
       array(select distinct name
               from identity.patient as known
              cross join lateral unnest(array_prepend(known.person_name, known.aliases)) as name
              where (known.patient_key = patient.current_key
                     or known.survivor_key = patient.current_key)
                and name <> '' and name is distinct from patient.person_name
              order by 1) as other_names,
       procedure.study_instance_uids, procedure.procedure,
       coalesce((
           select jsonb_agg(jsonb_build_array(identifier.assigning_authority, identifier.value))
             from identity.patient as alias
             join identity.patient_identifier as identifier using (patient_key)
            where alias.patient_key = patient.current_key
               or alias.survivor_key = patient.current_key), '[]') as identifiers,
       step.modalities, step.station_ae_titles, step.scheduled_at,
       array(select distinct unnest(queried_by) from worklist.entry
              where entry.accession_number = o.accession_number order by 1) as given_to,
       exists (select from performed
                 join worklist.scheduled_reference as said using (performed_key)
                 join worklist.performed_procedure_step using (performed_key)
                where said.accession_number <> ''
                  and upper(btrim(said.accession_number)) = upper(btrim(o.accession_number))
                  and (discontinuation_reason_code, discontinuation_reason_scheme)
                      is distinct from ('110514', 'DCM')) as performed,
       exists (select from reconcile.link
                where link.order_key = o.order_key
                  and link.study_instance_uid <> %(study)s) as has_images
  from orders.imaging_order o
  join identity.current_patient as patient using (patient_key)
 cross join lateral (
       select coalesce(array_agg(study_instance_uid order by 1), '{}') as study_instance_uids,
              string_agg(concat_ws(' ', description, code_meaning), ' '
                         order by procedure_key) as procedure
         from orders.requested_procedure p where p.order_key = o.order_key) procedure
 cross join lateral (
       select coalesce(array_agg(distinct modality) filter (where modality <> ''), '{}')
                  as modalities,
              coalesce(array_agg(distinct station) filter (where station is not null), '{}')
                  as station_ae_titles,
              min(start_at) as scheduled_at
         from scheduling.scheduled_procedure_step s
         left join lateral unnest(s.station_ae_titles) as station on true
        where s.accession_number = o.accession_number) step
 where o.order_key = any(%(order_keys)s)
 order by o.accession_number
"""


def orders(tx: Tx, study_instance_uid: str, order_keys: Collection[int]) -> list[OrderRow]:
    """The orders, with what they have to do with the study."""
    if not order_keys:
        return []
    params = {"study": study_instance_uid, "order_keys": sorted(order_keys)}
    return tx.all(OrderRow, _ORDERS, params)


# Orders that nothing identifies and that may be meant all the same. For their modality alone only
# waiting orders are proposed, whose time is near.
_NEAR = """
select order_key from orders.imaging_order
 where patient_key in (
       select named.patient_key
         from identity.patient_identifier
         join identity.current_patient found using (patient_key)
         join identity.current_patient named on named.current_key = found.current_key
        where value = %(patient_id)s)
   and placed_at > %(received_at)s - interval '60 days'
union
select order_key from orders.imaging_order join identity.patient using (patient_key)
 where name_normalised = %(name)s and placed_at > %(received_at)s - interval '60 days'
union
(select order_key from scheduling.scheduled_procedure_step
   join orders.requested_procedure using (procedure_key)
  where %(by_time)s and status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED')
    and modality = any(%(modalities)s)
    and start_at between %(received_at)s - interval '4 hours'
                     and %(received_at)s + interval '4 hours'
  order by abs(extract(epoch from start_at - %(received_at)s)), order_key limit 20)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Where orders are looked for that nothing identifies.

    Attributes:
        by_time: those of other patients too, whose time and modality fit.
    """

    patient_id: str | None
    name: str | None
    modalities: Sequence[str]
    received_at: datetime
    by_time: bool


def orders_near(tx: Tx, where: Neighbourhood) -> frozenset[int]:
    """Keys of the orders of the patient, of the same name, and of the same time and modality."""
    params = {
        "patient_id": where.patient_id,
        "name": where.name,
        "modalities": list(where.modalities),
        "received_at": where.received_at,
        "by_time": where.by_time,
    }
    return frozenset(tx.values(_NEAR, params))


_STUDIES_WITH_NUMBERS = """
select study_instance_uid from archive.study
 where reconcile.accession_key(accession_number) = any(%s)
"""


def studies_with_numbers(tx: Tx, accession_keys: Collection[str]) -> list[str]:
    """Studies whose images carry an accession number with one of these keys."""
    return tx.values(_STUDIES_WITH_NUMBERS, (sorted(accession_keys),))


_PREFIXES = "select prefix from reconcile.accession_prefix order by 1"


def prefixes(tx: Tx) -> list[str]:
    """What this site puts before accession numbers or leaves away."""
    return tx.values(_PREFIXES)
