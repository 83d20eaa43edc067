"""The list of studies that need a person, each with the orders that it might belong to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key

CANDIDATES_MAX: Final = 5
_PROPOSABLE: Final = frozenset({
    "unmatched",
    "ambiguous",
    "patient_mismatch",
    "wrong_worklist_entry",
})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An order that a study might belong to; ``grounds`` says what speaks for it."""

    accession_number: str
    order_state: str
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    procedure: str | None
    modality: str | None
    scheduled_at: datetime | None
    grounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """A study that needs a person.

    Attributes:
        linked_accession_number: of the order that it is linked to all the same.
        candidates: best first; empty for a case that is not about finding an order.
    """

    case_key: int
    study_instance_uid: str
    kind: str
    reason: str
    opened_at: datetime
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    accession_number: str | None
    study_date: date | None
    study_description: str | None
    modalities: list[str]
    number_of_instances: int
    first_received_at: datetime
    calling_ae_titles: list[str]
    linked_accession_number: str | None
    candidates: tuple[Candidate, ...] = ()


_OPEN_CASES = """
select case_key, c.study_instance_uid, kind, c.reason, opened_at, patient_id, patient_name,
       patient_birth_date, s.accession_number, study_date, study_description, modalities,
       number_of_instances, first_received_at, calling_ae_titles,
       link.accession_number as linked_accession_number
  from reconcile.reconciliation_case c
  join archive.study s using (study_instance_uid)
  left join reconcile.link using (study_instance_uid)
 where c.state = 'open'
   and (%(study)s::text is null or c.study_instance_uid = %(study)s)
 order by opened_at, case_key
 limit %(limit)s
"""

# What speaks for an order, each a column: what shares most with the images comes first. For their
# modality alone only waiting orders are proposed, whose time is near.
_CANDIDATES = """
with near as (
    select order_key from orders.imaging_order
     where upper(btrim(accession_number)) = upper(btrim(%(accession_number)s))
    union
    select order_key from orders.requested_procedure where study_instance_uid = %(study)s
    union
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
      where status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED')
        and modality = any(%(modalities)s)
        and start_at between %(received_at)s - interval '4 hours'
                         and %(received_at)s + interval '4 hours'
      order by abs(extract(epoch from start_at - %(received_at)s)) limit 20)
)
select * from (
    select o.accession_number, o.state as order_state, patient.patient_id,
           patient.person_name as patient_name, patient.birth_date as patient_birth_date,
           procedure.names as procedure, step.modality, step.scheduled_at,
           upper(btrim(o.accession_number)) = upper(btrim(%(accession_number)s)) as same_number,
           exists (select from identity.patient_identifier identifier
                     join identity.current_patient alias using (patient_key)
                    where identifier.value = %(patient_id)s
                      and alias.current_key = patient.current_key) as same_patient_id,
           patient.name_normalised = %(name)s as same_name,
           patient.birth_date = %(birth_date)s as same_birth_date,
           coalesce(step.modalities && %(modalities)s, false) as same_modality,
           abs(extract(epoch from step.scheduled_at - %(received_at)s)) as seconds_apart,
           exists (select from reconcile.link where link.order_key = o.order_key) as has_images
      from near
      join orders.imaging_order o using (order_key)
      join identity.current_patient patient using (patient_key)
     cross join lateral (
           select string_agg(coalesce(nullif(description, ''), code_meaning), ', ') as names
             from orders.requested_procedure p where p.order_key = o.order_key) procedure
     cross join lateral (
           select min(start_at) as scheduled_at, array_agg(distinct modality) as modalities,
                  string_agg(distinct nullif(modality, ''), ', ') as modality
             from scheduling.scheduled_procedure_step s
            where s.accession_number = o.accession_number) step
    ) found
 order by coalesce(same_number, false)::int * 4 + same_patient_id::int * 4
          + coalesce(same_name, false)::int * 2 + coalesce(same_birth_date, false)::int * 2
          + same_modality::int + (not has_images)::int desc, seconds_apart, accession_number
 limit %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    accession_number: str
    order_state: str
    patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    procedure: str | None
    modality: str | None
    scheduled_at: datetime | None
    same_number: bool | None
    same_patient_id: bool
    same_name: bool | None
    same_birth_date: bool | None
    same_modality: bool
    seconds_apart: float | None
    has_images: bool


def open_cases(
    tx: Tx, viewer: Viewer, *, study_instance_uid: str | None = None, limit: int = 100
) -> list[OpenCase]:
    """Studies that need a person, the longest waiting first; or the open cases of one study."""
    viewer.require(Action.STUDY_READ)
    cases = tx.all(OpenCase, _OPEN_CASES, {"study": study_instance_uid, "limit": limit})
    return [
        replace(each, candidates=_candidates(tx, each)) if each.kind in _PROPOSABLE else each
        for each in cases
    ]


def _candidates(tx: Tx, case: OpenCase) -> tuple[Candidate, ...]:
    params = {
        "study": case.study_instance_uid,
        "accession_number": case.accession_number,
        "patient_id": case.patient_id,
        "name": person_name_key(case.patient_name) if case.patient_name else None,
        "birth_date": case.patient_birth_date,
        "modalities": case.modalities,
        "received_at": case.first_received_at,
        "limit": CANDIDATES_MAX,
    }
    return tuple(_explained(each) for each in tx.all(_Scored, _CANDIDATES, params))


def _explained(found: _Scored) -> Candidate:
    facts: Sequence[tuple[bool | None, str]] = (
        (found.same_number, "same accession number"),
        (found.same_patient_id, "same patient ID"),
        (found.same_name, "same name"),
        (found.same_birth_date, "same birth date"),
        (found.same_modality, "same modality"),
        (not found.has_images, "no images yet"),
    )
    return Candidate(
        accession_number=found.accession_number,
        order_state=found.order_state,
        patient_id=found.patient_id,
        patient_name=found.patient_name,
        patient_birth_date=found.patient_birth_date,
        procedure=found.procedure,
        modality=found.modality,
        scheduled_at=found.scheduled_at,
        grounds=tuple(text for holds, text in facts if holds),
    )
