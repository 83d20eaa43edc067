"""Finding a person among 1,000,000 made-up records, and how often what is found is right.

The records are written by SQL, with the search keys that the product gives them. Then records are
taken as a message would bring them and looked for: people who are there twice, and others. The time
is that of one search with everything that it reads, compares and audits, from one client.
"""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model_matching import Person, search_keys
from isocenter.infra import embedded_postgres
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database, jsonb
from isocenter.infra.db.migrate import migrate
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys
from tools.population import Population, Registered

SEED: Final = 7
_AT_ONCE: Final = 5_000
_ACTOR: Final = Actor.system("bench")
_FILL: Final = """
with said as (
    select * from jsonb_to_recordset(%s) as f (
           patient_key bigint, person_name text, name_normalised text, name_phonetic text,
           birth_date date, sex text, address text, phone text, birth_order int, keys int[],
           identifiers jsonb)
), patients as (
    insert into identity.patient
           (patient_key, person_name, name_normalised, name_phonetic, birth_date, sex, address,
            phone, birth_order, asserted_at, created_at, updated_at)
    select patient_key, person_name, name_normalised, name_phonetic, birth_date, sex, address,
           phone, birth_order, now(), now(), now() from said
), numbers as (
    insert into identity.patient_identifier (patient_key, assigning_authority, value, type_code)
    select patient_key, i->>0, i->>1, i->>2 from said, jsonb_array_elements(identifiers) i
        on conflict do nothing
)
insert into identity.match_profile (patient_key, keys) select patient_key, keys from said
"""


@dataclass(frozen=True, slots=True)
class MpiRun:
    """How many records there are, and how many are looked for of each sort."""

    records: int = 1_000_000
    searches: int = 2_000


@dataclass(frozen=True, slots=True)
class MpiResult:
    """What was measured.

    Attributes:
        processor_ms: that the client's own process spends on a search, at the median.
        linked_right: pairs that the system would link by itself and that are one person.
        twice: people looked for who are there twice.
        linked: of these, those that the system would link.
        asked: of these, those that the system would link or ask a person about.
        questions: pairs of two people that a person would be asked about, for each 1,000 searches.
    """

    filled_in_s: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    processor_ms: float
    linked_right: int
    linked_wrong: int
    twice: int
    linked: int
    asked: int
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
            return _measure(run, database)
        finally:
            database.close()
    finally:
        server.stop()


def _measure(run: MpiRun, database: Database) -> MpiResult:
    began = time.perf_counter()
    truth: dict[int, int] = {}
    sampled = _fill(database, run, truth)
    filled_in_s = time.perf_counter() - began
    with database.transaction() as tx:
        tx.run("analyze identity.patient, identity.match_profile, identity.patient_identifier")
        identity.refresh_name_frequencies(tx, _ACTOR)
    for key, record in sampled[:50]:  # warm caches
        _search(database, key, record.person)
    tally = _Tally(truth)
    for key, record in sampled:
        tally.add(key, record, _search(database, key, record.person))
    return tally.result(filled_in_s, run)


def _fill(database: Database, run: MpiRun, truth: dict[int, int]) -> list[tuple[int, Registered]]:
    """Write the records; gives those to look for: half of them people who are there twice."""
    chance = random.Random(SEED)  # noqa: S311 - the same searches in every run
    twice: list[tuple[int, Registered]] = []
    once: list[tuple[int, Registered]] = []
    before: Registered | None = None
    numbered = enumerate(Population(SEED).records(run.records), start=1)
    with database.transaction() as tx:  # an index is made faster at once than row by row
        tx.run("drop index identity.match_profile_keys")
    for batch in _batches(numbered):
        with database.transaction() as tx:
            tx.run(_FILL, (jsonb([_row(key, each.person) for key, each in batch]),))
        for key, record in batch:
            truth[key] = record.truth
            again = before is not None and before.truth == record.truth
            (twice if again else once).append((key, record))
            before = record
    with database.transaction() as tx:
        tx.run(
            "create index match_profile_keys on identity.match_profile using gin (keys)"
            " with (fastupdate = off)"
        )
    half = run.searches // 2
    return chance.sample(twice, min(half, len(twice))) + chance.sample(once, min(half, len(once)))


def _batches(
    numbered: Iterable[tuple[int, Registered]],
) -> Iterator[Sequence[tuple[int, Registered]]]:
    remaining = iter(numbered)
    while batch := list(islice(remaining, _AT_ONCE)):
        yield batch


def _row(key: int, person: Person) -> dict[str, Any]:
    name = person.names[0]
    return {
        "patient_key": key,
        "person_name": name,
        "name_normalised": person_name_key(name),
        "name_phonetic": " ".join(phonetic_keys(name)),
        "birth_date": person.birth_date.isoformat() if person.birth_date else None,
        "sex": person.sex,
        "address": person.address,
        "phone": person.phone,
        "birth_order": person.birth_order,
        "keys": sorted(search_keys(person)),
        "identifiers": [[i.assigning_authority, i.value, i.type_code] for i in person.identifiers],
    }


@dataclass(frozen=True, slots=True)
class _Found:
    elapsed_s: float
    processor_s: float
    candidates: Sequence[identity.Candidate]


def _search(database: Database, key: int, person: Person) -> _Found:
    began, processor_began_s = time.perf_counter(), time.process_time()
    with database.transaction() as tx:
        found = identity.candidates(tx, _ACTOR, person, limit=11, now=utc_now())
    elapsed_s = time.perf_counter() - began
    processor_s = time.process_time() - processor_began_s
    return _Found(
        elapsed_s, processor_s, [each for each in found if each.patient.patient_key != key]
    )


class _Tally:
    """Counts what was found against what is true."""

    def __init__(self, truth: dict[int, int]) -> None:
        self._truth = truth
        self._times_ms: list[float] = []
        self._processor_ms: list[float] = []
        self._counts = dict.fromkeys(("right", "wrong", "twice", "linked", "asked", "questions"), 0)
        self._people: dict[int, int] = {}
        for person in truth.values():
            self._people[person] = self._people.get(person, 0) + 1

    def add(self, key: int, record: Registered, found: _Found) -> None:
        """Count one search."""
        self._times_ms.append(found.elapsed_s * 1000)
        self._processor_ms.append(found.processor_s * 1000)
        is_twice = self._people[record.truth] > 1
        self._counts["twice"] += is_twice
        linked = asked = False
        for each in found.candidates:
            same = self._truth[each.patient.patient_key] == record.truth
            if each.assessment.is_certain:
                self._counts["right" if same else "wrong"] += 1
                linked = linked or same
            if each.assessment.is_candidate:
                asked = asked or same
                self._counts["questions"] += not same
        self._counts["linked"] += linked and is_twice
        self._counts["asked"] += asked and is_twice

    def result(self, filled_in_s: float, run: MpiRun) -> MpiResult:
        """The figures."""
        cuts = quantiles(self._times_ms, n=100)
        return MpiResult(
            filled_in_s=filled_in_s,
            median_ms=median(self._times_ms),
            p95_ms=cuts[94],
            p99_ms=cuts[98],
            processor_ms=median(self._processor_ms),
            linked_right=self._counts["right"],
            linked_wrong=self._counts["wrong"],
            twice=self._counts["twice"],
            linked=self._counts["linked"],
            asked=self._counts["asked"],
            questions=self._counts["questions"] * 1000 / max(run.searches, 1),
        )
