"""What happened to scheduled procedure steps and appointments. One event per exam, not per step.

``asserted_by`` is the HL7 peer that said so, '' for anybody else.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class StepBooked:
    """New steps of an exam have a place and a time."""

    name: ClassVar[str] = "scheduling.step_booked"

    accession_number: str
    step_keys: list[int]
    asserted_by: str = ""

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
    asserted_by: str = ""

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


@dataclass(frozen=True, slots=True)
class AppointmentKept:
    """An appointment that another scheduler makes is known, or is not what it was.

    Attributes:
        accession_numbers: of its exams.
        changed: names of what changed; of a new one all that is known.
    """

    name: ClassVar[str] = "scheduling.appointment_kept"

    appointment_key: int
    accession_numbers: list[str]
    created: bool
    changed: list[str]
    asserted_by: str = ""

    @property
    def subject(self) -> str:
        """The appointment."""
        return f"appointment/{self.appointment_key}"
