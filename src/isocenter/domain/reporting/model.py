"""Reports and their signed versions, as values."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind


class ReportState(StrEnum):
    """Whether the newest text is still being written."""

    DRAFT = "draft"
    SIGNED = "signed"


class VersionKind(StrEnum):
    """What a signed version is to the ones before it."""

    FINAL = "final"
    ADDENDUM = "addendum"


class UnknownReport(IsocenterError):
    """No report has this identifier."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NoSuchExam(IsocenterError):
    """No order has this accession number, so there is nothing that a report could answer."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class ExamCancelled(IsocenterError):
    """The order was cancelled."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ReportIsSigned(IsocenterError):
    """Signed text does not change; what is to be added is an addendum."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ReportIsDraft(IsocenterError):
    """An addendum needs a signed report to add to."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class DraftChanged(IsocenterError):
    """Somebody else saved the draft meanwhile; going on would overwrite their text unseen."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PatientOfDraftChanged(IsocenterError):
    """The exam's patient was merged or unmerged while the report was written."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PatientUnconfirmed(IsocenterError):
    """The draft's patient was merged or parted, and no writer has said yet that it is right."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class ReportIsEmpty(IsocenterError):
    """A report without text cannot be signed."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class ReportTooLong(IsocenterError):
    """The text is longer than any report."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report.

    Attributes:
        version: of the newest signed text; 0 while nothing is signed.
        draft_text: the text being written; None once it is signed.
        draft_revision: counts the saves of the draft, and the changes of who it is about.
        patient_key: whom its writers took the exam's patient for; None when that was not kept.
        patient_unconfirmed: that patient was merged or parted since; the draft is not signed before
            a writer has said that the patient is right.
    """

    report_id: str
    accession_number: str
    order_key: int
    state: ReportState
    version: int
    draft_text: str | None
    draft_revision: int
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
    signed_at: datetime | None
    patient_key: int | None = None
    patient_unconfirmed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", ReportState(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportVersion:
    """A signed text. An addendum's text is what it adds, not a repetition of what was there."""

    report_id: str
    version: int
    kind: VersionKind
    text: str
    digest: bytes
    signed_by: str
    signer_name: str
    signed_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", VersionKind(self.kind))


def version_digest(before: bytes, *, version: int, signed_by: str, text: str) -> bytes:
    """SHA-256 over the digest of the version ``before`` (empty for the first) and this content.

    Whoever has the newest digest can prove every text of the report.
    """
    signer = signed_by.encode()
    head = len(before).to_bytes(1) + before + version.to_bytes(4) + len(signer).to_bytes(4)
    return hashlib.sha256(head + signer + text.encode()).digest()
