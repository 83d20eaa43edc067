"""The images that a demonstration modality makes: phantom pixels with the worklist's identity.

A study is a list of pydicom data sets ready to store. Ultrasound clips come from the example
files in pydicom's wheel, with the worklist's identity applied.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType] untyped there
from pydicom.uid import UID, ExplicitVRLittleEndian

from isocenter.app.demo import cast
from isocenter.app.demo.phantoms import radiograph
from isocenter.app.demo.phantoms.chest import Chest
from isocenter.app.demo.phantoms.head import CT_PALETTE, T1_PALETTE, T2_PALETTE, Head, Palette
from isocenter.app.demo.phantoms.shapes import Plane, grain

_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
_DX = "1.2.840.10008.5.1.4.1.1.1.1"
_RESCALE_INTERCEPT = -1024
_ULTRASOUND_FILES = (
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "examples_jpeg2k.dcm",
)


@dataclass(frozen=True)
class Identity:
    """What a worklist item says, to be written into every image.

    Attributes:
        item: the worklist response; scanners copy it, they do not retype it.
        study_instance_uid: normally the item's; another when the scanner was not given one.
        accession_number: normally the item's; another when somebody mistyped it.
    """

    item: Dataset
    study_instance_uid: str
    accession_number: str
    station: str
    started_at: datetime


@dataclass(frozen=True)
class _Image:
    series_number: int
    description: str
    sop_class: str
    pixels: NDArray[np.uint16]
    pixel_mm: float
    number: int
    window: tuple[float, float]
    z_mm: float = 0.0
    thickness_mm: float = 0.0


def study(exam: cast.Exam, identity: Identity) -> Iterator[Dataset]:
    """The data sets of an exam, one after the other as they are made."""
    if exam.kind.subject == "ultrasound":
        yield from _from_files([_wheel_file(name) for name in _ULTRASOUND_FILES], identity)
        return
    series_uids: dict[int, str] = {}
    for image in _PAINTERS[exam.kind.subject](exam):
        name = f"{identity.study_instance_uid}-{image.series_number}"
        series_uid = series_uids.setdefault(image.series_number, cast.uid(name))
        yield _dataset(exam, identity, image, series_uid)


def from_folder(files: list[Path], identity: Identity) -> Iterator[Dataset]:
    """Given files with the worklist's identity applied, pixels untouched."""
    yield from _from_files(files, identity)


def _ct_head(exam: cast.Exam) -> Iterator[_Image]:
    subject = Head(exam.serial * 101, exam.finding)
    heights = np.arange(-56.0, 80.0, 5.0)
    for number, z in enumerate(heights, 1):
        plane = Plane.centred(size=320, pixel_mm=0.72, z_mm=float(z))
        drawn = subject.draw(plane, CT_PALETTE) + 3.2 * grain(exam.serial + number, (320, 320))
        pixels = (np.clip(drawn, -1024, 3000) - _RESCALE_INTERCEPT).astype(np.uint16)
        yield _Image(2, "Head 5.0 H30", _CT, pixels, 0.72, number, (40, 90), float(z), 5.0)


def _ct_chest(exam: cast.Exam) -> Iterator[_Image]:
    subject = Chest(exam.serial * 103, exam.finding)
    heights = np.arange(-130.0, 145.0, 7.0)
    for number, z in enumerate(heights, 1):
        plane = Plane.centred(size=384, pixel_mm=1.02, z_mm=float(z))
        drawn = subject.draw(plane) + 8 * grain(exam.serial + number, (384, 384))
        pixels = (np.clip(drawn, -1024, 3000) - _RESCALE_INTERCEPT).astype(np.uint16)
        yield _Image(3, "Chest 7.0 B40", _CT, pixels, 1.02, number, (40, 400), float(z), 7.0)


def _mr_brain(exam: cast.Exam) -> Iterator[_Image]:
    subject = Head(exam.serial * 101, exam.finding)
    weightings: tuple[tuple[int, str, Palette], ...] = (
        (2, "T1 axial", T1_PALETTE),
        (3, "T2 axial", T2_PALETTE),
    )
    for series_number, description, palette in weightings:
        for number, z in enumerate(np.arange(-40.0, 74.0, 6.0), 1):
            plane = Plane.centred(size=256, pixel_mm=0.9, z_mm=float(z))
            signal = subject.draw(plane, palette)
            shading = 1.12 - 0.0000095 * (plane.x**2 + (plane.y - 20) ** 2)  # receive coil
            real = signal * shading + 15 * grain(exam.serial + number, (256, 256), blur=0)
            other = 15 * grain(exam.serial + number + 5000, (256, 256), blur=0)
            pixels = np.hypot(real, other).astype(np.uint16)
            window = (450.0, 950.0) if palette is T1_PALETTE else (520.0, 1100.0)
            yield _Image(
                series_number, description, _MR, pixels, 0.9, number, window, float(z), 5.0
            )


def _chest_radiograph(exam: cast.Exam) -> Iterator[_Image]:
    pixels = radiograph.chest(Chest(exam.serial * 103, exam.finding))
    yield _Image(1, "Chest PA", _DX, pixels, 0.4, 1, (2048, 4096))


def _hand_radiograph(exam: cast.Exam) -> Iterator[_Image]:
    pixels = radiograph.hand(exam.serial * 107, fractured=exam.finding == "fracture")
    yield _Image(1, "Left hand PA", _DX, pixels, 0.16, 1, (2048, 4096))


_PAINTERS: dict[str, Callable[[cast.Exam], Iterator[_Image]]] = {
    "head": _ct_head,
    "chest": _ct_chest,
    "brain": _mr_brain,
    "chest radiograph": _chest_radiograph,
    "hand radiograph": _hand_radiograph,
}


def _dataset(exam: cast.Exam, identity: Identity, image: _Image, series_uid: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = image.sop_class
    ds.SOPInstanceUID = cast.uid(f"{series_uid}-{image.number}")
    _apply(ds, identity)
    ds.Modality = exam.kind.modality
    ds.SeriesInstanceUID = series_uid
    ds.SeriesNumber = image.series_number
    ds.SeriesDescription = image.description
    ds.BodyPartExamined = exam.kind.body_part
    ds.PatientPosition = "HFS" if image.thickness_mm else ""
    ds.InstanceNumber = image.number
    ds.FrameOfReferenceUID = cast.uid(f"{identity.study_instance_uid}-frame")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if image.thickness_mm else ""]
    _place(ds, exam, image)
    _pixels(ds, image)
    _meta(ds, ExplicitVRLittleEndian)
    return ds


def _place(ds: Dataset, exam: cast.Exam, image: _Image) -> None:
    if not image.thickness_mm:
        ds.ImagerPixelSpacing = [image.pixel_mm, image.pixel_mm]
        ds.ViewPosition = "PA"
        ds.PresentationIntentType = "FOR PRESENTATION"
        ds.PresentationLUTShape = "IDENTITY"
        ds.PixelIntensityRelationship = "LOG"
        ds.PixelIntensityRelationshipSign = 1
        ds.ImageLaterality = "L" if exam.kind.body_part == "HAND" else "U"
        return
    half = (image.pixels.shape[0] - 1) / 2 * image.pixel_mm
    ds.PixelSpacing = [image.pixel_mm, image.pixel_mm]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [round(-half, 4), round(-half, 4), image.z_mm]
    ds.SliceLocation = image.z_mm
    ds.SliceThickness = image.thickness_mm


def _pixels(ds: Dataset, image: _Image) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = image.pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = image.window
    if image.sop_class == _CT:
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = _RESCALE_INTERCEPT, 1, "HU"
        ds.KVP = 120
    elif image.sop_class == _MR:
        ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "SE", "NONE", "2D"
        ds.MagneticFieldStrength = 1.5
    else:
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PixelData = np.minimum(image.pixels, 4095).astype("<u2").tobytes()


def _from_files(files: list[Path], identity: Identity) -> Iterator[Dataset]:
    for number, file in enumerate(files, 1):
        ds = dcmread(file)
        old_series = str(ds.get("SeriesInstanceUID", "one"))
        for keyword in ("OtherPatientIDs", "PatientAge", "PatientWeight", "PatientAddress"):
            if keyword in ds:
                delattr(ds, keyword)
        syntax = str(ds.file_meta.TransferSyntaxUID)
        ds.SOPInstanceUID = cast.uid(f"{identity.study_instance_uid}-{number}-{file.name}")
        ds.SeriesInstanceUID = cast.uid(f"{identity.study_instance_uid}-{old_series}")
        _apply(ds, identity)
        _meta(ds, syntax)
        yield ds


def _apply(ds: Dataset, identity: Identity) -> None:
    """Write the worklist's attributes into an image, as RAD TF-2 4.6 asks of a modality."""
    item = identity.item
    for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate"):
        setattr(ds, keyword, item.get(keyword, ""))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientSex = item.get("PatientSex", "")
    ds.ReferringPhysicianName = item.get("ReferringPhysicianName", "")
    ds.StudyInstanceUID = identity.study_instance_uid
    ds.AccessionNumber = identity.accession_number
    ds.StudyID = str(item.get("RequestedProcedureID", ""))
    ds.StudyDescription = str(item.get("RequestedProcedureDescription", ""))
    moment = identity.started_at.astimezone()
    for part in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{part}Date", moment.strftime("%Y%m%d"))
        setattr(ds, f"{part}Time", moment.strftime("%H%M%S"))
    ds.TimezoneOffsetFromUTC = moment.strftime("%z")
    ds.StationName = identity.station
    ds.Manufacturer, ds.ManufacturerModelName = "Isocenter demonstration", "Phantom"
    ds.InstitutionName = "Demonstration hospital"
    step = item.get("ScheduledProcedureStepSequence")
    if step:
        request = Dataset()
        request.ScheduledProcedureStepID = step[0].get("ScheduledProcedureStepID", "")
        request.RequestedProcedureID = item.get("RequestedProcedureID", "")
        request.ScheduledProcedureStepDescription = step[0].get(
            "ScheduledProcedureStepDescription", ""
        )
        ds.RequestAttributesSequence = [request]


def _meta(ds: Dataset, transfer_syntax: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    ds.file_meta = meta


def _wheel_file(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    return Path(str(found))


def renamed(identity: Identity, *, accession_number: str, study_instance_uid: str) -> Identity:
    """The identity as a hurried technologist types it by hand, without the worklist."""
    return replace(
        identity, accession_number=accession_number, study_instance_uid=study_instance_uid
    )


def header(file: Path) -> Dataset | None:
    """A file's attributes when it is a DICOM image, else ``None``."""
    try:
        found = dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return None
    return found if "Rows" in found and "SOPClassUID" in found else None
