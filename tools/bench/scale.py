"""Searches of a large index: 1,000,000 studies by default, written by SQL, without objects.

The product runs as a user would run it. One client asks by QIDO-RS over one connection and by
C-FIND (pynetdicom) over one association, each time for something else; the time is until the last
match is there. The plan of each class of search is looked at as well: none may read a whole table.
How fast images come in is measured before the index is filled and afterwards.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, cast
from urllib.parse import urlencode

from psycopg.conninfo import make_conninfo
from pydicom.dataset import Dataset
from pynetdicom.ae import ApplicationEntity

from isocenter.infra import embedded_postgres
from isocenter.infra.db import Database, Tx
from isocenter.infra.db.where import Clause
from isocenter.readmodels.study_list import (
    instances_statement,
    patients_statement,
    series_statement,
    studies_statement,
)
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.matching import Condition
from isocenter.standards.dicom.matching_keys import parse_params
from tools.bench import archive_peers, objects
from tools.bench.archive import answers, call
from tools.bench.archive_peers import CALLER, Archive
from tools.bench.receivers import free_port

_AT_ONCE: Final = 20_000
_LIMIT: Final = 25
_SERIES_PER_STUDY: Final = 4
_INGESTED: Final = 400
_PENDING: Final = frozenset({0xFF00, 0xFF01})
# Twenty studies share a name, fewer than a QIDO-RS search may have: both kinds of search give the
# same. A day has about 27 studies of a modality in an index of a million. Studies are complete and
# old: the worker has nothing to do with them.
_ROWS: Final = """
with studies as (
    insert into archive.study
           (study_instance_uid, patient_id, patient_name, patient_name_normalised,
            patient_name_phonetic, accession_number, study_date, study_time, modalities,
            number_of_series, number_of_instances, first_received_at, last_received_at,
            completed_at)
    select '2.25.95' || n, 'P' || n / 2,
           'Phantom' || to_char(n / 20, 'FM000000') || '^Ada',
           'phantom' || to_char(n / 20, 'FM000000') || '^ada', 'p535 a300', 'A' || n,
           date '2006-01-01' + mod(n, 7300),
           time '08:00' + mod(n, 36000) * interval '1 second',
           array[(array['CT', 'MR', 'DX', 'US', 'PT'])[mod(n / 7300, 5) + 1]],
           %(series)s, 1, received_at, received_at, received_at
      from generate_series(%(first)s::int, %(last)s::int) n,
           lateral (select now() - interval '1 day' as received_at) long_ago
    returning study_key, study_instance_uid, modalities, first_received_at),
series as (
    insert into archive.series
           (study_key, series_instance_uid, modality, series_number, number_of_instances,
            first_received_at, last_received_at)
    select study_key, study_instance_uid || '.' || n, modalities[1], n, (n = 1)::int,
           first_received_at, first_received_at
      from studies cross join generate_series(1, %(series)s::int) n
    returning series_key, series_instance_uid, series_number, first_received_at)
insert into archive.instance
       (series_key, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size_bytes,
        sha256, dataset_offset, received_at, calling_ae_title)
select series_key, series_instance_uid || '.1', '1.2.840.10008.5.1.4.1.1.2',
       '1.2.840.10008.1.2.1', '', 0, '', 0, first_received_at, 'BENCH'
  from series where series_number = 1
"""
# An index that is made of all rows at once takes a tenth of the time that one row after the other
# takes. Those that constraints need stay.
_SET_INDEXES_ASIDE: Final = """
do $$
declare
    each record;
begin
    create table archive.bench_index as
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
      from pg_index
     where indrelid in ('archive.study'::regclass, 'archive.series'::regclass,
                        'archive.instance'::regclass)
       and not indisunique;
    for each in select name from archive.bench_index loop
        execute 'drop index ' || each.name;
    end loop;
end $$
"""
_MAKE_INDEXES: Final = """
do $$
declare
    each record;
begin
    for each in select definition from archive.bench_index loop
        execute each.definition;
    end loop;
    drop table archive.bench_index;
end $$
"""


@dataclass(frozen=True, slots=True)
class ScaleRun:
    """How large the index is, and how often each class of search is asked."""

    studies: int = 1_000_000
    searches: int = 200


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One class of search.

    Attributes:
        p95_ms: by ``QIDO`` and ``C-FIND``, where it can be asked so.
        matches: of the last search.
        indexes: those that the plan uses.
        fault: what is wrong with the plan; "" when nothing is.
    """

    name: str
    p95_ms: Mapping[str, float]
    matches: int
    indexes: Sequence[str]
    fault: str


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """What was measured; objects per second are by C-STORE on one association."""

    searches: Sequence[SearchResult]
    filled_in_s: float
    stored_per_s_empty: float
    stored_per_s_full: float


@dataclass(frozen=True, slots=True)
class _Search:
    """One class of search: keys for the ``n``th study, and where they are asked.

    Attributes:
        level: Query/Retrieve Level.
        index: what the plan must begin with: one that finds, and not one that only sorts.
        path: below the service root; None where QIDO-RS has no such resource.
    """

    name: str
    level: str
    keys: Callable[[int], dict[str, str]]
    statement: Callable[[Sequence[Condition]], Clause]
    index: str
    path: str | None = "/studies"


def _uid(n: int) -> str:
    return f"2.25.95{n}"


def _patients(conditions: Sequence[Condition]) -> Clause:
    return patients_statement(conditions, patients_max=_LIMIT)


def _day(n: int) -> str:
    # As the statement above counts: days since 2006-01-01.
    return time.strftime("%Y%m%d", time.gmtime(1136073600 + n % 7300 * 86400))


def _modality(n: int) -> str:
    return ("CT", "MR", "DX", "US", "PT")[n // 7300 % 5]


_SEARCHES: Final = (
    _Search(
        "patient id",
        "STUDY",
        lambda n: {"PatientID": f"P{n // 2}"},
        studies_statement,
        "study_current_patient",
    ),
    _Search(
        "accession number",
        "STUDY",
        lambda n: {"AccessionNumber": f"A{n}"},
        studies_statement,
        "study_current_accession",
    ),
    _Search(
        "date and modality",
        "STUDY",
        lambda n: {"StudyDate": _day(n), "ModalitiesInStudy": _modality(n)},
        studies_statement,
        "study_date",
    ),
    _Search(
        "name prefix",
        "STUDY",
        lambda n: {"PatientName": f"Phantom{n // 20:06d}*"},
        studies_statement,
        "study_current_name",
    ),
    _Search(
        "study UID",
        "STUDY",
        lambda n: {"StudyInstanceUID": _uid(n)},
        studies_statement,
        "study_study_instance_uid_key",
    ),
    _Search(
        "series of a study",
        "SERIES",
        lambda n: {"StudyInstanceUID": _uid(n)},
        series_statement,
        "study_study_instance_uid_key",
        "/series",
    ),
    _Search(
        "instances of a series",
        "IMAGE",
        lambda n: {"StudyInstanceUID": _uid(n), "SeriesInstanceUID": f"{_uid(n)}.1"},
        instances_statement,
        "study_study_instance_uid_key",
        "/instances",
    ),
    _Search(
        "patient",
        "PATIENT",
        lambda n: {"PatientID": f"P{n // 2}"},
        _patients,
        "study_current_patient",
        None,
    ),
)
_RETURNED: Final = ("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "AccessionNumber")


def measure(run: ScaleRun, *, source: Path, folder: Path) -> ScaleResult:
    """Fill an index and search it.

    Raises:
        RuntimeError: a search finds nothing, or fails.
    """
    for series in (1, 2, 3):
        objects.write_series(source / str(series), series=series, count=_INGESTED)
    with archive_peers.isocenter(folder / "scale", free_port()) as archive:
        _stored_per_s(archive, source / "1")  # the first objects find everything cold
        empty_per_s = _stored_per_s(archive, source / "2")
        server = embedded_postgres.start(folder / "scale" / "home", share=True)
        url = make_conninfo(server.admin_url, dbname=embedded_postgres.DATABASE)
        database = Database(url, connections_max=1, application_name="bench")
        try:
            began = time.perf_counter()
            _fill(database, run.studies)
            filled_in_s = time.perf_counter() - began
            results = [_measure_one(archive, database, each, run) for each in _SEARCHES]
        finally:
            database.close()
            server.stop()
        full_per_s = _stored_per_s(archive, source / "3")
    return ScaleResult(results, filled_in_s, empty_per_s, full_per_s)


def _stored_per_s(archive: Archive, part: Path) -> float:
    began = time.perf_counter()
    call(archive, "storescu", "--max-send-pdu", "131072", "+sd", files=[part])
    return _INGESTED / (time.perf_counter() - began)


def _fill(database: Database, studies: int) -> None:
    with database.transaction() as tx:
        tx.run(_SET_INDEXES_ASIDE)
    for first in range(1, studies + 1, _AT_ONCE):
        last = min(first + _AT_ONCE - 1, studies)
        with database.transaction() as tx:
            _hurry(tx)
            tx.run(_ROWS, {"series": _SERIES_PER_STUDY, "first": first, "last": last})
    with database.transaction() as tx:
        _hurry(tx)
        tx.run(_MAKE_INDEXES)
    with database.statement() as tx:
        tx.run("set statement_timeout = 0")
        tx.run("vacuum analyze archive.study, archive.series, archive.instance")
        tx.run("checkpoint")  # what is measured next shall not wait for what was filled in


def _hurry(tx: Tx) -> None:
    """What need not survive a crash, and refers to rows that are there for certain."""
    tx.run("set local synchronous_commit = off")
    tx.run("set local session_replication_role = replica")
    tx.run("set local maintenance_work_mem = '512MB'")
    tx.run("set local statement_timeout = 0")


def _measure_one(
    archive: Archive, database: Database, search: _Search, run: ScaleRun
) -> SearchResult:
    chance = random.Random(search.name)  # noqa: S311 - the same searches in every run
    numbers = [chance.randint(1, run.studies) for _ in range(run.searches)]
    p95_ms: dict[str, float] = {}
    matches = 0
    for name, asked in (("QIDO", _asked_by_web), ("C-FIND", _asked_by_dimse)):
        found = list(asked(archive, search, numbers))
        if found:
            p95_ms[name] = quantiles((elapsed_s * 1000 for elapsed_s, _ in found), n=20)[-1]
            matches = found[-1][1]
            if not all(count for _, count in found):
                raise RuntimeError(f"{name} by {search.name} finds nothing")
    indexes, scanned = _plan(database, search, numbers[0])
    fault = f"reads all of {', '.join(scanned)}" if scanned else ""
    if search.index not in indexes:
        fault = f"does not go by {search.index}"
    return SearchResult(search.name, p95_ms, matches, indexes, fault)


def _asked_by_web(
    archive: Archive, search: _Search, numbers: Sequence[int]
) -> Iterator[tuple[float, int]]:
    """Seconds and matches of each search."""
    if search.path is None:
        return
    paths = [
        f"{search.path}?{urlencode({**search.keys(n), 'limit': str(_LIMIT)}, safe='*')}"
        for n in numbers
    ]
    began = time.perf_counter()
    for status, body in answers(archive, paths, "application/dicom+json"):
        elapsed_s = time.perf_counter() - began
        yield elapsed_s, body.count(b'"00081190"') if status == 200 else 0
        began = time.perf_counter()


def _asked_by_dimse(
    archive: Archive, search: _Search, numbers: Sequence[int]
) -> Iterator[tuple[float, int]]:
    model = uids.PATIENT_ROOT_FIND if search.level == "PATIENT" else uids.STUDY_ROOT_FIND
    entity: Any = ApplicationEntity(CALLER)
    entity.add_requested_context(model)
    association = entity.associate("127.0.0.1", archive.dicom_port, ae_title=archive.ae_title)
    if not association.is_established:
        raise RuntimeError("no association for C-FIND")
    try:
        for n in numbers:
            identifier = Dataset()
            identifier.QueryRetrieveLevel = search.level
            for keyword in _RETURNED:
                setattr(identifier, keyword, "")
            for keyword, value in search.keys(n).items():
                setattr(identifier, keyword, value)
            began = time.perf_counter()
            responses = cast(
                "Iterator[tuple[Any, Any]]", association.send_c_find(identifier, model)
            )
            matches = sum(status.Status in _PENDING for status, _ in responses)
            yield time.perf_counter() - began, matches
    finally:
        association.release()


def _plan(database: Database, search: _Search, n: int) -> tuple[list[str], list[str]]:
    """The indexes that the plan uses, and the tables that it reads whole."""
    conditions = parse_params(list(search.keys(n).items())).conditions
    statement, params = search.statement(conditions)
    if search.path is not None:
        statement, params = statement + " limit %s", [*params, _LIMIT]
    with database.transaction() as tx:
        plan = "\n".join(tx.values("explain " + statement, params))
    indexes = re.findall(r"Index (?:Only )?Scan (?:Backward )?(?:using|on) (\w+)", plan)
    return sorted(set(indexes)), re.findall(r"Seq Scan on (\w+)", plan)
