"""A small file system that fills up: refused before it is full, taken again when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isocenter.app.import_sources import sources
from isocenter.app.importing import Importer, ImportLimits, ImportReport, StorageNearlyFull
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from tests.dicomweb_server import SYSTEM, DicomwebServer, file_store
from tests.hospital import a_slice

SIZE_BYTES, FREE_BYTES_MIN = 8 << 20, 2 << 20
A700 = 0xA700


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("this machine lets nobody mount")
    if done.returncode:
        pytest.skip("this user may not mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def server(database: Database, small_disk: Path) -> Iterator[DicomwebServer]:
    blobs = file_store(small_disk)
    made = DicomwebServer(database, blobs, DicomwebOptions(free_bytes_min=FREE_BYTES_MIN))
    yield made
    made.stop()


def slices(*indices: int) -> list[bytes]:
    return [a_slice("A1", 1, each, name="Phantom^Ada", study_uid="2.25.3") for each in indices]


def test_a_disk_that_fills_up_refuses_in_time_and_recovers(
    server: DicomwebServer, small_disk: Path, tmp_path: Path
):
    ballast = small_disk / "ballast"
    free = server.blobs.free_bytes()
    assert free is not None
    ballast.write_bytes(bytes(free - FREE_BYTES_MIN - 20_000))  # room for two slices
    answer = server.store(*slices(1, 2, 3, 4, 5))
    assert answer.status_code == 202
    body = answer.json()
    stored = body["00081199"]["Value"]
    failed = body["0008119A"]["Value"]
    assert len(stored) + len(failed) == 5
    assert 1 <= len(stored) <= 3
    assert {each["00081197"]["Value"][0] for each in failed} == {A700}
    assert server.blobs.free_bytes() > FREE_BYTES_MIN - 50_000

    refused = server.store(*slices(6))
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "7.dcm").write_bytes(slices(7)[0])
    limits = ImportLimits(object_bytes_max=1 << 30, free_bytes_min=FREE_BYTES_MIN)
    report = ImportReport()
    importer = Importer(
        server.database,
        server.blobs,
        SYSTEM,
        utc_now,
        limits,
        on_progress=lambda so_far: None,
        on_refused=lambda name, reason: None,
    )
    with pytest.raises(StorageNearlyFull):
        importer.run(sources([folder]), report)

    ballast.unlink()
    assert server.store(*slices(1, 2, 3, 4, 5, 6)).status_code == 200
    importer.run(sources([folder]), report)
    assert report.stored == 1
    assert len(server.get("/instances").json()) == 7
