"""Resampled series, judged by dcm2niix on the same files, by pydicom and by dciodvfy."""

import json
import shutil
import struct
import subprocess
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from isocenter.gateways.dicomweb.options import DicomwebOptions
from tests.contract.dicomweb.test_real_files import parts

SIZE = 48
SPACING_MM = 0.7
OUTSIDE = -1024
FILES = 'multipart/related; type="application/dicom"'
SPATIAL_RESAMPLING = "113085"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server()


def ct(depths, tilt_degrees: float, **changes) -> list[Dataset]:
    """A CT series along the table, with the gantry tilted: smooth, with a sharp block in it."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    angle = np.radians(tilt_degrees)
    down = np.array([0.0, np.cos(angle), np.sin(angle)])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    made: list[Dataset] = []
    for number, depth in enumerate(depths, start=1):
        position = np.array([-20.0, -17.0, depth])
        y = position[1] + rows * SPACING_MM * down[1]
        z = position[2] + rows * SPACING_MM * down[2]
        values = 300 * np.cos(y / 5) + 200 * np.sin(z / 7) + 4 * columns
        values[10:20, 5:15] = 900
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = (
            "Phantom^Ada",
            "PH7",
            "",
            "F",
        )
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260302", "080000", "1", ""
        ds.ReferringPhysicianName, ds.PositionReferenceIndicator, ds.AcquisitionNumber = "", "", 1
        ds.PatientPosition, ds.Manufacturer, ds.KVP, ds.BurnedInAnnotation = (
            "HFS",
            "PHANTOM",
            120,
            "NO",
        )
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, number
        ds.Laterality = ""
        ds.SeriesDescription = "head"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImageOrientationPatient = [1, 0, 0, *(round(float(each), 8) for each in down)]
        ds.ImagePositionPatient = [round(float(each), 6) for each in position]
        ds.PixelSpacing, ds.SliceThickness = [SPACING_MM, SPACING_MM], 2
        ds.GantryDetectorTilt = -tilt_degrees
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
        ds.WindowCenter, ds.WindowWidth = 40, 400
        ds.Rows = ds.Columns = SIZE
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = np.rint(values).astype("<i2").tobytes()
        for name, value in changes.items():
            setattr(ds, name, value)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        made.append(ds)
    return made


def stored(server, given: list[Dataset]) -> str:
    """The series' path in the archive."""
    contents: list[bytes] = []
    for ds in given:
        stream = BytesIO()
        ds.save_as(stream, enforce_file_format=True)
        contents.append(stream.getvalue())
    answer = server.store(*contents)
    assert answer.status_code == 200, answer.text
    return f"/studies/{given[0].StudyInstanceUID}/series/{given[0].SeriesInstanceUID}"


def resampled(server, path: str) -> list[Dataset]:
    answer = server.get(f"{path}/resampled", FILES)
    assert answer.status_code == 200, answer.text
    return [pydicom.dcmread(BytesIO(content)) for _, content in parts(answer)]


def converted(given: list[Dataset], folder) -> np.ndarray:
    """The volume of the same files as dcm2niix makes it: (slices, rows, columns)."""
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed")
    source, out = folder / "source", folder / "out"
    source.mkdir()
    out.mkdir()
    for number, ds in enumerate(given):
        ds.save_as(source / f"{number}.dcm", enforce_file_format=True)
    command = ["dcm2niix", "-b", "n", "-z", "n", "-f", "made", "-o", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    mended = [path for path in out.glob("*.nii") if path.name != "made.nii"]
    assert len(mended) == 1, list(out.iterdir())
    data = mended[0].read_bytes()
    # NIfTI-1: dim at 40, datatype at 70 (4 is int16), vox_offset at 108; rows run upwards.
    _, columns, rows, slices = struct.unpack_from("<4h", data, 40)
    assert struct.unpack_from("<h", data, 70) == (4,)
    offset = int(struct.unpack_from("<f", data, 108)[0])
    voxels = np.frombuffer(data, "<i2", slices * rows * columns, offset)
    return voxels.reshape(slices, rows, columns)[:, ::-1].astype(int)


@pytest.mark.parametrize(
    ("depths", "tilt_degrees"),
    [
        ([2.5 * k for k in range(12)], 20.0),
        ([2.5 * k for k in range(12)], -13.0),
        ([0, 2, 4, 6, 9, 12, 15, 18, 20], 0.0),
    ],
)
def test_voxels_are_those_of_dcm2niix(server, tmp_path, depths, tilt_degrees):
    given = ct(depths, tilt_degrees)
    theirs = converted(given, tmp_path)
    ours = np.array([each.pixel_array for each in resampled(server, stored(server, given))], int)
    assert ours.shape[1:] == theirs.shape[1:]
    assert 0 <= len(ours) - len(theirs) <= 1  # the last even slice is left out there
    ours = ours[: len(theirs)]
    covered = ours != OUTSIDE
    assert covered.sum() >= len(theirs) * (SIZE - 1) * SIZE
    # Halves are rounded to either side.
    assert np.abs(ours - theirs)[covered].max() <= 1
    assert (ours != theirs)[covered].mean() < 0.01


def test_slices_say_that_and_how_they_are_derived(server, tmp_path):
    given = ct([2.5 * k for k in range(8)], 20.0)
    path = stored(server, given)
    made = resampled(server, path)
    first, source = made[0], given[0]
    assert list(first.ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "RESAMPLED"]
    assert (
        first.DerivationDescription == "Resampled trilinearly: a tilt of 20.0 degrees is taken out"
    )
    assert first.DerivationCodeSequence[0].CodeValue == SPATIAL_RESAMPLING
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (first.PatientID, first.StudyInstanceUID) == ("PH7", source.StudyInstanceUID)
    assert first.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert "GantryDetectorTilt" not in first
    assert first.SeriesInstanceUID != source.SeriesInstanceUID
    assert len({each.SOPInstanceUID for each in made}) == len(made)
    positions = np.array([each.ImagePositionPatient for each in made], float)
    axes = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    steps = np.diff(positions, axis=0)
    assert np.allclose(steps @ axes.T, 0, atol=1e-5)  # upright
    assert np.allclose(np.linalg.norm(steps, axis=1), 2.5 * np.cos(np.radians(20)), atol=1e-5)
    again = resampled(server, path)
    assert [each.SOPInstanceUID for each in again] == [each.SOPInstanceUID for each in made]
    found = server.get(f"/studies/{source.StudyInstanceUID}/series").json()
    assert len(found) == 1  # nothing is stored
    if shutil.which("dciodvfy"):
        file = tmp_path / "derived.dcm"
        first.save_as(file)
        done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, errors="replace")
        said = (done.stdout + done.stderr).splitlines()
        assert said
        assert not [line for line in said if line.startswith("Error")]


def test_a_viewer_gets_metadata_and_then_frames(server):
    given = ct([2.5 * k for k in range(5)], 10.0)
    path = stored(server, given)
    answer = server.get(f"{path}/resampled", 'multipart/related; type="application/octet-stream"')
    (kind, head), *frames = parts(answer)
    assert kind == "application/dicom+json"
    slices = [Dataset.from_json(each) for each in json.loads(head)]
    assert len(slices) == len(frames) == 5
    files = resampled(server, path)
    for model, (kind, pixels), file in zip(slices, frames, files, strict=True):
        assert kind == f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
        assert pixels == file.PixelData
        assert model.SOPInstanceUID == file.SOPInstanceUID
    tag = answer.headers["ETag"]
    again = server.get(f"{path}/resampled", headers={"If-None-Match": tag})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [
        (ct([0, 2, 2, 4], 0), 404, "share a position"),
        (ct([0, 2], 0), 404, "at least 3"),
        ([*ct([0, 1, 2], 0)[:2], *ct([2], 0, RescaleSlope=2)], 404, "do not mean the same"),
    ],
)
def test_what_cannot_be_mended_is_refused_with_the_reason(server, given, status, why):
    for ds in given:
        ds.StudyInstanceUID = given[0].StudyInstanceUID
        ds.SeriesInstanceUID = given[0].SeriesInstanceUID
    answer = server.get(f"{stored(server, given)}/resampled")
    assert answer.status_code == status
    assert why in answer.json()["detail"]


def test_a_volume_that_is_too_large_is_refused(make_server):
    small = make_server(options=DicomwebOptions(resampled_bytes_max=SIZE * SIZE * 2 * 4))
    path = stored(small, ct([2.5 * k for k in range(6)], 10))
    assert small.get(f"{path}/resampled").status_code == 413
