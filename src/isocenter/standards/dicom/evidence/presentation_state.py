"""How an image was shown: window, turn, displayed area and drawings, as a presentation state.

Standard: PS3.3 A.33.1, PS3.4 N
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.evidence.composite import Making, begun, by_series, stated_at
from isocenter.standards.dicom.evidence.content import ImageReference
from isocenter.standards.dicom.values_model import DataSet
from isocenter.standards.dicom.values_temporal import format_date, format_time

GRAYSCALE_SOFTCOPY: Final = "1.2.840.10008.5.1.4.1.1.11.1"
_LAYER: Final = "DRAWINGS"
_TEXT_LENGTH_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Lines or an outline over the image, and words beside it.

    Attributes:
        graphic_type: POINT, POLYLINE or ELLIPSE (ends of the major, then of the minor axis).
        graphics: per graphic its points: columns and rows, from 0 at the outer corner of the image.
        anchor: where the words point at.
    """

    graphic_type: str
    graphics: Sequence[Sequence[tuple[float, float]]]
    words: str
    anchor: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How one image was shown.

    Attributes:
        rescale: slope, intercept and type that make the stored values those that the window is in.
        window: centre and width; None: as the image says.
        rotation: clockwise degrees (0, 90, 180, 270), before the flip.
        area: columns and rows of the pixels in the shown picture's top left and bottom right
            corners, from 1.
        pixel_spacing_mm: between rows, between columns; None where it is not known.
    """

    label: str
    image: ImageReference
    rescale: tuple[str, str, str] | None
    window: tuple[float, float] | None
    inverted: bool
    rotation: int
    flipped: bool
    area: tuple[tuple[int, int], tuple[int, int]]
    pixel_spacing_mm: tuple[float, float] | None
    drawings: Sequence[Drawing]


def presentation_state(making: Making, shown: Presentation) -> DataSet:
    """The grayscale softcopy presentation state of one image."""
    made = begun(making, sop_class_uid=GRAYSCALE_SOFTCOPY, modality="PR", description="Saved views")
    made_at = stated_at(making)
    made.put("Laterality")  # of what, the image says
    made.put("ContentLabel", "VIEW")
    made.put("ContentDescription", shown.label[:64])
    made.put("PresentationCreationDate", format_date(made_at.date()))
    made.put("PresentationCreationTime", format_time(made_at))
    made.put("ContentCreatorName", making.author)
    made.put("ReferencedSeriesSequence", *_referenced_series(shown.image))
    if shown.rescale:
        slope, intercept, kind = shown.rescale
        made.put("RescaleIntercept", intercept)
        made.put("RescaleSlope", slope)
        made.put("RescaleType", kind or "US")
    if shown.window:
        voi = DataSet()
        voi.put("WindowCenter", float(shown.window[0]))
        voi.put("WindowWidth", float(shown.window[1]))
        made.put("SoftcopyVOILUTSequence", voi)
    made.put("PresentationLUTShape", "INVERSE" if shown.inverted else "IDENTITY")
    if shown.rotation or shown.flipped:
        made.put("ImageRotation", shown.rotation)
        made.put("ImageHorizontalFlip", "Y" if shown.flipped else "N")
    made.put("DisplayedAreaSelectionSequence", _displayed_area(shown))
    if shown.drawings:
        layer = DataSet()
        layer.put("GraphicLayer", _LAYER)
        layer.put("GraphicLayerOrder", "1")
        made.put("GraphicLayerSequence", layer)
        made.put("GraphicAnnotationSequence", _annotations(shown))
    return made


def _referenced_series(image: ImageReference) -> list[DataSet]:
    made: list[DataSet] = []
    for series_instance_uid in by_series([image]):
        item = DataSet()
        item.put("ReferencedImageSequence", image.item())
        item.put("SeriesInstanceUID", series_instance_uid)
        made.append(item)
    return made


def _displayed_area(shown: Presentation) -> DataSet:
    made = DataSet()
    made.put("DisplayedAreaTopLeftHandCorner", *shown.area[0])
    made.put("DisplayedAreaBottomRightHandCorner", *shown.area[1])
    made.put("PresentationSizeMode", "SCALE TO FIT")
    if shown.pixel_spacing_mm:
        made.put("PresentationPixelSpacing", *shown.pixel_spacing_mm)
    else:
        made.put("PresentationPixelAspectRatio", "1", "1")
    return made


def _annotations(shown: Presentation) -> DataSet:
    made = DataSet()
    made.put("ReferencedImageSequence", shown.image.item())
    made.put("GraphicLayer", _LAYER)
    graphics = [
        _graphic(each.graphic_type, points) for each in shown.drawings for points in each.graphics
    ]
    texts = [_text(each) for each in shown.drawings if each.words]
    if texts:
        made.put("TextObjectSequence", *texts)
    if graphics:
        made.put("GraphicObjectSequence", *graphics)
    return made


def _graphic(graphic_type: str, points: Sequence[tuple[float, float]]) -> DataSet:
    made = DataSet()
    made.put("GraphicAnnotationUnits", "PIXEL")
    made.put("GraphicDimensions", 2)
    made.put("NumberOfGraphicPoints", len(points))
    made.put("GraphicData", *(float(each) for point in points for each in point))
    made.put("GraphicType", graphic_type)
    if graphic_type != "POINT":
        made.put("GraphicFilled", "N")
    return made


def _text(drawing: Drawing) -> DataSet:
    made = DataSet()
    made.put("AnchorPointAnnotationUnits", "PIXEL")
    made.put("UnformattedTextValue", drawing.words[:_TEXT_LENGTH_MAX])
    made.put("AnchorPoint", *map(float, drawing.anchor))
    made.put("AnchorPointVisibility", "Y")
    return made
