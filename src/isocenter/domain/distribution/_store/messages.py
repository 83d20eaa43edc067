"""The SQL of deliveries that are no report's: queue one, and what a recipient was told before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isocenter.domain.distribution.model_messages import Notice, Telling
from isocenter.infra.db import Tx, jsonb

_QUEUE = """
insert into distribution.delivery
       (kind, subject, occasion, told, accession_number, recipient, lane, due_at, queued_at)
values (%(kind)s, %(subject)s, %(occasion)s, %(told)s, %(accession_number)s, %(recipient)s,
        %(lane)s, %(now)s, %(now)s)
returning delivery_key
"""


def queue(tx: Tx, notice: Notice, recipient: str, lane: str, *, now: datetime) -> int:
    """The key of a new delivery."""
    params = {
        "kind": notice.kind.value,
        "subject": notice.subject,
        "occasion": notice.occasion,
        "told": jsonb(dict(notice.told)),
        "accession_number": notice.accession_number,
        "recipient": recipient,
        "lane": lane,
        "now": now,
    }
    return tx.value(_QUEUE, params) or 0


_LOCK = "select pg_advisory_xact_lock(hashtextextended(%s, 0))::text"


def lock_subject(tx: Tx, kind: str, subject: str) -> None:
    """Have what is told of a subject told one after the other, until the transaction ends."""
    tx.value(_LOCK, (f"distribution/{kind}/{subject}",))


_LAST = """
select delivery_key, kind, subject, occasion, told, state, attempts
  from distribution.delivery
 where kind = %(kind)s and subject = %(subject)s and recipient = %(recipient)s
 order by delivery_key desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Before:
    """What a recipient was told last."""

    delivery_key: int
    kind: str
    subject: str
    occasion: str
    told: dict[str, Any]
    state: str
    attempts: int

    def says(self, notice: Notice) -> bool:
        """Whether the notice would say nothing else."""
        return (self.occasion, self.told) == (notice.occasion, dict(notice.told))

    @property
    def is_untouched(self) -> bool:
        """Whether it waits and its message is not made yet."""
        return self.state == "queued" and self.attempts == 0


def last(tx: Tx, kind: str, subject: str, recipient: str) -> Before | None:
    """What the recipient was told last of a subject, or will be."""
    params: Mapping[str, str] = {"kind": kind, "subject": subject, "recipient": recipient}
    return tx.maybe(Before, _LAST, params)


_ALL_TOLD = """
select told from distribution.delivery
 where kind = %s and subject = %s and recipient = %s order by delivery_key
"""


def all_told(tx: Tx, kind: str, subject: str, recipient: str) -> list[dict[str, Any]]:
    """What the recipient was told of a subject, the oldest first."""
    return tx.values(_ALL_TOLD, (kind, subject, recipient))


_SENT = """
select delivery_key, kind, subject, occasion, told, accession_number, report_id, version
  from distribution.delivery
 where recipient = %s and state = 'acknowledged' order by delivery_key desc limit %s
"""


def tellings_sent(tx: Tx, recipient: str, *, limit: int) -> list[Telling]:
    """The latest that a recipient acknowledged, newest first."""
    return tx.all(Telling, _SENT, (recipient, limit))


_SENT_AS = """
select delivery_key, kind, subject, occasion, told, accession_number, report_id, version
  from distribution.delivery where recipient = %s and control_id = %s
 order by delivery_key desc limit 1
"""


def telling_sent_as(tx: Tx, recipient: str, control_id: str) -> Telling | None:
    """What the message of that control id told."""
    return tx.maybe(Telling, _SENT_AS, (recipient, control_id))


_JOIN_LANES = """
update distribution.delivery
   set lane = left(lane, length(lane) - length(%(from)s)) || %(to)s
 where (lane = %(from)s or lane like '%%/' || %(from)s)
   and (state in ('queued', 'sent') or quarantined_at is not null)
"""


def join_lanes(tx: Tx, former: str, lane: str) -> None:
    """Have what waits in one patient's lanes go in another's, in the order of queueing."""
    tx.run(_JOIN_LANES, {"from": former, "to": lane})
