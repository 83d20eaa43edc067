"""What messages about a patient say of who that is."""

from collections.abc import Sequence
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
    """A visit, as far as messages tell it."""

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
_VISIT = """
select visit_number, assigning_authority, patient_class, location, attending_doctor_name,
       admitted_at
  from identity.visit
 where patient_key in (select patient_key from identity.patient
                        where patient_key = %(key)s or survivor_key = %(key)s)
   and state in ('expected', 'present', 'on_leave')
 order by state = 'present' desc, asserted_at desc limit 1
"""
_NUMBERED_VISIT = """
select visit_number, assigning_authority, patient_class, location, attending_doctor_name,
       admitted_at
  from identity.visit where visit_number = %s order by asserted_at desc limit 1
"""


def records(tx: Tx, viewer: Viewer, patient_keys: Sequence[int]) -> dict[int, PatientContent]:
    """These records by key, merges not followed."""
    viewer.require(Action.PATIENT_READ)
    found = tx.all(PatientContent, _RECORDS, (list(patient_keys),))
    return {each.patient_key: each for each in found}


def open_visit(tx: Tx, viewer: Viewer, patient_key: int) -> VisitContent | None:
    """The visit that the patient is here for, or is expected for; None: there is none."""
    viewer.require(Action.PATIENT_READ)
    return tx.maybe(VisitContent, _VISIT, {"key": patient_key})


def numbered_visit(tx: Tx, viewer: Viewer, visit_number: str) -> VisitContent | None:
    """The visit of that number."""
    viewer.require(Action.PATIENT_READ)
    return tx.maybe(VisitContent, _NUMBERED_VISIT, (visit_number,))
