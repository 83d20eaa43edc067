"""Objects of hundreds of megabytes pass through without being held in memory."""

import hashlib
import http.client
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from isocenter.domain.access.model import Role
from isocenter.infra.db import Database
from tests.dicomweb_server import BOUNDARY, MULTIPART, DicomwebServer, file_store
from tests.hospital import a_slice

# 3814 is a good value for somebody who has two minutes and 5 GB of room.
SIZE_BYTES = int(os.environ.get("ISOCENTER_TEST_LARGE_MIB", "300")) << 20  # noqa: TID251 - a switch of the tests
CHUNK_BYTES = 1 << 20
GROWTH_BYTES_MAX = 48 << 20
INSTANCE = "/dicomweb/studies/1.2/series/1.2.1/instances/1.2.1.1"


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[DicomwebServer]:
    made = DicomwebServer(database, file_store(tmp_path / "objects"))
    yield made
    made.stop()


def large_object() -> Iterator[bytes]:
    """A file of many frames, a piece at a time."""
    ds = pydicom.dcmread(io.BytesIO(a_slice("A1", 1, 1, name="Phantom^Ada", study_uid="1.2")))
    frame = ds.PixelData
    count = SIZE_BYTES // len(frame)
    ds.NumberOfFrames = count
    stream = io.BytesIO()
    ds.save_as(stream)
    head = stream.getvalue().removesuffix(frame)
    yield head[:-4] + (count * len(frame)).to_bytes(4, "little")
    for _ in range(count * len(frame) // CHUNK_BYTES):
        yield frame * (CHUNK_BYTES // len(frame))


def peak_bytes() -> int:
    """The most memory that this process has held since ``forget_peak``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def forget_peak() -> int:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not let the peak be measured")
    return peak_bytes()


def test_a_large_object_is_streamed_in_and_out(server):
    digest, size = hashlib.sha256(), 0

    def body() -> Iterator[bytes]:
        nonlocal size
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        for piece in large_object():
            digest.update(piece)
            size += len(piece)
            yield piece
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    token = {"Authorization": f"Bearer {server.token(Role.ADMINISTRATOR)}"}
    before = forget_peak()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request(
        "POST", "/dicomweb/studies", body=body(), headers={**token, "Content-Type": MULTIPART}
    )
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read()
    assert size > SIZE_BYTES - CHUNK_BYTES
    stored = peak_bytes() - before
    assert stored < GROWTH_BYTES_MAX

    before = forget_peak()
    for accept in ("application/dicom", "multipart/related; type=application/dicom"):
        found, received = hashlib.sha256(), 0
        connection.request("GET", INSTANCE, headers={**token, "Accept": accept})
        answer = connection.getresponse()
        assert answer.status == 200
        while piece := answer.read(CHUNK_BYTES):
            found.update(piece)
            received += len(piece)
        assert received >= size
        if accept == "application/dicom":
            assert found.digest() == digest.digest()
    assert peak_bytes() - before < GROWTH_BYTES_MAX
    # Frames in the middle of it are range reads.
    connection.request("GET", INSTANCE + "/frames/30000", headers={**token, "Accept": "*/*"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert len(answer.read()) < 3 * 64 * 64 * 2
    assert peak_bytes() - before < GROWTH_BYTES_MAX
    connection.close()


def test_frames_in_fragments_of_a_large_object_are_found(server):
    frames = [b"\xff\xd8" + number.to_bytes(4, "big") + bytes(65_530) for number in range(1100)]
    ds = pydicom.dcmread(io.BytesIO(a_slice("A1", 1, 1, name="Phantom^Ada", study_uid="1.2")))
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.NumberOfFrames = len(frames)
    ds.PixelData = encapsulate(frames, fragments_per_frame=2)
    ds["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    ds.save_as(stream)
    assert server.store(stream.getvalue()).status_code == 200
    path = INSTANCE.removeprefix("/dicomweb") + "/frames/"
    for number in (1000, 1, 1100):
        answer = server.get(f"{path}{number}", "image/jpeg")
        assert answer.status_code == 200
        assert answer.content == frames[number - 1]
    assert server.get(f"{path}1101").status_code == 404
