"""Dates, times and moments as text: exact, partial, and ranges of them.

A partial value is a span: the hour "14" is everything from 14:00:00 to 14:59:59.999999. Reading
returns None for what is no date; writing is exact. There is no "now" here.
"""

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

# The dotted date is what ACR-NEMA wrote and PS3.5 6.2 asked readers to accept; the time with
# colons likewise.
_DATE: Final = re.compile(r"(\d{4})(?:(\d{2})(\d{2})|\.(\d{2})\.(\d{2})|-(\d{2})-(\d{2}))")
_TIME: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"([+-]\d{4})?"
)
_OFFSET_HOURS_MAX: Final = 14


class TimeSpan(NamedTuple):
    """The first and the last time of day that a partial time means."""

    earliest: time
    latest: time


class DateTimeSpan(NamedTuple):
    """The first and the last moment that a partial date time means."""

    earliest: datetime
    latest: datetime


def parse_date(text: str) -> date | None:
    """The date of a DA value, None when it is none.

    Standard: PS3.5 6.2 DA
    """
    match = _DATE.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    year, *rest = (int(part) for part in match.groups() if part)
    try:
        return date(year, rest[0], rest[1])
    except ValueError:
        return None


def parse_time(text: str) -> TimeSpan | None:
    """The span of a TM value, None when it is none; a leap second counts as second 59.

    Standard: PS3.5 6.2 TM
    """
    match = _TIME.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    try:
        earliest = time(
            int(hour), int(minute or 0), _second(second), int((fraction or "").ljust(6, "0"))
        )
    except ValueError:
        return None
    latest = earliest.replace(
        minute=earliest.minute if minute else 59,
        second=earliest.second if second else 59,
        microsecond=_last_microsecond(fraction),
    )
    return TimeSpan(earliest, latest)


def _second(second: str | None) -> int:
    number = int(second or 0)
    return 59 if number == 60 else number


def _last_microsecond(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "9"))


def parse_date_time(text: str) -> DateTimeSpan | None:
    """The span of a DT value, None when it is none; aware when it has an offset from UTC.

    Standard: PS3.5 6.2 DT
    """
    match = _DATE_TIME.fullmatch(text.strip(" \0"))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    zone = parse_offset(offset) if offset else None
    if offset and zone is None:
        return None
    try:
        earliest = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            _second(second),
            int((fraction or "").ljust(6, "0")),
            tzinfo=zone,
        )
        last_day = calendar.monthrange(int(year), int(month or 12))[1]
    except ValueError:
        return None
    latest = earliest.replace(
        month=earliest.month if month else 12,
        day=earliest.day if day else last_day,
        hour=earliest.hour if hour else 23,
        minute=earliest.minute if minute else 59,
        second=earliest.second if second else 59,
        microsecond=_last_microsecond(fraction),
    )
    return DateTimeSpan(earliest, latest)


def parse_offset(text: str) -> tzinfo | None:
    """The time zone of an offset such as "+0100", None when it is none.

    Standard: PS3.3 C.12.1.1.8, PS3.5 6.2 DT
    """
    if not re.fullmatch(r"[+-]\d{4}", text):
        return None
    hours, minutes = int(text[1:3]), int(text[3:5])
    if hours > _OFFSET_HOURS_MAX or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset) if offset else UTC


def format_date(value: date) -> str:
    """A DA value.

    Standard: PS3.5 6.2 DA
    """
    return f"{value.year:04d}{value.month:02d}{value.day:02d}"


def format_time(value: time | datetime) -> str:
    """A TM value, with a fraction only when there is one.

    Standard: PS3.5 6.2 TM
    """
    text = f"{value.hour:02d}{value.minute:02d}{value.second:02d}"
    return f"{text}.{value.microsecond:06d}" if value.microsecond else text


def format_date_time(value: datetime) -> str:
    """A DT value, with its offset from UTC when it is aware.

    Standard: PS3.5 6.2 DT
    """
    text = format_date(value) + format_time(value)
    offset = value.utcoffset()
    if offset is None:
        return text
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{text}{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def combine(date_text: str, time_text: str) -> datetime | None:
    """The moment of a DA and a TM value, without zone; None when there is no date.

    An absent or unreadable time counts as the start of the day.
    """
    day = parse_date(date_text)
    if day is None:
        return None
    span = parse_time(time_text)
    return datetime.combine(day, span.earliest if span else time())
