"""What happened to the entries of the modality worklist."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FirstQueried:
    """A modality was given an exam's entries for the first time."""

    name: ClassVar[str] = "worklist.first_queried"

    accession_number: str
    step_keys: list[int]
    calling_ae_title: str

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class EntryPublished:
    """Entries of an exam are on the worklist."""

    name: ClassVar[str] = "worklist.entry_published"

    accession_number: str
    step_keys: list[int]

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class EntryWithdrawn:
    """Entries of an exam are no longer on the worklist."""

    name: ClassVar[str] = "worklist.entry_withdrawn"

    accession_number: str
    step_keys: list[int]

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class EntryOfferedAgain:
    """Entries of an exam are on the worklist again that had been withdrawn."""

    name: ClassVar[str] = "worklist.entry_offered_again"

    accession_number: str
    step_keys: list[int]

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class StepForwardDue:
    """A peer is to be told what a modality said."""

    name: ClassVar[str] = "worklist.step_forward_due"

    recipient: str
    sop_instance_uid: str

    @property
    def subject(self) -> str:
        """The recipient: it is told everything in order."""
        return f"step_recipient/{self.recipient}"


@dataclass(frozen=True, slots=True)
class StepNotificationDue:
    """A peer is to be told that a performed step began, changed or ended, and nothing else.

    Attributes:
        event_type_id: of PS3.4 Table F.9.2-1.
    """

    name: ClassVar[str] = "worklist.step_notification_due"

    recipient: str
    sop_instance_uid: str
    event_type_id: int

    @property
    def subject(self) -> str:
        """The recipient: it is told everything in order."""
        return f"step_listener/{self.recipient}"


@dataclass(frozen=True, slots=True)
class StepPerformed:
    """A modality said that it began, goes on or has ended; ``status`` is where it is now.

    Attributes:
        study_instance_uids: of the studies that it says it made.
        accession_numbers: of the exams whose steps it means; empty for an unscheduled one.
        is_new: nobody had heard of it before.
    """

    name: ClassVar[str] = "worklist.step_performed"

    sop_instance_uid: str
    status: str
    study_instance_uids: list[str]
    accession_numbers: list[str]
    is_new: bool = False

    @property
    def subject(self) -> str:
        """The performed step."""
        return f"performed_step/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class WorkitemPerformed:
    """Whoever claimed a scheduled step's workitem began, completed or canceled it."""

    name: ClassVar[str] = "worklist.workitem_performed"

    sop_instance_uid: str
    state: str

    @property
    def subject(self) -> str:
        """The workitem."""
        return f"workitem/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class WorkitemReportDue:
    """A DICOM peer is to be told of a workitem.

    Attributes:
        recipient: its AE title.
        information: the Event Information, in the DICOM JSON model.
        due_at: since when.
    """

    name: ClassVar[str] = "worklist.workitem_report_due"

    recipient: str
    sop_instance_uid: str
    event_type_id: int
    information: dict[str, Any]
    due_at: datetime

    @property
    def subject(self) -> str:
        """The recipient: it is told everything in order."""
        return f"workitem_subscriber/{self.recipient}"


@dataclass(frozen=True, slots=True)
class WorkitemAnnounced:
    """A web subscriber is to be told of a workitem, whenever its channel is open.

    Attributes:
        recipient: its AE title.
        information: the Event Information, in the DICOM JSON model.
    """

    name: ClassVar[str] = "worklist.workitem_announced"

    recipient: str
    sop_instance_uid: str
    event_type_id: int
    information: dict[str, Any]

    @property
    def subject(self) -> str:
        """The recipient."""
        return f"workitem_subscriber/{self.recipient}"
