"""Instances on their way out: what is new in a study, and what we can answer for."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from isocenter.domain.archive.model import InstanceLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpan:
    """Instances of a study's series whose keys lie behind one key, up to another.

    Attributes:
        not_from: without those that this calling AE title sent.
    """

    study_instance_uid: str
    series_instance_uids: Sequence[str]
    after_key: int
    through_key: int
    not_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedLocation(InstanceLocation):
    """The same with the instance's key, by which who sends it knows how far it is."""

    instance_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesGrowth:
    """Instances of a series beyond a key, with what decides where they go.

    Attributes:
        calling_ae_titles: of the peers that sent them.
        newest_key: of the last of them. Keys of a study grow in the order of their commits.
    """

    series_instance_uid: str
    accession_number: str | None
    study_description: str | None
    referring_physician_name: str | None
    modality: str | None
    series_description: str | None
    body_part_examined: str | None
    calling_ae_titles: list[str]
    instances: int
    newest_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """An instance with what tells whether its bytes are still those that were admitted."""

    sop_instance_uid: str
    sop_class_uid: str
    blob_key: str
    size_bytes: int
    sha256: bytes


class CommitmentFailure(IntEnum):
    """Why we do not commit to an instance; ``NONE`` when we do.

    Standard: PS3.4 Table J.3-2 (Failure Reason)
    """

    NONE = 0
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    DUPLICATE_TRANSACTION_UID = 0x0131
