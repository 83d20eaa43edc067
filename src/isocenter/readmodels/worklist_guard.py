"""The worklist guard: per station what it asks of the worklist, and what its images say about it.

A station is an application that sent images or asked for a worklist lately. Its clock is judged by
the least time between an image's series time and its arrival: images cannot come before they are
made, and of several series some come at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.monitoring.model import Condition, ConditionKind
from isocenter.infra.db import Tx

LOOKED_BACK: Final = timedelta(days=14)
ASKED_LOOKED_BACK: Final = timedelta(days=90)
STUDIES_JUDGED: Final = 10
_STUDIES_MIN = 5
_BY_HAND_SHARE = 0.5
_CLOCK_AHEAD_MAX_S = 300.0
_CLOCK_BEHIND_MAX_S = 3_600.0  # less may be the time that an exam takes before it is sent
_SERIES_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StationView:
    """What is known of a station.

    Attributes:
        peer: name of the DICOM peer with this AE title; None for none.
        queries: in the last three months, on ``days_asking`` different days.
        studies: of those that it sent last, at most ``STUDIES_JUDGED``.
        unasked: those of them before which it had not asked for its worklist for some hours.
        unasked_since: when the first of the newest unbroken run of them came.
        by_hand: those of them whose accession number or patient ID nobody had sent it.
        clock_s: how late its images come at the least; negative: they come from the future. None:
            too few say when they were made.
    """

    ae_title: str
    peer: str | None
    last_queried_at: datetime | None
    last_result_count: int | None
    queries: int
    days_asking: int
    studies: int
    unasked: int
    unasked_since: datetime | None
    by_hand: int
    by_hand_since: datetime | None
    last_received_at: datetime | None
    clock_s: float | None

    @property
    def is_silent(self) -> bool:
        """It used to ask for its worklist, sends images, and asks no more."""
        return self.queries > 0 and self.unasked_since is not None

    @property
    def types_by_hand(self) -> bool:
        """At least half of its last studies were typed in."""
        return self.studies >= _STUDIES_MIN and self.by_hand >= self.studies * _BY_HAND_SHARE

    @property
    def clock_is_off(self) -> bool:
        """The times in its images cannot be right."""
        return self.clock_s is not None and (
            self.clock_s < -_CLOCK_AHEAD_MAX_S or self.clock_s > _CLOCK_BEHIND_MAX_S
        )


_STATIONS = """
with asked as (
    select station_ae_title as ae_title, max(last_queried_at) as last_queried_at,
           sum(queries)::int as queries, count(distinct hour::date)::int as days_asking,
           (array_agg(last_result_count order by hour desc))[1] as last_result_count
      from worklist.station_hour where hour >= %(asked_since)s
     group by station_ae_title),
sender as (
    select distinct ae_title
      from archive.study cross join lateral unnest(calling_ae_titles) as ae_title
     where first_received_at >= %(since)s),
station as (select ae_title from asked union select ae_title from sender)
select station.ae_title, dicom_peer.name as peer, asked.last_queried_at, asked.last_result_count,
       coalesce(asked.queries, 0) as queries, coalesce(asked.days_asking, 0) as days_asking,
       sent.studies, sent.unasked, sent.unasked_since, sent.by_hand, sent.by_hand_since,
       sent.last_received_at, clock.clock_s
  from station
  left join asked using (ae_title)
  left join peers.dicom_peer using (ae_title)
 cross join lateral (
       select array_agg(study_key) as keys
         from (select study_key from archive.study
                where first_received_at >= %(since)s
                  and station.ae_title = any(calling_ae_titles)
                order by first_received_at desc limit %(judged)s) newest) recent
 cross join lateral (
       select count(*)::int as studies, count(*) filter (where unasked)::int as unasked,
              count(*) filter (where by_hand)::int as by_hand,
              min(first_received_at) filter (where by_hand) as by_hand_since,
              max(first_received_at) as last_received_at,
              min(first_received_at) filter (where unasked and not exists_asked_later)
                  as unasked_since
         from (
           select s.first_received_at, s.unasked, s.by_hand,
                  coalesce(bool_or(not s.unasked) over (
                      order by s.first_received_at desc
                      rows between unbounded preceding and current row), false)
                      or asked.last_queried_at > s.first_received_at as exists_asked_later
             from (
               select study.first_received_at,
                      not exists (
                          select from worklist.station_hour h
                           where h.station_ae_title = station.ae_title
                             and h.hour > study.first_received_at - %(silence)s - interval '1 hour'
                             and h.hour <= study.first_received_at) as unasked,
                      coalesce(btrim(study.accession_number), '') = ''
                          or study.corrected_accession_number is not null
                          or exists (select from reconcile.reconciliation_case c
                                      where c.study_instance_uid = study.study_instance_uid
                                        and c.state = 'open'
                                        and c.kind in ('unmatched', 'patient_mismatch',
                                                       'unidentified_patient',
                                                       'duplicate_accession'))
                          or not exists (select from identity.patient_identifier known
                                          where known.value = study.patient_id) as by_hand
                 from archive.study
                where study_key = any(recent.keys)) s) run) sent
 cross join lateral (
       select case when count(*) >= %(series_min)s then min(lag_s) end as clock_s
         from (
           select extract(epoch from first_received_at
                          - ((series_date + series_time) at time zone
                             case when timezone_offset_from_utc ~ '^[+-][0-9]{4}$'
                                  then (case left(timezone_offset_from_utc, 1)
                                             when '+' then '-' else '+' end
                                        || substr(timezone_offset_from_utc, 2, 2) || ':'
                                        || substr(timezone_offset_from_utc, 4, 2))
                                  else %(zone)s end))::float8 as lag_s
             from archive.series
            where study_key = any(recent.keys)
              and series_date is not null and series_time is not null
              and modality not in ('SR', 'PR', 'KO', 'SEG', 'DOC')) lag
        where abs(lag_s) < 86400) clock
 order by station.ae_title
 limit %(limit)s
"""


def stations(
    tx: Tx,
    viewer: Viewer,
    *,
    now: datetime,
    silence_s: float,
    time_zone: str,
    limit: int = 1_000,
) -> list[StationView]:
    """Every station of the last two weeks by its AE title.

    Args:
        tx: open transaction.
        viewer: may read the worklist.
        now: the moment.
        silence_s: images before which a station had not asked for that long came without asking.
        time_zone: IANA name of the zone that times in images are of, unless they say another.
        limit: so many at most.
    """
    viewer.require(Action.WORKLIST_READ)
    params = {
        "since": now - LOOKED_BACK,
        "asked_since": now - ASKED_LOOKED_BACK,
        "silence": timedelta(seconds=silence_s),
        "judged": STUDIES_JUDGED,
        "series_min": _SERIES_MIN,
        "zone": time_zone,
        "limit": limit,
    }
    return tx.all(StationView, _STATIONS, params)


def conditions(stations: Sequence[StationView], *, now: datetime) -> list[Condition]:
    """What is wrong with the stations, each with its name."""
    found: list[Condition] = []
    for each in stations:
        if each.is_silent and each.unasked_since is not None:
            reason = (
                f"{each.ae_title} sends images and does not ask for its worklist any more:"
                f" {_studies(each.unasked)} came without a query."
            )
            found.append(
                Condition(ConditionKind.STATION_SILENT, each.ae_title, reason, each.unasked_since)
            )
        if each.types_by_hand:
            reason = (
                f"{each.ae_title} does not take its patients from the worklist: of its last"
                f" {_studies(each.studies)} {each.by_hand} were typed by hand."
            )
            since = each.by_hand_since or now
            found.append(Condition(ConditionKind.STATION_BY_HAND, each.ae_title, reason, since))
        if each.clock_is_off and each.clock_s is not None:
            ahead = each.clock_s < 0
            minutes = round(abs(each.clock_s) / 60)
            reason = (
                f"The clock of {each.ae_title} is wrong: its images come {minutes} minutes"
                f" {'before' if ahead else 'after'} they say that they were made."
            )
            found.append(
                Condition(
                    ConditionKind.STATION_CLOCK, each.ae_title, reason, each.last_received_at or now
                )
            )
    return found


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"
