"""PixelMed's Java toolkit stores."""

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

JAR = Path("/usr/share/java/pixelmed.jar")
PEER = Path(__file__).parents[1] / "query_retrieve/PixelMedPeer.java"


def test_it_stores(running, tmp_path):
    if shutil.which("javac") is None or not JAR.exists():
        pytest.skip("PixelMed's toolkit is not installed")
    path = get_testdata_file("CT_small.dcm", download=False)
    words = ["java", "-cp", JAR, PEER, str(running.port), "ARCHIVE", "SCU", tmp_path]
    done = subprocess.run([*words, "store", path], capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["stored", "done"], done.stderr[-2000:]
    (arrival,) = running.archive.arrivals
    kept = tmp_path / "kept.dcm"
    kept.write_bytes(running.store.read(arrival.instance.blob_key))
    assert pydicom.dcmread(kept) == pydicom.dcmread(path)
