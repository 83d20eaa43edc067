"""The modality worklist: what a scanner may be asked to do, found by what it asks for.

It reads the scheduled procedure steps themselves, so that an exam is found from the moment its
order is acknowledged. A step for which no station was named is for any station: it matches every
AE title, because a scanner that does not see its patient is worse than two that do.

Standard: PS3.4 K.6.1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any, Final, LiteralString

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.infra.db.where import Column, Columns, Items, supported, where
from isocenter.standards.dicom.matching import (
    AnyOf,
    CombinedDateTimeRange,
    Condition,
    DateRange,
    EmptyValue,
    SequenceMatch,
)

LIMIT_MAX: Final = 5_000
_STEP_SEQUENCE: Final = 0x00400100
_STATION_AE_TITLE: Final = 0x00400001
_STEP_STATUS: Final = 0x00400020
# No zone of the earth is further than this from any other.
_ZONE_MARGIN: Final = timedelta(hours=26)

_STEP_COLUMNS: Final[Columns] = {
    0x00080060: Column("item.modality"),
    _STATION_AE_TITLE: Column("item.station_ae_titles", "text_array"),
    0x00400002: Column("item.start_date", "date"),
    0x00400003: Column("item.start_time", "time"),
    0x00400006: Column("item.performing_physician_normalised", "person_name"),
    0x00400007: Column("item.step_description"),
    0x00400008: Items(
        {
            0x00080100: Column("code ->> 'value'"),
            0x00080102: Column("code ->> 'scheme'"),
            0x00080104: Column("code ->> 'meaning'"),
        },
        "jsonb_array_elements(item.protocol_codes) as code",
    ),
    0x00400009: Column("item.scheduled_procedure_step_id"),
    0x00400010: Column("item.station_name"),
    0x00400011: Column("item.step_location"),
    _STEP_STATUS: Column("item.status"),
}
COLUMNS: Final[Columns] = {
    0x00080050: Column("item.accession_number"),
    0x00100010: Column("item.name_normalised", "person_name", "item.name_phonetic"),
    0x00100020: Column("item.patient_id"),
    0x00100021: Column("item.issuer_of_patient_id"),
    0x00100030: Column("item.birth_date", "date"),
    0x00100040: Column("item.sex"),
    0x0020000D: Column("item.study_instance_uid"),
    0x00321060: Column("item.procedure_description"),
    0x00321064: Items({
        0x00080100: Column("item.code_value"),
        0x00080102: Column("item.code_scheme"),
        0x00080104: Column("item.code_meaning"),
    }),
    0x00380010: Column("item.admission_id"),
    0x00380300: Column("item.patient_location"),
    0x00401001: Column("item.requested_procedure_id"),
    0x00401003: Column("item.priority"),
    0x00402016: Column("item.placer_order_number"),
    0x00402017: Column("item.filler_order_number"),
    _STEP_SEQUENCE: Items(_STEP_COLUMNS),
}
"""The attributes that can be matched; other keys are only returned (PS3.4 K.2.2.1.1.2)."""


@dataclass(frozen=True, slots=True)
class WorklistItem:
    """One scheduled procedure step with its procedure, order and patient.

    Attributes:
        start_date: with ``start_time`` in the time zone that was asked for, for people.
        station_ae_titles: empty: any station.
        status: in DICOM's spelling.
    """

    step_key: int
    accession_number: str
    scheduled_procedure_step_id: str
    modality: str
    station_ae_titles: list[str]
    station_name: str | None
    step_location: str | None
    start_date: date
    start_time: time
    performing_physician_name: str | None
    step_description: str | None
    pre_medication: str | None
    requested_contrast_agent: str | None
    protocol_codes: list[dict[str, str]]
    status: str
    requested_procedure_id: str
    study_instance_uid: str
    code_value: str | None
    code_scheme: str | None
    code_meaning: str | None
    procedure_description: str | None
    laterality: str | None
    placer_order_number: str | None
    filler_order_number: str | None
    accession_issuer: str
    priority: str | None
    requesting_physician: str | None
    referring_physician_name: str | None
    clinical_information: str | None
    reason_for_study: str | None
    patient_state: str | None
    admission_id: str | None
    patient_location: str | None
    transport_arrangements: str | None
    special_needs: str | None
    allergies: str | None
    pregnancy_status: int | None
    patient_weight_kg: float | None
    patient_size_m: float | None
    ordered_on: date
    patient_id: str | None
    issuer_of_patient_id: str | None
    person_name: str | None
    birth_date: date | None
    sex: str | None


_ITEMS: Final = """
select item.step_key, item.accession_number, item.scheduled_procedure_step_id, item.modality,
       item.station_ae_titles, item.station_name, item.step_location, item.start_date,
       item.start_time, item.performing_physician_name, item.step_description, item.pre_medication,
       item.requested_contrast_agent, item.protocol_codes, item.status,
       item.requested_procedure_id, item.study_instance_uid, item.code_value, item.code_scheme,
       item.code_meaning, item.procedure_description, item.laterality, item.placer_order_number,
       item.filler_order_number, item.accession_issuer, item.priority, item.requesting_physician,
       item.referring_physician_name, item.clinical_information, item.reason_for_study,
       item.patient_state, item.admission_id, item.patient_location, item.transport_arrangements,
       item.special_needs, item.allergies, item.pregnancy_status, item.patient_weight_kg,
       item.patient_size_m, item.ordered_on, item.patient_id, item.issuer_of_patient_id,
       item.person_name, item.birth_date, item.sex
  from (
    select step.step_key, step.accession_number, step.scheduled_procedure_step_id, step.modality,
           step.station_ae_titles, step.station_name, step.location as step_location,
           step.start_at, (step.start_at at time zone zone.name)::date as start_date,
           (step.start_at at time zone zone.name)::time as start_time,
           step.performing_physician_name, step.performing_physician_normalised,
           step.description as step_description, step.pre_medication,
           step.requested_contrast_agent, step.protocol_codes,
           -- PS3.3 writes it with one l.
           case step.status when 'CANCELLED' then 'CANCELED' else step.status end as status,
           procedure.requested_procedure_id, procedure.study_instance_uid, procedure.code_value,
           procedure.code_scheme, procedure.code_meaning,
           procedure.description as procedure_description, procedure.laterality,
           placed.placer_order_number, placed.filler_order_number, placed.accession_issuer,
           placed.priority, placed.ordering_provider_name as requesting_physician,
           placed.referring_physician_name, placed.clinical_information, placed.reason_for_study,
           placed.danger_code as patient_state, placed.admission_id,
           coalesce(visit.location, placed.location) as patient_location,
           placed.transport_arrangements,
           placed.special_needs, placed.allergies, placed.pregnancy_status,
           placed.patient_weight_kg, placed.patient_size_m,
           (coalesce(placed.ordered_at, placed.placed_at) at time zone zone.name)::date
               as ordered_on,
           patient.patient_id, patient.issuer_of_patient_id, patient.person_name,
           patient.name_normalised, patient.name_phonetic, patient.birth_date, patient.sex
      from (select %s::text as name) zone
     cross join scheduling.scheduled_procedure_step step
      join orders.requested_procedure procedure using (procedure_key)
      join orders.imaging_order placed using (order_key)
      join identity.current_patient patient using (patient_key)
      left join lateral (
           -- Where the patient was brought since the order said where they are.
           select v.location
             from identity.visit v
            where v.visit_number = placed.admission_id and v.state in ('present', 'on_leave')
              and (v.said_at ->> 'location')::bigint
                  > coalesce((placed.said_at ->> 'location')::bigint, 0)
            order by v.asserted_at desc limit 1) visit on true
     where placed.state <> 'held' and """
_AFTER_ITEMS: Final = """
  ) item
 where """
_ORDERED: Final = """
 order by item.start_date, item.start_time, item.step_key limit %s
"""
_OPEN_STEPS: Final = "step.status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED')"


def search(
    tx: Tx,
    viewer: Viewer,
    conditions: Sequence[Condition],
    *,
    limit: int = LIMIT_MAX,
    time_zone: str = "UTC",
) -> list[WorklistItem]:
    """The steps that fulfil the conditions, the earliest first.

    Steps that are completed, cancelled or discontinued are left out unless a status is asked for.
    Conditions on attributes that are not in ``COLUMNS`` are passed over.

    Args:
        tx: an open transaction.
        viewer: somebody who may read the worklist. That it was read is recorded by
            ``worklist.service.record_query``.
        conditions: all of which must hold; dates and times are those of ``time_zone``.
        limit: at most so many, and never more than 5,000.
        time_zone: name of the zone in which the department lives.

    Standard: PS3.4 K.6.1.2.2
    """
    viewer.require(Action.WORKLIST_READ)
    usable = [_any_station(each) for each in supported(conditions, COLUMNS)]
    inner = [e for each in usable if isinstance(each, SequenceMatch) for e in each.conditions]
    clause, values = where(usable, COLUMNS)
    window, bounds = _window(inner)
    if any(_asks_status(each) for each in inner):
        statement = _ITEMS + window + _AFTER_ITEMS + clause + _ORDERED
    else:
        statement = _ITEMS + _OPEN_STEPS + " and " + window + _AFTER_ITEMS + clause + _ORDERED
    parameters = [time_zone, *bounds, *values, max(0, min(limit, LIMIT_MAX))]
    return tx.all(WorklistItem, statement, parameters)


def _asks_status(condition: Condition) -> bool:
    return not isinstance(condition, CombinedDateTimeRange) and condition.tag == _STEP_STATUS


def _any_station(condition: Condition) -> Condition:
    if not isinstance(condition, SequenceMatch) or condition.tag != _STEP_SEQUENCE:
        return condition
    inside = tuple(
        AnyOf(_STATION_AE_TITLE, (each, EmptyValue(_STATION_AE_TITLE)))
        if not isinstance(each, CombinedDateTimeRange) and each.tag == _STATION_AE_TITLE
        else each
        for each in condition.conditions
    )
    return SequenceMatch(_STEP_SEQUENCE, inside)


def _window(conditions: Sequence[Condition]) -> tuple[LiteralString, list[Any]]:
    """Bounds of the start in any zone, which the index on it can use."""
    parts: list[LiteralString] = ["true"]
    values: list[Any] = []
    for each in conditions:
        earliest, latest = _days(each)
        if earliest is not None:
            parts.append("step.start_at >= %s::date::timestamp at time zone 'UTC' - %s")
            values += [earliest, _ZONE_MARGIN]
        if latest is not None:
            parts.append("step.start_at < (%s::date + 1)::timestamp at time zone 'UTC' + %s")
            values += [latest, _ZONE_MARGIN]
    return " and ".join(parts), values


def _days(condition: Condition) -> tuple[date | None, date | None]:
    match condition:
        case DateRange():
            return condition.earliest, condition.latest
        case CombinedDateTimeRange():
            return (
                condition.earliest.date() if condition.earliest else None,
                condition.latest.date() if condition.latest else None,
            )
        case _:
            return None, None
