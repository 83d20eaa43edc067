"""The SQL of what holds lanes, and whole destinations, of HL7 deliveries."""

from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.distribution.model import Quarantine
from isocenter.infra.db import Tx

_QUARANTINES = """
select recipient, lane, delivery_key, accession_number, quarantined_at, last_error,
       (select count(*) from distribution.delivery as behind
         where behind.recipient = refused.recipient and behind.lane = refused.lane
           and behind.delivery_key > refused.delivery_key
           and behind.state in ('queued', 'sent')
           and (refused.kind <> 'patient' or behind.kind = 'patient')) as waiting
  from distribution.delivery as refused
 where quarantined_at is not null
   and (%(recipient)s::text is null or recipient = %(recipient)s)
 order by quarantined_at, delivery_key limit %(limit)s
"""


def quarantines(tx: Tx, recipient: str | None, *, limit: int) -> list[Quarantine]:
    """What holds lanes, the longest first."""
    return tx.all(Quarantine, _QUARANTINES, {"recipient": recipient, "limit": limit})


_HELD = """
select delivery_key from distribution.delivery
 where recipient = %s and quarantined_at is not null
 order by quarantined_at, delivery_key limit %s
"""


def held(tx: Tx, recipient: str, *, limit: int) -> list[int]:
    """The keys of what holds lanes of a recipient, the longest first."""
    return tx.values(_HELD, (recipient, limit))


_RELEASE = "update distribution.delivery set quarantined_at = null where delivery_key = any(%s)"


def release(tx: Tx, *delivery_keys: int) -> None:
    """Have what is behind refused deliveries go on."""
    tx.run(_RELEASE, (list(delivery_keys),))


_FAILED = """
update distribution.destination set failures = failures + 1 where recipient = %s
returning failures
"""
_LEAVE_ALONE = "update distribution.destination set due_at = %s where recipient = %s"
_REACHED = """
update distribution.destination set failures = 0, due_at = null where recipient = %s
"""
_STANDING = """
select paused_at is not null as is_paused, failures > 0 or due_at is not null as is_spared
  from distribution.destination where recipient = %s
"""
_FAULT = "update distribution.destination set fault_at = %s where recipient = %s"


def count_failure(tx: Tx, recipient: str) -> int:
    """How many attempts to get through failed in a row, with this one."""
    return tx.value(_FAILED, (recipient,)) or 1


def leave_alone(tx: Tx, recipient: str, *, until: datetime) -> None:
    """Send it nothing before."""
    tx.run(_LEAVE_ALONE, (until, recipient))


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a destination gets anything: ``is_paused`` by a person, ``is_spared`` for a while."""

    is_paused: bool
    is_spared: bool


def standing(tx: Tx, recipient: str) -> Standing:
    """Whether the destination gets anything."""
    return tx.one(Standing, _STANDING, (recipient,))


def reached(tx: Tx, recipient: str) -> None:
    """Forget that it was away."""
    tx.run(_REACHED, (recipient,))


def note_fault(tx: Tx, recipient: str, *, now: datetime) -> None:
    """Remember that it was paused by itself."""
    tx.run(_FAULT, (now, recipient))
