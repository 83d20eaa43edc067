"""Measurements and display preferences, as values.

A measurement keeps its points in the patient's millimetres and names the image that it was made on,
so that it can be shown again by any viewer and written as a structured report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from isocenter.errors import IsocenterError, Kind

MEASUREMENTS_MAX: Final = 1000  # of one study
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


@dataclass(frozen=True, slots=True)
class Preference:
    """Something a user chose for the workspace, by name."""

    name: str
    value: Any
