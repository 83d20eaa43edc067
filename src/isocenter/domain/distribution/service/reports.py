"""Reports on their way: route, deliver, pause, replay.

Sending itself is a gateway's work. It claims the head of a recipient's lane under a lease, sends,
and gives the result back with the claim. A sender that dies simply does not come back: when its
lease ends, another sends the same bytes under the same control id, so that the recipient can see
that it is the same message.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.distribution._store import reports as _store
from isocenter.domain.distribution.events import (
    DeliveryAcknowledged,
    DeliveryQueued,
    DeliveryRefused,
    DeliverySent,
)
from isocenter.domain.distribution.model import (
    Claimed,
    ClaimLost,
    DeliveryInProgress,
    DeliveryState,
    Superseded,
    UnknownDelivery,
)
from isocenter.domain.distribution.service.audited import audit
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_UNFINISHED = frozenset({DeliveryState.QUEUED.value, DeliveryState.SENT.value})


def route(
    tx: Tx,
    recipients: Sequence[str],
    *,
    report_id: str,
    version: int,
    accession_number: str,
    now: datetime,
) -> int:
    """How many of ``recipients`` the report version is newly queued for. Repeating it adds none."""
    if not recipients:
        return 0
    _store.ensure_destinations(tx, recipients)
    queued = _store.queue(
        tx,
        recipients,
        report_id=report_id,
        version=version,
        accession_number=accession_number,
        now=now,
    )
    for each in queued:
        event = DeliveryQueued(
            each.delivery_key, report_id, version, accession_number, each.recipient
        )
        outbox.append(tx, event, now=now)
    return len(queued)


def recipients_due(tx: Tx, *, now: datetime) -> list[str]:
    """Recipients with something to be sent now, the longest due first."""
    return _store.recipients_due(tx, now=now)


def claim(tx: Tx, recipient: str, *, lease_s: float, now: datetime) -> Claimed | None:
    """The delivery that must go to the recipient next, leased to the caller; None: nothing to do.

    Deliveries of one recipient go one at a time, oldest first: while one is being tried again,
    those behind it wait. The lease must last longer than sending and waiting for the answer.
    """
    if not _store.lock_lane(tx, recipient):
        return None
    return _store.claim_head(tx, recipient, until=now + timedelta(seconds=lease_s), now=now)


def set_message(tx: Tx, claimed: Claimed, *, control_id: str, message: bytes) -> Claimed:
    """The claim with the message to send: this one, or the one that an earlier attempt made."""
    current = _held(tx, claimed)
    if current.message is not None:
        return replace(claimed, control_id=current.control_id, message=current.message)
    _store.set_message(tx, claimed.delivery_key, control_id, message)
    return replace(claimed, control_id=control_id, message=message)


def mark_sent(tx: Tx, claimed: Claimed, *, now: datetime) -> None:
    """Note that the message was written to a connection. Raises ``ClaimLost``."""
    current = _held(tx, claimed)
    _store.mark_sent(tx, claimed.delivery_key, now=now)
    if current.sent_at is None:
        outbox.append(tx, DeliverySent(*_facts(current)), now=now)


def acknowledge(tx: Tx, claimed: Claimed, *, acknowledgement: bytes, now: datetime) -> None:
    """Note that the recipient has the report: true whoever heard it, also after the lease ended.

    Only an acknowledgement of a message that was replaced by a replay says nothing any more.
    """
    current = _locked(tx, claimed.delivery_key)
    if current.state == DeliveryState.ACKNOWLEDGED.value:
        return
    if current.control_id != claimed.control_id:
        raise ClaimLost("a person had this delivery sent anew meanwhile")
    _store.acknowledge(tx, claimed.delivery_key, acknowledgement, now=now)
    outbox.append(tx, DeliveryAcknowledged(*_facts(current)), now=now)


def refuse(
    tx: Tx, claimed: Claimed, *, reason: str, acknowledgement: bytes | None, now: datetime
) -> None:
    """Park the delivery until a person replays it; those behind it go on. Raises ``ClaimLost``."""
    current = _held(tx, claimed)
    _store.refuse(tx, claimed.delivery_key, reason, acknowledgement, now=now)
    outbox.append(tx, DeliveryRefused(*_facts(current)), now=now)


def retry_later(tx: Tx, claimed: Claimed, *, reason: str, due_at: datetime, now: datetime) -> None:
    """Have the same message tried again at ``due_at``. Raises ``ClaimLost``."""
    _held(tx, claimed)
    _store.retry(tx, claimed.delivery_key, reason, due_at=due_at, now=now)


def replay_report(tx: Tx, actor: Actor, delivery_key: int, *, now: datetime) -> None:
    """Have a finished delivery sent anew, as a new message.

    Raises ``UnknownDelivery``, ``DeliveryInProgress``, and ``Superseded`` when a newer version is
    on its way to that recipient or there: an old text must not arrive after it.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    current = _locked(tx, delivery_key)
    if current.state in _UNFINISHED:
        raise DeliveryInProgress("it is in the queue already")
    if _store.superseded(tx, current.report_id, current.recipient, current.version):
        raise Superseded("a newer version was sent to this recipient: replay that one")
    _store.requeue(tx, delivery_key, now=now)
    outbox.append(tx, DeliveryQueued(*_facts(current)), now=now)
    audit(tx, actor, "delivery.replay", "delivery", str(delivery_key), now)


def _locked(tx: Tx, delivery_key: int) -> _store.Current:
    current = _store.lock(tx, delivery_key)
    if current is None:
        raise UnknownDelivery("there is no such delivery")
    return current


def _held(tx: Tx, claimed: Claimed) -> _store.Current:
    """The delivery's row, locked; raises ``ClaimLost`` when the claim is not the newest."""
    current = _locked(tx, claimed.delivery_key)
    if current.attempts != claimed.attempt or current.state not in _UNFINISHED:
        raise ClaimLost("the lease ended and the delivery went on without this sender")
    return current


def _facts(current: _store.Current) -> tuple[int, str, int, str, str]:
    return (
        current.delivery_key,
        current.report_id,
        current.version,
        current.accession_number,
        current.recipient,
    )
