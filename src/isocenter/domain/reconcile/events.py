"""What was found out about studies and their orders."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class StudyLinked:
    """The study belongs to the order.

    Attributes:
        method: ``study_instance_uid``, ``accession_number_and_patient`` or ``person``.
    """

    name: ClassVar[str] = "reconcile.study_linked"

    study_instance_uid: str
    accession_number: str
    order_key: int
    method: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class StudyUnlinked:
    """The study does not belong to the order after all."""

    name: ClassVar[str] = "reconcile.study_unlinked"

    study_instance_uid: str
    accession_number: str
    order_key: int

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class StudyCorrected:
    """What the study's images say where they go out is something else now."""

    name: ClassVar[str] = "reconcile.study_corrected"

    study_instance_uid: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class CaseOpened:
    """The study needs a person. ``kind`` is one of ``model.CaseKind``."""

    name: ClassVar[str] = "reconcile.case_opened"

    study_instance_uid: str
    case_key: int
    kind: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class CaseResolved:
    """A person or a new fact settled the case."""

    name: ClassVar[str] = "reconcile.case_resolved"

    study_instance_uid: str
    case_key: int
    kind: str
    resolved_by: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"
