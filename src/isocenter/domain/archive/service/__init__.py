"""The archive's use cases: admit, locate, complete, sweep."""

from isocenter.domain.archive.service.admission import Familiar, admit
from isocenter.domain.archive.service.completion import complete_quiet_studies
from isocenter.domain.archive.service.location import (
    conflicts_of,
    locate,
    record_study_access,
    series_of,
    set_series_metadata,
    studies_with,
    study,
)
from isocenter.domain.archive.service.sweeping import sweep, unreferenced
from isocenter.domain.archive.service.verification import count_digests, digests

__all__ = [
    "Familiar",
    "admit",
    "complete_quiet_studies",
    "conflicts_of",
    "count_digests",
    "digests",
    "locate",
    "record_study_access",
    "series_of",
    "set_series_metadata",
    "studies_with",
    "study",
    "sweep",
    "unreferenced",
]
