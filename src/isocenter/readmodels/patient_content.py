"""What messages about a patient say of who that is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBy:
    """A patient identifier; the first of a list is the one to show."""

    value: str
    assigning_authority: str
    type_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientContent:
    """One record of a patient as it is known now.

    Attributes:
        identifiers: of this record, in use; empty when it gave all away.
        current_key: the record that stands for it after all merges.
    """

    patient_key: int
    current_key: int
    person_name: str | None
    birth_date: date | None
    sex: str | None
    phone: str | None
    aliases: list[str]
    unidentified: bool
    vip: bool
    birth_order: int | None
    mother_name: str | None
    identifiers: list[dict[str, str]]

    @property
    def named_by(self) -> list[NamedBy]:
        """The identifiers as values."""
        return [NamedBy(**each) for each in self.identifiers]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitContent:
    """A visit, as far as messages tell it.

    Attributes:
        patient_key: who was asked about; of a visit asked for by its number, whose it is.
    """

    patient_key: int
    visit_number: str
    assigning_authority: str
    patient_class: str | None
    location: str | None
    attending_doctor_name: str | None
    admitted_at: datetime | None


_RECORDS = """
select patient.patient_key, coalesce(survivor_key, patient.patient_key) as current_key,
       person_name, birth_date, sex, phone, coalesce(aliases, '{}') as aliases,
       coalesce(unidentified, false) as unidentified, coalesce(vip, false) as vip, birth_order,
       mother_name,
       (select coalesce(jsonb_agg(jsonb_build_object('value', value, 'assigning_authority',
               assigning_authority, 'type_code', type_code)
               order by type_code <> 'MR', assigning_authority = '', assigning_authority, value),
               '[]')
          from identity.patient_identifier i
         where i.patient_key = patient.patient_key and retired_at is null) as identifiers
  from identity.patient where patient.patient_key = any(%s)
"""
_VISITS = """
select wanted.patient_key, visit_number, assigning_authority, patient_class, location,
       attending_doctor_name, admitted_at
  from unnest(%s::bigint[]) as wanted (patient_key)
 cross join lateral (
       select * from identity.visit
        where visit.patient_key in (
              select p.patient_key from identity.patient p
               where p.patient_key = wanted.patient_key or p.survivor_key = wanted.patient_key)
          and state in ('expected', 'present', 'on_leave')
        order by state = 'present' desc, asserted_at desc limit 1) visit
"""
_NUMBERED_VISITS = """
select distinct on (visit_number) patient_key, visit_number, assigning_authority, patient_class,
       location, attending_doctor_name, admitted_at
  from identity.visit where visit_number = any(%s) order by visit_number, asserted_at desc
"""


def records(tx: Tx, viewer: Viewer, patient_keys: Collection[int]) -> dict[int, PatientContent]:
    """These records by key, merges not followed."""
    viewer.require(Action.PATIENT_READ)
    if not patient_keys:
        return {}
    found = tx.all(PatientContent, _RECORDS, (list(patient_keys),))
    return {each.patient_key: each for each in found}


def open_visits(tx: Tx, viewer: Viewer, patient_keys: Collection[int]) -> dict[int, VisitContent]:
    """The visits that patients are here for, or expected for, by patient; who has none is out."""
    viewer.require(Action.PATIENT_READ)
    if not patient_keys:
        return {}
    found = tx.all(VisitContent, _VISITS, (list(patient_keys),))
    return {each.patient_key: each for each in found}


def numbered_visits(
    tx: Tx, viewer: Viewer, visit_numbers: Sequence[str]
) -> dict[str, VisitContent]:
    """The visits of these numbers, by number."""
    viewer.require(Action.PATIENT_READ)
    if not visit_numbers:
        return {}
    found = tx.all(VisitContent, _NUMBERED_VISITS, (list(visit_numbers),))
    return {each.visit_number: each for each in found}
