"""How long a stuck item stays unseen: from when it should go on until a screen says so.

Stuck is a result that its receiver has not acknowledged, and a study that belongs to no exam. Seen
is the first: the recipient's queue says that it fails, waits for a person or is paused; the item is
parked; the study has an open case. Items that go on before anybody looks were not stuck.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.monitoring import service as monitoring
from isocenter.infra.db import Tx

_VIEWER = Actor.system("watch")


@dataclass(frozen=True)
class _Waiting:
    key: str
    since: datetime
    recipient: str
    accession_number: str
    parked: bool
    has_case: bool


_RESULTS = """
select 'result ' || delivery_key as key, queued_at as since, recipient, accession_number,
       state = 'refused' as parked, false as has_case
  from distribution.delivery where state <> 'acknowledged'
"""
_STUDIES = """
select 'study ' || study_instance_uid as key, first_received_at as since, '' as recipient,
       '' as accession_number, false as parked,
       exists (select from reconcile.reconciliation_case as c
                where c.study_instance_uid = s.study_instance_uid and c.state = 'open') as has_case
  from archive.study as s
 where not exists (select from reconcile.link
                    where link.study_instance_uid = s.study_instance_uid)
"""


@dataclass
class Watch:
    """Looks at the screens at each tick.

    Attributes:
        seen_s: of each item that was stuck, how long nobody could see it.
        alarmed_s: of each result that raised an alarm of its exam, how long that took.
        unseen: items that are stuck now and that no screen shows, and since when.
    """

    seen_s: dict[str, float] = field(default_factory=dict[str, float])
    alarmed_s: dict[str, float] = field(default_factory=dict[str, float])
    unseen: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    longest_unseen_s: float = 0.0

    def look(self, tx: Tx, *, now: datetime) -> None:
        """Note what can be seen now."""
        failing = {
            each.recipient
            for each in distribution.destinations(tx, Viewer.of(_VIEWER, Action.DELIVERY_READ))
            if each.failing_since or each.paused_at or each.refused or each.quarantined
        }
        alarms: list[Any] = monitoring.raised_alarms(tx, Viewer.of(_VIEWER, Action.EXAM_READ))
        alarmed = {each.accession_number for each in alarms}
        unseen: dict[str, datetime] = {}
        for item in [*tx.all(_Waiting, _RESULTS), *tx.all(_Waiting, _STUDIES)]:
            waited_s = (now - item.since).total_seconds()
            if item.accession_number in alarmed:
                self.alarmed_s.setdefault(item.key, waited_s)
            if item.parked or item.has_case or item.recipient in failing:
                self.seen_s.setdefault(item.key, waited_s)
            elif item.key not in self.seen_s:
                unseen[item.key] = item.since
                self.longest_unseen_s = max(self.longest_unseen_s, waited_s)
        self.unseen = unseen
