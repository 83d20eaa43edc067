"""dciodvfy, which knows the modules of PS3.3, judges every object that we write ourselves.

What we make of complete metadata must be without errors. What we make of an object of somebody
else (corrected, encoded anew) must not have errors that the original does not have.
"""

import io
import re
import shutil
import subprocess
from collections import Counter
from datetime import UTC
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.archive.service.notes import write_due_note
from tests.contract.dicomweb.test_store_metadata import PDF, SC, STL, jpeg, send, with_bulk
from tests.dicomweb_server import SYSTEM

REJECTOR = Viewer.of(SYSTEM, Action.STUDY_REJECT)
SERIES = "/studies/1.2.80/series/1.2.80.1"
ENCODINGS = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
)

# Compressed colour without subsampling (PS3.3 C.7.6.3.1.2), which this version does not know of.
_YBR_FULL = "Error - Unrecognized enumerated value <YBR_FULL> for value 1 of attribute"
KNOWN_TO_US = Counter([f"{_YBR_FULL} <Photometric Interpretation>"])
# HTJ2K is younger than dciodvfy, which is shown it as JPEG 2000: it looks into no frame.
HTJ2K = re.compile(rb"1\.2\.840\.10008\.1\.2\.4\.20[123]\0")
JPEG_2000 = b"1.2.840.10008.1.2.4.90\0\0"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(knows_its_url=True)


@pytest.fixture
def errors_of(tmp_path: Path):
    """What dciodvfy calls an error in a file, each with how often."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")

    def errors(data: bytes) -> Counter[str]:
        path = tmp_path / "object.dcm"
        path.write_bytes(HTJ2K.sub(JPEG_2000, data, count=1))
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace")
        said = (done.stdout + done.stderr).splitlines()
        assert said, "dciodvfy says nothing"
        return Counter(line for line in said if line.startswith("Error"))

    return errors


def described(number: int, sop_class: str, modality: str, **attributes) -> dict:
    """Metadata with the modules that only the sender can know."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.80.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.80", "1.2.80.1"
    ds.PatientName, ds.PatientID = "Phantom^Ada", "PH80"
    ds.PatientBirthDate, ds.PatientSex = "19610304", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20260302", "080000", "1"
    ds.ReferringPhysicianName = ds.AccessionNumber = ds.Laterality = ""
    ds.Modality, ds.ConversionType = modality, "WSD"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds.to_json_dict()


def test_photographs(server, errors_of):
    kinds = (("L", {}), ("RGB", {"subsampling": 0}), ("RGB", {"subsampling": 2}))
    for number, (mode, options) in enumerate(kinds, start=1):
        model = described(number, SC, "OT", PatientOrientation="")
        model = with_bulk(model, "7FE00010", "photograph")
        photograph = jpeg(mode, format="JPEG", **options)
        answer = send(server, [model], [("photograph", "image/jpeg", photograph)])
        assert answer.status_code == 200
        assert not errors_of(file_of(server, number)) - KNOWN_TO_US


@pytest.mark.parametrize(
    ("number", "sop_class", "kind", "content"),
    [(10, PDF, "application/pdf", b"%PDF-1.4 phantom"), (11, STL, "model/stl", bytes(84))],
)
def test_documents(server, errors_of, number, sop_class, kind, content):
    more = {
        "Manufacturer": "Phantom",
        "BurnedInAnnotation": "NO",
        "DocumentTitle": "",
        "ConceptNameCodeSequence": [],
    }
    more |= {"ContentDate": "20260302", "ContentTime": "080000", "AcquisitionDateTime": ""}
    if sop_class == STL:
        inch = Dataset()
        inch.CodeValue, inch.CodingSchemeDesignator, inch.CodeMeaning = "mm", "UCUM", "mm"
        more |= {
            "MeasurementUnitsCodeSequence": [inch],
            "FrameOfReferenceUID": "1.2.80.9",
            "PositionReferenceIndicator": "",
            "ManufacturerModelName": "Phantom",
            "DeviceSerialNumber": "1",
            "SoftwareVersions": "1",
        }
    model = described(number, sop_class, "M3D" if sop_class == STL else "DOC", **more)
    model = with_bulk(model, "00420011", "document")
    answer = send(server, [model], [("document", kind, content)])
    assert answer.status_code == 200, answer.text
    assert not errors_of(file_of(server, number))


def file_of(server, number: int) -> bytes:
    answer = server.get(
        f"{SERIES}/instances/1.2.80.1.{number}", "application/dicom; transfer-syntax=*"
    )
    assert answer.status_code == 200
    return answer.content


def real(name: str) -> pydicom.Dataset:
    """A file of pydicom's as an instance of its own."""
    ds = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def stored(server, ds: pydicom.Dataset) -> tuple[str, bytes]:
    """Its path, and the file as it was sent."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    assert server.store(stream.getvalue()).status_code == 200
    series = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
    return f"{series}/instances/{ds.SOPInstanceUID}", stream.getvalue()


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_images_that_are_encoded_anew(server, errors_of, name):
    path, sent = stored(server, real(name))
    before = errors_of(sent)
    for syntax in ENCODINGS:
        answer = server.get(path, f"application/dicom; transfer-syntax={syntax}")
        assert answer.status_code == 200, syntax
        made = pydicom.dcmread(io.BytesIO(answer.content))
        assert made.file_meta.TransferSyntaxUID == syntax
        assert errors_of(answer.content) <= before, syntax


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_small_odd.dcm", "test-SR.dcm"])
def test_objects_that_are_corrected_on_their_way_out(server, errors_of, name):
    ds = real(name)
    path, sent = stored(server, ds)
    corrections = Corrections(patient_name="Phantom^Eda", patient_id="PH9", accession_number="A77")
    with server.database.transaction() as tx:
        study = str(ds.StudyInstanceUID)
        assert archive.correct(tx, SYSTEM, study, corrections, now=server.clock())
    answer = server.get(path, "application/dicom; transfer-syntax=*")
    assert pydicom.dcmread(io.BytesIO(answer.content)).PatientID == "PH9"
    assert errors_of(answer.content) <= errors_of(sent)


def test_rejection_notes(server, errors_of):
    path, _ = stored(server, real("CT_small.dcm"))
    study = path.split("/")[2]
    session = server.session_of(Role.ADMINISTRATOR)
    answer = session.post(f"{server.url}{path}/reject/113001^DCM", timeout=60)
    assert answer.status_code in {200, 204}, answer.text
    with server.database.transaction() as tx:  # as the worker does
        (rejection,) = archive.rejections(tx, REJECTOR, study)
        assert write_due_note(
            tx,
            SYSTEM,
            server.blobs,
            rejection.note_sop_instance_uid,
            zone=UTC,
            now=server.clock(),
        )
    objects = map(server.blobs.read, server.blobs.keys())
    (note,) = [each for each in objects if b"1.2.840.10008.5.1.4.1.1.88.59" in each[:1000]]
    assert not errors_of(note)
