"""Regions that people outlined, gathered into segments and filled.

Regions of one series with the same name are one segment, so that a lesion that was outlined on
several images is one; regions without a name are a segment each. Images that do not say where they
lie in the patient have no segmentation: their regions are in the report.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.domain.reading.model import Measurement
from isocenter.domain.reading.service import describing
from isocenter.imaging.regions import Mask, inside_ellipse, inside_polygon, packed
from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.evidence.measurement_report import MeasuredFinding
from isocenter.standards.dicom.evidence.segmentation import Segment, SegmentFrame, Segments
from isocenter.standards.dicom.image_plane import image_plane
from isocenter.standards.dicom.values_model import DataSet

_ROWS, _COLUMNS = tag_of("Rows"), tag_of("Columns")
_FRAME_OF_REFERENCE: Final = tag_of("FrameOfReferenceUID")
_THICKNESS: Final = tag_of("SliceThickness")
_PIXELS_MAX: Final = 64 * 512 * 512  # of all frames of one object: outlines by hand are few


@dataclass(frozen=True, slots=True)
class _Region:
    label: str
    tracking_uid: str
    frame: SegmentFrame
    finding: MeasuredFinding
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

    def mask(self) -> Mask:
        graphic = self.finding.graphics[0]
        fill = inside_ellipse if self.finding.graphic_type == "ELLIPSE" else inside_polygon
        return fill(graphic, self.rows, self.columns)


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
    finding = describing.measured_finding(measurement, header)
    plane = image_plane(header, measurement.frame_number)
    frame_of_reference_uid = header.text(_FRAME_OF_REFERENCE)
    if finding is None or not finding.region or plane is None or not frame_of_reference_uid:
        return None
    return _Region(
        label=measurement.label,
        tracking_uid=finding.tracking_uid,
        frame=SegmentFrame(finding.image, plane),
        finding=finding,
        rows=header.number(_ROWS) or 0,
        columns=header.number(_COLUMNS) or 0,
        frame_of_reference_uid=frame_of_reference_uid,
        slice_thickness_mm=header.decimal(_THICKNESS) or plane.row_spacing_mm,
    )


def _segments(regions: Sequence[_Region], organization_uid: str) -> Segments:
    named: dict[str, list[_Region]] = {}
    for each in regions:
        named.setdefault(each.label or each.tracking_uid, []).append(each)
    segments: list[Segment] = []
    masks: list[Mask] = []
    for number, members in enumerate(named.values(), 1):
        frames: dict[SegmentFrame, Mask] = {}
        for each in members:  # two outlines on one image are one frame
            before = frames.get(each.frame)
            frames[each.frame] = each.mask() if before is None else before | each.mask()
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
        bits=packed(masks),
    )
