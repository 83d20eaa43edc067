"""What happened to reports."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ReportDrafted:
    """Somebody began to report the exam."""

    name: ClassVar[str] = "reporting.report_drafted"

    report_id: str
    accession_number: str
    order_key: int

    @property
    def subject(self) -> str:
        """The report."""
        return f"report/{self.report_id}"


@dataclass(frozen=True, slots=True)
class DraftPatientChanged:
    """The exam's patient is somebody else than the writers of the draft took it for."""

    name: ClassVar[str] = "reporting.draft_patient_changed"

    report_id: str
    accession_number: str
    order_key: int

    @property
    def subject(self) -> str:
        """The report."""
        return f"report/{self.report_id}"


@dataclass(frozen=True, slots=True)
class ReportSigned:
    """A version of the report is signed and will never change.

    Attributes:
        kind: ``final`` for the first version, else ``addendum``.
    """

    name: ClassVar[str] = "reporting.report_signed"

    report_id: str
    version: int
    kind: str
    accession_number: str
    order_key: int

    @property
    def subject(self) -> str:
        """The report."""
        return f"report/{self.report_id}"
