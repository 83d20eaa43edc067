"""Stopping and starting what goes to a destination, be it reports or images."""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.distribution._store import pausing as _store
from isocenter.domain.distribution._store.pausing import Protocol
from isocenter.domain.distribution.events import DestinationPaused, DestinationResumed
from isocenter.domain.distribution.model import UnknownDestination
from isocenter.domain.distribution.service.audited import audit
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def pause(
    tx: Tx,
    actor: Actor,
    recipient: str,
    *,
    protocol: Protocol | None = None,
    reason: str,
    now: datetime,
) -> None:
    """Send nothing to the recipient until it is resumed; what is under way may still end.

    ``protocol`` tells an HL7 peer from a DICOM peer of the same name. Raises
    ``UnknownDestination``.
    """
    authorize(actor, Action.DELIVERY_REPLAY)
    protocol = _protocol(tx, recipient, protocol)
    if _store.pause(tx, protocol, recipient, by=actor.name, reason=reason, now=now):
        outbox.append(tx, DestinationPaused(recipient, actor.name), now=now)
        audit(tx, actor, "destination.pause", "destination", recipient, now)


def resume(
    tx: Tx, actor: Actor, recipient: str, *, protocol: Protocol | None = None, now: datetime
) -> None:
    """Send to the recipient again, beginning at once with what waited for its next attempt."""
    authorize(actor, Action.DELIVERY_REPLAY)
    protocol = _protocol(tx, recipient, protocol)
    if _store.resume(tx, protocol, recipient):
        outbox.append(tx, DestinationResumed(recipient), now=now)
        audit(tx, actor, "destination.resume", "destination", recipient, now)
    _store.hurry(tx, protocol, recipient, now=now)


def _protocol(tx: Tx, recipient: str, given: Protocol | None) -> Protocol:
    """The protocol whose queue is meant. Raises ``UnknownDestination``."""
    candidates: tuple[Protocol, ...] = (given,) if given else ("hl7", "dicom")
    for each in candidates:
        if _store.destination_exists(tx, each, recipient):
            return each
    raise UnknownDestination("nothing was ever queued for this recipient, and no route leads to it")
