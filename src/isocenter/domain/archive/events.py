"""What happened to the images. None per instance; a series at most once a second."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class InstancesAdmitted:
    """New instances of one series are visible: ``count`` now; more may follow unannounced.

    Attributes:
        first: these are the first instances of the study.
        reopened: the study had been taken for complete.
        disagreements: names of study attributes in which an instance contradicts the first one.
    """

    name: ClassVar[str] = "archive.instances_admitted"

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    count: int
    first: bool
    reopened: bool
    disagreements: list[str]

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class ConflictingInstanceKept:
    """Different bytes came under a SOP Instance UID that is known; both are kept."""

    name: ClassVar[str] = "archive.conflicting_instance_kept"

    study_instance_uid: str
    sop_instance_uid: str

    @property
    def subject(self) -> str:
        """The study of the instance that was there first."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class StudyCompleted:
    """No image of the study has arrived for the quiet time: it is taken for complete."""

    name: ClassVar[str] = "archive.study_completed"

    study_instance_uid: str
    number_of_series: int
    number_of_instances: int

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class ObjectDamaged:
    """An object was read back and is not what was admitted; ``fault`` says in what way."""

    name: ClassVar[str] = "archive.object_damaged"

    study_instance_uid: str
    sop_instance_uid: str
    fault: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class ObjectRepaired:
    """A damaged object was replaced by sound bytes from another store."""

    name: ClassVar[str] = "archive.object_repaired"

    study_instance_uid: str
    sop_instance_uid: str
    source: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class StudyPlaced:
    """The study's objects belong in this store from now on."""

    name: ClassVar[str] = "archive.study_placed"

    study_instance_uid: str
    store: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class InstanceExchanged:
    """Another of the instance's contents is shown from now on."""

    name: ClassVar[str] = "archive.instance_exchanged"

    study_instance_uid: str
    sop_instance_uid: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class InstancesRejected:
    """Somebody took images out of circulation: they are kept, and nobody is shown them.

    Attributes:
        series_instance_uid: the series that was rejected whole or in part; "" for the whole study.
        sop_instance_uid: the one instance that was rejected; "" for all.
        count: how many instances.
        remaining: how many instances the study still has.
        note_sop_instance_uid: of the document that says it, once that is written; "" in events of
            before there were documents.
    """

    name: ClassVar[str] = "archive.instances_rejected"

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    count: int
    remaining: int
    note_sop_instance_uid: str = ""

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class InstancesRestored:
    """Somebody brought rejected images back into use.

    Attributes:
        note_sop_instance_uid: of the document that says it, once that is written.
    """

    name: ClassVar[str] = "archive.instances_restored"

    study_instance_uid: str
    count: int
    note_sop_instance_uid: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class InstancesSplit:
    """Images that came with the study are shown in another one; their admission there is told too.

    Attributes:
        to_study_instance_uid: the other study.
        series_instance_uids: that the images came with.
        count: how many instances.
    """

    name: ClassVar[str] = "archive.instances_split"

    study_instance_uid: str
    to_study_instance_uid: str
    series_instance_uids: list[str]
    count: int

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class SplitOutgrown:
    """Images came late of series that were split off the study: they are to follow."""

    name: ClassVar[str] = "archive.split_outgrown"

    study_instance_uid: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class RejectionNoteKept:
    """A document is here that says which images of the study are not to be used, or are again.

    Attributes:
        code: of the document's title.
    """

    name: ClassVar[str] = "archive.rejection_note_kept"

    study_instance_uid: str
    note_sop_instance_uid: str
    code: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"
