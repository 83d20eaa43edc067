"""The receivers of the C-STORE bench, each started in its own empty folder and stopped again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

READY_S = 60.0
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}  # without it DCMTK peers stall 40 ms per object


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running C-STORE receiver."""

    name: str
    ae_title: str
    port: int
    process_id: int
    hl7_port: int = 0


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int) -> None:
    """Return when ``port`` answers; raise when it does not in time."""
    deadline = time.monotonic() + READY_S
    while not _listens(port):
        if time.monotonic() > deadline:
            raise TimeoutError(port)
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when ``port`` answers; raise when ``process`` ends or does not listen in time."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            message = (
                f"{process.args!r} ended with {process.returncode}:\n{log.read_text()[-2000:]}"
            )
            raise RuntimeError(message)
        if _listens(port):
            return
        time.sleep(0.05)
    raise TimeoutError(port)


@contextmanager
def running(command: list[str], *, folder: Path, port: int, **environment: str) -> Generator[int]:
    """Run ``command`` in ``folder`` once ``port`` answers until the block ends; its process id."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=ENVIRONMENT | environment
        )
        try:
            wait_for_port(port, process, folder / "log")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def program(name: str) -> str:
    """Return where a peer's program is."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise FileNotFoundError(name)
    return found


@contextmanager
def storescp(folder: Path) -> Generator[Receiver]:
    """Run DCMTK's storescp: it writes each object to a file and indexes nothing."""
    port, out = free_port(), folder / "objects"
    out.mkdir(parents=True)
    command = [program("storescp"), "--max-pdu", "131072", "-od", str(out), "-aet", "PEER"]
    with running([*command, "--fork", str(port)], folder=folder, port=port) as process_id:
        yield Receiver("DCMTK storescp", "PEER", port, process_id)


@contextmanager
def orthanc(folder: Path) -> Generator[Receiver]:
    """Run Orthanc with its own defaults: SQLite index, files on disk."""
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "Name": "bench",
        "StorageDirectory": str(folder / "objects"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "DicomCheckCalledAet": False,
        "RemoteAccessAllowed": False,
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    command = [program("Orthanc"), str(configuration)]
    with running(command, folder=folder, port=port) as process_id:
        yield Receiver("Orthanc", "ORTHANC", port, process_id)


@contextmanager
def isocenter(folder: Path) -> Generator[Receiver]:
    """Run our own product as a user would (`serve`), with one DICOM and one HL7 peer allowed."""
    folder.mkdir(parents=True)
    port, hl7_port = free_port(), free_port()
    environment = {
        "ISOCENTER_HOME": str(folder / "home"),
        "ISOCENTER_DICOM_PORT": str(port),
        "ISOCENTER_HL7_PORT": str(hl7_port),
        "ISOCENTER_HTTP_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "isocenter"]
    peer = ["--host", "127.0.0.1", "--port"]
    add_dicom = ["peer", "add", "dicom", "BENCH", "--ae-title", "BENCH", *peer, "11113"]
    add_hl7 = ["peer", "add", "hl7", "BENCHEHR", *peer, "2576", "--receive", "adt,orm"]
    for arguments in (["migrate"], [*add_dicom, "--allow", "store"], add_hl7):
        subprocess.run(
            [*command, *arguments], env=ENVIRONMENT | environment, check=True, capture_output=True
        )
    ready = running([*command, "serve"], folder=folder, port=hl7_port, **environment)
    with ready as process_id:
        wait_until_listening(port)
        yield Receiver("Isocenter", "ISOCENTER", port, process_id, hl7_port)


def peak_resident_mb(process_id: int) -> dict[str, float]:
    """Return the peak resident memory, in MB, of each dimse process below ``process_id``."""
    peaks: dict[str, float] = {}
    for child in descendants(process_id):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            status = Path(f"/proc/{child}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # a database process that ended just now
            continue
        if re.search(r"\brun dimse\b", command):
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            peaks[f"dimse {child}"] = int(peak[1]) / 1024 if peak else 0.0
    return peaks


def descendants(process_id: int) -> Iterator[int]:
    """Yield the processes below ``process_id``, without those that have ended."""
    for child in _children(process_id):
        yield child
        yield from descendants(child)


def _children(process_id: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{process_id}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended just now
                found += map(int, (task / "children").read_text().split())
    return found
