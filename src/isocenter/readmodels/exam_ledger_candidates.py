"""Which exams a question to the ledger is about: the statements that find their keys.

Each starts from a small index, so that finding what is unfinished does not get slower with every
exam that is long done. Whether an exam found here really answers the question is decided by its
facts, in ``exam_ledger_hops``.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import msgspec

from isocenter.domain.monitoring.model import Expectations
from isocenter.domain.monitoring.model import Hop as HopName
from isocenter.infra.db import Tx
from isocenter.readmodels.exam_ledger_hops import ExamState
from isocenter.readmodels.exam_ledger_model import ExamQuery
from isocenter.standards.dicom.matching import person_name_key

_CANDIDATES_MAX: Final = 5000

# A study has an exam of its own while it is linked to no order and no order is what it names.
_UNCLAIMED: Final[LiteralString] = """
       not exists (select from reconcile.link l where l.study_instance_uid = s.study_instance_uid)
   and not exists (select from orders.imaging_order o
                    where upper(btrim(o.accession_number)) = upper(btrim(s.accession_number))
                      and not exists (select from reconcile.rejection r
                                       where r.study_instance_uid = s.study_instance_uid
                                         and r.order_key = o.order_key))
   and not exists (select from orders.requested_procedure p
                    where p.study_instance_uid = s.study_instance_uid
                      and not exists (select from reconcile.rejection r
                                       where r.study_instance_uid = s.study_instance_uid
                                         and r.order_key = p.order_key))
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An exam that may answer a question, and its place in the order of answers."""

    at: datetime
    is_study: bool
    exam_key: int


# By state: what an order must be to be in it, as far as an index can tell. ``state_of`` decides.
_NARROWED: Final[Mapping[str, LiteralString]] = {
    ExamState.ORDERED: " and o.state = 'placed' and not exists (select"
    " from scheduling.scheduled_procedure_step s where s.accession_number = o.accession_number)",
    ExamState.SCHEDULED: " and o.state = 'placed'",
    ExamState.HELD: " and o.state = 'held'",
    ExamState.DELIVERED: " and exists (select from reporting.report r"
    " join distribution.delivery d using (report_id, version)"
    " where r.order_key = o.order_key and d.state = 'acknowledged')",
    ExamState.CANCELLED: " and o.state in ('cancelled', 'discontinued')",
}
# States that few exams are in at a time: their orders are found first.
_CLAIMED: Final[LiteralString] = """
(with unlinked as materialized (
    select study_instance_uid, upper(btrim(accession_number)) as accession_number
      from archive.study s
     where not exists (select from reconcile.link l
                        where l.study_instance_uid = s.study_instance_uid)
)
select named.order_key from unlinked cross join lateral (
    select order_key from orders.imaging_order o
     where upper(btrim(o.accession_number)) = unlinked.accession_number
    union all
    select order_key from orders.requested_procedure p
     where p.study_instance_uid = unlinked.study_instance_uid) named)
"""
# Orders that an open case is about: the study is linked to them, or names them.
_IN_CASE: Final[LiteralString] = """
select order_key from reconcile.reconciliation_case join reconcile.link using (study_instance_uid)
 where state = 'open'
union
select order_key from reconcile.reconciliation_case c
  join archive.study s using (study_instance_uid)
  join orders.imaging_order o
    on upper(btrim(o.accession_number)) = upper(btrim(s.accession_number))
 where c.state = 'open'
union
select order_key from reconcile.reconciliation_case c
  join orders.requested_procedure p using (study_instance_uid)
 where c.state = 'open'
"""
# Orders of studies whose stored bytes are damaged.
_DAMAGED: Final[LiteralString] = """
select order_key from archive.integrity_finding join reconcile.link using (study_instance_uid)
 where settled_at is null
union
select order_key from archive.integrity_finding f
  join archive.study s using (study_instance_uid)
  join orders.imaging_order o
    on upper(btrim(o.accession_number)) = upper(btrim(s.accession_number))
 where f.settled_at is null
"""
_BEGUN: Final[LiteralString] = """
select order_key from orders.imaging_order where state = 'in_progress'
union
select order_key from archive.study join reconcile.link using (study_instance_uid)
 where completed_at is null
union
"""
_UNFINISHED: Final[LiteralString] = _BEGUN + _CLAIMED
_AMONG_FOUND: Final[LiteralString] = " and o.order_key = any(%(found_first)s)"
_FOUND_FIRST: Final[Mapping[str, LiteralString]] = {
    ExamState.IN_PROGRESS: _UNFINISHED,
    ExamState.IMAGES_COMPLETE: _CLAIMED,
    ExamState.NEEDS_RECONCILIATION: _IN_CASE,
    ExamState.TO_READ: """
select order_key from reconcile.link
 where not exists (select from reporting.report where report.order_key = link.order_key)
""",
    ExamState.DRAFT: "select order_key from reporting.report where state = 'draft'",
    ExamState.SIGNED: """
select order_key from reporting.report
 where state = 'signed'
   and not exists (select from distribution.delivery
                    where delivery.report_id = report.report_id
                      and delivery.version = report.version and delivery.state = 'acknowledged')
union
select order_key from distribution.delivery join reporting.report using (report_id)
 where delivery.state in ('queued', 'sent', 'refused')
""",
}
_STUDY_STATES: Final = frozenset({
    ExamState.NEEDS_RECONCILIATION,
    ExamState.IN_PROGRESS,
    ExamState.IMAGES_COMPLETE,
})

_OF_PERSON: Final[LiteralString] = """
 and o.patient_key in (
     select named.patient_key from identity.patient_identifier
       join identity.current_patient found using (patient_key)
       join identity.current_patient named on named.current_key = found.current_key
      where value = %(patient_id)s)"""
_ORDER_TEXT: Final[LiteralString] = """
 and o.order_key in (
     select order_key from orders.imaging_order
      where upper(btrim(accession_number)) like upper(%(prefix)s)
     union
     select order_key from orders.imaging_order join identity.patient using (patient_key)
      where name_normalised like %(name_prefix)s
     union
     select order_key from orders.imaging_order
       join identity.patient named using (patient_key)
       join identity.patient current on current.patient_key = named.survivor_key
      where current.name_normalised like %(name_prefix)s
     union
     select order_key from orders.imaging_order
       join identity.patient_identifier using (patient_key)
      where value like %(prefix)s)"""
_STUDY_TEXT: Final[LiteralString] = """
 and (upper(btrim(s.accession_number)) like upper(%(prefix)s) or s.patient_id like %(prefix)s
      or s.patient_name_normalised like %(name_prefix)s)"""


_RECENT_ORDERS: Final[LiteralString] = """
select placed_at as at, false as is_study, order_key as exam_key from orders.imaging_order o
 where placed_at <= %(at)s
   and (placed_at, false, order_key) < (%(at)s, %(is_study)s, %(exam_key)s)
"""
_RECENT_STUDIES: Final[LiteralString] = """
select first_received_at, true, study_key from archive.study s
 where (first_received_at, true, study_key) < (%(at)s, %(is_study)s, %(exam_key)s)
   and s.study_instance_uid in (
       select study_instance_uid from reconcile.reconciliation_case where state = 'open')
"""


def found_first(tx: Tx, query: ExamQuery) -> list[int] | None:
    """Keys of all orders that may be in the state asked for, where few are; else None."""
    statement = _FOUND_FIRST.get(query.state) if query.state is not None else None
    return None if statement is None else tx.values(statement)


def candidates(
    tx: Tx,
    query: ExamQuery,
    among: Sequence[int] | None,
    position: Mapping[str, Any],
    *,
    chunk: int,
) -> list[Candidate]:
    """The next ``chunk`` exams behind ``position`` that may answer the query, newest first.

    ``among`` is what ``found_first`` gave for the query.
    """
    params, statement = _statement(query)
    params["found_first"] = among
    return tx.all(Candidate, statement, {**params, **position, "chunk": chunk})


def _statement(query: ExamQuery) -> tuple[dict[str, Any], LiteralString]:
    orders: LiteralString = ""
    studies: LiteralString = ""
    params: dict[str, Any] = {}
    if query.accession_number is not None:
        orders += " and upper(btrim(o.accession_number)) = upper(btrim(%(accession_number)s))"
        studies += " and upper(btrim(s.accession_number)) = upper(btrim(%(accession_number)s))"
        params["accession_number"] = query.accession_number
    if query.patient_id is not None:
        orders += _OF_PERSON
        studies += " and s.patient_id = %(patient_id)s"
        params["patient_id"] = query.patient_id
    if query.text:
        orders += _ORDER_TEXT
        studies += _STUDY_TEXT
        params["prefix"] = _prefix(query.text)
        params["name_prefix"] = _prefix(person_name_key(query.text.replace(" ", "^", 1)))
    if query.state is not None:
        narrowed = _NARROWED.get(query.state)
        orders += _AMONG_FOUND if narrowed is None else narrowed
        if query.state not in _STUDY_STATES:
            studies += " and false"
    statement: list[LiteralString] = [
        "select at, is_study, exam_key from ((",
        _RECENT_ORDERS,
        orders,
        " order by placed_at desc, order_key desc limit %(chunk)s) union all (",
        _RECENT_STUDIES,
        studies,
        " and ",
        _UNCLAIMED,
        " order by first_received_at desc, study_key desc limit %(chunk)s)) candidate",
        " order by at desc, is_study desc, exam_key desc limit %(chunk)s",
    ]
    return params, "".join(statement)


def _prefix(text: str) -> str:
    """A LIKE pattern for what begins with ``text``."""
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"{escaped}%"


_FAR_FUTURE = "9999-01-01 00:00+00"


def position_after(after: str | None) -> dict[str, Any]:
    """Where a page begins that follows the token ``after``; the beginning without one."""
    if after is None:
        return {"at": _FAR_FUTURE, "is_study": True, "exam_key": 0}
    try:
        at, is_study, exam_key = msgspec.json.decode(
            base64.urlsafe_b64decode(after), type=tuple[datetime, bool, int]
        )
    except (ValueError, msgspec.DecodeError):  # not one of ours: begin anew
        return position_after(None)
    return {"at": at, "is_study": is_study, "exam_key": exam_key}


def position_of(candidate: Candidate) -> dict[str, Any]:
    """The position behind ``candidate``."""
    return {
        "at": candidate.at,
        "is_study": candidate.is_study,
        "exam_key": candidate.exam_key,
    }


def token_of(candidate: Candidate) -> str:
    """The position behind ``candidate``, as a page hands it out."""
    place = (candidate.at, candidate.is_study, candidate.exam_key)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


# Each part starts from what is unfinished at one hop, and passes over what cannot be late yet.
_ORDERS_AT_RISK: Final[LiteralString] = " union ".join((
    """
(select order_key from orders.imaging_order o
  where state = 'placed' and placed_at < %(scheduled_before)s
    and not exists (select from scheduling.scheduled_procedure_step s
                     where s.accession_number = o.accession_number)
  order by placed_at limit %(most)s)
""",
    """
(select order_key from scheduling.scheduled_procedure_step
   join orders.requested_procedure using (procedure_key)
  where status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED') and start_at < %(start_before)s
  order by start_at limit %(most)s)
""",
    """
(select order_key from scheduling.scheduled_procedure_step s
   join orders.requested_procedure using (procedure_key)
  where status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED') and booked_at < %(booked_before)s
    and not exists (select from worklist.entry where entry.step_key = s.step_key)
  limit %(most)s)
""",
    """
(select order_key from archive.study join reconcile.link using (study_instance_uid)
  where completed_at is null and last_received_at < %(received_before)s limit %(most)s)
""",
    """
(select order_key from reconcile.link
  where linked_at < %(listed_before)s
    and not exists (select from reporting.report
                     where report.order_key = link.order_key and report.state = 'signed')
  order by linked_at limit %(most)s)
""",
    """
(select order_key from distribution.delivery join reporting.report using (report_id)
  where delivery.state in ('queued', 'sent') and queued_at < %(queued_before)s limit %(most)s)
""",
    """
(select order_key from distribution.delivery join reporting.report using (report_id)
  where delivery.state = 'refused' limit %(most)s)
""",
    """
(select order_key from worklist.performed_procedure_step
   join worklist.performance using (performed_key)
   join scheduling.scheduled_procedure_step using (step_key)
   join orders.requested_procedure using (procedure_key)
  where performed_procedure_step.status = 'IN PROGRESS' and started_at < %(received_before)s
  limit %(most)s)
""",
    """
(select order_key from worklist.performed_series
   join worklist.performed_procedure_step using (performed_key)
   join worklist.performance using (performed_key)
   join scheduling.scheduled_procedure_step using (step_key)
   join orders.requested_procedure using (procedure_key)
  where not received and cardinality(sop_instance_uids) > 0 and ended_at < %(received_before)s
  limit %(most)s)
""",
    """
(select order_key from scheduling.scheduled_procedure_step
   join orders.requested_procedure using (procedure_key)
  where performed_status = 'DISCONTINUED' and not closed limit %(most)s)
""",
    _IN_CASE,
    _DAMAGED,
))

_STUDIES_AT_RISK: Final[LiteralString] = "".join((
    """
select study_key from archive.study s
 where s.study_instance_uid in (
       select study_instance_uid from reconcile.reconciliation_case where state = 'open'
       union
       select study_instance_uid from archive.study where completed_at is null
       union
       select study_instance_uid from archive.integrity_finding where settled_at is null)
   and """,
    _UNCLAIMED,
    "limit %(most)s",
))


def orders_at_risk(tx: Tx, *, now: datetime, expectations: Expectations) -> list[int]:
    """Keys of all orders that may be late or need a person now."""
    return tx.values(_ORDERS_AT_RISK, _horizons(now, expectations))


def studies_at_risk(tx: Tx, *, now: datetime, expectations: Expectations) -> list[int]:
    """Keys of all studies without order that may be late or need a person now."""
    return tx.values(_STUDIES_AT_RISK, _horizons(now, expectations))


def _horizons(now: datetime, expectations: Expectations) -> dict[str, Any]:
    """For each hop the moment before which what it waits for must have been, to be late now."""

    def before(*names: HopName) -> datetime:
        allowed = [
            min(each.within, each.urgent_within or each.within)
            for name in names
            if (each := expectations.get(name)) is not None
        ]
        return now - min(allowed) if allowed else now - timedelta(days=36500)

    return {
        "scheduled_before": before(HopName.SCHEDULED),
        "start_before": before(HopName.QUERIED, HopName.IMAGES_RECEIVED),
        "booked_before": before(HopName.ON_WORKLIST),
        "received_before": before(HopName.COMPLETE),
        "listed_before": before(HopName.SIGNED),
        "queued_before": before(HopName.SENT, HopName.ACKNOWLEDGED),
        "most": _CANDIDATES_MAX,
    }
