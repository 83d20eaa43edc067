"""Whole slides with known colours at known places: a pyramid of tiles in several encodings."""

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    JPEGBaseline8Bit,
    SegmentationStorage,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from tests.e2e.pages.workspace_images import part10

COLUMNS, ROWS, TILE = 900, 600, 128
UM_PER_PIXEL = 0.5
_CORNER_MM = (20.0, 40.0)  # of the slide's first pixel on the glass
_TURN = [0, -1, 0, -1, 0, 0]  # columns go along -y, rows along -x


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
    _on_glass(ds, um_per_pixel)
    ds.DimensionOrganizationType = "TILED_SPARSE" if sparse else "TILED_FULL"
    places = [(y, x) for y in range(0, rows, TILE) for x in range(0, columns, TILE)]
    if sparse:  # in another order than that of full tiles
        places = places[::-1]
        ds.PerFrameFunctionalGroupsSequence = [_at(y, x) for y, x in places]
    ds.NumberOfFrames = len(places)
    ds.PixelData = b"".join(_tile(pixels, y, x).tobytes() for y, x in places)
    return ds


def _on_glass(ds: Dataset, um_per_pixel: float) -> None:
    spacing_mm = um_per_pixel / 1000
    measures, shared, origin = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing_mm] * 2, 0.001
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    origin.XOffsetInSlideCoordinateSystem = _CORNER_MM[0] - spacing_mm / 2
    origin.YOffsetInSlideCoordinateSystem = _CORNER_MM[1] - spacing_mm / 2
    ds.TotalPixelMatrixOriginSequence, ds.ImageOrientationSlide = [origin], _TURN


def shares(factor: int, segment: int) -> NDArray[np.float64]:
    """What of each pixel of a level belongs to a segment: a ramp in a rectangle, or half a disc."""
    rows, columns = np.mgrid[: ROWS // factor, : COLUMNS // factor] * factor
    if segment == 1:
        inside = (rows >= 80) & (rows < 260) & (columns >= 100) & (columns < 500)
        return inside * columns / 500
    return ((rows - 400) ** 2 + (columns - 300) ** 2 < 150**2) & (rows >= 400)


def segments(
    made_from: bytes, *, factor: int, fractional: bool, full: bool, named: bool
) -> Dataset:
    """A segmentation of a slide of two segments.

    Args:
        made_from: a level of the slide.
        factor: of its own pixels' size to those of the slide's finest level.
        full: every tile is there; else only those with something in them, the last one first.
        named: it says which image it was made from; else only where on the glass it lies.
    """
    source = dcmread(BytesIO(made_from), stop_before_pixels=True)
    ds = Dataset()
    for keyword in _OF_THE_STUDY:
        ds[keyword] = source[keyword]
    ds.SOPClassUID, ds.SOPInstanceUID = SegmentationStorage, generate_uid()
    ds.SeriesInstanceUID, ds.Modality, ds.InstanceNumber = generate_uid(), "SEG", 1
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows = COLUMNS // factor, ROWS // factor
    ds.Rows = ds.Columns = TILE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 if fractional else 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation, ds.LossyImageCompression = 0, "00"
    ds.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        ds.SegmentationFractionalType, ds.MaximumFractionalValue = "OCCUPANCY", 200
    ds.SegmentSequence = [_segment(number) for number in (1, 2)]
    _on_glass(ds, UM_PER_PIXEL * factor)
    if named:
        image, series = Dataset(), Dataset()
        image.ReferencedSOPClassUID = source.SOPClassUID
        image.ReferencedSOPInstanceUID = source.SOPInstanceUID
        series.ReferencedInstanceSequence = [image]
        series.SeriesInstanceUID = source.SeriesInstanceUID
        ds.ReferencedSeriesSequence = [series]
    ds.DimensionOrganizationType = "TILED_FULL" if full else "TILED_SPARSE"
    _put_frames(ds, factor, full=full)
    return ds


_OF_THE_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "FrameOfReferenceUID",
)


def _segment(number: int) -> Dataset:
    made, category = Dataset(), Dataset()
    category.CodeValue, category.CodingSchemeDesignator = "85756007", "SCT"
    category.CodeMeaning = "Tissue"
    made.SegmentNumber, made.SegmentLabel = number, ("Ramp", "Disc")[number - 1]
    made.SegmentAlgorithmType = "MANUAL"
    made.SegmentedPropertyCategoryCodeSequence = [category]
    made.SegmentedPropertyTypeCodeSequence = [category]
    return made


def _put_frames(ds: Dataset, factor: int, *, full: bool) -> None:
    rows, columns = ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns
    found: list[tuple[int, int, int, NDArray[np.float64]]] = []
    for segment in (1, 2):
        held = shares(factor, segment)
        for y in range(0, rows, TILE):
            for x in range(0, columns, TILE):
                tile = np.zeros((TILE, TILE))
                cut = held[y : y + TILE, x : x + TILE]
                tile[: cut.shape[0], : cut.shape[1]] = cut
                if full or tile.any():
                    found.append((segment, y, x, tile))
    if not full:
        found = found[::-1]
        ds.PerFrameFunctionalGroupsSequence = [
            _of(segment, _at(y, x)) for segment, y, x, _ in found
        ]
        ds.DimensionIndexSequence = [_dimension(*each) for each in _DIMENSIONS]
    values = np.array([tile for *_, tile in found])
    most = ds.get("MaximumFractionalValue")
    ds.NumberOfFrames = len(found)
    ds.PixelData = (
        np.rint(values * most).astype(np.uint8).tobytes()
        if most
        else np.packbits(values.ravel() > 0, bitorder="little").tobytes()
    )


_DIMENSIONS = (
    ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
    ("RowPositionInTotalImagePixelMatrix", "PlanePositionSlideSequence"),
    ("ColumnPositionInTotalImagePixelMatrix", "PlanePositionSlideSequence"),
)


def _dimension(attribute: str, group: str) -> Dataset:
    made = Dataset()
    made.DimensionIndexPointer, made.FunctionalGroupPointer = Tag(attribute), Tag(group)
    return made


def _of(segment: int, group: Dataset) -> Dataset:
    identified = Dataset()
    identified.ReferencedSegmentNumber = segment
    (place,) = group.PlanePositionSlideSequence
    content = Dataset()
    content.DimensionIndexValues = [
        segment,
        place.RowPositionInTotalImagePixelMatrix // TILE + 1,
        place.ColumnPositionInTotalImagePixelMatrix // TILE + 1,
    ]
    group.FrameContentSequence = [content]
    group.SegmentIdentificationSequence = [identified]
    return group


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
