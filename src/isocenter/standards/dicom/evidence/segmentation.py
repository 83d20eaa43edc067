"""Regions that people outlined, as a binary segmentation: one bit for each pixel.

Standard: PS3.3 A.51, C.8.20
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.evidence.composite import Making, begun, by_series, put_content_time
from isocenter.standards.dicom.evidence.content import Code, ImageReference, own_code
from isocenter.standards.dicom.image_plane import ImagePlane
from isocenter.standards.dicom.values_model import DataSet

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
_CATEGORY: Final = Code("309825002", "SCT", "Spatial and Relational Concept")
REGION: Final = own_code("REGION", "Region of interest")
_DERIVED_BY: Final = Code("113076", "DCM", "Segmentation")
_PURPOSE: Final = Code("121322", "DCM", "Source image for image processing operation")
_COLOURS: Final = (  # unsigned CIELab values of well distinguishable colours. PS3.3 C.10.7.1.1
    (43240, 51800, 50400),
    (52000, 22000, 48500),
    (40000, 30000, 12500),
    (56500, 31500, 57000),
    (42000, 54000, 20000),
)


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """The image that a region was outlined on, and where it lies."""

    image: ImageReference
    plane: ImagePlane


@dataclass(frozen=True, slots=True)
class Segment:
    """What was outlined under one name, on one image or several."""

    label: str
    tracking_uid: str
    frames: Sequence[SegmentFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """The segments of one series' images, which have one frame of reference, matrix and spacing.

    Attributes:
        bits: of all frames of all segments in their order, without gaps.
    """

    frame_of_reference_uid: str
    dimension_organization_uid: str
    rows: int
    columns: int
    slice_thickness_mm: float
    segments: Sequence[Segment]
    bits: bytes


def segmentation(making: Making, given: Segments) -> DataSet:
    """The segmentation object."""
    made = begun(making, sop_class_uid=SEGMENTATION, modality="SEG", description="Outlined regions")
    put_content_time(made, making)
    made.put("FrameOfReferenceUID", given.frame_of_reference_uid)
    made.put("PositionReferenceIndicator")
    made.put("ImageType", "DERIVED", "PRIMARY")
    made.put("ContentLabel", "REGIONS")
    made.put("ContentDescription", "Outlined by hand")
    made.put("ContentCreatorName", making.author)
    made.put("SamplesPerPixel", 1)
    made.put("PhotometricInterpretation", "MONOCHROME2")
    made.put("NumberOfFrames", str(sum(len(each.frames) for each in given.segments)))
    made.put("Rows", given.rows)
    made.put("Columns", given.columns)
    made.put("BitsAllocated", 1)
    made.put("BitsStored", 1)
    made.put("HighBit", 0)
    made.put("PixelRepresentation", 0)
    made.put("LossyImageCompression", "00")
    made.put("SegmentationType", "BINARY")
    made.put("SegmentSequence", *(_segment(at, s) for at, s in enumerate(given.segments, 1)))
    _dimensions(made, given)
    made.put("SharedFunctionalGroupsSequence", _shared(given))
    made.put("PerFrameFunctionalGroupsSequence", *_per_frame(given))
    frames = [frame.image for each in given.segments for frame in each.frames]
    made.put("ReferencedSeriesSequence", *_referenced(frames))
    made.put("PixelData", given.bits, vr="OB")
    return made


def _segment(number: int, segment: Segment) -> DataSet:
    made = DataSet()
    made.put("SegmentNumber", number)
    made.put("SegmentLabel", segment.label[:64])
    made.put("SegmentAlgorithmType", "MANUAL")
    made.put("SegmentedPropertyCategoryCodeSequence", _CATEGORY.item())
    made.put("SegmentedPropertyTypeCodeSequence", REGION.item())
    made.put("RecommendedDisplayCIELabValue", *_COLOURS[(number - 1) % len(_COLOURS)])
    made.put("TrackingID", segment.label[:64])
    made.put("TrackingUID", segment.tracking_uid)
    return made


def _dimensions(made: DataSet, given: Segments) -> None:
    organization = DataSet()
    organization.put("DimensionOrganizationUID", given.dimension_organization_uid)
    made.put("DimensionOrganizationSequence", organization)
    indices: list[DataSet] = []
    for pointer, group in (
        ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        ("ImagePositionPatient", "PlanePositionSequence"),
    ):
        index = DataSet()
        index.put("DimensionOrganizationUID", given.dimension_organization_uid)
        index.put("DimensionIndexPointer", tag_of(pointer))
        index.put("FunctionalGroupPointer", tag_of(group))
        indices.append(index)
    made.put("DimensionIndexSequence", *indices)


def _shared(given: Segments) -> DataSet:
    plane = given.segments[0].frames[0].plane
    measures = DataSet()
    measures.put("PixelSpacing", plane.row_spacing_mm, plane.column_spacing_mm)
    measures.put("SliceThickness", given.slice_thickness_mm)
    orientation = DataSet()
    orientation.put("ImageOrientationPatient", *plane.along_row, *plane.along_column)
    made = DataSet()
    made.put("PixelMeasuresSequence", measures)
    made.put("PlaneOrientationSequence", orientation)
    return made


def _per_frame(given: Segments) -> list[DataSet]:
    positions = sorted(
        {frame.plane.position for each in given.segments for frame in each.frames},
        key=lambda position: position[::-1],
    )
    made: list[DataSet] = []
    for number, segment in enumerate(given.segments, 1):
        for frame in segment.frames:
            content = DataSet()
            place = positions.index(frame.plane.position) + 1
            content.put("DimensionIndexValues", number, place)
            position = DataSet()
            position.put("ImagePositionPatient", *frame.plane.position)
            identified = DataSet()
            identified.put("ReferencedSegmentNumber", number)
            item = DataSet()
            item.put("FrameContentSequence", content)
            item.put("PlanePositionSequence", position)
            item.put("SegmentIdentificationSequence", identified)
            item.put("DerivationImageSequence", _derivation(frame.image))
            made.append(item)
    return made


def _derivation(image: ImageReference) -> DataSet:
    source = image.item()
    source.put("PurposeOfReferenceCodeSequence", _PURPOSE.item())
    source.put("SpatialLocationsPreserved", "YES")
    made = DataSet()
    made.put("SourceImageSequence", source)
    made.put("DerivationCodeSequence", _DERIVED_BY.item())
    return made


def _referenced(images: Sequence[ImageReference]) -> list[DataSet]:
    made: list[DataSet] = []
    for series_instance_uid, instances in by_series(images).items():
        item = DataSet()
        item.put("ReferencedInstanceSequence", *(each.item() for each in instances))
        item.put("SeriesInstanceUID", series_instance_uid)
        made.append(item)
    return made
