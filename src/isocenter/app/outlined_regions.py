"""Regions that people outlined or painted, gathered into segments and filled.

Regions of one series with the same name are one segment, so that a lesion that was outlined on
several images is one; regions without a name are a segment each. Images that do not say where they
lie in the patient have no segmentation: their regions are in the report.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from isocenter.domain.reading.model import Measurement
from isocenter.domain.reading.service import describing
from isocenter.imaging.regions import (
    Mask,
    PaintedRectangle,
    inside_ellipse,
    inside_polygon,
    inside_rectangle,
    packed,
)
from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.evidence.segmentation import Segment, SegmentFrame, Segments
from isocenter.standards.dicom.image_plane import image_plane
from isocenter.standards.dicom.values_model import DataSet

_ROWS, _COLUMNS = tag_of("Rows"), tag_of("Columns")
_FRAME_OF_REFERENCE: Final = tag_of("FrameOfReferenceUID")
_THICKNESS: Final = tag_of("SliceThickness")
_PIXELS_MAX: Final = 1024 * 512 * 512  # of all frames of one object, which has a bit for each


@dataclass(frozen=True, slots=True)
class _Region:
    label: str
    tracking_uid: str
    frame: SegmentFrame
    mask: Callable[[], Mask]
    rows: int
    columns: int
    frame_of_reference_uid: str
    slice_thickness_mm: float

    @property
    def grid(self) -> tuple[object, ...]:
        plane = self.frame.plane
        spacing = plane.row_spacing_mm, plane.column_spacing_mm
        orientation = plane.along_row + plane.along_column
        return self.frame_of_reference_uid, self.rows, self.columns, spacing, orientation


def segments_by_series(
    drawn: Sequence[Measurement], headers: Mapping[str, DataSet], *, organization_uid: str
) -> Iterator[tuple[str, Segments]]:
    """For each series with regions its UID and its segments. ``headers`` are by instance."""
    by_series: dict[str, list[_Region]] = {}
    for each in drawn:
        region = _region(each, headers[each.sop_instance_uid])
        if region is not None:
            by_series.setdefault(each.series_instance_uid, []).append(region)
    for series_instance_uid, regions in by_series.items():
        alike = [each for each in regions if each.grid == regions[0].grid]
        fitting = alike[: max(1, _PIXELS_MAX // (alike[0].rows * alike[0].columns))]
        yield series_instance_uid, _segments(fitting, organization_uid)


def _region(measurement: Measurement, header: DataSet) -> _Region | None:
    plane = image_plane(header, measurement.frame_number)
    frame_of_reference_uid = header.text(_FRAME_OF_REFERENCE)
    rows, columns = header.number(_ROWS) or 0, header.number(_COLUMNS) or 0
    mask = _filled(measurement, header, rows, columns)
    if mask is None or plane is None or not frame_of_reference_uid:
        return None
    return _Region(
        label=measurement.label,
        tracking_uid=describing.tracking_uid(measurement),
        frame=SegmentFrame(describing.reference(measurement, header), plane),
        mask=mask,
        rows=rows,
        columns=columns,
        frame_of_reference_uid=frame_of_reference_uid,
        slice_thickness_mm=header.decimal(_THICKNESS) or plane.row_spacing_mm,
    )


def _filled(
    measurement: Measurement, header: DataSet, rows: int, columns: int
) -> Callable[[], Mask] | None:
    """What gives the pixels of the region; None for what is none."""
    if measurement.tool == describing.SEGMENT:
        painted = _painted(measurement)
        return painted and partial(inside_rectangle, painted, rows, columns)
    finding = describing.measured_finding(measurement, header)
    if finding is None or not finding.region:
        return None
    fill = inside_ellipse if finding.graphic_type == "ELLIPSE" else inside_polygon
    return partial(fill, finding.graphics[0], rows, columns)


def _painted(measurement: Measurement) -> PaintedRectangle | None:
    """The pixels that were painted; None when the record does not say which."""
    mask = measurement.content.get("mask")
    if not isinstance(mask, dict):
        return None
    said = cast("Mapping[str, Any]", mask)
    left, top, columns, rows = (said.get(name) for name in ("left", "top", "columns", "rows"))
    try:
        bits = base64.b64decode(str(said.get("bits")), validate=True)
    except ValueError:
        return None
    match left, top, columns, rows:
        case int(), int(), int(), int() if min(left, top) >= 0 and min(columns, rows) > 0:
            whole = len(bits) * 8 >= columns * rows
            return PaintedRectangle(left, top, columns, rows, bits) if whole else None
        case _:
            return None


def _union(regions: Sequence[_Region]) -> Mask:
    first, *others = (each.mask() for each in regions)
    for other in others:
        first = first | other
    return first


def _segments(regions: Sequence[_Region], organization_uid: str) -> Segments:
    named: dict[str, list[_Region]] = {}
    for each in regions:
        named.setdefault(each.label or each.tracking_uid, []).append(each)
    segments: list[Segment] = []
    masks: list[list[_Region]] = []
    for number, members in enumerate(named.values(), 1):
        frames: dict[SegmentFrame, list[_Region]] = {}
        for each in members:  # two regions on one image are one frame
            frames.setdefault(each.frame, []).append(each)
        label = members[0].label or f"Region {number}"
        segments.append(Segment(label, members[0].tracking_uid, list(frames)))
        masks += frames.values()
    first = regions[0]
    return Segments(
        frame_of_reference_uid=first.frame_of_reference_uid,
        dimension_organization_uid=organization_uid,
        rows=first.rows,
        columns=first.columns,
        slice_thickness_mm=first.slice_thickness_mm,
        segments=segments,
        bits=packed(map(_union, masks)),
    )
