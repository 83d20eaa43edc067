"""Images with known values, lengths and places, for the workspace's tests."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SpatialRegistrationStorage,
    generate_uid,
)

SIZE = 128
SPACING_MM = 0.8


def a_slice(number: int, *, seed: int = 5) -> NDArray[np.int16]:
    """Hounsfield units: noise of tissue, and a bright square at the patient's left front."""
    drawn = np.random.default_rng(seed + number).normal(40, 12, (SIZE, SIZE)).round()
    drawn[10:34, 94:118] = 1200  # columns run to the patient's left, rows to the back
    return drawn.astype(np.int16)


def ct(
    study_uid: str, accession_number: str, *, patient: int = 1, count: int = 5, tilt_mm: float = 0.0
) -> list[Dataset]:
    """A CT series, 2 mm apart; ``tilt_mm`` moves each slice on, as a tilted gantry does."""
    series_uid, frame = generate_uid(), generate_uid()
    made: list[Dataset] = []
    for number in range(1, count + 1):
        ds = _image(study_uid, series_uid, accession_number, "CT", CTImageStorage, number)
        ds.PatientID = f"PH{patient:04d}"
        ds.SeriesDescription = "tilted" if tilt_mm else "phantom"
        ds.FrameOfReferenceUID = frame
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-50, -50 + tilt_mm * number, 2 * number]
        ds.PixelSpacing = [SPACING_MM, SPACING_MM]
        ds.SliceThickness = 2
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.WindowCenter, ds.WindowWidth = 40, 400
        ds.PixelRepresentation = 0
        ds.PixelData = (a_slice(number) + 1024).astype("<u2").tobytes()
        made.append(ds)
    return made


def radiograph(study_uid: str, number: int, **attributes: Any) -> Dataset:
    """A digital radiograph whose spacing is stated by ``attributes`` alone."""
    cls = DigitalXRayImageStorageForPresentation
    ds = _image(study_uid, generate_uid(), "", "DX", cls, 1)
    ds.SeriesNumber = number
    ds.SeriesDescription = "radiograph"
    ds.PatientOrientation = ["L", "F"]
    ds.WindowCenter, ds.WindowWidth, ds.PixelRepresentation = 100, 200, 0
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.PixelData = a_slice(1).clip(0).astype("<u2").tobytes()
    return ds


def mammograms(study_uid: str, accession_number: str, *, patient: int) -> list[Dataset]:
    """Four views in one series, in no order, each as bright as its number says."""
    cls, series_uid = DigitalMammographyXRayImageStorageForPresentation, generate_uid()
    made: list[Dataset] = []
    views = (("L", "MLO"), ("R", "CC"), ("R", "MLO"), ("L", "CC"))
    for number, (side, view) in enumerate(views, start=1):
        ds = _image(study_uid, series_uid, accession_number, "MG", cls, number)
        ds.PatientID, ds.SeriesDescription = f"PH{patient:04d}", "screening"
        ds.ImageLaterality, ds.ViewPosition = side, view
        ds.WindowCenter, ds.WindowWidth, ds.PixelRepresentation = 100, 200, 0
        ds.PixelData = np.full((SIZE, SIZE), number * 10, "<u2").tobytes()
        made.append(ds)
    return made


def registration(of: Dataset, onto: Dataset, matrix: NDArray[np.float64]) -> Dataset:
    """A spatial registration in the study of an image: its frame of reference onto another's."""
    uid = SpatialRegistrationStorage
    ds = _image(of.StudyInstanceUID, generate_uid(), of.AccessionNumber, "REG", uid, 1)
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"):
        delattr(ds, keyword)
    ds.PatientID, ds.SeriesNumber = of.PatientID, 7
    ds.FrameOfReferenceUID = onto.FrameOfReferenceUID
    step, registered, item = Dataset(), Dataset(), Dataset()
    step.FrameOfReferenceTransformationMatrix = [float(each) for each in matrix.ravel()]
    step.FrameOfReferenceTransformationMatrixType = "RIGID"
    registered.MatrixSequence, registered.RegistrationTypeCodeSequence = [step], []
    item.FrameOfReferenceUID, item.MatrixRegistrationSequence = of.FrameOfReferenceUID, [registered]
    ds.RegistrationSequence = [item]
    return ds


def _image(
    study_uid: str, series_uid: str, accession_number: str, modality: str, cls: str, number: int
) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = cls, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.PatientName, ds.PatientID = "Phantom^Ada", "PH0001"
    ds.PatientBirthDate, ds.PatientSex = "19610304", "F"
    ds.AccessionNumber, ds.Modality = accession_number, modality
    ds.StudyDate, ds.StudyTime, ds.StudyDescription = "20260302", "080000", "phantom study"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.Rows = ds.Columns = SIZE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    return ds


def part10(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The object as a file."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
