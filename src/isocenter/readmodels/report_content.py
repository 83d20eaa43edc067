"""Everything that a result message says: patient, order, procedures, studies and signed texts."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeAlias

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

ReportVersion: TypeAlias = tuple[str, int]
"""A report, and which of its signed versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentIdentifier:
    """A patient identifier; the first of a list is the one to show."""

    value: str
    assigning_authority: str
    type_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentProcedure:
    """A requested procedure with its study."""

    requested_procedure_id: str
    study_instance_uid: str
    code_value: str | None
    code_scheme: str | None
    code_meaning: str | None
    description: str | None
    modality: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentVersion:
    """A signed text; ``kind`` is ``final`` or ``addendum``."""

    version: int
    kind: str
    text: str
    signed_by: str
    signer_name: str
    signed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version(ContentVersion):
    """A signed text with whose it is."""

    report_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """A report version with all that it is about.

    Attributes:
        performed_at: when the first image was received, or the exam was to start.
        study_instance_uids: of the images linked to the order; of the order while there are none.
        versions: all up to the one asked for, oldest first.
    """

    report_id: str
    version: int
    accession_number: str
    accession_issuer: str
    placer_order_number: str | None
    placer_namespace: str
    filler_order_number: str | None
    filler_namespace: str
    priority: str | None
    ordering_provider_name: str | None
    referring_physician_name: str | None
    clinical_information: str | None
    reason_for_study: str | None
    admission_id: str | None
    patient_class: str | None
    location: str | None
    ordered_at: datetime
    performed_at: datetime | None
    patient_key: int
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    study_instance_uids: list[str]
    order_key: int
    identifiers: tuple[ContentIdentifier, ...] = ()
    procedures: tuple[ContentProcedure, ...] = ()
    versions: tuple[ContentVersion, ...] = ()

    @property
    def signed(self) -> ContentVersion:
        """The version asked for."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content(ReportContent):
    """A report version as one row has it."""

    identifiers_json: list[dict[str, str]]
    procedures_json: list[dict[str, str | None]]


_CONTENT = """
select report.report_id, version.version, o.accession_number, o.accession_issuer,
       o.placer_order_number, o.placer_namespace, o.filler_order_number, o.filler_namespace,
       o.priority, o.ordering_provider_name, o.referring_physician_name, o.clinical_information,
       o.reason_for_study, o.admission_id, o.patient_class, o.location,
       coalesce(o.ordered_at, o.placed_at) as ordered_at,
       coalesce(images.first_received_at, step.start_at) as performed_at,
       patient.current_key as patient_key, patient.person_name as patient_name,
       patient.birth_date as patient_birth_date, patient.sex as patient_sex,
       coalesce(images.uids, procedure.uids, '{}') as study_instance_uids, o.order_key,
       named.identifiers as identifiers_json, coalesce(procedure.lines, '[]') as procedures_json
  from unnest(%s::text[], %s::int[]) as wanted (report_id, version)
  join reporting.report_version version using (report_id, version)
  join reporting.report using (report_id)
  join orders.imaging_order o using (order_key)
  join identity.current_patient patient on patient.patient_key = o.patient_key
 cross join lateral (
       select array_agg(study_instance_uid order by first_received_at, study_key) as uids,
              min(first_received_at) as first_received_at
         from reconcile.link join archive.study using (study_instance_uid)
        where link.order_key = o.order_key) images
 cross join lateral (
       select array_agg(study_instance_uid order by procedure_key) as uids,
              jsonb_agg(jsonb_build_object(
                  'requested_procedure_id', requested_procedure_id,
                  'study_instance_uid', study_instance_uid, 'code_value', code_value,
                  'code_scheme', code_scheme, 'code_meaning', code_meaning,
                  'description', p.description,
                  'modality', (select min(nullif(modality, ''))
                                 from scheduling.scheduled_procedure_step s
                                where s.procedure_key = p.procedure_key))
                  order by procedure_key) as lines
         from orders.requested_procedure p where p.order_key = o.order_key) procedure
 cross join lateral (
       select min(start_at) as start_at from scheduling.scheduled_procedure_step s
        where s.accession_number = o.accession_number) step
 cross join lateral (
       select coalesce(jsonb_agg(each order by rank) filter (where retired_at is null),
                       jsonb_agg(each order by rank), '[]') as identifiers
         from (select retired_at, jsonb_build_object(
                          'value', value, 'assigning_authority', assigning_authority,
                          'type_code', type_code) as each,
                      row_number() over (order by type_code <> 'MR', assigning_authority = '',
                                                  assigning_authority, value) as rank
                 from identity.patient_identifier i
                where i.patient_key = patient.current_key) ranked) named
"""
_VERSIONS = """
select report_id, version, kind, text, signed_by, signer_name, signed_at
  from reporting.report_version where report_id = any(%s) order by report_id, version
"""


def for_delivery(tx: Tx, viewer: Viewer, report_id: str, version: int) -> ReportContent | None:
    """What the message about this version says; None when there is no such version.

    Patient and order are as known now, so that a merge before sending reaches the recipient.
    """
    return for_deliveries(tx, viewer, [(report_id, version)]).get((report_id, version))


def for_deliveries(
    tx: Tx, viewer: Viewer, wanted: Collection[ReportVersion]
) -> dict[ReportVersion, ReportContent]:
    """As ``for_delivery`` for many, in two statements; what there is not is left out."""
    viewer.require(Action.REPORT_READ)
    if not wanted:
        return {}
    asked = list(dict.fromkeys(wanted))
    report_ids = list(dict.fromkeys(report_id for report_id, _ in asked))
    texts: defaultdict[str, list[ContentVersion]] = defaultdict(list)
    for each in tx.all(_Version, _VERSIONS, (report_ids,)):
        texts[each.report_id].append(each)
    rows = tx.all(_Content, _CONTENT, ([key for key, _ in asked], [number for _, number in asked]))
    return {
        (row.report_id, row.version): replace(
            row,
            identifiers=tuple(ContentIdentifier(**each) for each in row.identifiers_json),
            procedures=tuple(_procedure(each) for each in row.procedures_json),
            versions=tuple(each for each in texts[row.report_id] if each.version <= row.version),
        )
        for row in rows
    }


def _procedure(said: dict[str, str | None]) -> ContentProcedure:
    return ContentProcedure(
        requested_procedure_id=said["requested_procedure_id"] or "",
        study_instance_uid=said["study_instance_uid"] or "",
        code_value=said["code_value"],
        code_scheme=said["code_scheme"],
        code_meaning=said["code_meaning"],
        description=said["description"],
        modality=said["modality"],
    )
