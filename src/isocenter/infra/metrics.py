"""Numbers about this process for Prometheus, and those of all processes together.

Each process counts for itself and writes its numbers to a file every few seconds; whoever answers
``/metrics`` merges the files and tells the processes apart by a label. Labels are of few values
each: never a patient, never a UID.
"""

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from isocenter.infra.log import get_logger

log = get_logger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PREFIX = "isocenter"
_SUFFIX = ".prom"
_STALE_AFTER = timedelta(seconds=60)

registry = CollectorRegistry()
ProcessCollector(registry=registry)


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows; ``name`` without our prefix and without ``_total``."""
    return Counter(name, description, labels, namespace=_PREFIX, registry=registry)


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """A number that goes up and down."""
    return Gauge(name, description, labels, namespace=_PREFIX, registry=registry)


def histogram(
    name: str,
    description: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = SECONDS_BUCKETS,
) -> Histogram:
    """How often a size or duration (``…_seconds``, ``…_bytes``) fell into which bucket."""
    return Histogram(
        name, description, labels, namespace=_PREFIX, registry=registry, buckets=buckets
    )


def exposition() -> bytes:
    """This process's numbers in Prometheus' text format."""
    return generate_latest(registry)


class Publisher:
    """Writes this process's numbers to ``directory`` every few seconds until it is closed."""

    def __init__(self, directory: Path, process: str, *, interval_s: float = 5.0) -> None:
        """``process`` is the process's name, 'dimse-1': file name here, label value when merged."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{process}{_SUFFIX}"
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self.publish()
        self._thread.start()

    def publish(self) -> None:
        """Write the file now; readers see the old or the new one, never half of one."""
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(exposition())
        fresh.replace(self._path)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.publish()
            except OSError as error:
                log.warning("metrics_not_written", error_code=error.errno)

    def close(self) -> None:
        """Stop, and take the file away: this process has no numbers any more."""
        self._stop.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)


def merged(directory: Path, *, now: datetime) -> bytes:
    """All processes' numbers, each with the label ``process``, without those of dead ones."""
    families: dict[str, Metric] = {}
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        try:
            age_s = now.timestamp() - path.stat().st_mtime
            text = path.read_text("utf-8")
        except FileNotFoundError:
            continue
        if age_s < _STALE_AFTER.total_seconds():
            _add(families, text, path.name.removesuffix(_SUFFIX))
    together = CollectorRegistry()
    together.register(_Fixed(families.values()))
    return generate_latest(together)


class _Fixed(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _add(families: dict[str, Metric], text: str, process: str) -> None:
    for family in text_string_to_metric_families(text):
        target = families.setdefault(
            family.name, Metric(family.name, family.documentation, family.type)
        )
        for sample in family.samples:
            labels = {**sample.labels, "process": process}
            target.add_sample(sample.name, labels, sample.value)
