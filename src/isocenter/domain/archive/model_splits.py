"""Images of one study that belong to another: which, where to, and what they say there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, ClassVar, Final, Protocol

from isocenter.domain.archive import model
from isocenter.domain.archive.model import StudyAttributes
from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.coercion import Modification

MODIFYING_SYSTEM: Final = "ISOCENTER"


class NothingToSplit(IsocenterError):
    """No image of the study has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotSplittable(IsocenterError):
    """These images cannot be taken from their study this way."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class UnknownSplit(IsocenterError):
    """There is no such split, or it was taken back."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Images of a study that belong to another.

    Attributes:
        series_instance_uids: whole series; images of them that come later follow.
        sop_instance_uids: single images of other series.
    """

    study_instance_uid: str
    to_study_instance_uid: str
    series_instance_uids: Sequence[str] = ()
    sop_instance_uids: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A decision that images of a study are of another.

    Attributes:
        joins: the other study had images of its own.
        series: Series Instance UIDs of the other study by those that the images came with.
        number_of_instances: that are shown in the other study now.
    """

    split_key: int
    study_instance_uid: str
    to_study_instance_uid: str
    joins: bool
    reason: str
    split_by: str
    split_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    series: Mapping[str, str]
    number_of_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitInstance:
    """An image that is shown in another study than it came with, and what that study says.

    Attributes:
        original_sop_instance_uid: as its bytes say it.
        joins: the study had images of its own, with which this one agrees in all that is a study's.
        changed_at: when what it says was decided last.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    original_sop_instance_uid: str
    split_key: int
    joins: bool
    changed_at: datetime
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    accession_number: str | None
    referring_physician_name: str | None
    study_id: str | None
    study_date: date | None
    study_time: time | None
    study_description: str | None

    def texts(self) -> dict[int, str]:
        """The values by tag, as a header says them.

        Standard: PS3.5 6.2, PS3.3 A.1.2 (what the images of one study have in common)
        """
        uids = {
            model.SOP_INSTANCE_UID: self.sop_instance_uid,
            model.STUDY_INSTANCE_UID: self.study_instance_uid,
            model.SERIES_INSTANCE_UID: self.series_instance_uid,
        }
        said: dict[int, str | None] = {
            model.PATIENT_ID: self.patient_id,
            model.ISSUER_OF_PATIENT_ID: self.issuer_of_patient_id,
            model.PATIENT_NAME: self.patient_name,
            model.PATIENT_BIRTH_DATE: _day(self.patient_birth_date),
            model.PATIENT_SEX: self.patient_sex,
            model.ACCESSION_NUMBER: self.accession_number,
            model.REFERRING_PHYSICIAN_NAME: self.referring_physician_name,
        }
        if self.joins:
            said |= {
                model.STUDY_ID: self.study_id,
                model.STUDY_DATE: _day(self.study_date),
                model.STUDY_TIME: _time(self.study_time),
                model.STUDY_DESCRIPTION: self.study_description,
            }
            return uids | {tag: text or "" for tag, text in said.items()}
        return uids | {tag: text for tag, text in said.items() if text is not None}

    def modification(self) -> Modification:
        """What the header must say on its way out: it was wrong, so it is corrected.

        Standard: PS3.3 C.12.1.1.9
        """
        return Modification(self.texts(), self.changed_at, MODIFYING_SYSTEM, "CORRECT")


class Placed(Protocol):
    """An instance and the study that it is shown in."""

    @property
    def study_instance_uid(self) -> str:
        """Of the study."""
        ...

    @property
    def sop_instance_uid(self) -> str:
        """Of the instance."""
        ...


@dataclass(frozen=True, slots=True)
class Modifications:
    """What images must say on their way out.

    Attributes:
        studies: by study, for the images that came with it.
        instances: by SOP Instance UID, for those that were split off another study.
        originals: the same by the SOP Instance UID that the image's bytes say.
    """

    studies: Mapping[str, Modification] = field(default_factory=dict[str, Modification])
    instances: Mapping[str, Modification] = field(default_factory=dict[str, Modification])
    originals: Mapping[str, Modification] = field(default_factory=dict[str, Modification])

    def of(self, instance: Placed) -> Modification | None:
        """What the instance must say; None when it is right as it is."""
        moved = self.instances.get(instance.sop_instance_uid)
        return moved or self.studies.get(instance.study_instance_uid)

    def of_stored(
        self, study_instance_uid: str, original_sop_instance_uid: str
    ) -> Modification | None:
        """As ``of`` for who has read the instance's bytes."""
        moved = self.originals.get(original_sop_instance_uid)
        return moved or self.studies.get(study_instance_uid)

    def __bool__(self) -> bool:
        """Whether anything is to be said otherwise."""
        return bool(self.studies or self.instances)


def combined(said: Sequence[StudyAttributes]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What a study is by what its images say, the first one first; and in what others differ."""
    merged: dict[str, Any] = {}
    against: dict[str, list[str]] = {}
    for each in said:
        for name in StudyAttributes.__slots__:
            value = getattr(each, name)
            known = merged.get(name)
            if known is None:
                merged[name] = value
            elif name in model.IDENTIFYING and value is not None and value != known:
                against[name] = sorted({*against.get(name, []), str(value)})
    return merged, against


def _day(value: date | None) -> str | None:
    return value and f"{value:%Y%m%d}"


def _time(value: time | None) -> str | None:
    if value is None:
        return None
    return f"{value:%H%M%S.%f}" if value.microsecond else f"{value:%H%M%S}"
