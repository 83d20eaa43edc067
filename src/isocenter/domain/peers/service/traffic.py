"""How much peers say, hour by hour, and who is oddly silent."""

from datetime import datetime, timedelta, tzinfo

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import _store_versions as store
from isocenter.domain.peers.model_traffic import LEARNED_FROM, Silence, TrafficHour, silence_of
from isocenter.infra.db import Tx

_HOUR = timedelta(hours=1)


def count_traffic(tx: Tx, *, now: datetime) -> int:
    """Count what was said in this hour and the one before; gives how many counts changed."""
    since = now.replace(minute=0, second=0, microsecond=0) - _HOUR
    return store.count_traffic(tx, since=since)


def received_hours(tx: Tx, actor: Actor, *, now: datetime) -> list[TrafficHour]:
    """What every peer said in each hour of the last four weeks."""
    authorize(actor, Action.PEER_READ)
    return store.traffic(tx, direction="in", since=now - LEARNED_FROM)


def silences(tx: Tx, actor: Actor, *, now: datetime, zone: tzinfo) -> list[Silence]:
    """The HL7 peers that say nothing although they usually would have."""
    hours = received_hours(tx, actor, now=now)
    found = (
        silence_of(
            last.peer,
            [each for each in hours if each.peer == last.peer],
            last_at=last.last_at,
            now=now,
            zone=zone,
        )
        for last in store.last_messages(tx)
    )
    return [each for each in found if each is not None]
