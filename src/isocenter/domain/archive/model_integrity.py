"""What the archive says of the bytes that it keeps: objects, passes of reading back, findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind


class ObjectKind(StrEnum):
    """What a blob holds; a pass reads the kinds in this order."""

    INSTANCE = "instance"
    CONFLICT = "conflict"  # other bytes under a known SOP Instance UID, kept beside the first
    COPY = "copy"  # the bytes of one of the former, in another store


KINDS: Final = tuple(ObjectKind)


class Fault(StrEnum):
    """What is wrong with a blob."""

    MISSING = "missing"  # its store does not have it
    DAMAGED = "damaged"  # it is there with other bytes
    UNREADABLE = "unreadable"  # it is there, and its store or its key refuses to give it


class UnknownFinding(IsocenterError):
    """No open finding has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NoSoundCopy(IsocenterError):
    """No other store gives the bytes that the object must have."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A blob, and what it must still be: its size, and the SHA-256 of the whole blob.

    Attributes:
        object_key: of its kind; grows in the order of admission.
    """

    kind: ObjectKind
    object_key: int
    blob_key: str
    size_bytes: int
    sha256: bytes
    sop_instance_uid: str
    study_instance_uid: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ObjectKind(self.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubPass:
    """One reading back of everything.

    Attributes:
        kind, after_key: how far it is.
        claimed_until: a worker reads the next portion until then.
        objects_total: about how many there were at the start.
        trouble: why it does not get on, if it does not.
    """

    pass_key: int
    started_at: datetime
    finished_at: datetime | None
    kind: ObjectKind
    after_key: int
    claimed_until: datetime | None
    objects_total: int
    objects: int
    bytes: int
    faults: int
    repaired: int
    trouble: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ObjectKind(self.kind))


@dataclass(frozen=True, slots=True)
class Portion:
    """Objects of one kind that one worker reads back now."""

    pass_key: int
    kind: ObjectKind
    before_key: int
    objects: Sequence[StoredObject]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one object back. ``fault`` is None when it is as it must be."""

    stored: StoredObject
    fault: Fault | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was not as it must be.

    Attributes:
        settlement: how it ended: repaired, found sound again, or given up by a person.
    """

    finding_key: int
    kind: ObjectKind
    blob_key: str
    fault: Fault
    detail: str
    sop_instance_uid: str
    study_instance_uid: str
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    settlement: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ObjectKind(self.kind))
        object.__setattr__(self, "fault", Fault(self.fault))


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityState:
    """What is known of the integrity of all objects.

    Attributes:
        open_faults: how many open findings there are, by what is wrong.
    """

    current: ScrubPass | None
    last: ScrubPass | None
    open_faults: dict[Fault, int]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Misplaced:
    """An object that is not in the store where its study belongs.

    Attributes:
        copy_blob_key: its copy in that store, if it has one there.
    """

    stored: StoredObject
    store: str
    copy_blob_key: str | None
