"""Workitems (Unified Procedure Steps) and subscriptions as pure data, and what can go wrong.

What a step must say is in ``standards.dicom.unified_procedure_step``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.performed_step import Fault
from isocenter.standards.dicom.unified_procedure_step import UpsStatus
from isocenter.standards.dicom.values_model import DataSet


class WorkitemExists(IsocenterError):
    """A workitem with this UID was created before, perhaps one that is gone."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class WorkitemUnknown(IsocenterError):
    """No workitem has this UID."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class WorkitemGone(WorkitemUnknown):
    """The workitem has been removed after it ended."""


class WorkitemUidInvalid(IsocenterError):
    """This is no UID, or one that stands for something else."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class AttributesRefused(IsocenterError):
    """The attributes of a workitem are not what the standard asks for.

    Attributes:
        fault: which, and the status that says so.
    """

    kind: ClassVar[Kind] = Kind.INCORRECT

    def __init__(self, fault: Fault) -> None:
        named = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in fault.tags)
        super().__init__(f"{fault.comment} {named}".rstrip())
        self.fault = fault


class NotCreatedScheduled(IsocenterError):
    """A workitem is created with the state SCHEDULED and no other."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class StateForbids(IsocenterError):
    """What is asked for does not go with the state or the Transaction UID of the workitem.

    Attributes:
        status: why, in the words of the service class.
        tags: attributes whose values are missing for a final state.
    """

    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, status: UpsStatus, tags: Sequence[int] = ()) -> None:
        named = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in tags)
        super().__init__(f"{_REASONS[status]} {named}".rstrip())
        self.status = status
        self.tags = tuple(tags)


_REASONS: Mapping[UpsStatus, str] = {
    UpsStatus.MAY_NO_LONGER_BE_UPDATED: "the workitem may no longer be updated",
    UpsStatus.WRONG_TRANSACTION_UID: "the correct Transaction UID was not provided",
    UpsStatus.ALREADY_IN_PROGRESS: "the workitem is already IN PROGRESS",
    UpsStatus.SCHEDULED_ONLY_BY_CREATION: "only creation makes a workitem SCHEDULED",
    UpsStatus.FINAL_STATE_REQUIREMENTS_NOT_MET: "the final state needs values of",
    UpsStatus.NOT_IN_PROGRESS: "the workitem is not IN PROGRESS",
    UpsStatus.ALREADY_COMPLETED: "the workitem is already COMPLETED",
    UpsStatus.PERFORMER_CANNOT_BE_CONTACTED: "nobody who might perform the workitem listens",
    UpsStatus.ACTION_NOT_APPROPRIATE: "this is done to all workitems and not to one",
}


class SubscriberUnknown(IsocenterError):
    """No DICOM peer has this AE title, so that nothing can be reported to it."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class SubscriptionUnknown(IsocenterError):
    """The application entity has no such subscription."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class FilterRefused(IsocenterError):
    """The matching keys of a subscription are missing, or not all of them can be matched."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class TooManySubscribers(IsocenterError):
    """There are as many subscribers as there may be."""

    kind: ClassVar[Kind] = Kind.BUSY


class Channel(StrEnum):
    """How a subscriber is told."""

    DIMSE = "dimse"
    WEB = "web"


class Origin(StrEnum):
    """Of which subscription that to a workitem is a consequence."""

    WORKITEM = "workitem"
    WORKLIST = "worklist"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An application entity that is told of workitems."""

    ae_title: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """Who wants to hear of what.

    Attributes:
        sop_instance_uid: of a workitem, or a well-known one for all or for those that fit.
        deletion_lock: what has ended stays until the subscriber lets go of it.
        keys: matching keys, for those that fit.
    """

    sop_instance_uid: str
    subscriber: Subscriber
    deletion_lock: bool
    keys: DataSet | None = None


@dataclass(frozen=True, slots=True)
class WorklistSubscription:
    """That an application entity hears of new workitems.

    Attributes:
        filter: matching keys in the DICOM JSON model; empty for all workitems.
    """

    ae_title: str
    filtered: bool
    filter: dict[str, Any]
    channel: str
    deletion_lock: bool


@dataclass(frozen=True, slots=True)
class Workitem:
    """One workitem as it is kept.

    Attributes:
        transaction_uid: of whoever claimed it; for nobody else to know.
        attributes: all others, in the DICOM JSON model.
        step_key: of the scheduled procedure step that it stands for; None: it stands for itself.
        claimed_by: whose word on that step it carries; None: nobody's, it follows the step.
        set_aside_at: since when its end counts no more for the step, which is booked again.
    """

    workitem_key: int
    sop_instance_uid: str
    state: str
    transaction_uid: str | None
    attributes: dict[str, Any]
    created_by: str
    updated_at: datetime
    removed_at: datetime | None
    step_key: int | None
    claimed_by: str | None
    set_aside_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedValues:
    """What of a workitem is matched in a form of its own."""

    patient_name_normalised: str
    patient_name_phonetic: str
    patient_birth_date: date | None
    start_at: datetime | None
    completion_expected_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class FoundWorkitem:
    """A workitem that a search found."""

    workitem_key: int
    sop_instance_uid: str
    attributes: dict[str, Any]
