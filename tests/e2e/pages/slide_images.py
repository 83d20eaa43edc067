"""Whole slides with known colours at known places: a pyramid of tiles in several encodings."""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEGBaseline8Bit,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from tests.e2e.pages.workspace_images import part10

COLUMNS, ROWS, TILE = 900, 600, 128
UM_PER_PIXEL = 0.5


def painting() -> NDArray[np.uint8]:
    """The finest level: a ramp to the right in red, one downwards in green, and a blue square."""
    drawn = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    drawn[..., 0] = np.linspace(60, 250, COLUMNS).astype(np.uint8)
    drawn[..., 1] = np.linspace(60, 250, ROWS).astype(np.uint8)[:, None]
    drawn[300:340, 700:740] = (20, 30, 240)
    return drawn


def slide(
    study_uid: str, accession_number: str, *, factors: tuple[int, ...] = (1, 2, 4)
) -> list[bytes]:
    """A series of a level for each factor: full tiles in JPEG, sparse native ones, full native."""
    series_uid, frame = generate_uid(), generate_uid()
    base = painting()
    made: list[bytes] = []
    for number, factor in enumerate(factors, start=1):
        ds = _level(base[::factor, ::factor], UM_PER_PIXEL * factor, sparse=factor == 2)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
        ds.AccessionNumber, ds.InstanceNumber, ds.FrameOfReferenceUID = (
            accession_number,
            number,
            frame,
        )
        if factor == 1:
            _as_jpeg(ds)
        made.append(part10(ds))
    return made


def _level(pixels: NDArray[np.uint8], um_per_pixel: float, *, sparse: bool) -> Dataset:
    rows, columns, _ = pixels.shape
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, generate_uid()
    ds.PatientName, ds.PatientID = "Phantom^Ada", "PH0001"
    ds.PatientBirthDate, ds.PatientSex = "19610304", "F"
    ds.Modality, ds.SeriesNumber = "SM", 1
    ds.StudyDate, ds.StudyTime, ds.StudyDescription = "20260302", "080000", "phantom tissue"
    ds.SeriesDescription, ds.ContainerIdentifier = "slide", "S26-1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows = columns, rows
    ds.Rows = ds.Columns = TILE
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    path = Dataset()
    path.OpticalPathIdentifier, path.ObjectiveLensPower = "1", 20.0
    ds.OpticalPathSequence = [path]
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [um_per_pixel / 1000] * 2
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    places = [(y, x) for y in range(0, rows, TILE) for x in range(0, columns, TILE)]
    if sparse:  # in another order than that of full tiles
        places = places[::-1]
        ds.PerFrameFunctionalGroupsSequence = [_at(y, x) for y, x in places]
    ds.NumberOfFrames = len(places)
    ds.PixelData = b"".join(_tile(pixels, y, x).tobytes() for y, x in places)
    return ds


def _at(row: int, column: int) -> Dataset:
    place, group = Dataset(), Dataset()
    place.RowPositionInTotalImagePixelMatrix = row + 1
    place.ColumnPositionInTotalImagePixelMatrix = column + 1
    group.PlanePositionSlideSequence = [place]
    return group


def _tile(pixels: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    cut = pixels[row : row + TILE, column : column + TILE]
    tile[: cut.shape[0], : cut.shape[1]] = cut
    return tile


def _as_jpeg(ds: Any) -> None:
    frames = np.frombuffer(ds.PixelData, np.uint8).reshape(-1, TILE, TILE, 3)
    encoded = [imagecodecs.jpeg_encode(each, level=98) for each in frames]
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].is_undefined_length = True
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.LossyImageCompression = "01"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
