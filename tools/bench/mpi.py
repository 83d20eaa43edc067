"""Finding a person among 1,000,000 made-up records, and how often what is found is right.

The records are copied into the tables, with the search keys that the product gives them. Then
records are taken as a message would bring them and looked for: people who are there twice, and
others. The time is that of one search with everything that it reads, compares and audits, from one
client. What would be linked and asked about is what the product finds by itself when facts change.
"""

import os
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import psycopg

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model_matching import Assessment, Person, search_keys
from isocenter.domain.identity.service.matching import compared
from isocenter.infra import embedded_postgres
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.db.migrate import migrate
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys
from tools.population import Population, Registered

SEED: Final = 7
_AT_ONCE: Final = 5_000
_ACTOR: Final = Actor.system("bench")
# Indexes are made faster at once than row by row.
_DROP_INDEXES: Final = """
create table public.bench_index as
select indexname, indexdef from pg_indexes
 where schemaname = 'identity'
   and tablename in ('patient', 'patient_identifier', 'match_profile')
   and not exists (select from pg_constraint join pg_class on pg_class.oid = conindid
                    where relname = indexname);
do $$
declare each record;
begin
    for each in select * from public.bench_index loop
        execute 'drop index identity.' || quote_ident(each.indexname);
    end loop;
end $$;
create table public.bench_number (
    patient_key bigint, assigning_authority text, value text, type_code text)
"""
_MAKE_INDEXES: Final = """
set local maintenance_work_mem = '256MB';
insert into identity.patient_identifier (patient_key, assigning_authority, value, type_code)
select distinct on (assigning_authority, value) * from public.bench_number
 order by assigning_authority, value, patient_key;
drop table public.bench_number;
do $$
declare each record;
begin
    for each in select * from public.bench_index loop
        execute each.indexdef;
    end loop;
end $$;
drop table public.bench_index
"""
_UNHURRIED: Final = "set local statement_timeout = 0"
_COPIES: Final = (
    """
    copy identity.patient (patient_key, person_name, name_normalised, name_phonetic, birth_date,
        sex, address, phone, birth_order, asserted_at, created_at, updated_at) from stdin
    """,
    "copy public.bench_number (patient_key, assigning_authority, value, type_code) from stdin",
    "copy identity.match_profile (patient_key, keys) from stdin",
)


@dataclass(frozen=True, slots=True)
class MpiRun:
    """How many records there are, and how many are looked for of each sort."""

    records: int = 1_000_000
    searches: int = 2_000


@dataclass
class Fate:
    """What becomes of people who are there twice: how many are linked, asked about and missed.

    Attributes:
        below: compared, and not alike enough to ask about.
        not_found: that share no search key, or too few among many who do.
    """

    linked: int = 0
    asked: int = 0
    below: int = 0
    not_found: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.linked + self.asked + self.below + self.not_found

    def add(self, assessment: Assessment | None) -> None:
        """Count one pair; None was not found."""
        if assessment is None:
            self.not_found += 1
        elif assessment.is_certain:
            self.linked += 1
        elif assessment.is_candidate:
            self.asked += 1
        else:
            self.below += 1


@dataclass(frozen=True, slots=True)
class MpiResult:
    """What was measured.

    Attributes:
        processor_ms: that the client's own process spends on a search, at the median.
        linked_right: pairs that the system would link by itself and that are one person.
        fate: of the people looked for who are there twice.
        by_error: the same of those whose second record has that error; it may have others too.
        questions: pairs of two people that a person would be asked about, for each 1,000 searches.
    """

    filled_in_s: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    processor_ms: float
    linked_right: int
    linked_wrong: int
    fate: Fate
    by_error: Mapping[str, Fate]
    questions: float

    @property
    def precision(self) -> float:
        """Of what the system links by itself."""
        total = self.linked_right + self.linked_wrong
        return self.linked_right / total if total else 1.0


def measure(run: MpiRun, *, folder: Path) -> MpiResult:
    """Fill an index, look for people in it, and compare with the truth."""
    server = embedded_postgres.start(folder / "mpi")
    try:
        migrate(server.url)
        database = Database(server.url, connections_max=1, application_name="bench")
        try:
            return _measure(run, server.url, database)
        finally:
            database.close()
    finally:
        server.stop()


def _measure(run: MpiRun, url: str, database: Database) -> MpiResult:
    began = time.perf_counter()
    truth: dict[int, int] = {}
    sampled = _fill(url, database, run, truth)
    filled_in_s = time.perf_counter() - began
    with database.transaction() as tx:
        tx.run(_UNHURRIED)
        tx.run("analyze identity.patient, identity.match_profile, identity.patient_identifier")
        identity.refresh_name_frequencies(tx, _ACTOR)
    for key, record in sampled[:50]:  # warm caches
        _search(database, key, record.person)
    tally = _Tally(truth)
    for key, record in sampled:
        tally.add(record, _search(database, key, record.person))
    return tally.result(filled_in_s, run)


def _fill(
    url: str, database: Database, run: MpiRun, truth: dict[int, int]
) -> list[tuple[int, Registered]]:
    """Write the records; gives those to look for: half of them people who are there twice."""
    chance = random.Random(SEED)  # noqa: S311 - the same searches in every run
    twice: list[tuple[int, Registered]] = []
    once: list[tuple[int, Registered]] = []
    before: Registered | None = None

    def batches() -> Iterator[list[tuple[int, Registered]]]:
        numbered = enumerate(Population(SEED).records(run.records), start=1)
        nonlocal before
        while batch := list(islice(numbered, _AT_ONCE)):
            for key, record in batch:
                truth[key] = record.truth
                again = before is not None and before.truth == record.truth
                (twice if again else once).append((key, record))
                before = record
            yield batch

    with database.transaction() as tx:
        tx.run(_DROP_INDEXES)
    with psycopg.connect(url, autocommit=True) as connection:
        for lines in _in_processes(batches()):
            for statement, text in zip(_COPIES, lines, strict=True):
                with connection.cursor() as cursor, cursor.copy(statement) as copy:
                    copy.write(text)
    with database.transaction() as tx:
        tx.run(_UNHURRIED)
        tx.run(_MAKE_INDEXES)
    half = run.searches // 2
    return chance.sample(twice, min(half, len(twice))) + chance.sample(once, min(half, len(once)))


def _in_processes(batches: Iterator[list[tuple[int, Registered]]]) -> Iterator[list[str]]:
    """The lines of each batch, whose search keys are most of the work, made by all processors."""
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as processes:
        waiting = deque(processes.submit(_lines, each) for each in islice(batches, 2 * workers))
        while waiting:
            yield waiting.popleft().result()
            for each in islice(batches, 1):
                waiting.append(processes.submit(_lines, each))


def _lines(batch: Sequence[tuple[int, Registered]]) -> list[str]:
    """What is copied into each of the tables."""
    now = utc_now().isoformat()
    tables: list[list[str]] = [[] for _ in _COPIES]
    for key, record in batch:
        person, name = record.person, record.person.names[0]
        said = (person.birth_date, person.sex, person.address, person.phone, person.birth_order)
        normal = (person_name_key(name), " ".join(phonetic_keys(name)))
        tables[0].append(_line(key, name, *normal, *said, now, now, now))
        tables[1] += [
            _line(key, each.assigning_authority, each.value, each.type_code)
            for each in person.identifiers
        ]
        keys = ",".join(str(each) for each in sorted(search_keys(person)))
        tables[2].append(_line(key, f"{{{keys}}}"))
    return ["".join(each) for each in tables]


def _line(*values: object) -> str:
    """One row as COPY reads it; nothing that is made up needs escaping."""
    return "\t".join("\\N" if each is None else str(each) for each in values) + "\n"


@dataclass(frozen=True, slots=True)
class _Found:
    """One search.

    Attributes:
        compared: what the product decides by when it links and asks by itself, by patient.
    """

    elapsed_s: float
    processor_s: float
    compared: Mapping[int, Assessment]


def _search(database: Database, key: int, person: Person) -> _Found:
    began, processor_began_s = time.perf_counter(), time.process_time()
    with database.transaction() as tx:
        identity.candidates(tx, _ACTOR, person, limit=11, now=utc_now())
    elapsed_s = time.perf_counter() - began
    processor_s = time.process_time() - processor_began_s
    with database.read() as tx:
        found = {other: each for other, each in compared(tx, person) if other != key}
    return _Found(elapsed_s, processor_s, found)


class _Tally:
    """Counts what was found against what is true."""

    def __init__(self, truth: dict[int, int]) -> None:
        self._truth = truth
        self._times_ms: list[float] = []
        self._processor_ms: list[float] = []
        self._right = self._wrong = self._questions = 0
        self._all = Fate()
        self._by_error: defaultdict[str, Fate] = defaultdict(Fate)
        self._people = Counter(truth.values())

    def add(self, record: Registered, found: _Found) -> None:
        """Count one search."""
        self._times_ms.append(found.elapsed_s * 1000)
        self._processor_ms.append(found.processor_s * 1000)
        same: Assessment | None = None
        for key, each in found.compared.items():
            if self._truth[key] != record.truth:
                self._wrong += each.is_certain
                self._questions += each.is_candidate
                continue
            self._right += each.is_certain
            same = max(same or each, each, key=lambda one: one.weight)
        if self._people[record.truth] > 1:
            self._all.add(same)
            for error in record.errors:
                self._by_error[error].add(same)

    def result(self, filled_in_s: float, run: MpiRun) -> MpiResult:
        """The figures."""
        cuts = quantiles(self._times_ms, n=100)
        return MpiResult(
            filled_in_s=filled_in_s,
            median_ms=median(self._times_ms),
            p95_ms=cuts[94],
            p99_ms=cuts[98],
            processor_ms=median(self._processor_ms),
            linked_right=self._right,
            linked_wrong=self._wrong,
            fate=self._all,
            by_error=dict(sorted(self._by_error.items())),
            questions=self._questions * 1000 / max(run.searches, 1),
        )
