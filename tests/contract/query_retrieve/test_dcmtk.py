"""DCMTK's findscu, movescu and getscu ask; its storescp receives."""

import re
import shutil
from io import BytesIO

import numpy as np
import pydicom
import pytest

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.archive.model_splits import Chosen
from isocenter.standards.dicom.part10 import parse_file_meta
from tests.builders import NOON
from tests.contract.query_retrieve.conftest import SHARED, SYSTEM, call

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


@pytest.mark.parametrize("option", ["+xe", "+xi"])
def test_what_the_destination_does_not_take_is_decoded_for_it(archived, storescp, option):
    receiver = storescp(option)
    stored = {
        str(dataset.SOPInstanceUID): dataset
        for dataset in (pydicom.dcmread(BytesIO(data)) for data in archived.files.values())
        if "PixelData" in dataset
    }
    studies = "\\".join({str(dataset.StudyInstanceUID) for dataset in stored.values()})
    _, output = move(archived, receiver, *keys("STUDY", f"StudyInstanceUID={studies}"))
    assert "Received Final Move Response (Success)" in output, output
    received = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, receiver.received())}
    assert received.keys() >= stored.keys()
    for uid, dataset in stored.items():
        syntax = received[uid].file_meta.TransferSyntaxUID
        assert not syntax.is_compressed
        assert syntax.is_implicit_VR or option == "+xe"
        assert np.array_equal(received[uid].pixel_array, dataset.pixel_array)


@pytest.mark.skipif(not HEAD.is_dir(), reason="the shared test data is not here")
def test_a_real_series_arrives_byte_for_byte(archived, storescp):
    files = [path.read_bytes() for path in sorted(HEAD.glob("*.dcm"))]
    archived.keep(*files)
    first = pydicom.dcmread(BytesIO(files[0]), stop_before_pixels=True)
    receiver = storescp("+xa", "+B")
    wanted = keys(
        "SERIES",
        f"StudyInstanceUID={first.StudyInstanceUID}",
        f"SeriesInstanceUID={first.SeriesInstanceUID}",
    )
    _, output = move(archived, receiver, *wanted)
    assert "Received Final Move Response (Success)" in output
    sent = {dataset_of(path.read_bytes()) for path in receiver.received()}
    assert sent == {dataset_of(data) for data in files}


def test_movescu_moves_single_images(archived, storescp):
    receiver = storescp("+xa")
    dataset = pydicom.dcmread(BytesIO(archived.files["MR_small_RLE.dcm"]))
    wanted = keys(
        "IMAGE",
        f"PatientID={dataset.PatientID}",
        f"StudyInstanceUID={dataset.StudyInstanceUID}",
        f"SeriesInstanceUID={dataset.SeriesInstanceUID}",
        f"SOPInstanceUID={dataset.SOPInstanceUID}\\2.25.2",
    )
    _, output = move(archived, receiver, *wanted, model="-P")
    assert "Received Final Move Response (Success)" in output
    sent = {str(pydicom.dcmread(path).SOPInstanceUID) for path in receiver.received()}
    assert sent == {str(dataset.SOPInstanceUID), "2.25.2"}


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (keys("STUDY"), "DataSetDoesNotMatchSOPClass"),
        (keys("SERIES", "SeriesInstanceUID=1.2.3"), "DataSetDoesNotMatchSOPClass"),
        (keys("STUDY", "StudyInstanceUID=1.2.3.999"), "Success"),
    ],
)
def test_a_move_of_what_is_not_named_or_not_there(archived, storescp, wanted, status):
    _, output = move(archived, storescp(), *wanted)
    assert status in output.split("Received Final Move Response")[1]


def test_an_unknown_destination_is_refused(archived):
    wanted = keys("STUDY", f"StudyInstanceUID={CT_STUDY}")
    _, output = call("movescu", archived.port, "-S", "-aem", "NOBODY", *wanted)
    assert "MoveDestinationUnknown" in output


def test_a_caller_that_may_not_move_is_refused(archived):
    wanted = keys("STUDY", f"StudyInstanceUID={CT_STUDY}")
    _, output = call("movescu", archived.port, "-S", "-aem", "X", *wanted, title="READER")
    assert "No valid Presentation Context ID" in output


@pytest.mark.parametrize("model", ["-S", "-P"])
def test_getscu_gets_a_study(archived, tmp_path, model):
    patient = ["PatientID=1CT1"] if model == "-P" else []
    wanted = keys("STUDY", f"StudyInstanceUID={CT_STUDY}", *patient)
    _, output = call("getscu", archived.port, model, "+B", "-od", str(tmp_path), *wanted)
    assert "Received C-GET Response (Success)" in output or "Success" in output, output
    (path,) = tmp_path.iterdir()
    assert dataset_of(path.read_bytes()) == dataset_of(archived.files["CT_small.dcm"])


def test_getscu_gets_compressed_images_decoded(archived, tmp_path):
    study = pydicom.dcmread(BytesIO(archived.files["MR_small_RLE.dcm"])).StudyInstanceUID
    wanted = keys("STUDY", f"StudyInstanceUID={study}")
    _, output = call("getscu", archived.port, "-S", "-od", str(tmp_path), *wanted)
    received = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, tmp_path.iterdir())}
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_bigendian.dcm"):
        stored = pydicom.dcmread(BytesIO(archived.files[name]))
        sent = received[str(stored.SOPInstanceUID)]
        assert not sent.file_meta.TransferSyntaxUID.is_compressed
        assert np.array_equal(sent.pixel_array, stored.pixel_array), output


def test_what_is_known_now_goes_out_and_the_original_is_named(archived, storescp):
    dataset = pydicom.dcmread(BytesIO(archived.files["rtplan.dcm"]))
    with archived.database.transaction() as tx:
        known = Corrections(patient_id="NEW-1", patient_name="Phantom^Ada", accession_number="A9")
        archive.correct(tx, SYSTEM, str(dataset.StudyInstanceUID), known, now=NOON)
    _, output = call(
        "findscu",
        archived.port,
        "-S",
        *keys("STUDY", "PatientID=NEW-1", "PatientName", "AccessionNumber"),
    )
    assert "[Phantom^Ada" in output
    receiver = storescp()
    move(archived, receiver, *keys("STUDY", f"StudyInstanceUID={dataset.StudyInstanceUID}"))
    sent = pydicom.dcmread(receiver.received()[0])
    assert (sent.PatientID, sent.AccessionNumber) == ("NEW-1", "A9")
    (change,) = sent.OriginalAttributesSequence
    assert change.ModifiedAttributesSequence[0].PatientID == dataset.PatientID
    with archived.database.transaction() as tx:
        archive.correct(tx, SYSTEM, str(dataset.StudyInstanceUID), Corrections(), now=NOON)
    _, output = call("findscu", archived.port, "-S", *keys("STUDY", "PatientID=NEW-1"))
    assert "Find Response: 1" not in output


def test_what_was_split_off_is_found_and_got_as_another_study(archived, tmp_path):
    stored = pydicom.dcmread(BytesIO(archived.files["MR_small_RLE.dcm"]))
    wanted = Chosen(
        study_instance_uid=str(stored.StudyInstanceUID),
        to_study_instance_uid="2.25.424242",
        sop_instance_uids=[str(stored.SOPInstanceUID)],
    )
    with archived.database.transaction() as tx:
        made = archive.split(tx, SYSTEM, archived.blobs, wanted, reason="a mix-up", now=NOON)
    _, output = call(
        "findscu",
        archived.port,
        "-S",
        *keys("SERIES", "StudyInstanceUID=2.25.424242", "SeriesInstanceUID", "Modality=MR"),
    )
    assert made.series[str(stored.SeriesInstanceUID)] in output
    # Decoded on its way, so that its header is written anew.
    call(
        "getscu",
        archived.port,
        "-S",
        "-od",
        str(tmp_path),
        *keys("STUDY", "StudyInstanceUID=2.25.424242"),
    )
    (got,) = map(pydicom.dcmread, tmp_path.iterdir())
    assert got.StudyInstanceUID == "2.25.424242"
    assert got.SOPInstanceUID == got.file_meta.MediaStorageSOPInstanceUID != stored.SOPInstanceUID
    assert np.array_equal(got.pixel_array, stored.pixel_array)
    (original,) = got.OriginalAttributesSequence
    assert original.ModifiedAttributesSequence[0].SOPInstanceUID == stored.SOPInstanceUID
    with archived.database.transaction() as tx:
        archive.undo_split(tx, SYSTEM, archived.blobs, made.split_key, reason="undo", now=NOON)
    _, output = call("findscu", archived.port, "-S", *keys("STUDY", "StudyInstanceUID=2.25.424242"))
    assert "2.25.424242" not in output.partition("Find Response: 1")[2]
