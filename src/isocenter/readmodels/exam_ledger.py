"""The exam ledger: where every exam is, hop by hop, and which ones are stuck where.

Reads only. What the hops mean is in ``exam_ledger_hops``, where the facts come from in
``exam_ledger_facts``, and which exams a question is about in ``exam_ledger_candidates``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.monitoring.model import EXPECTATIONS, Expectations, LateHop
from isocenter.domain.monitoring.model import Hop as HopName
from isocenter.infra.db import Tx
from isocenter.readmodels.exam_ledger_candidates import (
    Candidate,
    candidates,
    found_first,
    orders_at_risk,
    position_after,
    position_of,
    studies_at_risk,
    token_of,
)
from isocenter.readmodels.exam_ledger_facts import ExamFacts, facts_of_orders, facts_of_studies
from isocenter.readmodels.exam_ledger_hops import ExamState, Hop, HopState
from isocenter.readmodels.exam_ledger_model import (
    ExamLedger,
    ExamPage,
    ExamQuery,
    LedgerDelivery,
    LedgerPerformedStep,
    LedgerReport,
    LedgerStudy,
    ledger_of,
)

HOPS: Final = tuple(HopName)
_LIMIT_MAX: Final = 200
_CHUNKS_MAX: Final = 60


def exam(
    tx: Tx,
    viewer: Viewer,
    accession_number: str,
    *,
    now: datetime,
    expectations: Expectations = EXPECTATIONS,
) -> ExamLedger | None:
    """The exam with this accession number, with studies, reports and deliveries.

    An order's if there is one; else that of the newest study that says this number.
    """
    viewer.require(Action.EXAM_READ)
    key = tx.value(_ORDER_BY_NUMBER, (accession_number, accession_number))
    if key is not None:
        facts = facts_of_orders(tx, [key])
    else:
        study_key = tx.value(_STUDY_BY_NUMBER, (accession_number,))
        facts = [] if study_key is None else facts_of_studies(tx, [study_key])
    return _whole(tx, facts[0], now, expectations) if facts else None


def exam_of_study(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str,
    *,
    now: datetime,
    expectations: Expectations = EXPECTATIONS,
) -> ExamLedger | None:
    """The exam that a study belongs to: its order's, or its own when no order is linked."""
    viewer.require(Action.EXAM_READ)
    key = tx.value(_ORDER_OF_STUDY, (study_instance_uid,))
    if key is not None:
        facts = facts_of_orders(tx, [key])
    else:
        study_key = tx.value(_STUDY_KEY, (study_instance_uid,))
        facts = [] if study_key is None else facts_of_studies(tx, [study_key])
    return _whole(tx, facts[0], now, expectations) if facts else None


# The exact number first: two numbers may differ in case only.
_ORDER_BY_NUMBER = """
select order_key from orders.imaging_order
 where upper(btrim(accession_number)) = upper(btrim(%s))
 order by accession_number <> %s limit 1
"""
_STUDY_BY_NUMBER = """
select study_key from archive.study
 where upper(btrim(accession_number)) = upper(btrim(%s))
 order by first_received_at desc limit 1
"""
_ORDER_OF_STUDY = "select order_key from reconcile.link where study_instance_uid = %s"
_STUDY_KEY = "select study_key from archive.study where study_instance_uid = %s"

_STUDIES = """
select study_instance_uid, study_description, modalities, number_of_series, number_of_instances,
       first_received_at, completed_at, link.method, link.reason as link_reason
  from archive.study left join reconcile.link using (study_instance_uid)
 where study_instance_uid in (
       select study_instance_uid from reconcile.link where order_key = %(order_key)s
       union
       select study_instance_uid from archive.study as claim
        where upper(btrim(accession_number)) = upper(btrim(%(accession_number)s))
          and not exists (select from reconcile.link
                           where link.study_instance_uid = claim.study_instance_uid)
       union
       select study_instance_uid from orders.requested_procedure where order_key = %(order_key)s
       union
       select %(study)s)
 order by first_received_at, study_key
"""
_PERFORMED_STEPS = """
select sop_instance_uid, performed_procedure_step_id, status, performed_station_ae_title, modality,
       started_at, ended_at, discontinuation_reason_meaning as discontinuation_reason,
       made.expected, made.received
  from worklist.performed_procedure_step performed
 cross join lateral (
       select coalesce(sum(cardinality(sop_instance_uids)), 0)::int as expected,
              coalesce(sum(case when series.received then cardinality(sop_instance_uids) else (
                  select count(*) from archive.instance
                   where sop_instance_uid = any(sop_instance_uids)) end), 0)::int as received
         from worklist.performed_series series
        where series.performed_key = performed.performed_key) made
 where performed_key in (
       select performed_key from worklist.performance
         join scheduling.scheduled_procedure_step using (step_key)
        where accession_number = %(accession_number)s
        union
       select performed_key from worklist.scheduled_reference
        where study_instance_uid = any(%(studies)s))
 order by started_at, performed_key
"""
_REPORTS = """
select report_id, state, version, created_by, updated_at, signed_at
  from reporting.report where order_key = %s
"""
_DELIVERIES = """
select delivery_key, kind, occasion, recipient, delivery.version, null as study_instance_uid,
       null::int as instances, null::int as instances_sent, null as commitment, delivery.state,
       attempts, queued_at, sent_at, acknowledged_at, refused_at, last_error
  from distribution.delivery join reporting.report using (report_id)
 where order_key = %(order_key)s
union all
select delivery_key, kind, occasion, recipient, null as version, null as study_instance_uid,
       null as instances, null as instances_sent, null as commitment, state, attempts, queued_at,
       sent_at, acknowledged_at, refused_at, last_error
  from distribution.delivery
 where accession_number = %(accession_number)s and kind <> 'report'
union all
select delivery_key, kind, '' as occasion, recipient, null as version, study_instance_uid,
       instances, instances_sent, commitment, state, attempts, queued_at, sent_at, acknowledged_at,
       refused_at, last_error
  from distribution.transfer where study_instance_uid = any(%(studies)s)
 order by delivery_key
"""


def _whole(tx: Tx, facts: ExamFacts, now: datetime, expectations: Expectations) -> ExamLedger:
    order_key = None if facts.study_instance_uid else facts.exam_key
    params: dict[str, Any] = {
        "order_key": order_key,
        "accession_number": facts.accession_number if order_key is not None else None,
        "study": facts.study_instance_uid,
    }
    studies = tuple(tx.all(LedgerStudy, _STUDIES, params))
    params["studies"] = [each.study_instance_uid for each in studies]
    performed_steps = tuple(tx.all(LedgerPerformedStep, _PERFORMED_STEPS, params))
    deliveries = tuple(tx.all(LedgerDelivery, _DELIVERIES, params))
    if order_key is None:
        return ledger_of(
            facts,
            now,
            expectations,
            studies=studies,
            performed_steps=performed_steps,
            deliveries=deliveries,
        )
    return ledger_of(
        facts,
        now,
        expectations,
        studies=studies,
        performed_steps=performed_steps,
        reports=tuple(tx.all(LedgerReport, _REPORTS, (order_key,))),
        deliveries=deliveries,
    )


def search(
    tx: Tx,
    viewer: Viewer,
    query: ExamQuery,
    *,
    now: datetime,
    expectations: Expectations = EXPECTATIONS,
) -> ExamPage:
    """A page of exams, newest first: orders, and studies that no order claims."""
    viewer.require(Action.EXAM_READ)
    if query.state is not None and query.state not in set(ExamState):
        return ExamPage([], None)
    limit = max(1, min(query.limit, _LIMIT_MAX))
    chunk_size = limit + 1
    position = position_after(query.after)
    among = found_first(tx, query)
    found: list[tuple[Candidate, ExamLedger]] = []
    for _ in range(_CHUNKS_MAX):
        chunk = candidates(tx, query, among, position, chunk=chunk_size)
        found += [
            (candidate, ledger)
            for candidate, ledger in _of_candidates(tx, chunk, now, expectations)
            if query.state is None or ledger.state == query.state
        ]
        if len(found) > limit or len(chunk) < chunk_size:
            break
        position = position_of(chunk[-1])
    page = found[:limit]
    after = token_of(page[-1][0]) if len(found) > limit else None
    return ExamPage([ledger for _, ledger in page], after)


def _of_candidates(
    tx: Tx, chunk: Sequence[Candidate], now: datetime, expectations: Expectations
) -> list[tuple[Candidate, ExamLedger]]:
    orders = facts_of_orders(tx, [each.exam_key for each in chunk if not each.is_study])
    studies = facts_of_studies(tx, [each.exam_key for each in chunk if each.is_study])
    by_key = {(bool(each.study_instance_uid), each.exam_key): each for each in (*orders, *studies)}
    return [
        (each, ledger_of(facts, now, expectations))
        for each in chunk
        if (facts := by_key.get((each.is_study, each.exam_key))) is not None
    ]


def stuck(
    tx: Tx,
    viewer: Viewer,
    *,
    now: datetime,
    expectations: Expectations = EXPECTATIONS,
) -> list[ExamLedger]:
    """All exams that are late at a hop or need a person, the longest stuck first."""
    viewer.require(Action.EXAM_READ)
    found = [each for each in _at_risk(tx, now, expectations) if each.late or each.needs_person]
    return sorted(found, key=lambda each: _stuck_since(each, now))


def late_hops(
    tx: Tx, viewer: Viewer, *, now: datetime, expectations: Expectations = EXPECTATIONS
) -> list[LateHop]:
    """Every hop that is late or failed now, for ``monitoring.service.settle_alarms``."""
    viewer.require(Action.EXAM_READ)
    return [
        LateHop(
            exam.accession_number,
            exam.study_instance_uid,
            hop.name,
            hop.since or now,
            hop.reason or "",
        )
        for exam in _at_risk(tx, now, expectations)
        for hop in exam.hops
        if hop.late
    ]


def _stuck_since(exam: ExamLedger, now: datetime) -> datetime:
    hop = exam.stuck_at
    return hop.since if hop is not None and hop.since is not None else now


def _at_risk(tx: Tx, now: datetime, expectations: Expectations) -> list[ExamLedger]:
    order_keys = orders_at_risk(tx, now=now, expectations=expectations)
    study_keys = studies_at_risk(tx, now=now, expectations=expectations)
    facts = (*facts_of_orders(tx, order_keys), *facts_of_studies(tx, study_keys))
    return [ledger_of(each, now, expectations) for each in facts]


__all__ = [
    "HOPS",
    "ExamLedger",
    "ExamPage",
    "ExamQuery",
    "ExamState",
    "Hop",
    "HopState",
    "LedgerDelivery",
    "LedgerPerformedStep",
    "LedgerReport",
    "LedgerStudy",
    "exam",
    "exam_of_study",
    "late_hops",
    "search",
    "stuck",
]
