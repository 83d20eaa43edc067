"""The facts of exams, each exam one row: when what happened, over all stages, in one statement.

An exam is an order with everything that belongs to it, or a study that no order claims. What the
facts mean is in ``exam_ledger_hops``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from isocenter.infra.db import Tx
from isocenter.readmodels.exam_ledger_performed import COLUMNS, FOR_ORDER, FOR_STUDY


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamFacts:
    """What is known of an exam.

    Attributes:
        exam_key: the order's key; the study's for an exam without order.
        study_instance_uid: '' for an order; else the study that no order claims.
        order_state: None without an order.
        start_at: the earliest scheduled start.
        published_at: when all its steps were on the worklist; None while one is not.
        begun_at: when a step was noted as begun, whoever noted it.
        performed: what modalities say that they did (performed procedure steps), without those that
            took the wrong worklist entry; ``performing`` of them are in progress, ``ended`` were
            completed.
        discontinued_for: why the last one was discontinued.
        canceled_for: why ``canceled_by``, who had claimed its workitem, gave the exam up.
        wrong_entries: how many took this exam's worklist entry by mistake.
        expected: objects that the modalities say they made; ``missing`` of them are not here.
        grouped_with: accession numbers of exams that were made together with this one.
        claims: studies that name this order and are not linked to it.
        match_case: reason of the open case that keeps a study from its order, if there is one.
        other_case: reason of another open case.
        damaged: images whose stored bytes were found damaged or missing, and are not repaired.
        queued, sent, acknowledged, refused: deliveries of the newest signed version.
        trouble_*: the delivery that has been failing longest.
    """

    exam_key: int
    accession_number: str
    study_instance_uid: str
    order_state: str | None
    state_changed_at: datetime | None
    priority: str | None
    patient_id: str | None
    patient_name: str | None
    procedure: str | None
    modality: str | None
    listed_at: datetime
    ordered_at: datetime | None
    steps: int
    booked_at: datetime | None
    start_at: datetime | None
    begun_at: datetime | None
    published_at: datetime | None
    queried_at: datetime | None
    queries: int
    performed: int
    performing: int
    ended: int
    performed_by: str | None
    performed_at: datetime | None
    ended_at: datetime | None
    discontinued_for: str | None
    canceled_by: str | None
    canceled_at: datetime | None
    canceled_for: str | None
    wrong_entries: int
    expected: int
    missing: int
    grouped_with: str | None
    studies: int
    instances: int
    first_received_at: datetime | None
    last_received_at: datetime | None
    incomplete: int
    completed_at: datetime | None
    linked_at: datetime | None
    claims: int
    match_case: str | None
    match_case_at: datetime | None
    other_case: str | None
    other_case_at: datetime | None
    damaged: int
    damaged_at: datetime | None
    report_state: str | None
    drafted_at: datetime | None
    signed_at: datetime | None
    deliveries: int
    unsent: int
    unacknowledged: int
    refused: int
    queued_at: datetime | None
    sent_at: datetime | None
    acknowledged_at: datetime | None
    trouble_recipient: str | None
    trouble_at: datetime | None
    trouble: str | None
    trouble_refused: bool | None
    paused_by: str | None


# The orders are found first and then each looks up what is its own, through indexes.
_OF_ORDERS: Final[LiteralString] = "".join((
    """
select o.order_key as exam_key, o.accession_number, '' as study_instance_uid,
       o.state as order_state, o.state_changed_at, o.priority, patient.patient_id,
       patient.person_name as patient_name, procedure.names as procedure, step.modality,
       o.placed_at as listed_at, o.placed_at as ordered_at, step.steps, step.booked_at,
       step.start_at, step.begun_at, step.published_at, step.queried_at, step.queries,""",
    COLUMNS,
    """
       given_up.canceled_by, given_up.canceled_at, given_up.canceled_for,
       grouped.grouped_with, images.studies, images.instances, images.first_received_at,
       images.last_received_at,
       images.incomplete, images.completed_at, images.linked_at, images.claims,
       matters.match_reason as match_case, matters.match_opened_at as match_case_at,
       matters.other_reason as other_case, matters.other_opened_at as other_case_at,
       coalesce(integrity.damaged, 0) as damaged, integrity.damaged_at,
       report.state as report_state, report.created_at as drafted_at, report.signed_at,
       coalesce(sending.deliveries, 0) as deliveries, coalesce(sending.unsent, 0) as unsent,
       coalesce(sending.unacknowledged, 0) as unacknowledged,
       coalesce(sending.refused, 0) as refused, sending.queued_at, sending.sent_at,
       sending.acknowledged_at, trouble.recipient as trouble_recipient,
       trouble.trouble_at, trouble.last_error as trouble, trouble.refused as trouble_refused,
       trouble.paused_by
  from orders.imaging_order o
  join identity.current_patient patient using (patient_key)
 cross join lateral (
       select string_agg(coalesce(nullif(description, ''), nullif(code_meaning, ''), code_value),
                         ', ' order by procedure_key) as names,
              array_agg(study_instance_uid) as uids
         from orders.requested_procedure where requested_procedure.order_key = o.order_key
       ) procedure
 cross join lateral (
       select count(*) as steps, min(booked_at) as booked_at, min(start_at) as start_at,
              min(status_changed_at) filter (where status in ('STARTED', 'COMPLETED')) as begun_at,
              string_agg(distinct nullif(modality, ''), ', ') as modality,
              case when count(entry.step_key) = count(*) then max(published_at) end as published_at,
              min(first_queried_at) as queried_at, coalesce(sum(query_count), 0)::int as queries
         from scheduling.scheduled_procedure_step step left join worklist.entry using (step_key)
        where step.accession_number = o.accession_number
       ) step
 cross join lateral (
       select array_agg(study_instance_uid) as uids,
              count(*) filter (where linked_at is not null) as studies,
              count(*) filter (where linked_at is null) as claims,
              coalesce(sum(number_of_instances), 0)::int as instances,
              min(first_received_at) as first_received_at,
              max(last_received_at) as last_received_at,
              count(*) filter (where completed_at is null) as incomplete,
              max(completed_at) as completed_at, max(linked_at) as linked_at
         from (select study_instance_uid, number_of_instances, first_received_at,
                      last_received_at, completed_at, linked_at
                 from reconcile.link join archive.study using (study_instance_uid)
                where link.order_key = o.order_key
               union all
               select study_instance_uid, number_of_instances, first_received_at,
                      last_received_at, completed_at, null
                 from (select study_key from archive.study
                        where upper(btrim(accession_number)) = upper(btrim(o.accession_number))
                       union
                       select study_key from archive.study
                        where study_instance_uid = any(procedure.uids)) claim
                 join archive.study using (study_key)
                where not exists (select from reconcile.link
                                   where link.study_instance_uid = study.study_instance_uid)
                  and not exists (select from reconcile.rejection
                                   where rejection.study_instance_uid = study.study_instance_uid
                                     and rejection.order_key = o.order_key)
              ) study
       ) images
  left join lateral (
       select (array_agg(reason order by opened_at) filter (where about_match))[1] as match_reason,
              min(opened_at) filter (where about_match) as match_opened_at,
              (array_agg(reason order by kind desc) filter (where not about_match))[1]
                  as other_reason,
              min(opened_at) filter (where not about_match) as other_opened_at
         from (select reason, kind, opened_at,
                      kind in ('unmatched', 'ambiguous', 'patient_mismatch',
                               'wrong_worklist_entry') as about_match
                 from unnest(images.uids) as study_instance_uid
                 join reconcile.reconciliation_case using (study_instance_uid)
                where state = 'open') open_case
       ) matters on images.uids is not null
  left join lateral (
       select count(*)::int as damaged, min(found_at) as damaged_at
         from unnest(images.uids) as study_instance_uid
         join archive.integrity_finding using (study_instance_uid)
        where settled_at is null and kind <> 'copy'
       ) integrity on images.uids is not null
""",
    FOR_ORDER,
    """
  left join reporting.report on report.order_key = o.order_key
  left join lateral (
       select count(*) as deliveries, count(*) filter (where sent_at is null) as unsent,
              count(*) filter (where state <> 'acknowledged') as unacknowledged,
              count(*) filter (where state = 'refused') as refused, min(queued_at) as queued_at,
              max(sent_at) as sent_at, max(acknowledged_at) as acknowledged_at
         from distribution.delivery
        where delivery.report_id = report.report_id and delivery.version = report.version
       ) sending on report.version > 0
  left join lateral (
       select delivery.recipient, last_error,
              coalesce(refused_at, failing_since, sent_at, queued_at) as trouble_at,
              delivery.state = 'refused' as refused, paused_by
         from distribution.delivery join distribution.destination using (recipient)
        where delivery.report_id = report.report_id and delivery.version = report.version
          and delivery.state <> 'acknowledged'
        order by delivery.state = 'refused' desc, failing_since nulls last, delivery_key limit 1
       ) trouble on report.version > 0
 where o.order_key = any(%s)
""",
))

_OF_STUDIES: Final[LiteralString] = "".join((
    """
select s.study_key as exam_key, coalesce(s.accession_number, '') as accession_number,
       s.study_instance_uid, null as order_state, null::timestamptz as state_changed_at,
       null as priority, s.patient_id, s.patient_name, s.study_description as procedure,
       array_to_string(s.modalities, ', ') as modality, s.first_received_at as listed_at,
       null::timestamptz as ordered_at, 0 as steps, null::timestamptz as booked_at,
       null::timestamptz as start_at, null::timestamptz as begun_at,
       null::timestamptz as published_at, null::timestamptz as queried_at, 0 as queries,""",
    COLUMNS,
    """
       null as canceled_by, null::timestamptz as canceled_at, null as canceled_for,
       null as grouped_with, 1 as studies, s.number_of_instances as instances,
       s.first_received_at, s.last_received_at,
       (s.completed_at is null)::int as incomplete, s.completed_at,
       null::timestamptz as linked_at, 1 as claims,
       matching.reason as match_case, matching.opened_at as match_case_at,
       other.reason as other_case, other.opened_at as other_case_at,
       integrity.damaged, integrity.damaged_at,
       null as report_state, null::timestamptz as drafted_at, null::timestamptz as signed_at,
       0 as deliveries, 0 as unsent, 0 as unacknowledged, 0 as refused,
       null::timestamptz as queued_at, null::timestamptz as sent_at,
       null::timestamptz as acknowledged_at, null as trouble_recipient,
       null::timestamptz as trouble_at, null as trouble, null::boolean as trouble_refused,
       null as paused_by
  from archive.study s
""",
    FOR_STUDY,
    """
  left join lateral (
       select reason, opened_at from reconcile.reconciliation_case c
        where state = 'open' and c.study_instance_uid = s.study_instance_uid
          and kind in ('unmatched', 'ambiguous', 'patient_mismatch', 'wrong_worklist_entry')
        order by opened_at, case_key limit 1) matching on true
  left join lateral (
       select reason, opened_at from reconcile.reconciliation_case c
        where state = 'open' and c.study_instance_uid = s.study_instance_uid
          and kind in ('conflicting_instance', 'inconsistent_study')
        order by opened_at, case_key limit 1) other on true
 cross join lateral (
       select count(*)::int as damaged, min(found_at) as damaged_at from archive.integrity_finding f
        where settled_at is null and kind <> 'copy'
          and f.study_instance_uid = s.study_instance_uid) integrity
 where s.study_key = any(%s)
""",
))


def facts_of_orders(tx: Tx, order_keys: Sequence[int]) -> list[ExamFacts]:
    """The facts of these orders' exams, in no particular order."""
    return tx.all(ExamFacts, _OF_ORDERS, (list(order_keys),)) if order_keys else []


def facts_of_studies(tx: Tx, study_keys: Sequence[int]) -> list[ExamFacts]:
    """The facts of exams that are studies without an order, in no particular order."""
    return tx.all(ExamFacts, _OF_STUDIES, (list(study_keys),)) if study_keys else []
