"""Pairs of records that may be one person, and what joining or parting records touches."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx

EXAMS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records and what is asked, or was decided, about them.

    Attributes:
        one: of ``patient_key``, ``person_name``, ``birth_date``, ``sex``, ``address``, ``phone``,
            ``aliases``, ``mother_name``, ``vip``, ``unidentified`` and ``identifiers``.
        joined: one of them stands for both now.
    """

    pair_key: int
    kind: str
    state: str
    weight: float
    grounds: list[dict[str, Any]]
    found_at: datetime
    decided_at: datetime | None
    decided_by: str
    reason: str
    one: dict[str, Any]
    other: dict[str, Any]
    joined: bool


_RECORD: Final = """
 cross join lateral (
       select coalesce(p.survivor_key, p.patient_key) as current_key,
              jsonb_build_object(
              'patient_key', p.patient_key, 'person_name', p.person_name,
              'birth_date', p.birth_date, 'sex', p.sex, 'address', p.address, 'phone', p.phone,
              'aliases', coalesce(p.aliases, '{}'), 'mother_name', p.mother_name,
              'vip', coalesce(p.vip, false), 'unidentified', coalesce(p.unidentified, false),
              'identifiers', (
                  select coalesce(jsonb_agg(i.value || coalesce(
                             ' (' || nullif(i.assigning_authority, '') || ')', '')
                             order by i.type_code <> 'MR', i.assigning_authority, i.value), '[]')
                    from identity.patient_identifier i where i.patient_key = p.patient_key))
              as facts
         from identity.patient p where p.patient_key = """
_PAIRS: Final = (
    """
select pair_key, kind, state, weight, grounds, found_at, decided_at, decided_by, reason,
       one.facts as one, other.facts as other, one.current_key = other.current_key as joined
  from identity.match_pair"""
    + _RECORD
    + "one_key) one"
    + _RECORD
    + "other_key) other\n"
)
# What a message merged or somebody linked meanwhile is no question any more, and comes back when
# that is undone.
_OPEN: Final = (
    _PAIRS
    + """
 where state = 'open'
   and (kind = 'reused_identifier') = (one.current_key = other.current_key)
   and not exists (select from identity.link
                    where link.one_key = match_pair.one_key
                      and link.other_key = match_pair.other_key and undone_at is null)
 order by kind <> 'reused_identifier', weight desc, pair_key
 limit %s
"""
)
_DECIDED: Final = (
    _PAIRS
    + " where state in ('linked', 'merged', 'not_the_same') order by decided_at desc limit %s"
)
_ONE: Final = _PAIRS + " where pair_key = %s"


def open_pairs(tx: Tx, viewer: Viewer, *, limit: int) -> list[Pair]:
    """Questions that wait for a person, the surest first."""
    viewer.require(Action.PATIENT_READ)
    return tx.all(Pair, _OPEN, (limit,))


def decided_pairs(tx: Tx, viewer: Viewer, *, limit: int) -> list[Pair]:
    """What was decided, the newest first."""
    viewer.require(Action.PATIENT_READ)
    return tx.all(Pair, _DECIDED, (limit,))


def pair(tx: Tx, viewer: Viewer, pair_key: int) -> Pair | None:
    """One pair, whatever became of it."""
    viewer.require(Action.PATIENT_READ)
    return tx.maybe(Pair, _ONE, (pair_key,))


@dataclass(frozen=True, slots=True)
class TouchedExam:
    """An exam whose patient is shown otherwise when the record is joined or parted.

    Attributes:
        on_worklist: scanners are offered it.
        studies: matched with it; corrections of what they say are made on the way out.
        report_state: ``draft`` is being written: its writer is asked to look again.
        sent: deliveries that recipients have; they are not told by themselves.
    """

    patient_key: int
    accession_number: str
    order_state: str
    procedure: str | None
    on_worklist: bool
    studies: int
    report_state: str | None
    report_writer: str | None
    sent: int


_TOUCHED: Final = """
select o.patient_key, o.accession_number, o.state as order_state,
       (select string_agg(coalesce(nullif(description, ''), code_meaning), ', ')
          from orders.requested_procedure p where p.order_key = o.order_key) as procedure,
       exists (select from scheduling.scheduled_procedure_step s
                where s.accession_number = o.accession_number
                  and s.status in ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED')) as on_worklist,
       (select count(*)::int from reconcile.link where link.order_key = o.order_key) as studies,
       report.state as report_state, report.updated_by as report_writer,
       (select count(*)::int from distribution.delivery d
         where d.accession_number = o.accession_number and d.state in ('sent', 'acknowledged'))
       as sent
  from identity.patient record
  join orders.imaging_order o on o.patient_key = record.patient_key
  left join reporting.report on report.order_key = o.order_key
 where record.patient_key = any(%(keys)s) or record.survivor_key = any(%(keys)s)
 order by report.state is distinct from 'draft', o.placed_at desc
 limit %(limit)s
"""


def touched_exams(tx: Tx, viewer: Viewer, patient_keys: list[int]) -> list[TouchedExam]:
    """The exams of these records and of what was merged into them, drafts first; some at most."""
    viewer.require(Action.PATIENT_READ)
    return tx.all(TouchedExam, _TOUCHED, {"keys": patient_keys, "limit": EXAMS_MAX})


@dataclass(frozen=True, slots=True)
class _RecordName:
    patient_key: int
    name: str


def record_names(tx: Tx, viewer: Viewer, patient_keys: list[int]) -> dict[int, str]:
    """The number that each of these records is called by; "no number" where it gave all away."""
    viewer.require(Action.PATIENT_READ)
    rows = tx.all(
        _RecordName,
        """
        select p.patient_key, coalesce((
               select i.value || coalesce(' (' || nullif(i.assigning_authority, '') || ')', '')
                 from identity.patient_identifier i where i.patient_key = p.patient_key
                order by i.retired_at is not null, i.type_code <> 'MR', i.assigning_authority,
                         i.value
                limit 1), 'no number') as name
          from identity.patient p where p.patient_key = any(%s)
        """,
        (patient_keys,),
    )
    return {row.patient_key: row.name for row in rows}
