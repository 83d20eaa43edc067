"""How much an interface usually says, learned from its own past, and when its silence is odd.

No schedule has to be configured: a department that is closed on Sundays was silent on the Sundays
before, too.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

# With messages that come independently of each other, none where 9.2 are usual happens once in ten
# thousand times: exp(-9.2).
_MISSED_MAX: Final = -math.log(1e-4)
_SILENCE_MIN: Final = timedelta(minutes=10)
_SAMPLES_MIN: Final = 4
LEARNED_FROM: Final = timedelta(days=28)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TrafficHour:
    """What a peer said in one hour; ``hour`` is its beginning."""

    peer: str
    direction: str
    hour: datetime
    messages: int
    errors: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A peer says nothing although it usually would have.

    Attributes:
        since: its last message.
        expected: how many messages it usually says in such a time.
    """

    peer: str
    since: datetime
    expected: float


def silence_of(
    peer: str,
    hours: Iterable[TrafficHour],
    *,
    last_at: datetime | None,
    now: datetime,
    zone: tzinfo,
) -> Silence | None:
    """The peer's odd silence, or None while it says something, or usually says nothing now.

    Args:
        peer: its name.
        hours: of the last four weeks, those in which it said something.
        last_at: its last message.
        now: aware.
        zone: of the department: an hour is compared with the same hour of such days.
    """
    if last_at is None or now - last_at < _SILENCE_MIN:
        return None
    usual = _usual_rates(hours, now=now, zone=zone)
    expected = 0.0
    moment = last_at
    while moment < now and expected < 100 * _MISSED_MAX:
        following = min(now, moment.replace(minute=0, second=0, microsecond=0) + _HOUR)
        rate = usual.get(_slot(moment, zone), 0.0)
        expected += rate * ((following - moment) / _HOUR)
        moment = following
    return Silence(peer, last_at, expected) if expected >= _MISSED_MAX else None


def usual_now(hours: Iterable[TrafficHour], *, now: datetime, zone: tzinfo) -> float:
    """How many messages an hour such as this one usually has, at least; 0 when nothing is known."""
    return _usual_rates(hours, now=now, zone=zone).get(_slot(now, zone), 0.0)


def _usual_rates(
    hours: Iterable[TrafficHour], *, now: datetime, zone: tzinfo
) -> dict[tuple[bool, int], float]:
    """Messages in an hour, by kind of day and hour of the day: what three of four had at least."""
    said = {each.hour: each.messages for each in hours if each.hour > now - LEARNED_FROM}
    if not said:
        return {}
    samples: dict[tuple[bool, int], list[int]] = defaultdict(list)
    hour, current = min(said), now.replace(minute=0, second=0, microsecond=0)
    while hour < current:
        samples[_slot(hour, zone)].append(said.get(hour, 0))
        hour += _HOUR
    return {
        slot: float(sorted(counts)[len(counts) // 4])
        for slot, counts in samples.items()
        if len(counts) >= _SAMPLES_MIN
    }


def _slot(moment: datetime, zone: tzinfo) -> tuple[bool, int]:
    local = moment.astimezone(zone)
    return local.weekday() >= 5, local.hour
