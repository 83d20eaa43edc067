"""A DIMSE server on a real database and store, filled with real files; peers to query and get."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.gateways.dimse.find import StudyQuery
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant, Service
from isocenter.gateways.dimse.query import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from isocenter.gateways.dimse.retrieve_plan import StudyRetrieval
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.infra.db import Database
from isocenter.infra.pools import Pool
from tests.builders import NOON

SHARED = Path(__file__).resolve().parents[4] / "shared" / "testdata" / "dicom"
# Without it DCMTK stalls 40 ms per object.
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin", "TCP_NODELAY": "1"}
FILES = (
    "CT_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
    "image_dfl.dcm",
)
SYSTEM = Actor.system("test")
# Retries are quick, and larger objects come from the store while they are sent.
_LIMITS = Limits(free_bytes_min=0, retrieve_pauses_s=(0.05, 0.1), retrieve_ahead_bytes=1 << 16)


class Policy:
    """Knows who may do everything, and who may only ask."""

    async def grant(self, caller: Caller) -> Grant | None:
        services = {
            "SCU": frozenset(Service),
            "ORTHANC": frozenset(Service),
            "READER": frozenset({Service.FIND}),
            "GETTER": frozenset({Service.GET}),
        }
        known = services.get(caller.calling_ae_title)
        return None if known is None else Grant(caller.calling_ae_title.lower(), known)

    async def record_unknown(self, caller: Caller) -> None:
        del caller


@dataclass
class Archive:
    """A running archive and what it is made of."""

    loop: asyncio.AbstractEventLoop
    database: Database
    blobs: BlobStore
    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)

    def do(self, work: Any, timeout_s: float = 30) -> Any:
        """The result of a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def keep(self, *contents: bytes) -> None:
        """Store and admit DICOM files."""
        received = [
            describe_file(
                self.blobs, self.blobs.put(each), calling_ae_title="TEST", received_at=NOON
            )
            for each in contents
        ]
        with self.database.transaction() as tx:
            archive.admit(tx, SYSTEM, received, now=NOON)

    def meet(self, title: str, port: int) -> None:
        """Make an application a peer of ours, anew when it is one."""
        with self.database.transaction() as tx:
            for each in peers.list_dicom_peers(tx, SYSTEM):
                if each.ae_title == title:
                    peers.remove_peer(tx, SYSTEM, "dicom", each.name, now=NOON)
            peer = DicomPeer(title, title, "127.0.0.1", port)
            peers.add_dicom_peer(tx, SYSTEM, peer, now=NOON)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def archived(loop, database_stock, tmp_path_factory) -> Iterator[Archive]:
    """The archive with ``FILES`` in it."""
    url = database_stock.take()
    database = Database(url)
    blobs = open_store(tmp_path_factory.mktemp("objects").as_uri())
    pool = Pool(database, threads=4)
    query = StudyQuery(pool, clock=lambda: NOON, ae_title="ARCHIVE")
    ports = Ports(
        Policy(),
        blobs,
        lambda batch: [],
        lambda: NOON,
        {PATIENT_ROOT_FIND: query, STUDY_ROOT_FIND: query},
        retrieve=StudyRetrieval(pool, clock=lambda: NOON, ae_title="ARCHIVE", tls=None),
    )
    server = DimseServer(frozenset({"ARCHIVE"}), ports, _LIMITS)
    running = Archive(loop, database, blobs)
    running.port = running.do(server.start("127.0.0.1", 0))
    for number, name in enumerate(FILES):
        running.files[name] = _unlike_others(name, number)
    running.keep(*running.files.values())
    yield running
    running.do(server.drain(0.2))
    pool.close()
    database.close()
    database_stock.give_back(url)


def _unlike_others(name: str, number: int) -> bytes:
    """A file with a SOP Instance UID of its own: some are one image in several encodings."""
    path = Path(str(get_testdata_file(name, download=False)))
    if not name.startswith("MR"):
        return path.read_bytes()
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = f"2.25.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int, timeout_s: float = 20) -> None:
    """Return once somebody accepts connections."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nobody listens")


@dataclass
class StoreScp:
    """A DCMTK storescp and the folder that it stores in."""

    port: int
    folder: Path

    def received(self) -> list[Path]:
        """The files, oldest first; those of the next test are others."""
        return sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture
def storescp(tmp_path) -> Iterator[Callable[..., StoreScp]]:
    """Starts storescp with options."""
    if shutil.which("storescp") is None:
        pytest.skip("DCMTK is not installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> StoreScp:
        port, folder = free_port(), tmp_path / f"received{len(started)}"
        folder.mkdir()
        arguments = ["storescp", "-q", "-aet", "STORESCP", "-od", str(folder), *options, str(port)]
        started.append(subprocess.Popen(arguments, env=ENVIRONMENT))
        wait_until_listening(port)
        return StoreScp(port, folder)

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def call(program: str, port: int, *options: str, title: str = "SCU") -> tuple[int, str]:
    """Runs a DCMTK tool against a port: its exit code and all that it says."""
    result = subprocess.run(
        [program, "-v", "-aet", title, "-aec", "ARCHIVE", *options, "127.0.0.1", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr
