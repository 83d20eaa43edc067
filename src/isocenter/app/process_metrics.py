"""Every process leaves its figures in a file under the home; the web role gives them all out.

No process answers for another's memory: a scraper asks one address and gets all of this machine.
"""

import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import generate_latest

from isocenter.app.readiness import is_alive
from isocenter.app.settings import Settings

_EVERY_S = 5.0
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


@contextmanager
def exposed(settings: Settings, role: str) -> Generator[None]:
    """Keep this process's file current for as long as the block lasts, then remove it."""
    folder = settings.run_folder / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{role}-{os.getpid()}.prom"
    stop = threading.Event()

    def write() -> None:
        while True:
            fresh = file.with_suffix(".new")
            fresh.write_bytes(generate_latest())
            fresh.replace(file)
            if stop.wait(_EVERY_S):
                return

    writer = threading.Thread(target=write, name="metrics", daemon=True)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
        file.unlink(missing_ok=True)


def merged(settings: Settings) -> str:
    """The figures of all living processes in Prometheus' text format, with a ``process`` label."""
    families: dict[str, list[str]] = {}
    for file in sorted((settings.run_folder / "metrics").glob("*.prom")):
        process, _, pid = file.stem.rpartition("-")
        if is_alive(int(pid)):
            _add(families, file, f'process="{process}-{pid}"')
        else:
            file.unlink(missing_ok=True)
    return "".join(line for lines in families.values() for line in lines)


def _add(families: dict[str, list[str]], file: Path, label: str) -> None:
    """Add a file's samples to their families; HELP and TYPE are said once for each."""
    family = ""
    for line in _lines(file):
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            if family not in families:
                families[family] = [f"{line}\n"]
        elif line.startswith("# TYPE "):
            lines = families.setdefault(family, [])
            if not any(each.startswith("# TYPE ") for each in lines):
                lines.append(f"{line}\n")
        else:
            sample = _SAMPLE.match(line)
            if sample:
                labels = ",".join(filter(None, (label, sample["labels"])))
                families.setdefault(family, []).append(
                    f"{sample['name']}{{{labels}}} {sample['value']}\n"
                )


def _lines(file: Path) -> Iterator[str]:
    try:
        yield from file.read_text("utf-8").splitlines()
    except OSError:
        return  # its process ended just now
