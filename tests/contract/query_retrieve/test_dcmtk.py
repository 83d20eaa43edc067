"""DCMTK's findscu, movescu and getscu ask; its storescp receives."""

import re
import shutil
from io import BytesIO

import numpy as np
import pydicom
import pytest

from isocenter.standards.dicom.part10 import parse_file_meta
from tests.contract.query_retrieve.conftest import SHARED, call

pytestmark = [
    pytest.mark.peer("dcmtk"),
    pytest.mark.skipif(shutil.which("movescu") is None, reason="DCMTK is not installed"),
]
HEAD = SHARED / "ct_head_philips_2mm_jpegls"
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"


def keys(level: str, *more: str) -> list[str]:
    return [part for key in (f"QueryRetrieveLevel={level}", *more) for part in ("-k", key)]


def dataset_of(data: bytes) -> bytes:
    return data[parse_file_meta(data).dataset_offset :]


def pixels(path_or_data) -> np.ndarray:
    return pydicom.dcmread(path_or_data).pixel_array


def test_findscu_walks_down_the_study_root(archived):
    _, output = call(
        "findscu",
        archived.port,
        "-S",
        *keys(
            "STUDY",
            "StudyInstanceUID",
            "PatientName=CompressedSamples^CT1",
            "NumberOfStudyRelatedInstances",
            "ModalitiesInStudy",
        ),
    )
    assert CT_STUDY in output
    assert re.search(r"\(0008,0061\) CS \[CT", output)
    assert re.search(r"\(0020,1208\) IS \[1", output)
    assert re.search(r"\(0008,0054\) AE \[ARCHIVE", output)
    assert "Received Final Find Response (Success)" in output
    _, output = call(
        "findscu",
        archived.port,
        "-S",
        *keys("SERIES", f"StudyInstanceUID={CT_STUDY}", "SeriesInstanceUID", "Modality"),
    )
    series = re.search(r"\(0020,000e\) UI \[([0-9.]+)", output)[1]
    _, output = call(
        "findscu",
        archived.port,
        "-S",
        *keys(
            "IMAGE",
            f"StudyInstanceUID={CT_STUDY}",
            f"SeriesInstanceUID={series}",
            "SOPInstanceUID",
            "Rows",
        ),
    )
    assert re.search(r"\(0028,0010\) US 128", output), output


def test_findscu_walks_down_the_patient_root(archived):
    _, output = call(
        "findscu",
        archived.port,
        "-P",
        *keys("PATIENT", "PatientID=1CT1", "PatientName", "NumberOfPatientRelatedStudies"),
    )
    assert re.search(r"\(0020,1200\) IS \[1", output)
    _, output = call(
        "findscu", archived.port, "-P", *keys("STUDY", "PatientID=1CT1", "StudyInstanceUID")
    )
    assert CT_STUDY in output


@pytest.mark.parametrize(
    "wanted",
    [keys("SERIES", "SeriesInstanceUID"), keys("PATIENT", "PatientID"), keys("PLANET")],
)
def test_an_identifier_that_is_none_of_the_class_is_refused(archived, wanted):
    _, output = call("findscu", archived.port, "-S", *wanted)
    assert "Error: DataSetDoesNotMatchSOPClass" in output


def test_a_key_that_is_not_indexed_is_a_warning(archived):
    _, output = call(
        "findscu", archived.port, "-S", *keys("STUDY", "StudyInstanceUID", "PatientWeight")
    )
    assert "Pending: WarningUnsupportedOptionalKeys" in output


def move(archived, receiver, *wanted: str, model="-S"):
    archived.meet("STORESCP", receiver.port)
    return call("movescu", archived.port, model, "-aem", "STORESCP", *wanted)


def test_movescu_moves_a_study_as_it_is_stored(archived, storescp):
    receiver = storescp("+xa", "+B")  # writes what it gets, as it gets it
    _, output = move(archived, receiver, *keys("STUDY", f"StudyInstanceUID={CT_STUDY}"))
    assert "Received Final Move Response (Success)" in output
    (path,) = receiver.received()
    assert dataset_of(path.read_bytes()) == dataset_of(archived.files["CT_small.dcm"])


def test_movescu_moves_everything_of_several_patients(archived, storescp):
    receiver = storescp("+xa")
    studies = {
        str(pydicom.dcmread(BytesIO(data)).StudyInstanceUID) for data in archived.files.values()
    }
    _, output = move(archived, receiver, *keys("STUDY", "StudyInstanceUID=" + "\\".join(studies)))
    assert "Received Final Move Response (Success)" in output, output
    sent = {pydicom.dcmread(path).SOPInstanceUID for path in receiver.received()}
    assert sent == {
        pydicom.dcmread(BytesIO(data)).SOPInstanceUID for data in archived.files.values()
    }
