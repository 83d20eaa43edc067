"""What a measurement says of its image, in the terms of DICOM. Pure.

Standard: PS3.16 TID 1500, PS3.3 C.18.6
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from isocenter.domain.reading.model import SEGMENT_TOOL, Measurement
from isocenter.domain.reading.service.vocabulary import calibration_note, quantity
from isocenter.standards.dicom.dictionary import tag_of
from isocenter.standards.dicom.evidence.content import ImageReference
from isocenter.standards.dicom.evidence.measurement_report import MeasuredFinding
from isocenter.standards.dicom.evidence.presentation_state import Drawing, Presentation
from isocenter.standards.dicom.image_plane import functional_group, image_plane
from isocenter.standards.dicom.values_model import DataSet

Point = tuple[float, float]

KEY_IMAGE: Final = "KeyImage"
VIEW: Final = "View"
CALIBRATION: Final = "Calibration"
SEGMENT: Final = SEGMENT_TOOL
REGIONS: Final = frozenset({
    "EllipticalROI",
    "CircleROI",
    "RectangleROI",
    "PlanarFreehandROI",
    "SplineROI",
})
_OUTLINED: Final = frozenset({"PlanarFreehandROI", "SplineROI"})
_NUMBER_OF_FRAMES: Final = tag_of("NumberOfFrames")
_SOP_CLASS_UID: Final = tag_of("SOPClassUID")
_SLOPE, _INTERCEPT, _TYPE = (
    tag_of("RescaleSlope"),
    tag_of("RescaleIntercept"),
    tag_of("RescaleType"),
)
_TRANSFORMATION: Final = tag_of("PixelValueTransformationSequence")
_SPACING, _MEASURES = tag_of("PixelSpacing"), tag_of("PixelMeasuresSequence")
_DETECTOR_SPACING: Final = tag_of("ImagerPixelSpacing")


def tracking_uid(measurement: Measurement) -> str:
    """The same UID for the same measurement: from its identifier, which is a UUID mostly.

    Standard: PS3.5 B.2
    """
    try:
        known = uuid.UUID(measurement.measurement_id)
    except ValueError:
        known = uuid.uuid5(uuid.NAMESPACE_OID, measurement.measurement_id)
    return f"2.25.{known.int}"


def reference(measurement: Measurement, header: DataSet) -> ImageReference:
    """The image of the measurement; with its frame where it lies on one of several."""
    several = (header.number(_NUMBER_OF_FRAMES) or 1) > 1 and not _on_matrix(measurement)
    return ImageReference(
        measurement.series_instance_uid,
        header.text(_SOP_CLASS_UID),
        measurement.sop_instance_uid,
        measurement.frame_number if several else None,
    )


def measured_finding(measurement: Measurement, header: DataSet) -> MeasuredFinding | None:
    """The measurement for a report; None when it cannot be said where in the image it is."""
    graphics = graphics_of(measurement, header)
    if not graphics:
        return None
    content, tool = measurement.content, measurement.tool
    statistics = _statistics(content)
    words = [str(content.get("text") or "").strip(), calibration_note(statistics)]
    region = tool in REGIONS and bool(content.get("closed", True))
    return MeasuredFinding(
        tool=tool,
        tracking_uid=tracking_uid(measurement),
        label=measurement.label,
        comment=" ".join(each for each in words if each),
        region=region,
        graphic_type=_graphic_type(tool),
        graphics=graphics,
        image=reference(measurement, header),
        quantities=[quantity(tool, each) for each in statistics],
    )


def _graphic_type(tool: str) -> str:
    if tool in {"EllipticalROI", "CircleROI"}:
        return "ELLIPSE"
    # Two lines that are not joined: viewers that draw a polyline would join them.
    points = {"Probe": "POINT", "SpineLabel": "POINT", "CobbAngle": "MULTIPOINT"}
    points["CardiothoracicRatio"] = "MULTIPOINT"
    return points.get(tool, "POLYLINE")


def graphics_of(measurement: Measurement, header: DataSet) -> list[list[Point]]:
    """Per graphic its points as columns and rows of the image; empty when they are not known."""
    points = _image_points(measurement, header, "points")
    match measurement.tool, points:
        case _, []:
            return _outline(measurement, header)
        case (("PlanarFreehandROI" | "SplineROI"), _):
            return _outline(measurement, header)
        case "Angle", [first, vertex, last]:
            return [[first, vertex, vertex, last]]
        case "Bidirectional", [a, b, c, d]:
            return [[a, b], [c, d]]
        case "EllipticalROI", [top, bottom, left, right]:
            axes = [[top, bottom], [left, right]]
            axes.sort(key=lambda axis: -_distance(axis[0], axis[1]))
            return [axes[0] + axes[1]]
        case "RectangleROI", [top_left, top_right, bottom_left, bottom_right]:
            return [[top_left, top_right, bottom_right, bottom_left, top_left]]
        case (("Probe" | "SpineLabel"), [at, *_]):
            return [[at]]
        case _:
            return [points]


def _outline(measurement: Measurement, header: DataSet) -> list[list[Point]]:
    points = _image_points(measurement, header, "contour")
    if not points:
        return []
    closed = bool(measurement.content.get("closed", True))
    return [[*points, points[0]] if closed and points[0] != points[-1] else points]


def _on_matrix(measurement: Measurement) -> bool:
    """Whether it lies on a slide: its places are those of the total pixel matrix, not of a tile.

    Standard: PS3.3 C.18.6, Pixel Origin Interpretation
    """
    return measurement.content.get("pixel_origin") == "VOLUME"


def _image_points(measurement: Measurement, header: DataSet, name: str) -> list[Point]:
    """By the image's plane; where it has none, by what the workspace drew on."""
    on_matrix = _on_matrix(measurement)
    plane = None if on_matrix else image_plane(header, measurement.frame_number)
    given = measurement.content.get(name)
    if plane is not None and isinstance(given, list):
        world = [_floats(each) for each in cast("list[Any]", given)]
        return [plane.to_image(each) for each in world if len(each) == 3]
    on_image = measurement.content.get(f"image_{name}")
    if not isinstance(on_image, list):
        return []
    pairs = [_floats(each) for each in cast("list[Any]", on_image)]
    return [(each[0], each[1]) for each in pairs if len(each) == 2]


def _floats(given: object) -> list[float]:
    if not isinstance(given, list):
        return []
    return [float(each) for each in cast("list[Any]", given) if isinstance(each, int | float)]


def _statistics(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = content.get("statistics")
    if not isinstance(given, list):
        return []
    return [
        cast("Mapping[str, Any]", each)
        for each in cast("list[Any]", given)
        if isinstance(each, dict) and isinstance(cast("Any", each).get("value"), int | float)
    ]


def _distance(a: Point, b: Point) -> float:
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5


def presentation(
    view: Measurement, header: DataSet, drawn: Iterable[Measurement]
) -> Presentation | None:
    """How the view showed its image, with what is drawn on it; None when it does not say how."""
    shown = view.content.get("view")
    if not isinstance(shown, dict):
        return None
    said = cast("Mapping[str, Any]", shown)
    corners = [_floats(each) for each in cast("Sequence[Any]", said.get("area") or ())]
    if len(corners) != 2 or any(len(each) != 2 for each in corners):
        return None
    (left, top), (right, bottom) = corners
    window = _floats(said.get("window") or [])
    return Presentation(
        label=view.label or "Saved view",
        image=reference(view, header),
        rescale=_rescale(header, view.frame_number),
        window=(window[0], window[1]) if len(window) == 2 else None,
        inverted=bool(said.get("inverted")),
        rotation=int(said.get("rotation") or 0) % 360,
        flipped=bool(said.get("flipped")),
        area=((round(left), round(top)), (round(right), round(bottom))),
        pixel_spacing_mm=_spacing(header, view.frame_number),
        drawings=[each for one in drawn if (each := _drawing(one, header)) is not None],
    )


def _drawing(measurement: Measurement, header: DataSet) -> Drawing | None:
    graphics = graphics_of(measurement, header)
    if not graphics:
        return None
    graphic_type = _graphic_type(measurement.tool)
    if graphic_type == "MULTIPOINT":  # reports only: here two lines are two graphics
        graphic_type = "POLYLINE"
        graphics = [[*points[at : at + 2]] for points in graphics for at in (0, 2)]
    words = [measurement.label, str(measurement.content.get("text") or "").strip()]
    words += [_told(each) for each in _statistics(measurement.content)]
    return Drawing(
        graphic_type=graphic_type,
        graphics=graphics,
        words="\r\n".join(each for each in words if each),
        anchor=graphics[0][0],
    )


def _told(statistic: Mapping[str, Any]) -> str:
    name, unit = str(statistic.get("name") or ""), str(statistic.get("unit") or "")
    return " ".join(each for each in (name, f"{float(statistic['value']):.1f}", unit) if each)


def _rescale(header: DataSet, frame_number: int) -> tuple[str, str, str] | None:
    found = functional_group(header, frame_number, _TRANSFORMATION) or header
    slope, intercept = found.text(_SLOPE), found.text(_INTERCEPT)
    return (slope, intercept, found.text(_TYPE)) if slope and intercept else None


def _spacing(header: DataSet, frame_number: int) -> tuple[float, float] | None:
    found = functional_group(header, frame_number, _MEASURES) or header
    spacing = found.decimals(_SPACING) or header.decimals(_DETECTOR_SPACING)
    return (spacing[0], spacing[1]) if len(spacing) == 2 else None
