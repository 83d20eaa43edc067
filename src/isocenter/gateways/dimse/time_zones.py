"""Dates and times of a query in the time zone of who asks, where that was negotiated.

Each stored moment is in the zone that its study states, else in the zone of the installation. The
database is asked for a day more on both sides; which of its rows match is decided here, on moments
in the asked zone. Dates that no time belongs to, such as of birth, are no moments and stay.

Standard: PS3.4 C.2.2.2.5, C.5.1.1.1 (Timezone query adjustment)
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from isocenter.readmodels.study_list import SeriesRow, StudyRow
from isocenter.readmodels.study_list_stream import Row
from isocenter.standards.dicom.matching import (
    AnyOf,
    CombinedDateTimeRange,
    Condition,
    DateRange,
    EmptyValue,
    TimeRange,
)
from isocenter.standards.dicom.query_retrieve import Extensions
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_temporal import parse_offset

TIMEZONE_OFFSET_FROM_UTC: Final = 0x00080201
# Offsets are from -12 to +14 hours: two moments that are one differ by 26 at most.
_OFFSETS_DIFFER: Final = timedelta(hours=26)
_DAYS_DIFFER: Final = timedelta(days=2)
# The pairs of fields of a row by the tags of their attributes.
_STUDY_PAIRS: Final = {(0x00080020, 0x00080030): ("study_date", "study_time")}
_SERIES_PAIRS: Final = _STUDY_PAIRS | {
    (0x00080021, 0x00080031): ("series_date", "series_time"),
    (0x00400244, 0x00400245): (
        "performed_procedure_step_start_date",
        "performed_procedure_step_start_time",
    ),
}
_TAGS: Final = frozenset(tag for pair in _SERIES_PAIRS for tag in pair)

_Values = Mapping[int, date | time | None]


@dataclass(frozen=True, slots=True)
class AskedZone:
    """Moments as a peer asks for them.

    Attributes:
        offset: as the peer wrote it.
        zone: what it means.
        local: of studies that do not state theirs.
    """

    offset: str
    zone: tzinfo
    local: tzinfo

    def widened(self, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        """Conditions that hold for all rows that match, and for some that do not."""
        return tuple(
            wide for each in conditions for wide in ([each] if _is_kept(each) else _widened(each))
        )

    def matching(
        self, rows: Iterable[Row], conditions: Sequence[Condition]
    ) -> Generator[Row, None, None]:
        """The rows that match, with their moments in the asked zone."""
        judged = [each for each in conditions if not _is_kept(each)]
        for row in rows:
            if not isinstance(row, StudyRow):
                yield row
                continue
            moved = self._moved(row)
            values = _values(moved)
            if all(_holds(each, values) for each in judged):
                yield moved

    def _moved(self, row: StudyRow) -> StudyRow:
        stated = parse_offset(row.timezone_offset_from_utc or "") or self.local
        changes: dict[str, date | time] = {}
        for day_name, time_name in _pairs(row).values():
            day, at = getattr(row, day_name), getattr(row, time_name)
            if day is None or at is None or not 1 < day.year < date.max.year:
                continue
            moment = datetime.combine(day, at, tzinfo=stated).astimezone(self.zone)
            changes |= {day_name: moment.date(), time_name: moment.time()}
        return replace(row, timezone_offset_from_utc=self.offset, **changes)


def asked_zone(identifier: DataSet, extensions: Extensions, local: tzinfo) -> AskedZone | None:
    """The zone that a query is asked in; None when it says none, or none was negotiated.

    Standard: PS3.4 C.4.1.1.3.1
    """
    offset = identifier.text(TIMEZONE_OFFSET_FROM_UTC).strip()
    zone = parse_offset(offset) if extensions.timezone else None
    return None if zone is None else AskedZone(offset, zone, local)


def _pairs(row: StudyRow) -> Mapping[tuple[int, int], tuple[str, str]]:
    return _SERIES_PAIRS if isinstance(row, SeriesRow) else _STUDY_PAIRS


def _values(row: StudyRow) -> _Values:
    return {
        tag: getattr(row, name)
        for tags, names in _pairs(row).items()
        for tag, name in zip(tags, names, strict=True)
    }


def _is_kept(condition: Condition) -> bool:
    """Whether a condition is not about a moment."""
    if isinstance(condition, CombinedDateTimeRange):
        return condition.date_tag not in _TAGS
    return condition.tag not in _TAGS or isinstance(condition, EmptyValue)


def _widened(condition: Condition) -> list[Condition]:
    match condition:
        case DateRange(tag, earliest, latest):
            return [
                DateRange(
                    tag,
                    earliest - _DAYS_DIFFER if earliest and earliest.year > 1 else None,
                    latest + _DAYS_DIFFER if latest and latest.year < date.max.year else None,
                )
            ]
        case CombinedDateTimeRange(day, at, first, last):
            return [
                CombinedDateTimeRange(
                    day,
                    at,
                    first - _OFFSETS_DIFFER if first and first.year > 1 else None,
                    last + _OFFSETS_DIFFER if last and last.year < date.max.year else None,
                )
            ]
        case AnyOf(tag, options):
            wide = [each for option in options for each in _widened(option)]
            return [AnyOf(tag, tuple(wide))] if len(wide) == len(options) else []
        case _:
            return []  # a time of day alone may be any in another zone


def _holds(condition: Condition, values: _Values) -> bool:
    match condition:
        case AnyOf(_, options):
            return any(_holds(each, values) for each in options)
        case EmptyValue(tag):
            return values.get(tag) is None
        case CombinedDateTimeRange(date_tag, time_tag, first, last):
            day, at = values.get(date_tag), values.get(time_tag)
            if not isinstance(day, date):
                return False
            moment = datetime.combine(day, at if isinstance(at, time) else time.min)
            return (first is None or first <= moment) and (last is None or moment <= last)
        case DateRange(tag, earliest, latest):
            day = values.get(tag)
            return isinstance(day, date) and (
                (earliest is None or earliest <= day) and (latest is None or day <= latest)
            )
        case TimeRange(tag, early, late):
            at = values.get(tag)
            return isinstance(at, time) and (
                (early is None or early <= at) and (late is None or at <= late)
            )
        case _:
            return True
