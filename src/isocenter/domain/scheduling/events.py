"""What happened to scheduled procedure steps. One event per exam, not one per step."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class StepBooked:
    """New steps of an exam have a place and a time."""

    name: ClassVar[str] = "scheduling.step_booked"

    accession_number: str
    step_keys: list[int]

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class StepMoved:
    """Steps of an exam have another time, place, device or protocol than before."""

    name: ClassVar[str] = "scheduling.step_moved"

    accession_number: str
    step_keys: list[int]
    changed: list[str]

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class StepCancelled:
    """Steps of an exam will not be done. ``status`` is ``CANCELLED`` or ``DISCONTINUED``."""

    name: ClassVar[str] = "scheduling.step_cancelled"

    accession_number: str
    step_keys: list[int]
    status: str

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"


@dataclass(frozen=True, slots=True)
class StepStatusChanged:
    """Steps of an exam are in ``status`` now: ARRIVED, READY, STARTED, COMPLETED or DISCONTINUED.

    SCHEDULED is one too: a step waits again that was taken by mistake. DISCONTINUED here is what
    its modality says; an order that is discontinued makes ``StepCancelled``.
    """

    name: ClassVar[str] = "scheduling.step_status_changed"

    accession_number: str
    step_keys: list[int]
    status: str

    @property
    def subject(self) -> str:
        """The exam."""
        return f"exam/{self.accession_number}"
