"""dcm4che's tools against a running installation, where a tester has them.

They are in no package registry: ``ISOCENTER_DCM4CHE`` names the folder of their programs.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from tests.e2e.hl7_peers import order, registration
from tests.e2e.product import Product, free_port, until

DISCONTINUED = "110514=110514:DCM:Incorrect worklist entry selected\n"
Tool = Callable[..., str]


@pytest.fixture(scope="module")
def tool() -> Tool:
    """Runs one of the tools; what it said."""
    folder = os.environ.get("ISOCENTER_DCM4CHE")  # noqa: TID251 - a switch of the tests
    if not folder:
        pytest.skip("ISOCENTER_DCM4CHE names no folder of dcm4che's programs")

    def run(name: str, *arguments: object) -> str:
        command = [str(Path(folder, name)), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def product(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    made = Product(tmp_path_factory.mktemp("dcm4che"))
    made.cli("migrate")
    made.cli("peer", "add", "hl7", "SND", "--host", "127.0.0.1", "--receive", "adt,orm,qbp")
    for role in ("administrator", "radiologist"):
        user = ("user", "add", role, "--role", role, "--password-stdin")
        made.cli(*user, stdin="correct horse 9\n")
    made.start()
    until(made.takes_hl7, what="the sender is known")
    yield made
    made.stop()


@contextmanager
def listening(name: str, *arguments: object) -> Iterator[None]:
    folder = os.environ["ISOCENTER_DCM4CHE"]  # noqa: TID251 - a switch of the tests
    command = [str(Path(folder, name)), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def add_modality(product: Product, title: str, allow: str) -> int:
    port = free_port()
    where = ("--ae-title", title, "--host", "127.0.0.1", "--port", str(port))
    product.cli("peer", "add", "dicom", title, *where, "--allow", allow)
    return port


def an_image(folder: Path, study: str) -> Path:
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.1"
    dataset.save_as(folder / f"{study}.dcm")
    return folder / f"{study}.dcm"


def test_messages_go_both_ways(product, tool, tmp_path):
    port = free_port()
    sends = ("--port", str(port), "--send", "adt,orm,siu")
    product.cli("peer", "add", "hl7", "RCV", "--host", "127.0.0.1", *sends)
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_bytes(registration("D41", "Phantom^Dora", control_id="d1"))
    placed = order("D41", "Phantom^Dora", control_id="d2", placer="DP1", accession="DACC1")
    paths[1].write_bytes(placed)
    with listening("hl7rcv", "-b", f"127.0.0.1:{port}", "--directory", tmp_path / "taken"):
        ours = f"127.0.0.1:{product.hl7_port}"
        said = tool("hl7snd", "--response-timeout", 9000, "-c", ours, *paths)
        assert said.count("|ACK^") == 2

        def taken() -> set[tuple[str, bool]]:
            files = (tmp_path / "taken").glob("*/*")
            return {(each.parent.name[:3], b"|D41^" in each.read_bytes()) for each in files}

        until(lambda: taken() >= {("ADT", True), ("ORM", True)}, what="hl7rcv has filed them")
    us = f"ISOCENTER^RADIOLOGY@{ours}"
    assert "|RSP^K22^" in tool("hl7pdq", "-c", us, "@PID.5.1^PHANTOM")
    assert "|RSP^K23^" in tool("hl7pix", "-c", us, "D41^^^HOSP")


def test_a_modality_says_what_it_did(product, tool, tmp_path):
    add_modality(product, "MPPSSCU", "mpps")
    codes = tmp_path / "codes.properties"
    codes.write_text(DISCONTINUED)
    ends = ((), ("--dc", "--dc-reason", "110514"))
    for number, end in enumerate(ends):
        image = an_image(tmp_path, f"2.25.8000{number}")
        ours = f"ISOCENTER@127.0.0.1:{product.dicom_port}"
        said = tool("mppsscu", "--code-config", codes, *end, "-b", "MPPSSCU", "-c", ours, image)
        assert "N-CREATE-RSP[pcid=3, status=0H" in said
        assert "N-SET-RSP[pcid=3, status=0H" in said


def test_commitment_is_answered_on_a_new_association(product, tool, tmp_path):
    port = add_modality(product, "STGCMTSCU", "store")
    kept, unknown = an_image(tmp_path, "2.25.80011"), an_image(tmp_path, "2.25.80012")
    storescu = shutil.which("storescu", path="/usr/bin")
    if storescu is None:
        pytest.skip("storescu is not installed")
    sent = ("-aet", "STGCMTSCU", "-aec", "ISOCENTER", "127.0.0.1", str(product.dicom_port))
    subprocess.run([storescu, *sent, str(kept)], check=True, timeout=60)
    ours = f"ISOCENTER@127.0.0.1:{product.dicom_port}"
    asking = ("-b", f"STGCMTSCU:{port}", "-c", ours, "--directory", tmp_path / "results")
    assert "N-EVENT-REPORT-RQ[pcid=1, eventID=1" in tool("stgcmtscu", *asking, kept)
    assert "N-EVENT-REPORT-RQ[pcid=1, eventID=2" in tool("stgcmtscu", *asking, unknown)


@pytest.mark.parametrize("form", ["xml", "json"])
def test_objects_come_by_stow_whole_and_as_metadata_with_bulk_data(product, tool, tmp_path, form):
    image, picture = an_image(tmp_path, f"2.25.8003{len(form)}"), tmp_path / "grey.jpg"
    Image.linear_gradient("L").save(picture)
    ours = ("--bearer", product.token("administrator"), "--url", f"{product.url}/dicomweb/studies")
    assert "Response: 200" in tool("stowrs", *ours, "-a", form, image)
    said = (f"PatientID=STOW-{form}", "-s", "PatientName=Phantom^Stow")
    assert "Response: 200" in tool("stowrs", *ours, "-s", *said, "-t", form, picture)
    _, found = product.api("GET", f"/dicomweb/instances?PatientID=STOW-{form}")
    assert [each["00080016"]["Value"] for each in found] == [["1.2.840.10008.5.1.4.1.1.7"]]


def test_a_workitem_is_claimed(product, tool):
    add_modality(product, "UPSSCU", "ups")
    _, found = product.api("GET", "/dicomweb/workitems")
    ours = ("-b", "UPSSCU", "-c", f"ISOCENTER@127.0.0.1:{product.dicom_port}")
    change = ("upsscu", *ours, "-O", "changeState", "-u", found[0]["00080018"]["Value"][0])
    claimed = tool(*change, "-P", "2.25.80021")
    assert "actionID=1, status=0H" in claimed
    assert "status=c302H" in tool(*change, "-P", "2.25.80021")  # it is in progress already
    assert "status=c301H" in tool(*change, "-P", "2.25.80022")  # and another's
    unfinished = tool(*change, "-C", "2.25.80021")
    assert "status=c304H" in unfinished  # nothing says yet what was performed
