"""Reports on their way: route, deliver, pause, replay.

Sending itself is a gateway's work. It claims heads of a recipient's lanes under a lease, sends,
and gives the results back with the claims. A sender that dies simply does not come back: when its
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
    Arrival,
    Claimed,
    ClaimLost,
    DeliveryInProgress,
    DeliveryState,
    Superseded,
    UnknownDelivery,
)
from isocenter.domain.distribution.service.audited import audit
from isocenter.domain.distribution.service.lanes import lanes_for_all
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
    return route_all(tx, recipients, [(report_id, version, accession_number)], now=now)


def route_all(
    tx: Tx, recipients: Sequence[str], versions: Sequence[tuple[str, int, str]], *, now: datetime
) -> int:
    """As ``route`` for several versions: each is a report, its version and an accession number."""
    if not recipients or not versions:
        return 0
    lanes = lanes_for_all(tx, recipients, [number for _, _, number in versions])
    _store.ensure_destinations(tx, recipients)
    wanted = [
        _store.Wanted(report_id, version, number, recipient, lane)
        for report_id, version, number in versions
        for recipient, lane in lanes[number].items()
    ]
    queued = _store.queue(tx, wanted, now=now)
    with tx.gathered():
        for each in queued:
            event = DeliveryQueued(
                each.delivery_key,
                each.report_id,
                each.version,
                each.accession_number,
                each.recipient,
            )
            outbox.append(tx, event, now=now)
    return len(queued)


def recipients_due(tx: Tx, *, now: datetime) -> list[str]:
    """Recipients with something to be sent now, by name."""
    return _store.recipients_due(tx, now=now)


def claim(tx: Tx, recipient: str, *, lease_s: float, now: datetime) -> Claimed | None:
    """The delivery that must go to the recipient next, leased to the caller; None: nothing."""
    return next(iter(claim_batch(tx, recipient, most=1, lease_s=lease_s, now=now)), None)


def claim_batch(
    tx: Tx, recipient: str, *, most: int, lease_s: float, strict: bool = False, now: datetime
) -> list[Claimed]:
    """What must go to the recipient next, leased to the caller, in its order; empty: nothing.

    One sender at a time serves a recipient. What is tried again holds back what is behind it in
    its lane, and with ``strict`` all that is behind it; what was refused for good holds its lane
    only. The lease must last longer than sending and waiting for the answers.
    """
    if not _store.lock_destination(tx, recipient, now=now):
        return []
    until = now + timedelta(seconds=lease_s)
    return _store.claim(tx, recipient, strict=strict, most=most, until=until, now=now)


def claim_besides(
    tx: Tx, recipient: str, claims: Sequence[Claimed], *, most: int, lease_s: float, now: datetime
) -> list[Claimed]:
    """As ``claim_batch``, for who still sends ``claims`` to the recipient: of other lanes."""
    if not _store.lock_destination(tx, recipient, now=now):
        return []
    keys, until = [each.delivery_key for each in claims], now + timedelta(seconds=lease_s)
    return _store.claim_besides(tx, recipient, keys, most=most, until=until, now=now)


def keep_claims(tx: Tx, claims: Sequence[Claimed], *, lease_s: float, now: datetime) -> None:
    """Renew leases that are not lost."""
    _store.keep(tx, claims, until=now + timedelta(seconds=lease_s))


def give_back(tx: Tx, claims: Sequence[Claimed]) -> None:
    """End leases of what was not sent: another sender may go on at once."""
    _store.give_back(tx, claims)


def set_message(tx: Tx, claimed: Claimed, *, control_id: str, message: bytes) -> Claimed:
    """The claim with the message to send: this one, or the one that an earlier attempt made."""
    made = replace(claimed, control_id=control_id, message=message)
    for kept in set_messages(tx, [made]):
        return kept
    raise ClaimLost("the lease ended and the delivery went on without this sender")


def set_messages(tx: Tx, made: Sequence[Claimed]) -> list[Claimed]:
    """As ``set_message`` for claims with their messages in them; what is lost is left out."""
    if not made:
        return []
    kept = {each.delivery_key: each for each in _store.set_messages(tx, made)}
    return [
        replace(
            each,
            control_id=kept[each.delivery_key].control_id,
            message=kept[each.delivery_key].message or each.message,
        )
        for each in made
        if each.delivery_key in kept
    ]


def mark_sent(tx: Tx, claimed: Claimed, *, now: datetime) -> None:
    """Note that the message was written to a connection. Raises ``ClaimLost``."""
    current = _held(tx, claimed)
    _store.mark_sent(tx, claimed.delivery_key, now=now)
    if current.sent_at is None:
        outbox.append(tx, DeliverySent(*facts_of(current)), now=now)


def acknowledge(tx: Tx, claimed: Claimed, *, acknowledgement: bytes, now: datetime) -> None:
    """Note that the recipient has the report: true whoever heard it, also after the lease ended.

    Only an acknowledgement of a message that was replaced by a replay says nothing any more.
    """
    if acknowledge_all(tx, [Arrival(claimed, acknowledgement, now)], now=now):
        raise ClaimLost("a person had this delivery sent anew meanwhile")


def acknowledge_all(tx: Tx, arrivals: Sequence[Arrival], *, now: datetime) -> list[Arrival]:
    """Note that recipients have what they acknowledged; gives what says nothing any more.

    As ``acknowledge``, in few statements for many.
    """
    by_key = {each.claimed.delivery_key: each for each in arrivals}
    news = _store.acknowledge(tx, list(by_key.values()), now=now)
    with tx.gathered():
        for current in news:
            if current.sent_at is None:
                sent_at = by_key[current.delivery_key].sent_at
                outbox.append(tx, DeliverySent(*facts_of(current)), now=sent_at)
            outbox.append(tx, DeliveryAcknowledged(*facts_of(current)), now=now)
    unknown = by_key.keys() - {current.delivery_key for current in news}
    if not unknown:
        return []
    return [
        by_key[current.delivery_key]
        for current in _store.lock_many(tx, sorted(unknown))
        if current.state != DeliveryState.ACKNOWLEDGED.value
    ]


def refuse(
    tx: Tx, claimed: Claimed, *, reason: str, acknowledgement: bytes | None, now: datetime
) -> None:
    """Park the delivery until a person replays or skips it: its lane waits, and no other.

    Raises ``ClaimLost``.
    """
    current = _held(tx, claimed)
    _store.refuse(tx, claimed.delivery_key, reason, acknowledgement, now=now)
    outbox.append(tx, DeliveryRefused(*facts_of(current)), now=now)


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
    current = locked(tx, delivery_key)
    if current.state in _UNFINISHED:
        raise DeliveryInProgress("it is in the queue already")
    if is_superseded(tx, current):
        raise Superseded("something newer goes to this recipient: skip this one, or replay that")
    _store.requeue(tx, delivery_key, due_at=now, now=now)
    outbox.append(tx, DeliveryQueued(*facts_of(current)), now=now)
    audit(tx, actor, "delivery.replay", "delivery", str(delivery_key), now)


def is_superseded(tx: Tx, current: _store.Current) -> bool:
    """Whether the recipient has been given, or will be, a newer version."""
    return bool(_store.superseded(tx, [current.delivery_key]))


def locked(tx: Tx, delivery_key: int) -> _store.Current:
    """The delivery's row, locked. Raises ``UnknownDelivery``."""
    current = _store.lock(tx, delivery_key)
    if current is None:
        raise UnknownDelivery("there is no such delivery")
    return current


def _held(tx: Tx, claimed: Claimed) -> _store.Current:
    """The delivery's row, locked; raises ``ClaimLost`` when the claim is not the newest."""
    current = locked(tx, claimed.delivery_key)
    if current.attempts != claimed.attempt or current.state not in _UNFINISHED:
        raise ClaimLost("the lease ended and the delivery went on without this sender")
    return current


def facts_of(current: _store.Current) -> tuple[int, str | None, int | None, str, str, str]:
    """What every event of a delivery says."""
    return (
        current.delivery_key,
        current.report_id,
        current.version,
        current.accession_number,
        current.recipient,
        current.kind,
    )
