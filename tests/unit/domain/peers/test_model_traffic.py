"""When silence is odd."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from isocenter.domain.peers.model_traffic import TrafficHour, silence_of, usual_now

WEDNESDAY_TEN = datetime(2026, 11, 18, 10, tzinfo=UTC)


def weeks_of(*, per_hour: int, hours: range = range(24), days: range = range(7), until=None):
    """What a peer said in four weeks: so many messages in some hours of some days."""
    until = until or WEDNESDAY_TEN
    start = until - timedelta(days=28)
    found = []
    for number in range(28 * 24):
        hour = start + timedelta(hours=number)
        if hour.hour in hours and hour.weekday() in days:
            found.append(TrafficHour("EHR", "in", hour, per_hour, 0))
    return found


def silence(hours, *, minutes: float, now=WEDNESDAY_TEN):
    last_at = now - timedelta(minutes=minutes)
    return silence_of("EHR", hours, last_at=last_at, now=now, zone=UTC)


@pytest.mark.parametrize(
    ("per_hour", "minutes", "is_odd"),
    [
        (100, 9, False),  # too short to say
        (100, 11, True),
        (10, 30, False),  # five are missing
        (10, 60, True),
        (1, 180, False),
        (1, 600, True),
    ],
)
def test_silence_is_odd_when_ten_messages_are_missing(per_hour, minutes, is_odd):
    assert (silence(weeks_of(per_hour=per_hour), minutes=minutes) is not None) is is_odd


def test_a_closed_department_is_not_silent():
    working = weeks_of(per_hour=60, hours=range(7, 18), days=range(5))
    sunday = datetime(2026, 11, 22, 11, tzinfo=UTC)

    assert silence(working, minutes=17 * 60 + 600, now=sunday) is None
    assert silence(working, minutes=30) is not None


def test_the_hour_is_that_of_the_department():
    zone = ZoneInfo("Australia/Brisbane")  # UTC+10
    said = weeks_of(per_hour=60, hours=range(22, 24))  # 8 and 9 o'clock there
    now = datetime(2026, 11, 17, 23, 30, tzinfo=UTC)

    assert usual_now(said, now=now, zone=zone) == 60
    assert usual_now(said, now=now - timedelta(hours=5), zone=zone) == 0


def test_nothing_is_odd_before_anything_was_learned():
    assert silence([], minutes=10_000) is None
    assert silence(weeks_of(per_hour=100)[-2:], minutes=600) is None
    assert (
        silence_of("EHR", weeks_of(per_hour=9), last_at=None, now=WEDNESDAY_TEN, zone=UTC) is None
    )
