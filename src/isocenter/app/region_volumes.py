"""How large segments are, for the report of their volumes: pixels times the distance of slices.

A series whose slices are no even volume gives no numbers: what lies between its images is not
known. A region on a single image is an area, which the report of measurements says.
"""

from collections.abc import Iterable, Sequence

from isocenter.imaging.regions import counted
from isocenter.imaging.resample import CannotResampleError, Place, plan
from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.evidence.content import ImageReference
from isocenter.standards.dicom.evidence.segmentation import REGION, Segments
from isocenter.standards.dicom.evidence.volume_report import SegmentVolume
from isocenter.standards.dicom.image_plane import ImagePlane, image_plane
from isocenter.standards.dicom.values_model import DataSet

_ROWS, _COLUMNS = tag_of("Rows"), tag_of("Columns")
_NUMBER_OF_FRAMES = tag_of("NumberOfFrames")
_CUBIC_MILLIMETRES = 1000  # of a cubic centimetre
_IMAGES_MIN = 2  # of a segment that has a volume


def has_volume(segments: Segments) -> bool:
    """Whether a segment spans several images."""
    return any(len(each.frames) >= _IMAGES_MIN for each in segments.segments)


def slice_distance_mm(headers: Iterable[DataSet]) -> float | None:
    """Between all slices of a series of these headers; None where they are no even volume."""
    places: list[Place] = []
    for header in headers:
        rows, columns = header.number(_ROWS) or 0, header.number(_COLUMNS) or 0
        for frame_number in range(1, (header.number(_NUMBER_OF_FRAMES) or 1) + 1):
            plane = image_plane(header, frame_number)
            if plane is None:
                return None
            places.append(_place(plane, rows, columns))
    try:
        planned = plan(places)
    except CannotResampleError:
        return None
    return None if planned.reasons else planned.grid.gap_mm


def _place(plane: ImagePlane, rows: int, columns: int) -> Place:
    spacing_mm = plane.row_spacing_mm, plane.column_spacing_mm
    return Place(plane.position, plane.along_row, plane.along_column, spacing_mm, rows, columns)


def volumes(
    segments: Segments, distance_mm: float, segmentation: ImageReference
) -> Sequence[SegmentVolume]:
    """The volume of each segment that spans several images."""
    frames = sum(len(each.frames) for each in segments.segments)
    counts = iter(counted(segments.bits, segments.rows * segments.columns, frames))
    made: list[SegmentVolume] = []
    for number, segment in enumerate(segments.segments, 1):
        pixels = sum(next(counts) for _ in segment.frames)
        if len(segment.frames) < _IMAGES_MIN:
            continue
        plane = segment.frames[0].plane
        pixel_mm2 = plane.row_spacing_mm * plane.column_spacing_mm
        made.append(
            SegmentVolume(
                label=segment.label,
                tracking_uid=segment.tracking_uid,
                segmentation=segmentation,
                segment_number=number,
                finding=REGION,
                sources=[each.image for each in segment.frames],
                volume_cm3=pixels * pixel_mm2 * distance_mm / _CUBIC_MILLIMETRES,
            )
        )
    return made
