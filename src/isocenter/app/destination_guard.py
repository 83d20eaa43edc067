"""The watch over destinations: one that stays away alarms before people notice."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from isocenter.domain.access.model import Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Destination
from isocenter.domain.monitoring.model import Condition, ConditionKind
from isocenter.infra.db import Tx

_KINDS = {"dicom": ConditionKind.DESTINATION_AWAY, "hl7": ConditionKind.INTERFACE_AWAY}


def destinations_away(
    tx: Tx, viewer: Viewer, *, after_s: float, now: datetime
) -> Sequence[Condition]:
    """Each destination for which something has waited longer than ``after_s``.

    A paused one counts too: somebody paused it, and somebody may have forgotten.
    """
    before = now - timedelta(seconds=after_s)
    return [
        Condition(_KINDS[each.protocol], each.recipient, _reason(each), each.oldest_queued_at)
        for each in distribution.destinations(tx, viewer)
        if each.oldest_queued_at is not None and each.oldest_queued_at < before
    ]


def _reason(destination: Destination) -> str:
    waiting = f"{destination.waiting} deliveries wait"
    if destination.waiting == 1:
        waiting = "1 delivery waits"
    if destination.paused_at is not None:
        return f"{waiting}: {destination.paused_by} paused it."
    said = destination.last_error or "it is too slow for what it gets"
    return f"{waiting}: {said}."
