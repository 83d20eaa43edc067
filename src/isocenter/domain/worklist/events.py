"""What happened to the entries of the modality worklist."""

from dataclasses import dataclass
from typing import ClassVar


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
