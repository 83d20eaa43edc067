"""The watch over destinations: one that stays away alarms before people notice."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from isocenter.domain.access.model import Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Destination, Quarantine
from isocenter.domain.monitoring.model import Condition, ConditionKind
from isocenter.infra.db import Tx

_KINDS = {"dicom": ConditionKind.DESTINATION_AWAY, "hl7": ConditionKind.INTERFACE_AWAY}


def destinations_away(
    tx: Tx, viewer: Viewer, *, after_s: float, now: datetime
) -> Sequence[Condition]:
    """Each destination for which something has waited longer than ``after_s``.

    A paused one counts too: somebody paused it, and somebody may have forgotten. One that was
    paused by itself, or has refused something for good, counts at once: only a person mends that.
    """
    before = now - timedelta(seconds=after_s)
    held: dict[str, list[Quarantine]] = defaultdict(list)
    for each in distribution.quarantines(tx, viewer):
        held[each.recipient].append(each)
    found: list[Condition] = []
    for each in distribution.destinations(tx, viewer):
        kind, late = _KINDS[each.protocol], each.oldest_queued_at
        refused = held[each.recipient] if each.protocol == "hl7" else []
        if each.fault_at is not None:
            reason = f"It was paused: {each.pause_reason}."
            found.append(Condition(kind, each.recipient, reason, each.fault_at))
        elif late is not None and late < before:
            found.append(Condition(kind, each.recipient, _reason(each), late))
        elif refused:
            since = refused[0].quarantined_at
            found.append(Condition(kind, each.recipient, _refusal(refused), since))
    return found


def _refusal(refused: Sequence[Quarantine]) -> str:
    waiting = sum(each.waiting for each in refused)
    said = refused[0].last_error or "no reason was given"
    count = len(refused)
    messages = "1 message was refused" if count == 1 else f"{count} messages were refused"
    return f"{messages} ({said}), {waiting} wait behind: send again, or skip."


def _reason(destination: Destination) -> str:
    waiting = f"{destination.waiting} deliveries wait"
    if destination.waiting == 1:
        waiting = "1 delivery waits"
    if destination.paused_at is not None:
        return f"{waiting}: {destination.paused_by} paused it."
    said = destination.last_error or "it is too slow for what it gets"
    return f"{waiting}: {said}."
