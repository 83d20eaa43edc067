"""What all objects about a study have in common: patient, study, series, equipment, evidence.

Standard: PS3.3 C.7, C.12.1
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.evidence.content import ImageReference
from isocenter.standards.dicom.part10 import encode_file_meta
from isocenter.standards.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.standards.dicom.values import encode_dataset
from isocenter.standards.dicom.values_model import DataSet, Element
from isocenter.standards.dicom.values_temporal import format_date, format_time, parse_offset

_MANUFACTURER: Final = "Isocenter"
_TIMEZONE_OFFSET_FROM_UTC: Final = dictionary.tag_of("TimezoneOffsetFromUTC")
# Patient and study as the images state them; empty where they do not (type 2). PS3.3 C.7.1, C.7.2
_COPIED: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_COPIED_IF_STATED: Final = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "TimezoneOffsetFromUTC",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The circumstances in which an object is made.

    Attributes:
        header: of an image of the study: whose it is.
        author: who says what the object says, as a person name.
        made_at: in the department's time.
    """

    header: DataSet
    series_instance_uid: str
    sop_instance_uid: str
    instance_number: int
    author: str
    made_at: datetime
    software_version: str


def begun(making: Making, *, sop_class_uid: str, modality: str, description: str) -> DataSet:
    """A data set with everything but what its object is about."""
    made = DataSet()
    made.put("SpecificCharacterSet", "ISO_IR 192")
    for keyword in _COPIED:
        tag = dictionary.tag_of(keyword)
        made[tag] = making.header.get(tag) or Element(dictionary.vr_of(tag))
    for keyword in _COPIED_IF_STATED:
        tag = dictionary.tag_of(keyword)
        if tag in making.header:
            made[tag] = making.header[tag]
    made.put("SOPClassUID", sop_class_uid)
    made.put("SOPInstanceUID", making.sop_instance_uid)
    made.put("SeriesInstanceUID", making.series_instance_uid)
    made.put("Modality", modality)
    made.put("SeriesNumber", "9000")
    made.put("SeriesDescription", description)
    made.put("InstanceNumber", str(making.instance_number))
    made_at = stated_at(making)
    made.put("InstanceCreationDate", format_date(made_at.date()))
    made.put("InstanceCreationTime", format_time(made_at))
    made.put("Manufacturer", _MANUFACTURER)
    made.put("ManufacturerModelName", _MANUFACTURER)
    made.put("DeviceSerialNumber", "0")
    made.put("SoftwareVersions", making.software_version)
    return made


def stated_at(making: Making) -> datetime:
    """The time of making as the object states it: one offset holds for all times of an object.

    Standard: PS3.3 C.12.1.1.8
    """
    offset = parse_offset(making.header.text(_TIMEZONE_OFFSET_FROM_UTC))
    return making.made_at.astimezone(offset) if offset else making.made_at


def put_content_time(made: DataSet, making: Making) -> None:
    """State when the contents were made."""
    made_at = stated_at(making)
    made.put("ContentDate", format_date(made_at.date()))
    made.put("ContentTime", format_time(made_at))


def by_series(references: Iterable[ImageReference]) -> dict[str, list[ImageReference]]:
    """Each referenced instance once, below its series, in the order of their first mention."""
    found: dict[str, dict[str, ImageReference]] = {}
    for each in references:
        whole = each._replace(frame_number=None)
        found.setdefault(each.series_instance_uid, {}).setdefault(each.sop_instance_uid, whole)
    return {series: list(instances.values()) for series, instances in found.items()}


def evidence(study_instance_uid: str, references: Iterable[ImageReference]) -> DataSet:
    """The item of the study in a Current Requested Procedure Evidence Sequence.

    Standard: PS3.3 C.17.2.3
    """
    series_items: list[DataSet] = []
    for series_instance_uid, instances in by_series(references).items():
        item = DataSet()
        item.put("ReferencedSOPSequence", *(each.item() for each in instances))
        item.put("SeriesInstanceUID", series_instance_uid)
        series_items.append(item)
    made = DataSet()
    made.put("StudyInstanceUID", study_instance_uid)
    made.put("ReferencedSeriesSequence", *series_items)
    return made


def predecessors(study_instance_uid: str, earlier: Sequence[ImageReference]) -> tuple[DataSet, ...]:
    """The items of a Predecessor Documents Sequence; none when there is no earlier document."""
    return (evidence(study_instance_uid, earlier),) if earlier else ()


def as_file(dataset: DataSet) -> bytes:
    """The object as a file in explicit VR little endian."""
    meta = encode_file_meta(
        sop_class_uid=dataset.text(dictionary.tag_of("SOPClassUID")),
        sop_instance_uid=dataset.text(dictionary.tag_of("SOPInstanceUID")),
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
    )
    return meta + encode_dataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)
