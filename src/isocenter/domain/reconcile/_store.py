"""The SQL of links, rejections and cases, and of the evidence for a decision.

Evidence is read across the stages below, one statement for the study and one for the orders, with
the study's row in ``reconcile.study`` locked: whoever decides later sees all that was committed
before. Nothing of other stages is written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from isocenter.domain.reconcile.model import Case, Finding, Link, StudyLink
from isocenter.infra.db import Tx

_ENSURE = """
insert into reconcile.study (study_instance_uid, evaluated_at)
select uid, %s from unnest(%s::text[]) as uid order by uid on conflict do nothing
"""
_LOCK = """
select study_instance_uid from reconcile.study
 where study_instance_uid = any(%s) order by study_instance_uid for update
"""


def ensure_studies(tx: Tx, study_instance_uids: Sequence[str], *, now: datetime) -> None:
    """Have a row to lock for each study."""
    tx.run(_ENSURE, (now, list(study_instance_uids)))


def lock_studies(tx: Tx, study_instance_uids: Sequence[str]) -> None:
    """Let nobody else decide about these studies until the transaction ends."""
    tx.values(_LOCK, (list(study_instance_uids),))


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
    referring_physician_name: str | None
    disagreements: dict[str, list[str]]
    complete: bool
    conflicting: list[str]


_STUDY_FACTS = """
select study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date,
       patient_sex, accession_number, referring_physician_name, disagreements,
       completed_at is not null as complete,
       array(select distinct sop_instance_uid from archive.conflicting_instance
              where conflicting_instance.study_instance_uid = study.study_instance_uid
                and rejection_key is null
              order by 1) as conflicting
  from archive.study
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
    state: str
    person_name: str | None
    birth_date: date | None
    study_instance_uids: list[str]
    identifiers: list[tuple[str, str]]


_ORDERS = """
with wanted as (
    select order_key from orders.requested_procedure where study_instance_uid = %(study)s
    union
    select order_key from orders.imaging_order
     where %(accession_number)s <> '' and upper(btrim(accession_number)) = %(accession_number)s
    union
    select order_key from orders.imaging_order where order_key = any(%(order_keys)s)
)
select imaging_order.order_key, imaging_order.accession_number, imaging_order.state,
       patient.person_name, patient.birth_date,
       array(select study_instance_uid from orders.requested_procedure as procedure
              where procedure.order_key = imaging_order.order_key
              order by 1) as study_instance_uids,
       coalesce((
           select jsonb_agg(jsonb_build_array(identifier.assigning_authority, identifier.value))
             from identity.patient as alias
             join identity.patient_identifier as identifier using (patient_key)
            where alias.patient_key = patient.current_key
               or alias.survivor_key = patient.current_key), '[]') as identifiers
  from wanted
  join orders.imaging_order using (order_key)
  join identity.current_patient as patient using (patient_key)
 order by imaging_order.accession_number
"""


def orders(
    tx: Tx, study_instance_uid: str, accession_number: str, order_keys: Sequence[int]
) -> list[OrderRow]:
    """Orders with this study, this accession number (normalised form) or one of these keys."""
    params = {
        "study": study_instance_uid,
        "accession_number": accession_number,
        "order_keys": list(order_keys),
    }
    return tx.all(OrderRow, _ORDERS, params)


@dataclass(frozen=True, slots=True)
class OrderNames:
    """By what studies may name an order."""

    order_key: int
    accession_number: str
    study_instance_uids: list[str]


_ORDERS_OF_PATIENTS = """
with person as (
    select distinct current_key from identity.current_patient where patient_key = any(%s)
)
select order_key, accession_number,
       array(select study_instance_uid from orders.requested_procedure as procedure
              where procedure.order_key = imaging_order.order_key) as study_instance_uids
  from orders.imaging_order
 where patient_key in (
       select patient_key from identity.patient join person on patient_key = current_key
       union
       select patient_key from identity.patient join person on survivor_key = current_key)
"""


def orders_of_patients(tx: Tx, patient_keys: Sequence[int]) -> list[OrderNames]:
    """All orders of the persons that these patient rows stand for."""
    return tx.all(OrderNames, _ORDERS_OF_PATIENTS, (list(patient_keys),))


@dataclass(frozen=True, slots=True)
class WrongEntryRow:
    """A performed step that was discontinued because the wrong worklist entry had been taken."""

    sop_instance_uid: str
    station_ae_title: str
    made_objects: bool
    is_all: bool


_WRONG_ENTRY = """
with performed as (
    select performed_key, sop_instance_uid, performed_station_ae_title,
           status = 'DISCONTINUED' and discontinuation_reason_code = '110514'
               and discontinuation_reason_scheme = 'DCM' as wrong
      from worklist.scheduled_reference join worklist.performed_procedure_step using (performed_key)
     where study_instance_uid = %s
)
select sop_instance_uid, performed_station_ae_title as station_ae_title,
       exists (select from worklist.performed_series
                where performed_series.performed_key = performed.performed_key
                  and cardinality(sop_instance_uids) > 0) as made_objects,
       not exists (select from performed where wrong is not true) as is_all
  from performed where wrong order by made_objects desc, sop_instance_uid limit 1
"""


def wrong_entry(tx: Tx, study_instance_uid: str) -> WrongEntryRow | None:
    """Whether a modality took the wrong worklist entry for a study."""
    return tx.maybe(WrongEntryRow, _WRONG_ENTRY, (study_instance_uid,))


@dataclass(frozen=True, slots=True)
class ReceivedSeries:
    """A series that a performed step names and of which all objects are here."""

    performed_key: int
    series_instance_uid: str


_RECEIVED_SERIES = """
select performed_key, series_instance_uid
  from worklist.performed_series
 where not received and cardinality(sop_instance_uids) > 0
   and performed_key in (select performed_key from worklist.scheduled_reference
                          where study_instance_uid = %s)
   and not exists (select from unnest(sop_instance_uids) as uid
                    where not exists (select from archive.instance where sop_instance_uid = uid))
 order by 1, 2
"""


def received_series(tx: Tx, study_instance_uid: str) -> list[ReceivedSeries]:
    """Series of a study's performed steps that were not known to be all here, and are."""
    return tx.all(ReceivedSeries, _RECEIVED_SERIES, (study_instance_uid,))


_ALL_RECEIVED = """
select bool_or(status = 'COMPLETED') and bool_and(status <> 'IN PROGRESS')
       and bool_or(cardinality(sop_instance_uids) > 0)
       and coalesce(bool_and(received or cardinality(sop_instance_uids) = 0), false)
  from worklist.scheduled_reference
  join worklist.performed_procedure_step using (performed_key)
  left join worklist.performed_series using (performed_key)
 where study_instance_uid = %s
"""


def all_received(tx: Tx, study_instance_uid: str) -> bool:
    """Whether the modalities have ended and everything that they say they made is here."""
    return bool(tx.value(_ALL_RECEIVED, (study_instance_uid,)))


@dataclass(frozen=True, slots=True)
class LinkedStudy:
    """A study that is linked to an order."""

    study_instance_uid: str
    complete: bool


_LINKED_STUDIES = """
select study_instance_uid, completed_at is not null as complete
  from reconcile.link join archive.study using (study_instance_uid)
 where link.accession_number = %s order by 1
"""


def linked_studies(tx: Tx, accession_number: str) -> list[LinkedStudy]:
    """The studies of an exam."""
    return tx.all(LinkedStudy, _LINKED_STUDIES, (accession_number,))


_LINK = """
select study_instance_uid, accession_number, order_key, method, reason, linked_at, linked_by
  from reconcile.link where study_instance_uid = %s
"""


def link(tx: Tx, study_instance_uid: str) -> StudyLink | None:
    """The study's link."""
    return tx.maybe(StudyLink, _LINK, (study_instance_uid,))


_STUDIES_OF_ORDERS = "select study_instance_uid from reconcile.link where order_key = any(%s)"


def studies_of_orders(tx: Tx, order_keys: Sequence[int]) -> list[str]:
    """Studies that are linked to these orders."""
    return tx.values(_STUDIES_OF_ORDERS, (list(order_keys),))


_SET_LINK = """
insert into reconcile.link as known
       (study_instance_uid, accession_number, order_key, method, reason, linked_at, linked_by)
values (%(study)s, %(accession_number)s, %(order_key)s, %(method)s, %(reason)s, %(now)s, %(by)s)
on conflict (study_instance_uid) do update
   set accession_number = excluded.accession_number, method = excluded.method,
       reason = excluded.reason, order_key = excluded.order_key,
       linked_at = case when known.order_key = excluded.order_key then known.linked_at
                        else excluded.linked_at end,
       linked_by = excluded.linked_by
"""


def set_link(tx: Tx, study_instance_uid: str, link: Link, *, by: str, now: datetime) -> None:
    """Keep the link, replacing another; the time stays when the order stays."""
    params = {
        "study": study_instance_uid,
        "accession_number": link.accession_number,
        "order_key": link.order_key,
        "method": link.method.value,
        "reason": link.reason,
        "by": by,
        "now": now,
    }
    tx.run(_SET_LINK, params)


_DROP_LINK = "delete from reconcile.link where study_instance_uid = %s"


def drop_link(tx: Tx, study_instance_uid: str) -> None:
    """Forget the study's link."""
    tx.run(_DROP_LINK, (study_instance_uid,))


_REJECTED = "select order_key from reconcile.rejection where study_instance_uid = %s"
_REJECT = """
insert into reconcile.rejection (study_instance_uid, order_key, rejected_at, rejected_by)
values (%s, %s, %s, %s) on conflict do nothing
"""
_UNREJECT = "delete from reconcile.rejection where study_instance_uid = %s and order_key = %s"


def rejected(tx: Tx, study_instance_uid: str) -> frozenset[int]:
    """Keys of the orders that a person said the study does not belong to."""
    return frozenset(tx.values(_REJECTED, (study_instance_uid,)))


def reject(tx: Tx, study_instance_uid: str, order_key: int, *, by: str, now: datetime) -> None:
    """Keep that the study does not belong to the order."""
    tx.run(_REJECT, (study_instance_uid, order_key, now, by))


def unreject(tx: Tx, study_instance_uid: str, order_key: int) -> None:
    """Forget that the study does not belong to the order."""
    tx.run(_UNREJECT, (study_instance_uid, order_key))


_CASES = """
select case_key, study_instance_uid, kind, state, fingerprint, reason, opened_at, resolved_at,
       resolved_by, resolution
  from reconcile.reconciliation_case
"""
_CASES_OF_STUDY = _CASES + "where study_instance_uid = %s order by case_key"
_OPEN_CASE = _CASES + "where case_key = %s and state = 'open'"


def cases(tx: Tx, study_instance_uid: str) -> list[Case]:
    """All cases of the study, resolved ones too, oldest first."""
    return tx.all(Case, _CASES_OF_STUDY, (study_instance_uid,))


def open_case(tx: Tx, case_key: int) -> Case | None:
    """The case, if it is open."""
    return tx.maybe(Case, _OPEN_CASE, (case_key,))


_OPEN = """
insert into reconcile.reconciliation_case
       (study_instance_uid, kind, fingerprint, reason, opened_at)
values (%s, %s, %s, %s, %s)
returning case_key
"""
_RESTATE = """
update reconcile.reconciliation_case set fingerprint = %s, reason = %s where case_key = %s
"""
_RESOLVE = """
update reconcile.reconciliation_case
   set state = 'resolved', resolved_at = %s, resolved_by = %s, resolution = %s
 where case_key = %s
"""


def open_new(tx: Tx, study_instance_uid: str, finding: Finding, *, now: datetime) -> int:
    """The key of a new case about ``finding``."""
    params = (study_instance_uid, finding.kind.value, finding.fingerprint, finding.reason, now)
    return int(tx.value(_OPEN, params))


def restate(tx: Tx, case_key: int, finding: Finding) -> None:
    """Have the open case say what is found now."""
    tx.run(_RESTATE, (finding.fingerprint, finding.reason, case_key))


def resolve(tx: Tx, case_key: int, *, by: str, resolution: str, now: datetime) -> None:
    """End the case."""
    tx.run(_RESOLVE, (now, by, resolution, case_key))


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A person as registered, with the record that led to it."""

    patient_key: int
    patient_id: str | None
    issuer_of_patient_id: str | None
    own_identifiers: list[tuple[str, str]]
    person_name: str | None
    birth_date: date | None
    sex: str | None
    prior_person_name: str | None
    prior_birth_date: date | None


_PATIENTS = """
select patient.current_key as patient_key, patient.patient_id, patient.issuer_of_patient_id,
       (select jsonb_agg(jsonb_build_array(own.assigning_authority, own.value))
          from identity.patient_identifier own
         where own.patient_key = patient.current_key) as own_identifiers,
       patient.person_name, patient.birth_date, patient.sex,
       named.person_name as prior_person_name, named.birth_date as prior_birth_date
  from (select unnest(%(patient_keys)s::bigint[]) as patient_key
        union
        select patient_key from identity.patient_identifier
         where value = %(patient_id)s
           and (%(issuer)s = '' or assigning_authority = ''
                or lower(assigning_authority) = lower(%(issuer)s))) candidate
  join identity.patient named using (patient_key)
  join identity.current_patient patient using (patient_key)
 order by patient_key
"""


def patients_with(tx: Tx, patient_id: str, issuer: str) -> list[PatientRow]:
    """The persons that an identifier leads to, in any authority when the issuer is ''."""
    params: dict[str, object] = {"patient_keys": [], "patient_id": patient_id, "issuer": issuer}
    return tx.all(PatientRow, _PATIENTS, params)


def patient_of_record(tx: Tx, patient_key: int) -> PatientRow | None:
    """The person that a patient record stands for."""
    params = {"patient_keys": [patient_key], "patient_id": None, "issuer": ""}
    return tx.maybe(PatientRow, _PATIENTS, params)


@dataclass(frozen=True, slots=True)
class LinkedOrder:
    """What a study takes from its order."""

    patient_key: int
    accession_number: str
    referring_physician_name: str | None


_LINKED_ORDER = """
select patient_key, accession_number, referring_physician_name
  from orders.imaging_order where order_key = %s
"""


def linked_order(tx: Tx, order_key: int) -> LinkedOrder | None:
    """What a study takes from this order."""
    return tx.maybe(LinkedOrder, _LINKED_ORDER, (order_key,))


_STUDIES_OF_PATIENTS = """
with person as (
    select distinct current_key from identity.current_patient where patient_key = any(%s)
)
select study_instance_uid from archive.study
 where patient_id in (
       select value from identity.patient_identifier join identity.patient using (patient_key)
        where patient_key in (select current_key from person)
           or survivor_key in (select current_key from person))
"""


def studies_of_patients(tx: Tx, patient_keys: Sequence[int]) -> list[str]:
    """Studies whose images name one of the persons that these patient rows stand for."""
    return tx.values(_STUDIES_OF_PATIENTS, (list(patient_keys),))
