"""What people do with lanes that are held by what was refused: look, send again, skip."""

from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.distribution._store import lanes as _lanes
from isocenter.domain.distribution._store import pausing
from isocenter.domain.distribution._store import queues as _queues
from isocenter.domain.distribution._store import reports as _store
from isocenter.domain.distribution.events import DeliveryQueued, DeliveryRefused
from isocenter.domain.distribution.model import (
    DeliveryInProgress,
    DeliveryState,
    NothingToSkip,
    Quarantine,
    UnknownDestination,
)
from isocenter.domain.distribution.service.audited import audit, audit_with_reason
from isocenter.domain.distribution.service.reports import facts_of, locked
from isocenter.infra import outbox
from isocenter.infra.db import Tx

QUARANTINES_MAX = 1000
REPLAYS_AT_ONCE_MAX = 10_000
REPLAY_RATE_PER_S = 10.0
REPLAY_RATE_PER_S_MAX = 100.0
_REASON_LENGTH_MAX = 500
_AFTER_LIVE_TRAFFIC = 1


def quarantines(
    tx: Tx, viewer: Viewer, *, recipient: str | None = None, limit: int = QUARANTINES_MAX
) -> list[Quarantine]:
    """The lanes that wait for a person, the longest first, at most 1,000."""
    viewer.require(Action.DELIVERY_READ)
    return _lanes.quarantines(tx, recipient, limit=min(limit, QUARANTINES_MAX))


def skip(tx: Tx, actor: Actor, delivery_key: int, *, reason: str, now: datetime) -> None:
    """Send a delivery no more, and go on with what waits behind it in its lane.

    Raises ``UnknownDelivery``, ``NothingToSkip``, and ``DeliveryInProgress`` while it is sent.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    if _queues.is_transfer(tx, delivery_key):
        raise NothingToSkip("nothing waits behind images: send them again, or leave them")
    current = locked(tx, delivery_key)
    if current.state == DeliveryState.REFUSED.value and current.quarantined_at is not None:
        _lanes.release(tx, delivery_key)
    elif current.state in {DeliveryState.QUEUED.value, DeliveryState.SENT.value}:
        if current.claimed_until is not None and current.claimed_until > now:
            raise DeliveryInProgress("it is being sent: wait for its answer")
        said = f"skipped by {actor.name}: {reason}"[:_REASON_LENGTH_MAX]
        _store.refuse(tx, delivery_key, said, None, now=now)
        _lanes.release(tx, delivery_key)
        outbox.append(tx, DeliveryRefused(*facts_of(current)), now=now)
    else:
        raise NothingToSkip("it arrived, or was skipped already")
    audit_with_reason(tx, actor, "delivery.skip", ("delivery", str(delivery_key), reason), now)


def replay_refused(
    tx: Tx,
    actor: Actor,
    recipient: str,
    *,
    rate_per_s: float = REPLAY_RATE_PER_S,
    now: datetime,
) -> int:
    """How many deliveries that hold lanes of a recipient are sent again: the oldest first.

    They go behind what is not a repetition, so many in a second at most, and in the order of their
    lanes. A report of which a newer version waits is skipped for that one. Raises
    ``UnknownDestination``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    if not pausing.destination_exists(tx, "hl7", recipient):
        raise UnknownDestination("nothing was ever queued for this recipient")
    gap = timedelta(seconds=1 / max(0.1, min(rate_per_s, REPLAY_RATE_PER_S_MAX)))
    held = [
        each
        for each in _store.lock_many(tx, _lanes.held(tx, recipient, limit=REPLAYS_AT_ONCE_MAX))
        if each.quarantined_at is not None
    ]
    old = _store.superseded(tx, [each.delivery_key for each in held])
    _lanes.release(tx, *old)
    again = [each for each in held if each.delivery_key not in old]
    due_at = {each.delivery_key: now + number * gap for number, each in enumerate(again)}
    _store.requeue_all(tx, due_at, urgency=_AFTER_LIVE_TRAFFIC, now=now)
    with tx.gathered():
        for each in again:
            outbox.append(tx, DeliveryQueued(*facts_of(each)), now=now)
    audit(tx, actor, "destination.replay", "destination", recipient, now)
    return len(again)
