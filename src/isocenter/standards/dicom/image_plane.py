"""Where the pixels of an image lie in the patient, from its header; pure arithmetic.

Standard: PS3.3 C.7.6.2, C.7.6.16.2.3, C.7.6.16.2.4
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.values_model import DataSet

Vector = tuple[float, float, float]
_POSITION: Final = tag_of("ImagePositionPatient")
_ORIENTATION: Final = tag_of("ImageOrientationPatient")
_SPACING: Final = tag_of("PixelSpacing")
_SHARED: Final = tag_of("SharedFunctionalGroupsSequence")
_PER_FRAME: Final = tag_of("PerFrameFunctionalGroupsSequence")
_PLANE_POSITION: Final = tag_of("PlanePositionSequence")
_PLANE_ORIENTATION: Final = tag_of("PlaneOrientationSequence")
_PIXEL_MEASURES: Final = tag_of("PixelMeasuresSequence")


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """Centre of the first pixel, directions of counting, and distances in mm."""

    position: Vector
    along_row: Vector
    along_column: Vector
    row_spacing_mm: float
    column_spacing_mm: float

    def to_image(self, point: Sequence[float]) -> tuple[float, float]:
        """Column and row of a point in the patient, from 0 at the outer corner of the first pixel.

        Standard: PS3.3 C.18.6.1.1
        """
        way = [point[axis] - self.position[axis] for axis in range(3)]
        columns = sum(a * b for a, b in zip(way, self.along_row, strict=True))
        rows = sum(a * b for a, b in zip(way, self.along_column, strict=True))
        return columns / self.column_spacing_mm + 0.5, rows / self.row_spacing_mm + 0.5


def functional_group(header: DataSet, frame_number: int, tag: int) -> DataSet:
    """The group of a frame (from 1): its own, else the shared one, else an empty data set.

    Standard: PS3.3 C.7.6.16
    """
    frames = header.sequence(_PER_FRAME)
    own = frames[frame_number - 1].item(tag) if frame_number <= len(frames) else DataSet()
    return own or header.item(_SHARED).item(tag)


def image_plane(header: DataSet, frame_number: int = 1) -> ImagePlane | None:
    """The plane of a frame (from 1); None where the image does not say where it lies."""
    position = _numbers(header, frame_number, _PLANE_POSITION, _POSITION)
    axes = _numbers(header, frame_number, _PLANE_ORIENTATION, _ORIENTATION)
    spacing = _numbers(header, frame_number, _PIXEL_MEASURES, _SPACING)
    if len(position) != 3 or len(axes) != 6 or len(spacing) != 2 or min(spacing) <= 0:
        return None
    return ImagePlane(
        (position[0], position[1], position[2]),
        (axes[0], axes[1], axes[2]),
        (axes[3], axes[4], axes[5]),
        spacing[0],
        spacing[1],
    )


def _numbers(header: DataSet, frame_number: int, group: int, tag: int) -> tuple[float, ...]:
    return (functional_group(header, frame_number, group) or header).decimals(tag)
