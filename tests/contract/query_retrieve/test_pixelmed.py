"""PixelMed's Java toolkit asks and receives, a network stack of its own."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from tests.contract.query_retrieve.conftest import free_port
from tests.contract.query_retrieve.test_dcmtk import CT_STUDY

JAR = Path("/usr/share/java/pixelmed.jar")
PEER = Path(__file__).with_name("PixelMedPeer.java")


@pytest.fixture
def pixelmed(tmp_path):
    """What the peer says when it does these operations, a line each."""
    if shutil.which("javac") is None or not JAR.exists():
        pytest.skip("PixelMed's toolkit is not installed")

    def run(port: int, calling: str, *operations: str) -> list[str]:
        words = ["java", "-cp", JAR, PEER, str(port), "ARCHIVE", calling, tmp_path, *operations]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()

    return run


def test_it_echoes_finds_gets_and_is_moved_to(archived, pixelmed, tmp_path):
    port = free_port()
    archived.meet("SCU", port)
    stored = archived.files["CT_small.dcm"]
    ct = pydicom.dcmread(BytesIO(stored))
    said = pixelmed(
        archived.port, "SCU", "echo", "find", "1CT1", "get", CT_STUDY, "move", CT_STUDY, str(port)
    )
    assert [line.partition(" ")[0] for line in said] == [
        "echoed", "found", "received", "got", "received", "moved", "done",
    ]  # fmt: skip
    assert said[1] == f"found {CT_STUDY} {ct.PatientName}"
    assert pydicom.dcmread(tmp_path / str(ct.SOPInstanceUID)) == ct
