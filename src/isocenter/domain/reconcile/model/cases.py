"""Why a study needs a person: the kinds of case, and what may be done with them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind


class CaseKind(StrEnum):
    """Why a study needs a person."""

    UNMATCHED = "unmatched"  # no order fits
    AMBIGUOUS = "ambiguous"  # several orders fit
    PATIENT_MISMATCH = "patient_mismatch"  # an order fits, its patient does not
    CONFLICTING_INSTANCE = "conflicting_instance"  # other bytes under a known SOP Instance UID
    INCONSISTENT_STUDY = "inconsistent_study"  # the study's own images contradict each other
    ORDER_CANCELLED = "order_cancelled"  # the images belong to an order that was cancelled
    DUPLICATE_ACCESSION = "duplicate_accession"  # several patients' orders have the number
    ISSUER_CONFLICT = "issuer_conflict"  # the number fits, somebody else issued it
    UNIDENTIFIED_PATIENT = "unidentified_patient"  # nobody knew whose images these are
    WRONG_WORKLIST_ENTRY = "wrong_worklist_entry"  # the modality took somebody else's entry


# These end when a person has seen them; the others only when the study has found its order.
DISMISSIBLE: Final = frozenset({
    CaseKind.CONFLICTING_INSTANCE,
    CaseKind.INCONSISTENT_STUDY,
    CaseKind.ORDER_CANCELLED,
})


# About the study's own content; all others are about which order it belongs to.
ABOUT_CONTENT: Final = frozenset({CaseKind.CONFLICTING_INSTANCE, CaseKind.INCONSISTENT_STUDY})


class UnknownCase(IsocenterError):
    """No open case has this key."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotDismissible(IsocenterError):
    """The case ends by matching the study with an order, not by looking away."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class NoSuchOrder(IsocenterError):
    """No order has this accession number."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotLinked(IsocenterError):
    """The study is linked to no order, so there is no match to undo."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person must look at.

    Attributes:
        fingerprint: changes when a dismissed finding must be shown again.
        reason: one sentence that a person at the front desk understands.
    """

    kind: CaseKind
    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An open or resolved case."""

    case_key: int
    study_instance_uid: str
    kind: CaseKind
    state: str
    fingerprint: str
    reason: str
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", CaseKind(self.kind))
