"""What archives do once images are there: metadata, frames, searches, C-FIND and C-MOVE.

Each archive gets the same objects from ``storescu``, is asked the same by the same clients, one
archive after the other, and must give the same number of answers: 4 HTTP clients at a time that
keep their connections; ``findscu`` and ``movescu`` over one association. The first requests of a
kind, which fill caches, are not counted; who is quick is asked more often, for about a second.
"""

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

from tools.bench import archive_data, archive_peers, objects
from tools.bench.archive_data import SEARCHES, Study, keys_of
from tools.bench.archive_peers import CALLER, Archive
from tools.bench.receivers import ENVIRONMENT, free_port, program

CLIENTS: Final = 4
_TIMEOUT_S: Final = 120.0
_LEAST_S: Final = 1.0
_TIMES_MAX: Final = 50
_JSON: Final = "application/dicom+json"
_FRAMES: Final = 'multipart/related; type="application/octet-stream"'
_SHORT, _LONG = 1, 2  # the series of 512x512 images, by number
_ARCHIVES: Final[Sequence[Callable[[Path, int], AbstractContextManager[Archive]]]] = (
    archive_peers.orthanc,
    archive_peers.isocenter,
)


@dataclass(frozen=True, slots=True)
class ArchiveRun:
    """How much is stored and asked.

    Attributes:
        short_series: instances of the series whose metadata, frames and C-MOVE are measured.
        long_series: instances of the series whose metadata alone is measured.
        studies: further studies, for searches.
        metadata: requests for the metadata of the short series; of the long one a quarter of it.
        frames: requests for one frame.
        searches: searches of each class, by QIDO-RS and by C-FIND.
        repeats: of everything.
    """

    short_series: int = 100
    long_series: int = 1000
    studies: int = 500
    metadata: int = 16
    frames: int = 100
    searches: int = 100
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Rates:
    """Operations per second of one archive by what was asked; of each repetition one."""

    archive: str
    per_second: Mapping[str, Sequence[float]]

    def median_of(self, what: str) -> float | None:
        """The median over the repetitions; None when it was not measured."""
        found = self.per_second.get(what)
        return median(found) if found else None


@dataclass(frozen=True, slots=True)
class _Stored:
    """What was sent to every archive."""

    folders: Sequence[Path]
    studies: Sequence[Study]


def measure(run: ArchiveRun, *, source: Path, folder: Path) -> list[Rates]:
    """The rates of each archive, ours last; each starts empty.

    Raises:
        RuntimeError: an archive answers otherwise than it should.
    """
    stored = _write(run, source)
    results: list[Rates] = []
    try:
        for start in _ARCHIVES:
            results.append(_measure_one(start, run, stored, folder / start.__name__))
            shutil.rmtree(folder / start.__name__)
    finally:
        shutil.rmtree(source)
    return results


def _write(run: ArchiveRun, source: Path) -> _Stored:
    short, long, small = (source / each for each in ("short", "long", "small"))
    objects.write_series(short, series=_SHORT, count=run.short_series)
    objects.write_series(long, series=_LONG, count=run.long_series)
    studies = archive_data.write_studies(small, run.studies)
    return _Stored((short, long, small), studies)


def _measure_one(
    start: Callable[[Path, int], AbstractContextManager[Archive]],
    run: ArchiveRun,
    stored: _Stored,
    folder: Path,
) -> Rates:
    move_port = free_port()
    rates: dict[str, list[float]] = {}
    with (
        archive_peers.destination(folder / "destination", move_port) as received,
        start(folder / "archive", move_port) as archive,
    ):
        for part in stored.folders:
            call(archive, "storescu", "--max-send-pdu", "131072", "+sd", files=[part])
        os.sync()
        for what, count, work in _work(archive, run, stored, received):
            work(1)
            # A C-MOVE is of one series, whatever the count.
            times = 1 if what.startswith("C-MOVE") else _times(_elapsed_s(work, count))
            for _ in range(run.repeats):
                elapsed_s = _elapsed_s(work, count * times)
                rates.setdefault(what, []).append(count * times / elapsed_s)
    return Rates(archive.name, rates)


def _times(elapsed_s: float) -> int:
    """How often as much fills a second: a time of milliseconds is mostly that of beginning."""
    return max(1, min(_TIMES_MAX, int(_LEAST_S / elapsed_s)))


def _elapsed_s(work: Callable[[int], object], count: int) -> float:
    began = time.perf_counter()
    work(count)
    return time.perf_counter() - began


_Work = tuple[str, int, Callable[[int], object]]


def _work(archive: Archive, run: ArchiveRun, stored: _Stored, received: Path) -> Iterator[_Work]:
    """What is asked: its name, how many operations, and what does so many of them."""
    if archive.web_root:
        yield from _web_work(archive, run, stored)
    for search in SEARCHES:
        keys = keys_of(search, stored.studies[0])
        expected = _matching(stored.studies, keys)
        _check_find(archive, keys, expected)
        yield f"C-FIND by {search}", run.searches, lambda n, keys=keys: _find(archive, keys, n)
    yield (
        f"C-MOVE, images of {run.short_series}",
        run.short_series,
        lambda _: _move(archive, received, run.short_series),
    )


def _web_work(archive: Archive, run: ArchiveRun, stored: _Stored) -> Iterator[_Work]:
    for series, count in ((_SHORT, run.short_series), (_LONG, run.long_series)):
        path = f"{_series_path(series)}/metadata"
        _check_web(archive, path, count)
        requests = run.metadata if series == _SHORT else max(CLIENTS, run.metadata // 4)
        yield f"metadata of {count} instances", requests, _getting(archive, [path], _JSON)
    frames = [
        f"{_series_path(_SHORT)}/instances/{objects.uid(objects.INSTANCE, _SHORT, number)}/frames/1"
        for number in range(run.short_series)
    ]
    yield "frames of 512x512 raw", run.frames, _getting(archive, frames, _FRAMES)
    for search in SEARCHES:
        paths: list[str] = []
        for study in stored.studies:
            keys = keys_of(search, study)
            paths.append(f"/studies?{urlencode(keys, safe='*')}")
        _check_web(archive, paths[0], _matching(stored.studies, keys_of(search, stored.studies[0])))
        yield f"QIDO by {search}", run.searches, _getting(archive, paths, _JSON)


def _series_path(series: int) -> str:
    study_uid, series_uid = objects.uid(objects.STUDY, series), objects.uid(objects.SERIES, series)
    return f"/studies/{study_uid}/series/{series_uid}"


def _matching(studies: Sequence[Study], keys: Mapping[str, str]) -> int:
    """How many studies are found by ``keys``, by looking at all."""
    search = next(name for name, keywords in SEARCHES.items() if set(keywords) == set(keys))
    return sum(keys_of(search, each) == keys for each in studies)


def _getting(archive: Archive, paths: Sequence[str], accept: str) -> Callable[[int], None]:
    """What makes so many GET requests, path after path, by several clients."""

    def get(count: int) -> None:
        shared = list(islice(cycle(paths), count))
        portions = [shared[number::CLIENTS] for number in range(CLIENTS)]
        failures: list[str] = []
        clients = [
            threading.Thread(target=_client, args=(archive, portion, accept, failures))
            for portion in portions
            if portion
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        if failures:
            raise RuntimeError(f"{archive.name}: {failures[0]}")

    return get


def _client(archive: Archive, paths: Sequence[str], accept: str, failures: list[str]) -> None:
    try:
        for path, (status, _) in zip(paths, answers(archive, paths, accept), strict=True):
            if status != http.client.OK:
                failures.append(f"{path} is answered with {status}")
    except (OSError, http.client.HTTPException) as error:
        failures.append(repr(error))


def answers(archive: Archive, paths: Sequence[str], accept: str) -> Iterator[tuple[int, bytes]]:
    """Status and body of each path, over one connection while the archive keeps it."""
    connection = http.client.HTTPConnection("127.0.0.1", archive.http_port, timeout=_TIMEOUT_S)
    try:
        for path in paths:
            headers = {"Accept": accept, **archive.headers}
            connection.request("GET", archive.web_root + path, headers=headers)
            response = connection.getresponse()
            yield response.status, response.read()
    finally:
        connection.close()


def _check_web(archive: Archive, path: str, expected: int) -> None:
    ((status, body),) = answers(archive, [path], _JSON)
    found: list[Any] = json.loads(body) if body else []
    if len(found) != expected:
        raise RuntimeError(
            f"{archive.name}: {path}: {len(found)} objects, status {status}; {expected} expected"
        )


def _check_find(archive: Archive, keys: Mapping[str, str], expected: int) -> None:
    said = _find(archive, keys, 1, "-v")
    found = said.count("Find Response:")
    if found != expected:
        message = f"{archive.name}: C-FIND by {keys}: {found} matches; {expected} expected"
        raise RuntimeError(message)


def _find(archive: Archive, keys: Mapping[str, str], count: int, *options: str) -> str:
    returned = dict.fromkeys(("StudyInstanceUID", "PatientID", "PatientName", "StudyDate"), "")
    written = _identifier(QueryRetrieveLevel="STUDY", **(returned | dict(keys)))
    return call(archive, "findscu", "-S", *options, *written, "--repeat", str(count))


def _identifier(**keys: str) -> list[str]:
    """Keys as DCMTK's tools take them."""
    return [word for name, value in keys.items() for word in ("-k", f"{name}={value}")]


def _move(archive: Archive, received: Path, expected: int) -> None:
    for path in received.iterdir():
        path.unlink()
    keys = _identifier(
        QueryRetrieveLevel="SERIES",
        StudyInstanceUID=objects.uid(objects.STUDY, _SHORT),
        SeriesInstanceUID=objects.uid(objects.SERIES, _SHORT),
    )
    call(archive, "movescu", "-S", "-aem", CALLER, *keys)
    found = sum(1 for _ in received.iterdir())
    if found != expected:
        raise RuntimeError(f"{archive.name}: C-MOVE brought {found} of {expected}")


def call(archive: Archive, name: str, *options: str, files: Sequence[Path] = ()) -> str:
    """Run one of DCMTK's tools against the archive; what it said."""
    target = ["-aet", CALLER, "-aec", archive.ae_title, "127.0.0.1", str(archive.dicom_port)]
    command = [program(name), *options, *target, *map(str, files)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} to {archive.name} failed: {done.stderr[-500:]}")
    return done.stdout + done.stderr
