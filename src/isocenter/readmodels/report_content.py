"""Everything that a result message says: patient, order, procedures, studies and signed texts."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx


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


_CONTENT = """
select report.report_id, version.version, o.accession_number, o.accession_issuer,
       o.placer_order_number, o.placer_namespace, o.filler_order_number, o.filler_namespace,
       o.priority, o.ordering_provider_name, o.referring_physician_name, o.clinical_information,
       o.reason_for_study, o.admission_id, o.patient_class, o.location,
       coalesce(o.ordered_at, o.placed_at) as ordered_at,
       coalesce(images.first_received_at, step.start_at) as performed_at,
       patient.current_key as patient_key, patient.person_name as patient_name,
       patient.birth_date as patient_birth_date, patient.sex as patient_sex,
       coalesce(images.uids, procedure.uids, '{}') as study_instance_uids, o.order_key
  from reporting.report
  join reporting.report_version version using (report_id)
  join orders.imaging_order o using (order_key)
  join identity.current_patient patient on patient.patient_key = o.patient_key
 cross join lateral (
       select array_agg(study_instance_uid order by first_received_at, study_key) as uids,
              min(first_received_at) as first_received_at
         from reconcile.link join archive.study using (study_instance_uid)
        where link.order_key = o.order_key) images
 cross join lateral (
       select array_agg(study_instance_uid order by procedure_key) as uids
         from orders.requested_procedure p where p.order_key = o.order_key) procedure
 cross join lateral (
       select min(start_at) as start_at from scheduling.scheduled_procedure_step s
        where s.accession_number = o.accession_number) step
 where report.report_id = %s and version.version = %s
"""
_IDENTIFIERS = """
select value, assigning_authority, type_code from identity.patient_identifier
 where patient_key = %s
 order by type_code <> 'MR', assigning_authority = '', assigning_authority, value
"""
_PROCEDURES = """
select requested_procedure_id, study_instance_uid, code_value, code_scheme, code_meaning,
       p.description,
       (select min(nullif(modality, '')) from scheduling.scheduled_procedure_step s
         where s.procedure_key = p.procedure_key) as modality
  from orders.requested_procedure p where order_key = %s order by procedure_key
"""
_VERSIONS = """
select version, kind, text, signed_by, signer_name, signed_at from reporting.report_version
 where report_id = %s and version <= %s order by version
"""


def for_delivery(tx: Tx, viewer: Viewer, report_id: str, version: int) -> ReportContent | None:
    """What the message about this version says; None when there is no such version.

    Patient and order are as known now, so that a merge before sending reaches the recipient.
    """
    viewer.require(Action.REPORT_READ)
    content = tx.maybe(ReportContent, _CONTENT, (report_id, version))
    if content is None:
        return None
    return replace(
        content,
        identifiers=tuple(tx.all(ContentIdentifier, _IDENTIFIERS, (content.patient_key,))),
        procedures=tuple(tx.all(ContentProcedure, _PROCEDURES, (content.order_key,))),
        versions=tuple(tx.all(ContentVersion, _VERSIONS, (report_id, version))),
    )
