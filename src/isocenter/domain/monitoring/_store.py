"""The SQL of alarms. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.monitoring.model import (
    Alarm,
    Condition,
    ConditionKind,
    LateHop,
    RaisedCondition,
)
from isocenter.infra.db import Tx

# One settlement at a time: two that overlap would raise twice and clear what the other raised.
_LOCK = "lock table monitoring.alarm in share row exclusive mode"


def lock(tx: Tx) -> None:
    """Keep other settlements out until the transaction ends; readers go on."""
    tx.run(_LOCK)


@dataclass(frozen=True, slots=True)
class Changed:
    """An alarm that was raised or cleared."""

    alarm_key: int
    accession_number: str
    study_instance_uid: str
    hop: str


_RAISE = """
insert into monitoring.alarm as known
       (accession_number, study_instance_uid, hop, late_since, reason, raised_at)
select accession_number, study_instance_uid, hop, late_since, reason, %(now)s
  from unnest(%(accession_number)s::text[], %(study_instance_uid)s::text[], %(hop)s::text[],
              %(late_since)s::timestamptz[], %(reason)s::text[])
       as late (accession_number, study_instance_uid, hop, late_since, reason)
 where not exists (
       select from monitoring.alarm
        where alarm.accession_number = late.accession_number
          and alarm.study_instance_uid = late.study_instance_uid
          and alarm.hop = late.hop and cleared_at is null)
returning alarm_key, accession_number, study_instance_uid, hop
"""
_CLEAR = """
update monitoring.alarm set cleared_at = %(now)s
 where cleared_at is null
   and not exists (
       select from unnest(%(accession_number)s::text[], %(study_instance_uid)s::text[],
                          %(hop)s::text[]) as late (accession_number, study_instance_uid, hop)
        where late.accession_number = alarm.accession_number
          and late.study_instance_uid = alarm.study_instance_uid and late.hop = alarm.hop)
returning alarm_key, accession_number, study_instance_uid, hop
"""


def _columns(late: Sequence[LateHop], now: datetime) -> dict[str, object]:
    return {
        "accession_number": [each.accession_number for each in late],
        "study_instance_uid": [each.study_instance_uid for each in late],
        "hop": [each.hop.value for each in late],
        "late_since": [each.late_since for each in late],
        "reason": [each.reason for each in late],
        "now": now,
    }


def raise_new(tx: Tx, late: Sequence[LateHop], *, now: datetime) -> list[Changed]:
    """Raise what is late and has no alarm."""
    return tx.all(Changed, _RAISE, _columns(late, now))


def clear_gone(tx: Tx, late: Sequence[LateHop], *, now: datetime) -> list[Changed]:
    """Clear the alarms of what is late no more."""
    return tx.all(Changed, _CLEAR, _columns(late, now))


_RAISED = """
select alarm_key, accession_number, study_instance_uid, hop, reason, late_since, raised_at,
       cleared_at
  from monitoring.alarm where cleared_at is null order by late_since, alarm_key
"""


def raised(tx: Tx) -> list[Alarm]:
    """Alarms that are raised now."""
    return tx.all(Alarm, _RAISED)


@dataclass(frozen=True, slots=True)
class ChangedCondition:
    """A condition that was raised or cleared."""

    condition_key: int
    kind: str
    subject: str


_LOCK_CONDITIONS = "lock table monitoring.condition in share row exclusive mode"
_RAISE_CONDITIONS = """
insert into monitoring.condition (kind, subject, reason, since, raised_at)
select kind, subject, reason, since, %(now)s
  from unnest(%(kind)s::text[], %(subject)s::text[], %(reason)s::text[], %(since)s::timestamptz[])
       as found (kind, subject, reason, since)
    on conflict (kind, subject) where cleared_at is null do nothing
returning condition_key, kind, subject
"""
_CLEAR_CONDITIONS = """
update monitoring.condition set cleared_at = %(now)s
 where cleared_at is null and kind = any(%(kinds)s)
   and not exists (select from unnest(%(kind)s::text[], %(subject)s::text[])
                            as found (kind, subject)
                    where found.kind = condition.kind and found.subject = condition.subject)
returning condition_key, kind, subject
"""
_CONDITIONS = """
select condition_key, kind, subject, reason, since, raised_at
  from monitoring.condition where cleared_at is null order by since, condition_key
"""


def lock_conditions(tx: Tx) -> None:
    """Keep other settlements of conditions out until the transaction ends."""
    tx.run(_LOCK_CONDITIONS)


def raise_conditions(
    tx: Tx, found: Sequence[Condition], *, now: datetime
) -> list[ChangedCondition]:
    """Raise what is wrong and has no alarm."""
    params: dict[str, object] = {
        "kind": [each.kind.value for each in found],
        "subject": [each.subject for each in found],
        "reason": [each.reason for each in found],
        "since": [each.since for each in found],
        "now": now,
    }
    return tx.all(ChangedCondition, _RAISE_CONDITIONS, params)


def clear_conditions(
    tx: Tx, found: Sequence[Condition], kinds: Sequence[ConditionKind], *, now: datetime
) -> list[ChangedCondition]:
    """Clear the alarms of these kinds that are about nothing in ``found``."""
    params: dict[str, object] = {
        "kind": [each.kind.value for each in found],
        "subject": [each.subject for each in found],
        "kinds": [each.value for each in kinds],
        "now": now,
    }
    return tx.all(ChangedCondition, _CLEAR_CONDITIONS, params)


def conditions(tx: Tx) -> list[RaisedCondition]:
    """Conditions that are raised now, the oldest first."""
    return tx.all(RaisedCondition, _CONDITIONS)
