"""Orthanc asks us and takes what we send; our commands ask Orthanc."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelGet,
)

from isocenter.app.cli.commands import main
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.gateways.dimse import scu_get
from isocenter.infra import log
from isocenter.infra.blobs import open_store
from isocenter.standards.dicom import uids
from tests.contract.query_retrieve.conftest import SYSTEM, free_port, wait_until_listening

_PATH = os.defpath + ":/usr/sbin:/usr/local/sbin:/usr/local/bin"
ORTHANC = shutil.which("Orthanc", path=_PATH)
pytestmark = [
    pytest.mark.peer("orthanc"),
    pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed"),
]
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"


@dataclass
class Orthanc:
    """An Orthanc that knows us as the modality ARCHIVE."""

    dicom_port: int
    http_port: int

    def ask(self, path: str, body: object = None, method: str | None = None):
        """The answer of its REST interface."""
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def objects(self) -> set[str]:
        """SOP Instance UIDs of what it holds."""
        found = self.ask("/instances?expand")
        return {each["MainDicomTags"]["SOPInstanceUID"] for each in found}


@pytest.fixture(scope="module")
def orthanc(archived, tmp_path_factory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    running = Orthanc(free_port(), free_port())
    settings = {
        "Name": "ORTHANC",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": running.http_port,
        "DicomPort": running.dicom_port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowGet": True,
        "AuthenticationEnabled": False,
        "DicomModalities": {"archive": ["ARCHIVE", "127.0.0.1", archived.port]},
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [str(ORTHANC), str(folder / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_listening(running.http_port)
    wait_until_listening(running.dicom_port)
    archived.meet("ORTHANC", running.dicom_port)
    yield running
    process.terminate()
    process.wait(20)


def test_orthanc_finds_with_us_and_has_it_moved_to_itself(archived, orthanc):
    asked = {"Level": "Study", "Query": {"PatientName": "CompressedSamples*"}}
    query = orthanc.ask("/modalities/archive/query", asked)["ID"]
    answers = orthanc.ask(f"/queries/{query}/answers")
    assert len(answers) == 2
    contents = [
        orthanc.ask(f"/queries/{query}/answers/{each}/content?simplify") for each in answers
    ]
    assert {each["PatientID"] for each in contents} == {"1CT1", "4MR1"}
    orthanc.ask(f"/queries/{query}/retrieve", b"ORTHANC")
    wanted = {
        str(pydicom.dcmread(BytesIO(data)).SOPInstanceUID)
        for name, data in archived.files.items()
        if name.startswith(("CT", "MR"))
    }
    deadline = time.monotonic() + 20
    while orthanc.objects() != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert orthanc.objects() == wanted


@pytest.fixture
def isocenter(archived, tmp_path, monkeypatch, capsys):
    """Runs `isocenter peer …` on the archive's database: exit code, output, errors."""
    monkeypatch.setenv("ISOCENTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ISOCENTER_DATABASE_URL", archived.database.url)
    monkeypatch.setenv("ISOCENTER_AE_TITLE", "ARCHIVE")
    # The lines of this process go on to where they went, and not to what capsys closes.
    monkeypatch.setattr(log, "configure", lambda *_, **__: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["peer", *arguments])
        return (code, *capsys.readouterr())

    return run


def test_our_commands_ask_orthanc(archived, orthanc, storescp, isocenter):
    orthanc.ask("/instances", archived.files["CT_small.dcm"])
    assert isocenter("echo", "ORTHANC")[0] == 0
    code, found, errors = isocenter("find", "ORTHANC", "-k", "PatientID=1CT1", "--json")
    assert code == 0, errors
    (study,) = map(json.loads, found.splitlines())
    assert study["StudyInstanceUID"] == CT_STUDY
    assert study["PatientName"] == "CompressedSamples^CT1"
    _, table, _ = isocenter(
        "find", "ORTHANC", "--level", "series", "-k", f"StudyInstanceUID={CT_STUDY}"
    )
    assert "Modality" in table
    receiver = storescp()
    orthanc.ask(
        "/modalities/receiver",
        {"AET": "STORESCP", "Host": "127.0.0.1", "Port": receiver.port},
        method="PUT",
    )
    study = f"StudyInstanceUID={CT_STUDY}"
    code, moved, errors = isocenter("move", "ORTHANC", "--to", "STORESCP", "-k", study)
    assert code == 0, errors
    assert "1 sent, 0 failed" in moved
    (path,) = receiver.received()
    assert pydicom.dcmread(path).PatientID == "1CT1"
    assert isocenter("move", "ORTHANC", "--to", "NOBODY", "-k", study)[0] == 1
    assert isocenter("find", "NOBODY")[0] == 4
    assert isocenter("find", "ORTHANC", "-k", "NoSuchThing=1")[0] == 2


def test_we_get_images_from_orthanc(archived, orthanc, isocenter, monkeypatch, tmp_path):
    stored = open_store((tmp_path / "taken").as_uri())
    monkeypatch.setenv("ISOCENTER_STORAGE_URL", (tmp_path / "taken").as_uri())
    sent = {}
    for number, name in enumerate(("CT_small.dcm", "CT_small.dcm"), 1):
        image = pydicom.dcmread(BytesIO(archived.files[name]))
        image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.77", f"2.25.77.{number}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"2.25.77.{number}.1"
        stream = BytesIO()
        image.save_as(stream)
        orthanc.ask("/instances", stream.getvalue())
        sent[image.SOPInstanceUID] = image
    wanted = "StudyInstanceUID=2.25.77"
    code, said, errors = isocenter("get", "ORTHANC", "-k", wanted)
    assert code == 0, said + errors
    assert "2 sent, 0 failed" in said
    assert "2 stored" in said
    viewer = Viewer.of(SYSTEM, Action.STUDY_READ)
    with archived.database.read() as tx:
        found = archive.locate(tx, viewer, "2.25.77")
    assert len(found) == 2
    for each in found:
        image = pydicom.dcmread(BytesIO(stored.read(each.blob_key)))
        original = sent[each.sop_instance_uid]
        assert image.file_meta.SourceApplicationEntityTitle == "ORTHANC"
        assert (image.pixel_array == original.pixel_array).all()
    assert "2 duplicate" in isocenter("get", "ORTHANC", "-k", wanted)[1]
    code, said, _ = isocenter("get", "ORTHANC", "-k", "StudyInstanceUID=2.25.78")
    assert "nothing came" in said
    with pytest.MonkeyPatch.context() as small:
        small.setitem(scu_get.get.__kwdefaults__, "object_bytes_max", 10_000)
        code, said, _ = isocenter("get", "ORTHANC", "-k", wanted)
    assert code == 1
    assert "0 sent, 2 failed" in said
    assert "nothing came" in said


def test_orthanc_gives_what_it_holds_as_it_holds_it(
    archived, orthanc, isocenter, monkeypatch, tmp_path
):
    """This Orthanc cannot decode JPEG 2000: in a presentation context of its own it need not."""
    stored = open_store((tmp_path / "taken").as_uri())
    monkeypatch.setenv("ISOCENTER_STORAGE_URL", (tmp_path / "taken").as_uri())
    names = ("MR_small_jp2klossless.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm")
    for number, name in enumerate(names, 1):
        image = pydicom.dcmread(BytesIO(archived.files[name]))
        image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.80", "2.25.80.1"
        image.SOPInstanceUID = f"2.25.80.1.{number}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        stream = BytesIO()
        image.save_as(stream)
        orthanc.ask("/instances", stream.getvalue())
    code, said, errors = isocenter("get", "ORTHANC", "-k", "StudyInstanceUID=2.25.80")
    assert code == 0, said + errors
    assert "3 stored" in said
    with archived.database.read() as tx:
        found = archive.locate(tx, Viewer.of(SYSTEM, Action.STUDY_READ), "2.25.80")
    syntaxes = {each.sop_instance_uid[-1]: each.transfer_syntax_uid for each in found}
    assert syntaxes == {
        "1": uids.JPEG_2000_LOSSLESS,
        "2": uids.RLE_LOSSLESS,
        "3": uids.EXPLICIT_VR_LITTLE_ENDIAN,
    }
    for each in found:
        assert pydicom.dcmread(BytesIO(stored.read(each.blob_key))).PatientID == "4MR1"


def test_what_cannot_be_got_is_told(archived, isocenter):
    """pynetdicom sends what it has over the same association, and says what it could not."""
    image = pydicom.dcmread(BytesIO(archived.files["CT_small.dcm"]))
    entity = AE("GETSCP")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    for context in (CTImageStorage, MRImageStorage):
        entity.add_supported_context(context, scu_role=True, scp_role=True)
    asked = []

    def give(event):
        asked.append(event.identifier)
        yield 2
        for number in (1, 2):
            image.SOPInstanceUID = f"2.25.79.1.{number}"
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.79", "2.25.79.1"
            if number == 2:
                del image.SeriesInstanceUID  # no place in an archive
            yield 0xFF00, image

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_GET, give)]
    )
    try:
        archived.meet("GETSCP", server.server_address[1])
        code, said, errors = isocenter(
            "get", "GETSCP", "--level", "study", "-k", "StudyInstanceUID=2.25.79"
        )
    finally:
        server.shutdown()
    assert asked[0].QueryRetrieveLevel == "STUDY"
    assert code == 1
    assert "1 sent, 1 failed" in said
    assert "1 stored, 1 refused" in said
    assert "failed: 2.25.79.1.2" in errors
