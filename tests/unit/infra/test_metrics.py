"""Numbers of one process, and of several together."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from isocenter.infra import metrics

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def write(directory: Path, process: str, text: str, *, age: timedelta = timedelta()) -> None:
    path = directory / f"{process}.prom"
    path.write_text(text)
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_process_tells_its_own_numbers() -> None:
    metrics.counter("unit_test_things", "Things counted by a test.", ["kind"]).labels("x").inc(3)
    found = samples(metrics.exposition())
    assert found["isocenter_unit_test_things_total", "kind=x"] == 3
    assert ("process_resident_memory_bytes",) in found


def test_processes_are_told_apart_when_merged(tmp_path: Path) -> None:
    text = '# HELP a_total Things.\n# TYPE a_total counter\na_total{{k="v"}} {}\n'
    write(tmp_path, "dimse-1", text.format(1))
    write(tmp_path, "dimse-2", text.format(2))
    merged = metrics.merged(tmp_path, now=NOW)
    assert samples(merged) == {
        ("a_total", "k=v", "process=dimse-1"): 1,
        ("a_total", "k=v", "process=dimse-2"): 2,
    }
    assert merged.count(b"# TYPE a_total counter") == 1


def test_histograms_survive_merging(tmp_path: Path) -> None:
    text = (
        "# HELP h Seconds.\n# TYPE h histogram\n"
        'h_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 2\nh_count 2\nh_sum 3.5\n'
    )
    write(tmp_path, "web", text)
    found = samples(metrics.merged(tmp_path, now=NOW))
    assert found["h_bucket", "le=1.0", "process=web"] == 1
    assert found["h_sum", "process=web"] == 3.5


def test_what_a_dead_process_left_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "dead", "# TYPE a gauge\na 1\n", age=timedelta(minutes=5))
    assert metrics.merged(tmp_path, now=NOW) == b""


def test_a_publisher_writes_and_takes_away(tmp_path: Path) -> None:
    publisher = metrics.Publisher(tmp_path / "run", "worker-1")
    (path,) = (tmp_path / "run").iterdir()
    assert path.name == "worker-1.prom"
    assert b"process_resident_memory_bytes" in path.read_bytes()
    publisher.close()
    assert list((tmp_path / "run").iterdir()) == []
