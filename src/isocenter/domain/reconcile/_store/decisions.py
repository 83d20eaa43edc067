"""The SQL of what was decided about studies, by people and by rules, and of those rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.reconcile.model import Rule
from isocenter.infra.db import Tx, jsonb


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDecision:
    """What is kept of a decision. ``candidates``: what there was to choose from, as JSON."""

    study_instance_uid: str
    kind: str
    reason: str
    by: str
    order_key: int | None = None
    accession_number: str | None = None
    patient_key: int | None = None
    rule_key: int | None = None
    split_key: int | None = None
    station_ae_title: str = ""
    candidates: Sequence[dict[str, Any]] = ()


_ADD = """
insert into reconcile.decision
       (study_instance_uid, kind, order_key, accession_number, patient_key, rule_key, split_key,
        station_ae_title, candidates, reason, decided_at, decided_by)
values (%(study)s, %(kind)s, %(order_key)s, %(accession_number)s, %(patient_key)s, %(rule_key)s,
        %(split_key)s, %(station)s, %(candidates)s, %(reason)s, %(now)s, %(by)s)
returning decision_key
"""


def add(tx: Tx, decision: NewDecision, *, now: datetime) -> int:
    """The key of the decision, kept."""
    params = {
        "study": decision.study_instance_uid,
        "kind": decision.kind,
        "order_key": decision.order_key,
        "accession_number": decision.accession_number,
        "patient_key": decision.patient_key,
        "rule_key": decision.rule_key,
        "split_key": decision.split_key,
        "station": decision.station_ae_title,
        "candidates": jsonb(list(decision.candidates)),
        "reason": decision.reason,
        "by": decision.by,
        "now": now,
    }
    return int(tx.value(_ADD, params))


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as it is kept."""

    decision_key: int
    study_instance_uid: str
    kind: str
    order_key: int | None
    accession_number: str | None
    patient_key: int | None
    rule_key: int | None
    split_key: int | None
    reason: str
    decided_at: datetime
    decided_by: str
    undone_at: datetime | None
    undone_by: str | None


_COLUMNS = """
select decision_key, study_instance_uid, kind, order_key, accession_number, patient_key, rule_key,
       split_key, reason, decided_at, decided_by, undone_at, undone_by
  from reconcile.decision
"""
_OF_STUDY = _COLUMNS + "where study_instance_uid = %s order by decision_key desc limit 100"
_ONE = _COLUMNS + "where decision_key = %s"
_OF_SPLIT = _COLUMNS + "where split_key = %s"


def of_study(tx: Tx, study_instance_uid: str) -> list[DecisionRow]:
    """What was decided about a study, the newest first."""
    return tx.all(DecisionRow, _OF_STUDY, (study_instance_uid,))


def one(tx: Tx, decision_key: int) -> DecisionRow | None:
    """The decision."""
    return tx.maybe(DecisionRow, _ONE, (decision_key,))


def of_split(tx: Tx, split_key: int) -> DecisionRow | None:
    """The decision by which images were split off."""
    return tx.maybe(DecisionRow, _OF_SPLIT, (split_key,))


_UNDO_LINKS = """
update reconcile.decision set undone_at = %(now)s, undone_by = %(by)s
 where study_instance_uid = %(study)s and order_key = %(order_key)s and undone_at is null
   and kind in ('link', 'new_order', 'rule')
"""
_UNDO = """
update reconcile.decision set undone_at = %(now)s, undone_by = %(by)s
 where study_instance_uid = %(study)s and kind = %(kind)s and undone_at is null
"""

_UNDO_SPLIT = """
update reconcile.decision set undone_at = %(now)s, undone_by = %(by)s
 where split_key = %(key)s and undone_at is null
"""


def mark_split_undone(tx: Tx, split_key: int, *, by: str, now: datetime) -> None:
    """Note that the images are where they came again."""
    tx.run(_UNDO_SPLIT, {"key": split_key, "by": by, "now": now})


def mark_links_undone(
    tx: Tx, study_instance_uid: str, order_key: int, *, by: str, now: datetime
) -> None:
    """Note that the study does not belong to the order, whoever decided that it did."""
    params = {"study": study_instance_uid, "order_key": order_key, "by": by, "now": now}
    tx.run(_UNDO_LINKS, params)


def mark_undone(tx: Tx, study_instance_uid: str, kind: str, *, by: str, now: datetime) -> None:
    """Note that decisions of this kind do not hold any more."""
    tx.run(_UNDO, {"study": study_instance_uid, "kind": kind, "by": by, "now": now})


@dataclass(frozen=True, slots=True)
class PastRow:
    """What was chosen, out of what."""

    station_ae_title: str
    order_key: int | None
    undone: bool
    candidates: list[dict[str, Any]]


# What a rule decided is no evidence for it, unless a person undid it.
_PAST = """
select station_ae_title, order_key, undone_at is not null as undone, candidates
  from reconcile.decision
 where (kind = 'link' or kind = 'rule' and undone_at is not null) and station_ae_title <> ''
 order by decision_key desc limit %s
"""


def past(tx: Tx, *, limit: int) -> list[PastRow]:
    """The latest choices of people, the newest first."""
    return tx.all(PastRow, _PAST, (limit,))


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule with how its own decisions fared."""

    rule_key: int
    station_ae_title: str
    terms: list[str]
    enabled: bool
    made_at: datetime
    made_by: str
    switched_at: datetime
    switched_by: str
    decided: int
    undone: int


_RULES = """
select rule.rule_key, station_ae_title, terms, enabled, made_at, made_by, switched_at, switched_by,
       did.decided, did.undone
  from reconcile.rule
 cross join lateral (
       select count(*)::int as decided, count(undone_at)::int as undone
         from reconcile.decision where decision.rule_key = rule.rule_key) did
 order by enabled desc, rule.rule_key
"""
_ENABLED = """
select rule_key, station_ae_title, terms from reconcile.rule
 where station_ae_title = any(%s) and (enabled or rule_key = %s) order by rule_key
"""
_MAKE = """
insert into reconcile.rule
       (station_ae_title, terms, enabled, made_at, made_by, switched_at, switched_by)
values (%(station)s, %(terms)s, true, %(now)s, %(by)s, %(now)s, %(by)s)
on conflict on constraint rule_once do update
   set enabled = true, switched_at = excluded.switched_at, switched_by = excluded.switched_by
returning rule_key
"""
_SWITCH = """
update reconcile.rule set enabled = %s, switched_at = %s, switched_by = %s
 where rule_key = %s returning station_ae_title
"""


def rules(tx: Tx) -> list[RuleRow]:
    """All rules, those that are switched on first."""
    return tx.all(RuleRow, _RULES)


def rules_for(tx: Tx, station_ae_titles: Sequence[str], kept: int | None) -> list[Rule]:
    """The rules about images of these stations that are on; ``kept`` is used though it is off."""
    return tx.all(Rule, _ENABLED, (list(station_ae_titles), kept))


def make_rule(tx: Tx, station: str, terms: Sequence[str], *, by: str, now: datetime) -> int:
    """The key of the rule, switched on."""
    params = {"station": station, "terms": sorted(terms), "by": by, "now": now}
    return int(tx.value(_MAKE, params))


def switch_rule(tx: Tx, rule_key: int, *, enabled: bool, by: str, now: datetime) -> str | None:
    """The station of the rule, which is on or off now; None when there is no such rule."""
    return tx.value(_SWITCH, (enabled, now, by, rule_key))


# Studies whose decision a rule may change: they wait for an order, or a rule found it.
_OPEN_TO_RULES = """
with station as (select distinct station_ae_title from reconcile.rule where enabled),
identifier as (
    select distinct identifier.value
      from orders.imaging_order o
      join identity.current_patient named using (patient_key)
      join identity.patient alias
        on alias.patient_key = named.current_key or alias.survivor_key = named.current_key
      join identity.patient_identifier identifier on identifier.patient_key = alias.patient_key
     where exists (select from station)
       and (o.order_key = any(%(order_keys)s) or o.accession_number = any(%(numbers)s)))
select study_instance_uid from archive.study
 where patient_id in (select value from identifier)
   and (exists (select from reconcile.reconciliation_case c
                 where c.study_instance_uid = study.study_instance_uid and state = 'open')
        or exists (select from reconcile.link
                    where link.study_instance_uid = study.study_instance_uid
                      and method = 'rule'))
"""
_OF_STATION = """
select study_instance_uid from reconcile.reconciliation_case
  join archive.study using (study_instance_uid)
 where state = 'open' and %s = any(calling_ae_titles)
"""


def open_to_rules(
    tx: Tx, order_keys: Sequence[int], accession_numbers: Sequence[str] = ()
) -> list[str]:
    """Studies that a rule may bring to one of the orders, or take from it."""
    params = {"order_keys": list(order_keys), "numbers": list(accession_numbers)}
    return tx.values(_OPEN_TO_RULES, params)


def open_of_station(tx: Tx, station_ae_title: str) -> list[str]:
    """Studies of the station that need a person."""
    return tx.values(_OF_STATION, (station_ae_title,))


_ADD_PREFIX = """
insert into reconcile.accession_prefix (prefix, added_at, added_by) values (%s, %s, %s)
on conflict do nothing
"""
_REMOVE_PREFIX = "delete from reconcile.accession_prefix where prefix = %s returning prefix"
_ALL_OPEN = """
select distinct study_instance_uid from reconcile.reconciliation_case where state = 'open' limit %s
"""


def add_prefix(tx: Tx, prefix: str, *, by: str, now: datetime) -> None:
    """Keep a prefix of accession numbers."""
    tx.run(_ADD_PREFIX, (prefix, now, by))


def remove_prefix(tx: Tx, prefix: str) -> bool:
    """Forget a prefix; False when it was not known."""
    return tx.value(_REMOVE_PREFIX, (prefix,)) is not None


def studies_with_open_cases(tx: Tx, *, limit: int) -> list[str]:
    """Studies that need a person."""
    return tx.values(_ALL_OPEN, (limit,))
