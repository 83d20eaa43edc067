"""Entries of the modality worklist as pure data."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One scheduled procedure step as the scanners were told of it.

    Attributes:
        withdrawn_at: since when it is no longer offered; None: it is.
        queried_by: AE titles that were given it, in the order of their first query.
    """

    step_key: int
    accession_number: str
    published_at: datetime
    withdrawn_at: datetime | None
    first_queried_at: datetime | None
    last_queried_at: datetime | None
    query_count: int
    queried_by: list[str]
