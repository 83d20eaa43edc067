"""Volumes of segments as a structured report of TID 1500, in a Comprehensive SR document.

Each segment is a group of TID 1411 that names the segment and the series it was made on. They are
a document of their own: viewers built on Cornerstone read none of the measurements of a document
in which they find a group without coordinates.

Standard: PS3.16 TID 1500, TID 1411
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom.evidence import content
from isocenter.standards.dicom.evidence.composite import Making
from isocenter.standards.dicom.evidence.content import Code, ImageReference
from isocenter.standards.dicom.evidence.measurement_report import (
    MEASUREMENT_GROUP,
    report_of,
    tracked,
)
from isocenter.standards.dicom.values_model import DataSet

_SEGMENT: Final = Code("121191", "DCM", "Referenced Segment")
_SOURCE_SERIES: Final = Code("121232", "DCM", "Source series for segmentation")
_FINDING: Final = Code("121071", "DCM", "Finding")
_VOLUME: Final = Code("118565006", "SCT", "Volume")
_CUBIC_CENTIMETRE: Final = Code("cm3", "UCUM", "cubic centimeter")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentVolume:
    """How large what one segment holds is.

    Attributes:
        tracking_uid: that of the segment.
        segmentation: the object, ``segment_number`` counts its segments from 1.
        finding: what was segmented, as the segmentation says.
        sources: the images it was made on, which are of one series.
    """

    label: str
    tracking_uid: str
    segmentation: ImageReference
    segment_number: int
    finding: Code
    sources: Sequence[ImageReference]
    volume_cm3: float


def volume_report(
    making: Making, volumes: Sequence[SegmentVolume], *, study_instance_uid: str
) -> DataSet:
    """The document."""
    references = [each for one in volumes for each in (one.segmentation, *one.sources)]
    groups = [_group(each) for each in volumes]
    return report_of(
        making,
        groups,
        references,
        study_instance_uid=study_instance_uid,
        description="Volumes",
    )


def _group(volume: SegmentVolume) -> DataSet:
    series_instance_uid = volume.sources[0].series_instance_uid
    children = [
        *tracked(volume.label, volume.tracking_uid),
        content.coded("CONTAINS", _FINDING, volume.finding),
        content.image(
            "CONTAINS", volume.segmentation, _SEGMENT, segment_number=volume.segment_number
        ),
        content.uid_reference("CONTAINS", _SOURCE_SERIES, series_instance_uid),
        content.number(_VOLUME, volume.volume_cm3, _CUBIC_CENTIMETRE),
    ]
    return content.container(MEASUREMENT_GROUP, children, template="1411")
