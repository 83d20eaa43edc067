"""Everything that messages about an exam say: order, patient, procedures, steps, appointment."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.readmodels import patient_content
from isocenter.readmodels.patient_content import PatientContent


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamStep:
    """A scheduled procedure step.

    Attributes:
        is_timed: somebody said when it begins; else the time is only when it was asked for.
    """

    procedure_key: int
    scheduled_procedure_step_id: str
    modality: str
    station_ae_titles: list[str]
    station_name: str | None
    location: str | None
    start_at: datetime
    is_timed: bool
    performing_physician_name: str | None
    description: str | None
    protocol_codes: list[dict[str, str]]
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamProcedure:
    """A requested procedure."""

    procedure_key: int
    requested_procedure_id: str
    study_instance_uid: str
    code_value: str | None
    code_scheme: str | None
    code_meaning: str | None
    description: str | None
    laterality: str | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamAppointment:
    """An appointment that another scheduler makes."""

    appointment_key: int
    source_peer: str
    placer_appointment_id: str
    filler_appointment_id: str
    accession_numbers: list[str]
    patient_key: int | None
    status: str
    reason: str | None
    description: str | None
    start_at: datetime | None
    duration_min: int | None
    location: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamContent:
    """One exam as it is known now.

    Attributes:
        patient: who it is of, merges followed.
        signed_at: of the first signed version of its report; ``signed_by`` and ``signer_name`` of
            who signed that.
        performed_at: when the first image was received, or the exam was to start.
    """

    order_key: int
    accession_number: str
    accession_issuer: str
    placer_order_number: str | None
    placer_namespace: str
    filler_order_number: str | None
    filler_namespace: str
    state: str
    state_reason: str | None
    state_changed_at: datetime
    priority: str | None
    ordering_provider_name: str | None
    referring_physician_name: str | None
    clinical_information: str | None
    reason_for_study: str | None
    danger_code: str | None
    admission_id: str | None
    patient_class: str | None
    location: str | None
    transport_arrangements: str | None
    ordered_at: datetime
    source_peer: str
    patient_key: int
    performed_at: datetime | None
    signed_at: datetime | None
    signed_by: str | None
    signer_name: str | None
    patient: PatientContent | None = None
    procedures: Sequence[ExamProcedure] = ()
    steps: Sequence[ExamStep] = ()

    def steps_of(self, procedure: ExamProcedure) -> list[ExamStep]:
        """The steps of a procedure."""
        return [each for each in self.steps if each.procedure_key == procedure.procedure_key]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step(ExamStep):
    """A scheduled procedure step with the exam that it is of."""

    accession_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Procedure(ExamProcedure):
    """A requested procedure with the order that it is of."""

    order_key: int


_EXAMS = """
select o.order_key, o.accession_number, o.accession_issuer, o.placer_order_number,
       o.placer_namespace, o.filler_order_number, o.filler_namespace, o.state, o.state_reason,
       o.state_changed_at, o.priority, o.ordering_provider_name, o.referring_physician_name,
       o.clinical_information, o.reason_for_study, o.danger_code, o.admission_id,
       o.patient_class, o.location, o.transport_arrangements,
       coalesce(o.ordered_at, o.placed_at) as ordered_at, o.source_peer,
       current.current_key as patient_key,
       coalesce((select min(first_received_at)
                   from reconcile.link join archive.study using (study_instance_uid)
                  where link.order_key = o.order_key),
                (select min(start_at) from scheduling.scheduled_procedure_step s
                  where s.accession_number = o.accession_number)) as performed_at,
       signed.signed_at, signed.signed_by, signed.signer_name
  from orders.imaging_order o
  join identity.current_patient current on current.patient_key = o.patient_key
  left join lateral (
       select v.signed_at, v.signed_by, v.signer_name
         from reporting.report join reporting.report_version v using (report_id)
        where report.order_key = o.order_key order by v.version limit 1) signed on true
 where o.accession_number = any(%s)
"""
_PROCEDURES = """
select order_key, procedure_key, requested_procedure_id, study_instance_uid, code_value,
       code_scheme, code_meaning, description, laterality, state
  from orders.requested_procedure where order_key = any(%s) order by procedure_key
"""
_STEPS = """
select accession_number, procedure_key, scheduled_procedure_step_id, modality, station_ae_titles,
       station_name, location, start_at, said_at ? 'start_at' as is_timed,
       performing_physician_name, description, protocol_codes, status
  from scheduling.scheduled_procedure_step where accession_number = any(%s) order by step_key
"""
_APPOINTMENTS = """
select appointment_key, source_peer, placer_appointment_id, filler_appointment_id,
       accession_numbers, patient_key, status, reason, description, start_at, duration_min,
       location
  from scheduling.appointment where appointment_key = any(%s)
"""


def exam(tx: Tx, viewer: Viewer, accession_number: str) -> ExamContent | None:
    """The exam with this accession number."""
    return exams(tx, viewer, [accession_number]).get(accession_number)


def exams(tx: Tx, viewer: Viewer, accession_numbers: Collection[str]) -> dict[str, ExamContent]:
    """The exams with these accession numbers, in four statements for all of them."""
    viewer.require(Action.EXAM_READ)
    found = tx.all(ExamContent, _EXAMS, (list(accession_numbers),)) if accession_numbers else []
    if not found:
        return {}
    people = patient_content.records(tx, viewer, [each.patient_key for each in found])
    order_keys = [each.order_key for each in found]
    procedures: defaultdict[int, list[ExamProcedure]] = defaultdict(list)
    for procedure in tx.all(_Procedure, _PROCEDURES, (order_keys,)):
        procedures[procedure.order_key].append(procedure)
    steps: defaultdict[str, list[ExamStep]] = defaultdict(list)
    for step in tx.all(_Step, _STEPS, (list(accession_numbers),)):
        steps[step.accession_number].append(step)
    return {
        each.accession_number: replace(
            each,
            patient=people.get(each.patient_key),
            procedures=tuple(procedures[each.order_key]),
            steps=tuple(steps[each.accession_number]),
        )
        for each in found
    }


def appointments(
    tx: Tx, viewer: Viewer, appointment_keys: Collection[int]
) -> dict[int, ExamAppointment]:
    """Appointments that other schedulers make, by key."""
    viewer.require(Action.EXAM_READ)
    if not appointment_keys:
        return {}
    found = tx.all(ExamAppointment, _APPOINTMENTS, (list(appointment_keys),))
    return {each.appointment_key: each for each in found}
