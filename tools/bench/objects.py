"""CT objects of one size and many UIDs: one encoded template whose UIDs are patched in place."""

import io
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

ROWS = COLUMNS = 512
STUDY, SERIES, INSTANCE = 1, 2, 3


def uid(kind: int, series: int = 0, number: int = 0) -> str:
    """Return a UID of fixed width, so that a patch never moves a byte."""
    return f"2.25.9{kind:01d}{series:08d}{number:026d}"


def _template() -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uid(INSTANCE))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid(INSTANCE)
    dataset.StudyInstanceUID = uid(STUDY)
    dataset.SeriesInstanceUID = uid(SERIES)
    dataset.FrameOfReferenceUID = uid(STUDY)
    dataset.PatientName, dataset.PatientID = "Bench^Synthetic", "BENCH0001"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.Modality, dataset.Manufacturer = "CT", "Synthetic"
    dataset.AccessionNumber, dataset.StudyID = "BENCH", "1"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "00001"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = dataset.SeriesDescription = "Bench"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], "1"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    noise = np.random.default_rng(1).integers(-50, 1200, (ROWS, COLUMNS), dtype=np.int16)
    dataset.PixelData = noise.tobytes()
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def write_series(folder: Path, *, series: int, count: int) -> None:
    """Write ``count`` CT objects of about 525 kB of one new study and series into ``folder``."""
    folder.mkdir(parents=True)
    template = _template()
    for kind in (STUDY, SERIES):
        template = template.replace(uid(kind).encode(), uid(kind, series).encode())
    slot = uid(INSTANCE).encode()
    for number in range(count):
        data = template.replace(slot, uid(INSTANCE, series, number).encode())
        (folder / f"{number:05d}.dcm").write_bytes(data)
