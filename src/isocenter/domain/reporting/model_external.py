"""What other systems found out about our patients: documents, and single values such as an eGFR."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.statuses import Result

MediaType = Literal["text/plain", "application/pdf"]

# What is kept says how far a result is in four words.
STATUSES: Mapping[Result, str] = {
    Result.PARTIAL: "preliminary",
    Result.PRELIMINARY: "preliminary",
    Result.FINAL: "final",
    Result.CORRECTED: "corrected",
    Result.APPENDED: "corrected",
    Result.CANCELLED: "cancelled",
    Result.ENTERED_IN_ERROR: "cancelled",
}
RESULTS: Mapping[str, Result] = {
    "preliminary": Result.PRELIMINARY,
    "final": Result.FINAL,
    "corrected": Result.CORRECTED,
    "cancelled": Result.CANCELLED,
}


class ResultGoesBack(IsocenterError):
    """A result that is final is said to be preliminary, and not that it was corrected."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What a message says about a document; ``content`` is empty when it says only a status.

    Attributes:
        document_id: the sender's own, by which it is known when it comes again.
        replaces: the document that is no longer to be read.
    """

    document_id: str
    asserted_at: datetime
    kind: str
    result: Result
    content: bytes = b""
    media_type: MediaType = "text/plain"
    accession_number: str | None = None
    author_name: str | None = None
    written_at: datetime | None = None
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class ObservationFacts:
    """What a message says about one value; an empty ``value`` says only a status.

    Attributes:
        order_number: the sender's own, with ``code`` and ``sub_id`` what the value is known by.
        code: value, scheme, meaning.
    """

    order_number: str
    code: tuple[str, str, str]
    asserted_at: datetime
    result: Result
    observed_at: datetime
    value: str = ""
    unit: str = ""
    sub_id: str = ""
    reference_range: str = ""
    abnormal_flags: str = ""


@dataclass(frozen=True, slots=True)
class ExternalDocument:
    """The newest version of a document of another system."""

    document_key: int
    source_peer: str
    document_id: str
    version: int
    accession_number: str | None
    kind: str
    status: str
    author_name: str | None
    written_at: datetime | None
    media_type: str
    asserted_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Observation:
    """A value that another system measured."""

    observation_key: int
    source_peer: str
    order_number: str
    code_value: str
    code_scheme: str
    code_meaning: str
    value: str
    unit: str
    reference_range: str
    abnormal_flags: str
    status: str
    observed_at: datetime
    asserted_at: datetime
