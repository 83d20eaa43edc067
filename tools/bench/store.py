"""C-STORE throughput: DCMTK ``storescu`` sends the same objects to each receiver in turn."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tools.bench import objects, receivers
from tools.bench.receivers import Receiver

RECEIVERS = (receivers.storescp, receivers.orthanc, receivers.isocenter)


@dataclass(frozen=True, slots=True)
class StoreRun:
    """One load: how many associations send how many objects together, how often repeated."""

    associations: int
    objects: int
    repeats: int


@dataclass(frozen=True, slots=True)
class StoreResult:
    """Seconds of each repetition for one receiver and load; peak memory where it is ours."""

    receiver: str
    run: StoreRun
    seconds: list[float]
    peak_resident_mb: dict[str, float]

    @property
    def median_s(self) -> float:
        """The median over the repetitions, in seconds."""
        return median(self.seconds)


def measure(run: StoreRun, *, source: Path, folder: Path) -> list[StoreResult]:
    """Return one result per receiver; each starts empty, repetitions bring new UIDs.

    Nobody's time includes writing to the disk what another receiver only left in memory.
    """
    folders = [
        [source / f"{repeat}-{part}" for part in range(run.associations)]
        for repeat in range(run.repeats)
    ]
    series = 0
    for repeat in folders:
        for part in repeat:
            series += 1
            objects.write_series(part, series=series, count=run.objects // run.associations)
    results: list[StoreResult] = []
    for start in RECEIVERS:
        place = folder / start.__name__
        with start(place) as receiver:
            seconds = [_send(receiver, parts) for parts in folders]
            peaks = receivers.peak_resident_mb(receiver.process_id)
            results.append(StoreResult(receiver.name, run, seconds, peaks))
        shutil.rmtree(place)
    shutil.rmtree(source)
    return results


def _send(receiver: Receiver, parts: list[Path]) -> float:
    storescu = shutil.which("storescu") or "storescu"
    target = ["-aet", "BENCH", "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)]
    command = [storescu, "--max-send-pdu", "131072", "+sd", *target]
    os.sync()
    started = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*command, str(part)],
            env=receivers.ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for part in parts
    ]
    errors = [sender.communicate()[1] for sender in senders]
    seconds = time.perf_counter() - started
    if any(sender.returncode for sender in senders):
        message = f"storescu to {receiver.name} failed: {b''.join(errors)[-500:]!r}"
        raise RuntimeError(message)
    return seconds
