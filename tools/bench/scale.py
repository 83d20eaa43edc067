"""Searches of a large index: 1,000,000 studies by default, written by SQL, without objects.

The product runs as a user would run it. One client asks by QIDO-RS over one connection and by
C-FIND by the client of the demonstration, each time for something else; the time is until the last
match is there, or the 25th where there are more. The plans of each class of search are looked at as
well: none may read a whole table. How fast images come in is measured in turns with an empty index.
"""

import random
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any, Final
from urllib.parse import urlencode

from psycopg.conninfo import make_conninfo
from pydicom.dataset import Dataset

from isocenter.app.demo.dicom_client import Association, Context
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.infra import embedded_postgres
from isocenter.infra.db import Database, Tx
from isocenter.readmodels import indexed_attributes, modality_worklist, study_list
from isocenter.readmodels.study_list_stream import first
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.matching_keys import parse_params
from isocenter.standards.dicom.query_retrieve import Level
from tools.bench import archive_peers, objects, scale_data, scale_searches
from tools.bench.archive import answers, call
from tools.bench.archive_peers import CALLER, Archive
from tools.bench.receivers import free_port
from tools.bench.scale_searches import Sample, Search

_LIMIT: Final = 25
_PATHS: Final = {"STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}
_RETURNED: Final = ("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "AccessionNumber")
_LEVELS: Final[Mapping[str, tuple[indexed_attributes.Level, Callable[..., object]]]] = {
    "STUDY": ("study", study_list.search_studies),
    "SERIES": ("series", study_list.search_series),
    "IMAGE": ("instance", study_list.search_instances),
}
_OWN: Final = {
    "STUDY": study_list.STUDY_TAGS,
    "SERIES": study_list.SERIES_TAGS,
    "IMAGE": study_list.INSTANCE_TAGS,
}
_ASKING: Final = Actor.system("bench")
_TABLES: Final = ("study", "series", "instance", "attribute_value", "scheduled_procedure_step")


@dataclass(frozen=True, slots=True)
class ScaleRun:
    """How large the index is, and how often each class of search is asked.

    Attributes:
        only: classes whose names contain this; "" all.
        ingested: objects of each turn of C-STORE, into an empty index and into the large one.
        turns: of C-STORE; 0 leaves it out.
    """

    studies: int = 1_000_000
    searches: int = 100
    only: str = ""
    ingested: int = 200
    turns: int = 5


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One class of search.

    Attributes:
        p95_ms: by ``QIDO`` and ``C-FIND``, where it can be asked so.
        matches: of the last search, no more than were waited for.
        indexes: those that the plans use.
        fault: what is wrong with the plans; "" when nothing is.
    """

    name: str
    p95_ms: Mapping[str, float]
    matches: int
    indexes: Sequence[str]
    fault: str

    def __str__(self) -> str:
        times = "".join(f"  {way} {p95:7.1f} ms" for way, p95 in self.p95_ms.items())
        verdict = f"  {self.fault}" if self.fault else ""
        return (
            f"  {self.name:<22}{times}  {self.matches} matches  {', '.join(self.indexes)}{verdict}"
        )


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """What was measured; objects per second are by C-STORE on one association.

    Attributes:
        filled_in_s: None when the index was there already.
    """

    searches: Sequence[SearchResult]
    filled_in_s: float | None
    stored_per_s_empty: Sequence[float]
    stored_per_s_full: Sequence[float]


def measure(
    run: ScaleRun, *, source: Path, folder: Path, say: Callable[[str], None], kept: Path | None
) -> ScaleResult:
    """Fill an index and search it.

    Args:
        run: how much.
        source: where objects to send are written.
        folder: for the installations.
        say: told of progress.
        kept: where the large index stays; it is not filled again when it is there.

    Raises:
        RuntimeError: a search finds nothing, or fails.
    """
    place = kept or folder / "scale"
    is_new = not (place / "home").exists()
    with archive_peers.isocenter(place, free_port(), new=is_new) as archive:
        with _database(place) as database:
            filled_in_s = _filled_in_s(database, run.studies, say) if is_new else None
            chosen = [
                each
                for each in (*scale_searches.STUDY, *scale_searches.BELOW)
                if run.only in each.name
            ]
            results: list[SearchResult] = []
            for each in chosen:
                results.append(_measure_one(archive, database, each, run))
                say(str(results[-1]))
        empty, full = _stored(archive, run, source, folder)
    return ScaleResult(results, filled_in_s, empty, full)


@contextmanager
def _database(place: Path) -> Generator[Database]:
    server = embedded_postgres.start(place / "home", share=True)
    url = make_conninfo(server.admin_url, dbname=embedded_postgres.DATABASE)
    database = Database(url, connections_max=1, application_name="bench")
    try:
        yield database
    finally:
        database.close()
        server.stop()


def _filled_in_s(database: Database, studies: int, say: Callable[[str], None]) -> float:
    began = time.perf_counter()
    scale_data.fill(database, studies, say)
    return time.perf_counter() - began


def _stored(
    archive: Archive, run: ScaleRun, source: Path, folder: Path
) -> tuple[list[float], list[float]]:
    """Objects per second into an empty index and into the large one, in turns."""
    rates: tuple[list[float], list[float]] = ([], [])
    if not run.turns:
        return rates
    with archive_peers.isocenter(folder / "empty", free_port()) as empty:
        # Of objects that no former run has sent; the first turn finds everything cold.
        series = int(time.time()) % 100_000_000 - run.turns
        for turn in range(run.turns + 1):
            part = source / str(turn)
            objects.write_series(part, series=series + turn, count=run.ingested)
            for each, found in zip((empty, archive), rates, strict=True):
                began = time.perf_counter()
                call(each, "storescu", "--max-send-pdu", "131072", "+sd", files=[part])
                if turn:
                    found.append(run.ingested / (time.perf_counter() - began))
            shutil.rmtree(part)
    return rates


def _measure_one(
    archive: Archive, database: Database, search: Search, run: ScaleRun
) -> SearchResult:
    chance = random.Random(search.name)  # noqa: S311 - the same searches in every run
    numbers = [chance.randint(1, run.studies) for _ in range(run.searches)]
    asked = scale_searches.samples(database, numbers)
    p95_ms: dict[str, float] = {}
    matches = 0
    for name, ask in (("QIDO", _asked_by_web), ("C-FIND", _asked_by_dimse)):
        if search.only not in {"", name}:
            continue
        found = list(ask(archive, search, asked))
        p95_ms[name] = quantiles((elapsed_s * 1000 for elapsed_s, _ in found), n=20)[-1]
        matches = found[-1][1]
        if not search.may_be_none and not all(count for _, count in found):
            raise RuntimeError(f"{name} by {search.name} finds nothing")
    plans = "\n".join(_plans(database, search, asked[0]))
    indexes = sorted(
        set(re.findall(r"Index (?:Only )?Scan (?:Backward )?(?:using|on) (\w+)", plans))
    )
    scanned = [each for each in re.findall(r"Seq Scan on (\w+)", plans) if each in _TABLES]
    fault = f"reads all of {', '.join(scanned)}" if scanned else ""
    if search.index and search.index not in indexes:
        fault = f"does not go by {search.index}"
    return SearchResult(search.name, p95_ms, matches, indexes, fault)


def _asked_by_web(
    archive: Archive, search: Search, asked: Sequence[Sample]
) -> Iterator[tuple[float, int]]:
    """Seconds and matches of each search."""
    paths = [
        f"{_PATHS[search.level]}?"
        + urlencode({**search.keys(each), "limit": str(_LIMIT)}, safe="*")
        for each in asked
    ]
    began = time.perf_counter()
    for status, body in answers(archive, paths, "application/dicom+json"):
        elapsed_s = time.perf_counter() - began
        yield elapsed_s, body.count(b'"00081190"') if status == 200 else 0
        began = time.perf_counter()


def _asked_by_dimse(
    archive: Archive, search: Search, asked: Sequence[Sample]
) -> Iterator[tuple[float, int]]:
    """The same by C-FIND; whoever has enough leaves without waiting for the rest."""
    model = {
        "PATIENT": uids.PATIENT_ROOT_FIND,
        "WORKLIST": uids.MODALITY_WORKLIST_FIND,
    }.get(search.level, uids.STUDY_ROOT_FIND)
    for each in asked:
        identifier = _identifier(search, each)
        with Association(
            ("127.0.0.1", archive.dicom_port),
            calling=CALLER,
            called=archive.ae_title,
            contexts=[Context(model)],
        ) as association:
            began = time.perf_counter()
            matches = sum(1 for _ in islice(association.find(identifier, model), _LIMIT))
            yield time.perf_counter() - began, matches


def _identifier(search: Search, sample: Sample) -> Dataset:
    identifier = Dataset()
    if search.level != "WORKLIST":
        identifier.QueryRetrieveLevel = search.level
    for keyword in _RETURNED:
        setattr(identifier, keyword, "")
    for path, value in search.keys(sample).items():
        sequence, _, keyword = path.rpartition(".")
        within = identifier
        if sequence:
            if sequence not in identifier:
                setattr(identifier, sequence, [Dataset()])
            within = identifier[sequence][0]
        setattr(within, keyword, value)
    return identifier


class _Explained(Tx):
    """Runs statements and keeps their plans."""

    __slots__ = ("plans",)

    def __init__(self, tx: Tx) -> None:
        super().__init__(tx._connection)
        self.plans: list[str] = []

    def all(self, row: type[Any], statement: Any, params: Any = ()) -> list[Any]:
        self.plans += super().values("explain " + statement, params)
        return super().all(row, statement, params)

    def values(self, statement: Any, params: Any = ()) -> list[Any]:
        self.plans += super().values("explain " + statement, params)
        return super().values(statement, params)


def _plans(database: Database, search: Search, sample: Sample) -> list[str]:
    """The plans of all statements of a search."""
    with database.transaction() as opened:
        tx = _Explained(opened)
        _ask(tx, search, sample)
        return tx.plans


def _ask(tx: Tx, search: Search, sample: Sample) -> None:
    """Search as the gateways do."""
    viewer = Viewer(_ASKING, Action.STUDY_READ)
    query = parse_params(list(search.keys(sample).items()))
    if search.level == "WORKLIST":
        modality_worklist.search(tx, viewer, query.conditions)
        return
    if search.level == "PATIENT":
        first(tx, viewer, Level.PATIENT, query.conditions, limit=51)
        return
    level, ask = _LEVELS[search.level]
    more = indexed_attributes.beyond(
        tx, viewer, level, query.conditions, returned=(), own=_OWN[search.level]
    )
    ask(tx, viewer, more.conditions, more=more.columns, limit=_LIMIT + 1, offset=query.offset)
