"""The watch over HL7 interfaces: one that fell silent alarms with its name."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from isocenter.domain.access.model import Actor
from isocenter.domain.monitoring.model import Condition, ConditionKind
from isocenter.domain.peers import service as peers
from isocenter.infra.db import Tx


def interfaces_silent(tx: Tx, actor: Actor, *, zone: tzinfo, now: datetime) -> Sequence[Condition]:
    """Each HL7 peer that says nothing although it usually would have by now."""
    return [
        Condition(
            ConditionKind.INTERFACE_SILENT,
            each.peer,
            f"Nothing came since then; usually about {each.expected:.0f} messages come meanwhile.",
            each.since,
        )
        for each in peers.silences(tx, actor, now=now, zone=zone)
    ]
