"""Who the patients are that studies and orders name, all merges done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from isocenter.infra.db import Tx


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
class PatientRow:
    """A person as registered, with the record that led to it."""

    patient_key: int
    patient_id: str | None
    issuer_of_patient_id: str | None
    own_identifiers: list[tuple[str, str]] | None
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


_ORDERS_WITH_NUMBERS = """
select order_key from orders.imaging_order
 where reconcile.accession_key(accession_number)
       = any(array(select reconcile.accession_key(said) from unnest(%s::text[]) as said))
"""
_PROCEDURE_HAS = """
select exists (select from orders.requested_procedure where study_instance_uid = %s)
"""


def orders_with_numbers(tx: Tx, accession_numbers: Sequence[str]) -> list[int]:
    """Keys of the orders with these accession numbers, whatever form they are written in."""
    return tx.values(_ORDERS_WITH_NUMBERS, (list(accession_numbers),))


def procedure_has(tx: Tx, study_instance_uid: str) -> bool:
    """Whether a requested procedure names the study already."""
    return bool(tx.value(_PROCEDURE_HAS, (study_instance_uid,)))
