"""Splits as they are written beside the objects: everything that the objects cannot say.

A record is a JSON document. A newer one of the same split replaces it; the one written last counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final

from isocenter.domain.archive import model
from isocenter.errors import IsocenterError, Kind

# A record begins like this, whatever else is JSON among the blobs.
RECORD_MARK: Final = b'{"isocenter_record":"split"'
_VERSION: Final = 1
_STATED: Final = (
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "patient_sex",
    "accession_number",
    "referring_physician_name",
)


class RecordDamaged(IsocenterError):
    """What lies there begins like the record of a split and is none."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSeries:
    """A series of which images were split off, and the series that they are shown as."""

    series_instance_uid: str
    to_series_instance_uid: str
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedIdentity:
    """Whose images a study says it shows, and for which order. None is not said."""

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: date | None = None
    patient_sex: str | None = None
    accession_number: str | None = None
    referring_physician_name: str | None = None

    def as_row(self) -> dict[str, str]:
        """What is said, by name, as JSON has it."""
        texts = {name: getattr(self, name) for name in _STATED}
        born = self.patient_birth_date
        texts["patient_birth_date"] = born.isoformat() if born else None
        return {name: text for name, text in texts.items() if text is not None}

    def texts(self) -> dict[int, str]:
        """What is said, by tag, as a header says it.

        Standard: PS3.5 6.2
        """
        born = self.patient_birth_date
        found = {
            model.PATIENT_ID: self.patient_id,
            model.ISSUER_OF_PATIENT_ID: self.issuer_of_patient_id,
            model.PATIENT_NAME: self.patient_name,
            model.PATIENT_BIRTH_DATE: f"{born:%Y%m%d}" if born else None,
            model.PATIENT_SEX: self.patient_sex,
            model.ACCESSION_NUMBER: self.accession_number,
            model.REFERRING_PHYSICIAN_NAME: self.referring_physician_name,
        }
        return {tag: text for tag, text in found.items() if text is not None}


def stated_identity(row: Mapping[str, str]) -> StatedIdentity:
    """The other way round. Raises ``ValueError``."""
    born = row.get("patient_birth_date")
    return StatedIdentity(
        patient_birth_date=date.fromisoformat(born) if born else None,
        **{name: row.get(name) for name in _STATED},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """A split as it was when it was written down.

    Attributes:
        joins: the other study had images of its own.
        series: which become which.
        instances: SOP Instance UIDs in the other study by those that the images came with.
        stated: what the other study says of patient and order; nothing of a study that was joined.
        recorded_at: of two records of one split the later one counts.
    """

    study_instance_uid: str
    to_study_instance_uid: str
    joins: bool
    reason: str
    split_by: str
    split_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    series: tuple[RecordedSeries, ...]
    instances: Mapping[str, str]
    stated: StatedIdentity
    recorded_at: datetime

    @property
    def identity(self) -> tuple[str, str, datetime]:
        """What two records of one split have in common."""
        return (self.study_instance_uid, self.to_study_instance_uid, self.split_at)

    def encode(self) -> bytes:
        """The document."""
        document: dict[str, Any] = {
            "isocenter_record": "split",
            "version": _VERSION,
            "study_instance_uid": self.study_instance_uid,
            "to_study_instance_uid": self.to_study_instance_uid,
            "joins": self.joins,
            "reason": self.reason,
            "split_by": self.split_by,
            "split_at": self.split_at.isoformat(),
            "undone_at": self.undone_at.isoformat() if self.undone_at else None,
            "undone_by": self.undone_by,
            "series": [
                [each.series_instance_uid, each.to_series_instance_uid, each.is_whole]
                for each in self.series
            ],
            "instances": dict(self.instances),
            "stated": self.stated.as_row(),
            "recorded_at": self.recorded_at.isoformat(),
        }
        return json.dumps(document, separators=(",", ":")).encode()


def decode_record(data: bytes) -> SplitRecord:
    """The record that a document is. Raises ``RecordDamaged``."""
    try:
        document: dict[str, Any] = json.loads(data)
        if document["version"] != _VERSION:
            raise RecordDamaged("the record of a split is of a newer version")
        undone_at = document["undone_at"]
        return SplitRecord(
            study_instance_uid=document["study_instance_uid"],
            to_study_instance_uid=document["to_study_instance_uid"],
            joins=bool(document["joins"]),
            reason=document["reason"],
            split_by=document["split_by"],
            split_at=datetime.fromisoformat(document["split_at"]),
            undone_at=datetime.fromisoformat(undone_at) if undone_at else None,
            undone_by=document["undone_by"],
            series=tuple(
                RecordedSeries(
                    series_instance_uid=uid, to_series_instance_uid=to_uid, is_whole=bool(whole)
                )
                for uid, to_uid, whole in document["series"]
            ),
            instances=dict(document["instances"]),
            stated=stated_identity(document["stated"]),
            recorded_at=datetime.fromisoformat(document["recorded_at"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RecordDamaged("the record of a split is damaged") from error
