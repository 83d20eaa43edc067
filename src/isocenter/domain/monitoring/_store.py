"""The SQL of alarms. One function is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.monitoring.model import Alarm, LateHop
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
