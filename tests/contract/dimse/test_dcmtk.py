"""DCMTK's tools as peers, in both directions."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import scu
from isocenter.standards.dicom.part10 import parse_file_meta
from isocenter.standards.dicom.values import DataSet

pytestmark = [
    pytest.mark.peer("dcmtk"),
    pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed"),
]
# Without it DCMTK stalls 40 ms per object.
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin", "TCP_NODELAY": "1"}
# One file for each transfer syntax that DCMTK can propose.
FILES = {
    "CT_small.dcm": "-x=",
    "MR_small_implicit.dcm": "-xi",
    "MR_small_bigendian.dcm": "-xb",
    "image_dfl.dcm": "-xd",
    "JPEG2000.dcm": "-xw",
    "MR_small_jp2klossless.dcm": "-xv",
    "SC_rgb_jpeg_lossy_gdcm.dcm": "-xy",
    "MR_small_jpeg_ls_lossless.dcm": "-xt",
    "MR_small_RLE.dcm": "-xr",
    "SC_rgb_jpeg_gdcm.dcm": "-xs",
    "reportsi.dcm": "-xe",
    "waveform_ecg.dcm": "-xe",
}


def call(program: str, port: int, *options: str, title="SCU", called="ARCHIVE", files=()):
    """Runs a DCMTK tool against a port: its exit code and all that it says."""
    target = ["-aet", title, "-aec", called, "127.0.0.1", str(port)]
    result = subprocess.run(
        [program, "-v", *options, *target, *files],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def test_echoscu_is_answered(running):
    code, output = call("echoscu", running.port)
    assert code == 0, output
    assert "Received Echo Response (Success)" in output


def test_an_unknown_caller_is_refused_and_remembered(running):
    code, output = call("echoscu", running.port, title="STRANGER")
    assert code != 0
    assert "Calling AE Title Not Recognized" in output
    (caller,) = running.policy.unknown
    assert (caller.calling_ae_title, caller.address) == ("STRANGER", "127.0.0.1")


def test_a_wrong_called_title_is_refused_before_the_policy_is_asked(running):
    _, output = call("echoscu", running.port, title="STRANGER", called="NOBODY")
    assert "Called AE Title Not Recognized" in output
    assert running.policy.unknown == []


def test_an_allow_list_that_cannot_be_read_is_congestion(running):
    class Away(IsocenterError):
        kind = Kind.UNAVAILABLE

    running.policy.failure = Away("the database is away")
    _, output = call("echoscu", running.port)
    assert "Temporary Congestion" in output


@pytest.mark.parametrize(("name", "option"), FILES.items())
def test_storescu_stores_each_transfer_syntax_as_it_is(running, name, option):
    path = Path(str(get_testdata_file(name, download=False)))
    code, output = call("storescu", running.port, option, files=[str(path)])
    assert code == 0, output
    (arrival,) = running.archive.arrivals
    instance = arrival.instance
    sent = pydicom.dcmread(path)
    assert instance.transfer_syntax_uid == sent.file_meta.TransferSyntaxUID
    stored = running.store.read(instance.blob_key)
    assert len(stored) == instance.size_bytes
    (file,) = running.files()
    received = pydicom.dcmread(file)
    assert received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert received.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    assert received.file_meta.SourceApplicationEntityTitle == "SCU"
    if "PixelData" in sent:
        assert received.PixelData == sent.PixelData
    assert received.PatientID == sent.PatientID
    assert instance.attributes[0x00100020] == sent.PatientID
    assert instance.attributes[0x0020000D] == sent.StudyInstanceUID
    assert instance.calling_ae_title == "SCU"


def test_frames_are_found_where_they_are(running):
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    assert call("storescu", running.port, files=[str(path)])[0] == 0
    path = Path(str(get_testdata_file("MR_small_RLE.dcm", download=False)))
    assert call("storescu", running.port, "-xr", files=[str(path)])[0] == 0
    native, encapsulated = (arrival.instance for arrival in running.archive.arrivals)
    sent = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False)).PixelData
    start, length = (int.from_bytes(native.frame_ranges[at : at + 8], "little") for at in (0, 8))
    assert running.store.read(native.blob_key, start, length) == sent
    at = native.pixel_data_offset
    assert running.store.read(native.blob_key, at, 4) == b"\xe0\x7f\x10\x00"
    start, length = (
        int.from_bytes(encapsulated.frame_ranges[at : at + 8], "little") for at in (0, 8)
    )
    frame = running.store.read(encapsulated.blob_key, start, length)
    sent = pydicom.dcmread(path)
    assert frame == next(pydicom.encaps.generate_frames(sent.PixelData, number_of_frames=1))


def test_a_peer_that_may_only_query_cannot_store(running):
    path = str(get_testdata_file("CT_small.dcm", download=False))
    code, output = call("storescu", running.port, title="READER", files=[path])
    assert code != 0
    assert "No Acceptable Presentation Contexts" in output
    assert running.archive.arrivals == []


def matches(request):
    for number in range(3):
        answer = DataSet()
        answer.put("SpecificCharacterSet", "ISO_IR 192")
        answer.put("QueryRetrieveLevel", "STUDY")
        answer.put("StudyInstanceUID", f"1.2.3.{number}")
        answer.put("PatientName", "Phant\u00f6m^Ada")
        yield answer


def test_findscu_gets_all_matches(running):
    running.answers.matches = matches
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "PatientName=PH*"]
    code, output = call("findscu", running.port, "-S", *keys)
    assert code == 0, output
    assert all(f"1.2.3.{number}" in output for number in range(3))
    assert "Received Final Find Response (Success)" in output
    (request,) = running.answers.requests
    assert request.identifier.text(0x00100010) == "PH*"
    assert request.identifier.text(0x00080052) == "STUDY"
    assert request.grant.peer_name == "SCU"


def test_findscu_asks_for_the_worklist(running):
    running.answers.matches = matches
    _, output = call("findscu", running.port, "-W", "-k", "PatientName")
    assert "1.2.3.2" in output
    assert running.answers.requests[0].sop_class_uid == "1.2.840.10008.5.1.4.31"


def test_findscu_cancels(running):
    closed = []

    def endless(request):
        number = 0
        try:
            while True:
                number += 1
                answer = DataSet()
                answer.put("StudyInstanceUID", f"1.2.{number}")
                answer.put("StudyDescription", "x" * 60)
                yield answer
        finally:
            closed.append(number)

    running.answers.matches = endless
    keys = ["-k", "QueryRetrieveLevel=STUDY"]
    _, output = call("findscu", running.port, "-S", "--cancel", "5", *keys)
    assert "Cancel: MatchingTerminatedDueToCancelRequest" in output, output[-2000:]
    assert closed


@pytest.fixture
def storescp(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "storescp"
    folder.mkdir()
    process = subprocess.Popen(
        ["storescp", "-q", "-od", str(folder), "-aet", "STORESCP", str(port)],
        env=ENVIRONMENT,
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    yield port, folder
    process.terminate()
    process.wait(10)


def peer(port: int, **changes) -> scu.Peer:
    values = {
        "host": "127.0.0.1",
        "port": port,
        "called_ae_title": "STORESCP",
        "calling_ae_title": "ISOCENTER",
        "timeout_s": 10.0,
    }
    return scu.Peer(**(values | changes))


def test_our_echo_is_answered_by_storescp(storescp):
    port, _ = storescp
    assert asyncio.run(scu.echo(peer(port))).status == 0


def test_our_store_reaches_storescp(storescp):
    port, folder = storescp
    items = []
    for name in ("CT_small.dcm", "MR_small.dcm"):
        data = Path(str(get_testdata_file(name, download=False))).read_bytes()
        meta = parse_file_meta(data)
        view = memoryview(data)[meta.dataset_offset :]
        pieces = [view[at : at + 10000] for at in range(0, len(view), 10000)]
        items.append(
            scu.StoreItem(
                meta.media_storage_sop_class_uid,
                meta.media_storage_sop_instance_uid,
                meta.transfer_syntax_uid,
                pieces,
            )
        )
    statuses = asyncio.run(scu.store(peer(port), items))
    assert all(status.is_done for status in statuses)
    stored = {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    assert stored == {item.sop_instance_uid for item in items}


def test_nobody_at_the_port_is_a_named_failure():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(scu.PeerUnreachable):
            asyncio.run(scu.echo(peer(port, timeout_s=2.0)))


def test_a_service_that_the_peer_lacks_is_a_named_failure(storescp):
    port, _ = storescp
    with pytest.raises(scu.ContextNotAccepted):
        asyncio.run(scu.find(peer(port), "1.2.840.10008.5.1.4.1.2.2.1", DataSet()))
