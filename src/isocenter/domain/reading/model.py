"""Measurements and display preferences, as values.

A measurement keeps its points in the patient's millimetres and names the image that it was made on,
so that it can be shown again by any viewer and written as a structured report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from isocenter.errors import IsocenterError, Kind

MEASUREMENTS_MAX: Final = 1000  # of one study
SEGMENTED_IMAGES_MAX: Final = 4000  # of one study: a segment is kept image by image
SEGMENT_TOOL: Final = "Segment"
CONTENT_BYTES_MAX: Final = 200_000  # of one measurement or preference, as JSON
LABEL_LENGTH_MAX: Final = 200
PREFERENCE_NAME_LENGTH_MAX: Final = 64
PREFERENCES_MAX: Final = 200  # of one user


class TooManyMeasurements(IsocenterError):
    """The study has as many measurements as anybody can look through."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class MeasurementTooLarge(IsocenterError):
    """The measurement's description is longer than that of any drawing by hand."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class MeasurementOfAnotherStudy(IsocenterError):
    """The identifier belongs to a measurement of another study."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PreferenceTooLarge(IsocenterError):
    """The preference, or their number, is more than a person would ever choose."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NothingToArchive(IsocenterError):
    """Nothing was measured or marked in the study."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement or mark on an image.

    Attributes:
        frame_number: of the image within its instance, from 1.
        tool: what was drawn (``Length``, ``Angle``…), by the workspace's names.
        content: points in millimetres (patient coordinates), values with their units.
    """

    measurement_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    frame_number: int
    tool: str
    label: str
    content: Mapping[str, Any]
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DrawnMeasurement:
    """A measurement as its author hands it in."""

    series_instance_uid: str
    sop_instance_uid: str
    frame_number: int
    tool: str
    label: str
    content: Mapping[str, Any]


class ArchivedKind(StrEnum):
    """What an object says of a study's images."""

    MEASUREMENTS = "measurements"
    KEY_IMAGES = "key_images"
    VIEW = "view"
    SEGMENTATION = "segmentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """A DICOM object that was written from what was measured or marked.

    Attributes:
        subject: the measurement that it is about; empty for all of its kind.
        digest: of what it says: the same again is not written again.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    subject: str
    digest: bytes
    instance_number: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class ArchivingRequest:
    """The latest request to write a study's findings. ``done_at`` is None while it waits."""

    requested_by: str
    author: str
    requested_at: datetime
    done_at: datetime | None
    failure: str


@dataclass(frozen=True, slots=True)
class Archiving:
    """The latest request of a study, and the objects that are in the archive."""

    request: ArchivingRequest | None
    objects: Sequence[ArchivedObject]


@dataclass(frozen=True, slots=True)
class Preference:
    """Something a user chose for the workspace, by name."""

    name: str
    value: Any
