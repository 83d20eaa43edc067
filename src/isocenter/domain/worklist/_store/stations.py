"""The SQL of what stations ask of the worklist: a row per station and hour."""

from datetime import datetime

from isocenter.infra.db import Tx

_NOTE = """
insert into worklist.station_hour as known
       (station_ae_title, hour, queries, results_max, last_queried_at, last_result_count)
values (%(station)s, date_trunc('hour', %(now)s::timestamptz, 'UTC'), 1, %(results)s, %(now)s,
        %(results)s)
on conflict (station_ae_title, hour) do update
   set queries = known.queries + 1,
       results_max = greatest(known.results_max, excluded.results_max),
       last_queried_at = greatest(known.last_queried_at, excluded.last_queried_at),
       last_result_count = excluded.last_result_count
"""


def note(tx: Tx, station_ae_title: str, results: int, *, now: datetime) -> None:
    """Note that the station asked, and how many steps it was given."""
    tx.run(_NOTE, {"station": station_ae_title, "results": results, "now": now})


_PRUNE = "delete from worklist.station_hour where hour < %s returning station_ae_title"


def prune(tx: Tx, *, before: datetime) -> int:
    """Forget hours before; gives how many."""
    return len(tx.values(_PRUNE, (before,)))
