"""What happened while reading."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ArchivingRequested:
    """What was measured and marked in the study is to be written into the archive."""

    name: ClassVar[str] = "reading.archiving_requested"

    study_instance_uid: str

    @property
    def subject(self) -> str:
        """The study."""
        return f"study/{self.study_instance_uid}"
