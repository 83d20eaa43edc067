"""Images taken out of use: which, why, by whom, and what a note about them says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.key_object import Note, Reference, Title


class NothingToReject(IsocenterError):
    """No image has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NothingToRestore(IsocenterError):
    """No rejected image has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class ReasonMissing(IsocenterError):
    """Taking images out of use, or back into it, needs a reason in a few words."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class TooManyToRestore(IsocenterError):
    """More images than are brought back at once."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One time that images of a study were taken out of use.

    Attributes:
        series_instance_uid: the series that was meant, or is None for all or for listed instances.
        code: code value of the reason, of PS3.16 CID 7010.
        note_sop_instance_uid: the document that says it; None from before there were documents.
        number_of_instances: that were taken out of use.
        number_awaited: that the note named and that had not come.
        number_differing: that the note describes otherwise than they are: they stayed.
        number_hidden: that are out of use still.
    """

    rejection_key: int
    study_instance_uid: str
    series_instance_uid: str | None
    sop_instance_uid: str | None
    code: str
    reason: str
    rejected_by: str
    rejected_at: datetime
    note_sop_instance_uid: str | None
    number_of_instances: int
    number_awaited: int
    number_differing: int
    number_hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedNote:
    """A note that was admitted: what it says, and which instance of which study it is."""

    note: Note
    study_instance_uid: str
    sop_instance_uid: str
    patient_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """An instance that is kept and that nobody is shown."""

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    blob_key: str
    size_bytes: int
    sha256: bytes
    received_at: datetime
    calling_ae_title: str
    rejection_key: int

    @property
    def reference(self) -> Reference:
        """How a note names it."""
        return Reference(
            self.study_instance_uid,
            self.series_instance_uid,
            self.sop_class_uid,
            self.sop_instance_uid,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnwrittenNote:
    """A note whose document is still to be written.

    Attributes:
        code: of the rejection; '' for a note that revokes.
        sop_instance_uids: of the instances that a revoking note names.
    """

    study_instance_uid: str
    code: str
    reason: str
    sop_instance_uids: Sequence[str]
    rejection_key: int

    @property
    def title(self) -> Title:
        """The document's title."""
        return Title(self.code) if self.code else Title.REVOKED
