"""Content items of structured reports, and the codes that the reports here use.

Standard: PS3.3 C.17.3, PS3.16
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from isocenter.standards.dicom.values_model import DataSet

VL_WHOLE_SLIDE_MICROSCOPY_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_DESIGNATOR: Final = "99ISOCENTER"
_TEXT_LENGTH_MAX: Final = 1024  # PS3.5 6.2 allows more; nobody reads more beside an image
_MEANING_LENGTH_MAX: Final = 64  # LO


class Code(NamedTuple):
    """A coded concept.

    Standard: PS3.3 8.1
    """

    value: str
    scheme: str
    meaning: str

    def item(self) -> DataSet:
        """The item of a code sequence."""
        made = DataSet()
        made.put("CodeValue", self.value)
        made.put("CodingSchemeDesignator", self.scheme)
        made.put("CodeMeaning", self.meaning[:_MEANING_LENGTH_MAX])
        return made


def own_code(value: str, meaning: str) -> Code:
    """A concept for which no standard scheme that we know has a code."""
    return Code(value, _DESIGNATOR, meaning)


class ImageReference(NamedTuple):
    """An image, or one frame of it (from 1)."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None

    def item(self) -> DataSet:
        """The item of a Referenced SOP Sequence, with the frame where there is one."""
        made = DataSet()
        made.put("ReferencedSOPClassUID", self.sop_class_uid)
        made.put("ReferencedSOPInstanceUID", self.sop_instance_uid)
        if self.frame_number is not None:
            made.put("ReferencedFrameNumber", str(self.frame_number))
        return made


def _item(relationship: str, value_type: str, name: Code | None = None) -> DataSet:
    made = DataSet()
    made.put("RelationshipType", relationship)
    made.put("ValueType", value_type)
    if name is not None:
        made.put("ConceptNameCodeSequence", name.item())
    return made


def container(
    name: Code, children: Sequence[DataSet], *, template: str = "", root: bool = False
) -> DataSet:
    """A heading with what stands below it; ``root`` is the whole document's."""
    made = _item("CONTAINS", "CONTAINER", name)
    if root:
        del made[0x0040A010]  # the root is related to nothing
    made.put("ContinuityOfContent", "SEPARATE")
    if template:
        identified = DataSet()
        identified.put("MappingResource", "DCMR")
        identified.put("TemplateIdentifier", template)
        made.put("ContentTemplateSequence", identified)
    if children:
        made.put("ContentSequence", *children)
    return made


def coded(relationship: str, name: Code, value: Code) -> DataSet:
    """A CODE item."""
    made = _item(relationship, "CODE", name)
    made.put("ConceptCodeSequence", value.item())
    return made


def text(relationship: str, name: Code, value: str, children: Sequence[DataSet] = ()) -> DataSet:
    """A TEXT item."""
    made = _item(relationship, "TEXT", name)
    made.put("TextValue", value[:_TEXT_LENGTH_MAX])
    if children:
        made.put("ContentSequence", *children)
    return made


def uid_reference(relationship: str, name: Code, value: str) -> DataSet:
    """A UIDREF item."""
    made = _item(relationship, "UIDREF", name)
    made.put("UID", value)
    return made


def person(relationship: str, name: Code, value: str) -> DataSet:
    """A PNAME item."""
    made = _item(relationship, "PNAME", name)
    made.put("PersonName", value)
    return made


def number(name: Code, value: float, unit: Code, children: Sequence[DataSet] = ()) -> DataSet:
    """A NUM item that holds the whole precision of ``value`` beside its 16 characters.

    Standard: PS3.3 C.18.1
    """
    measured = DataSet()
    measured.put("MeasurementUnitsCodeSequence", unit.item())
    measured.put("NumericValue", float(value))
    measured.put("FloatingPointValue", float(value))
    made = _item("CONTAINS", "NUM", name)
    made.put("MeasuredValueSequence", measured)
    if children:
        made.put("ContentSequence", *children)
    return made


def image(
    relationship: str,
    reference: ImageReference,
    name: Code | None = None,
    *,
    segment_number: int | None = None,
) -> DataSet:
    """An IMAGE item; of one segment (from 1) where a number is given."""
    referenced = reference.item()
    if segment_number is not None:
        referenced.put("ReferencedSegmentNumber", segment_number)
    made = _item(relationship, "IMAGE", name)
    made.put("ReferencedSOPSequence", referenced)
    return made


def coordinates(
    relationship: str,
    graphic_type: str,
    points: Iterable[Sequence[float]],
    reference: ImageReference,
    name: Code | None = None,
) -> DataSet:
    """A SCOORD item: columns and rows, from 0 at the outer corner of the first pixel.

    That pixel is the first of the frame, or of the total pixel matrix where the image is of tiles
    and the reference names none of its frames.

    Standard: PS3.3 C.18.6
    """
    made = _item(relationship, "SCOORD", name)
    if reference.sop_class_uid == VL_WHOLE_SLIDE_MICROSCOPY_IMAGE:
        origin = "VOLUME" if reference.frame_number is None else "FRAME"
        made.put("PixelOriginInterpretation", origin)
    made.put("GraphicType", graphic_type)
    made.put("GraphicData", *(float(each) for point in points for each in point[:2]))
    made.put("ContentSequence", image("SELECTED FROM", reference))
    return made
