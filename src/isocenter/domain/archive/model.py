"""What the archive knows of an instance: the values it indexes, taken tolerantly from the text.

Decoding bytes and characters is the receiving gateway's work; here values are text already. A value
that breaks its VR's rules is left out of the index and stays in the stored bytes as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.key_object import Note

SOP_CLASS_UID: Final = 0x0008_0016
SOP_INSTANCE_UID: Final = 0x0008_0018
STUDY_DATE: Final = 0x0008_0020
SERIES_DATE: Final = 0x0008_0021
STUDY_TIME: Final = 0x0008_0030
SERIES_TIME: Final = 0x0008_0031
ACCESSION_NUMBER: Final = 0x0008_0050
MODALITY: Final = 0x0008_0060
MANUFACTURER: Final = 0x0008_0070
REFERRING_PHYSICIAN_NAME: Final = 0x0008_0090
STATION_NAME: Final = 0x0008_1010
STUDY_DESCRIPTION: Final = 0x0008_1030
SERIES_DESCRIPTION: Final = 0x0008_103E
MANUFACTURER_MODEL_NAME: Final = 0x0008_1090
PATIENT_NAME: Final = 0x0010_0010
PATIENT_ID: Final = 0x0010_0020
ISSUER_OF_PATIENT_ID: Final = 0x0010_0021
PATIENT_BIRTH_DATE: Final = 0x0010_0030
PATIENT_SEX: Final = 0x0010_0040
BODY_PART_EXAMINED: Final = 0x0018_0015
PROTOCOL_NAME: Final = 0x0018_1030
STUDY_INSTANCE_UID: Final = 0x0020_000D
SERIES_INSTANCE_UID: Final = 0x0020_000E
STUDY_ID: Final = 0x0020_0010
SERIES_NUMBER: Final = 0x0020_0011
INSTANCE_NUMBER: Final = 0x0020_0013
LATERALITY: Final = 0x0020_0060
NUMBER_OF_FRAMES: Final = 0x0028_0008
ROWS: Final = 0x0028_0010
COLUMNS: Final = 0x0028_0011
BITS_ALLOCATED: Final = 0x0028_0100
PERFORMED_START_DATE: Final = 0x0040_0244
PERFORMED_START_TIME: Final = 0x0040_0245

# What the receiving side must hand over when the object has it: all that searches match or return.
INDEXED_TAGS: Final[frozenset[int]] = frozenset({
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    SERIES_DATE,
    STUDY_TIME,
    SERIES_TIME,
    ACCESSION_NUMBER,
    MODALITY,
    MANUFACTURER,
    REFERRING_PHYSICIAN_NAME,
    STATION_NAME,
    STUDY_DESCRIPTION,
    SERIES_DESCRIPTION,
    MANUFACTURER_MODEL_NAME,
    PATIENT_NAME,
    PATIENT_ID,
    ISSUER_OF_PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_SEX,
    BODY_PART_EXAMINED,
    PROTOCOL_NAME,
    STUDY_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    STUDY_ID,
    SERIES_NUMBER,
    INSTANCE_NUMBER,
    LATERALITY,
    NUMBER_OF_FRAMES,
    ROWS,
    COLUMNS,
    BITS_ALLOCATED,
    PERFORMED_START_DATE,
    PERFORMED_START_TIME,
})

_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_INTEGER = re.compile(r"[+-]?\d{1,12}")
_INTEGER_MAX: Final = 2**31 - 1


class NotAnInstance(IsocenterError):
    """The object lacks one of the identifiers without which it has no place in an archive."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class UnknownStudy(IsocenterError):
    """No study has this Study Instance UID."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class Outcome(StrEnum):
    """What became of a received instance. All but ``REFUSED`` are success to the sender."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the same bytes are here already; the new blob is not needed
    CONFLICTING = "conflicting"  # other bytes are here under this UID; both are kept
    REFUSED = "refused"  # not an instance; the new blob is not needed


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one received instance. ``reason`` explains a refusal, else it is empty."""

    sop_instance_uid: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """An object whose bytes are durable in the blob store and which no one can see yet.

    Attributes:
        sha256: digest of the whole blob, 32 bytes.
        dataset_offset: where in the blob the data set begins, behind preamble and group 2.
        pixel_data_offset: where in the blob the Pixel Data element begins; None without one.
        attributes: decoded text of those ``INDEXED_TAGS`` that the object has; several values
            are separated by a backslash.
        frame_ranges: packed pairs of offset and length in the blob, in the receiver's encoding.
        note: what it says of other instances, when it is a rejection note.
    """

    blob_key: str
    size_bytes: int
    sha256: bytes
    dataset_offset: int
    transfer_syntax_uid: str
    calling_ae_title: str
    received_at: datetime
    attributes: Mapping[int, str]
    pixel_data_offset: int | None = None
    frame_ranges: bytes | None = None
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """The four identifiers that give an instance its place."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


def identify(attributes: Mapping[int, str]) -> InstanceIdentity:
    """The instance's identifiers; raises ``NotAnInstance`` naming the first that is not usable.

    Standard: PS3.5 9.1, PS3.3 C.12.1
    """
    return InstanceIdentity(
        _uid(attributes, STUDY_INSTANCE_UID, "Study Instance UID"),
        _uid(attributes, SERIES_INSTANCE_UID, "Series Instance UID"),
        _uid(attributes, SOP_INSTANCE_UID, "SOP Instance UID"),
        _uid(attributes, SOP_CLASS_UID, "SOP Class UID"),
    )


def is_uid(text: str) -> bool:
    """Whether ``text`` has the form of a UID; old and private ones with leading zeros pass.

    Standard: PS3.5 9.1
    """
    return _UID.fullmatch(text) is not None


def _uid(attributes: Mapping[int, str], tag: int, name: str) -> str:
    value = attributes.get(tag, "").strip(" \0")
    if not value:
        raise NotAnInstance(f"{name} is absent")
    if not is_uid(value):
        raise NotAnInstance(f"{name} is not a UID")
    return value


def text_of(attributes: Mapping[int, str], tag: int) -> str | None:
    """The value without padding, or None when it is absent or empty."""
    value = attributes.get(tag)
    if value is None:
        return None
    return value.replace("\0", "").strip() or None


def date_of(attributes: Mapping[int, str], tag: int) -> date | None:
    """The value as a date, also in the form with dots of before 1993; None when it is no date.

    Standard: PS3.5 6.2 (DA)
    """
    match = _DATE.fullmatch(text_of(attributes, tag) or "")
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def time_of(attributes: Mapping[int, str], tag: int) -> time | None:
    """The value as a time of day, missing parts as zero; None when it is no time.

    A leap second, which the VR allows, is held as second 59.

    Standard: PS3.5 6.2 (TM)
    """
    match = _TIME.fullmatch(text_of(attributes, tag) or "")
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    try:
        return time(hour, minute, min(second, 59), int((match[4] or "").ljust(6, "0")))
    except ValueError:
        return None


def integer_of(attributes: Mapping[int, str], tag: int) -> int | None:
    """The first value as an integer; None when it is none or beyond 32 bits.

    Standard: PS3.5 6.2 (IS, US)
    """
    return _integer(attributes.get(tag, ""))


@lru_cache(maxsize=4096)  # images of a series repeat most of them
def _integer(text: str) -> int | None:
    first = text.replace("\0", "").split("\\", 1)[0].strip()
    if not _INTEGER.fullmatch(first):
        return None
    value = int(first)
    return value if abs(value) <= _INTEGER_MAX else None


@dataclass(frozen=True, slots=True)
class StudyAttributes:
    """What an instance says about its study, its patient included. None: not said, or unusable."""

    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    accession_number: str | None
    study_id: str | None
    study_date: date | None
    study_time: time | None
    study_description: str | None
    referring_physician_name: str | None


# Images that differ in one of these need a person; other differences are common and harmless.
IDENTIFYING: Final = (
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "patient_birth_date",
    "accession_number",
)


def study_attributes(attributes: Mapping[int, str]) -> StudyAttributes:
    """What the instance says about its study."""
    return StudyAttributes(
        patient_id=text_of(attributes, PATIENT_ID),
        issuer_of_patient_id=text_of(attributes, ISSUER_OF_PATIENT_ID),
        patient_name=text_of(attributes, PATIENT_NAME),
        patient_birth_date=date_of(attributes, PATIENT_BIRTH_DATE),
        patient_sex=text_of(attributes, PATIENT_SEX),
        accession_number=text_of(attributes, ACCESSION_NUMBER),
        study_id=text_of(attributes, STUDY_ID),
        study_date=date_of(attributes, STUDY_DATE),
        study_time=time_of(attributes, STUDY_TIME),
        study_description=text_of(attributes, STUDY_DESCRIPTION),
        referring_physician_name=text_of(attributes, REFERRING_PHYSICIAN_NAME),
    )


@dataclass(frozen=True, slots=True)
class SeriesAttributes:
    """What an instance says about its series. None: not said, or unusable."""

    modality: str | None
    series_number: int | None
    series_description: str | None
    series_date: date | None
    series_time: time | None
    body_part_examined: str | None
    laterality: str | None
    station_name: str | None
    manufacturer: str | None
    manufacturer_model_name: str | None
    protocol_name: str | None
    performed_procedure_step_start_date: date | None
    performed_procedure_step_start_time: time | None


def series_attributes(attributes: Mapping[int, str]) -> SeriesAttributes:
    """What the instance says about its series."""
    return SeriesAttributes(
        modality=text_of(attributes, MODALITY),
        series_number=integer_of(attributes, SERIES_NUMBER),
        series_description=text_of(attributes, SERIES_DESCRIPTION),
        series_date=date_of(attributes, SERIES_DATE),
        series_time=time_of(attributes, SERIES_TIME),
        body_part_examined=text_of(attributes, BODY_PART_EXAMINED),
        laterality=text_of(attributes, LATERALITY),
        station_name=text_of(attributes, STATION_NAME),
        manufacturer=text_of(attributes, MANUFACTURER),
        manufacturer_model_name=text_of(attributes, MANUFACTURER_MODEL_NAME),
        protocol_name=text_of(attributes, PROTOCOL_NAME),
        performed_procedure_step_start_date=date_of(attributes, PERFORMED_START_DATE),
        performed_procedure_step_start_time=time_of(attributes, PERFORMED_START_TIME),
    )


@dataclass(frozen=True, slots=True)
class SeriesMetadata:
    """A blob of DICOM JSON, and what making it brought to light about the series.

    Attributes:
        instances: how many instances the blob describes.
        request_attributes: of each item of the Request Attributes Sequence the
            ``requested_procedure_id`` and the ``scheduled_procedure_step_id``, where it has them.
        timezone_offset_from_utc: as the instances say it; None when they do not.
    """

    blob_key: str
    instances: int
    request_attributes: Sequence[Mapping[str, str]] = ()
    timezone_offset_from_utc: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as the archive knows it. Names of fields are the standard's."""

    study_instance_uid: str
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    accession_number: str | None
    study_date: date | None
    study_time: time | None
    study_description: str | None
    modalities: list[str]
    number_of_series: int
    number_of_instances: int
    disagreements: dict[str, list[str]]
    first_received_at: datetime
    last_received_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series as the archive knows it.

    Attributes:
        metadata_instances: how many instances the stored metadata object describes; it is
            current when equal to ``number_of_instances``.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str | None
    series_number: int | None
    series_description: str | None
    number_of_instances: int
    last_received_at: datetime
    metadata_blob_key: str | None
    metadata_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSeries(Series):
    """A series, and whether images of its study may have to say something else on their way out."""

    says_otherwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLocation:
    """Where an instance's bytes are, and what is needed to serve parts of them."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    instance_number: int | None
    number_of_frames: int | None
    blob_key: str
    size_bytes: int
    sha256: bytes
    dataset_offset: int
    pixel_data_offset: int | None
    frame_ranges: bytes | None
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class KeptConflict:
    """A conflicting instance, as reconciliation shows it."""

    sop_instance_uid: str
    sha256: bytes
    calling_ae_title: str
    received_at: datetime
