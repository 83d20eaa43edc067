"""The archive's use cases: admit, locate, complete, sweep."""

from isocenter.domain.archive.service.admission import Familiar, admit, admit_more
from isocenter.domain.archive.service.commitment import failure_of, stored_instances
from isocenter.domain.archive.service.completion import complete_quiet_studies, complete_study
from isocenter.domain.archive.service.correction import correct, modifications, modifications_of
from isocenter.domain.archive.service.location import (
    conflicts_of,
    locate,
    record_study_access,
    series_of,
    set_series_metadata,
    studies_with,
    study,
)
from isocenter.domain.archive.service.notes import (
    note_to_send,
    rejected_instances,
    sender_of_note,
    write_due_note,
)
from isocenter.domain.archive.service.rejection import reject, settle_awaited
from isocenter.domain.archive.service.restoration import rejections, restore
from isocenter.domain.archive.service.selection import growth, locate_between
from isocenter.domain.archive.service.split_records import write_due_records
from isocenter.domain.archive.service.splitting import (
    follow_splits,
    split,
    splits_of,
    tell_late_images,
    undo_split,
)
from isocenter.domain.archive.service.sweeping import forget_spared, sweep, unreferenced
from isocenter.domain.archive.service.verification import damage

__all__ = [
    "Familiar",
    "admit",
    "admit_more",
    "complete_quiet_studies",
    "complete_study",
    "conflicts_of",
    "correct",
    "damage",
    "failure_of",
    "follow_splits",
    "forget_spared",
    "growth",
    "locate",
    "locate_between",
    "modifications",
    "modifications_of",
    "note_to_send",
    "record_study_access",
    "reject",
    "rejected_instances",
    "rejections",
    "restore",
    "sender_of_note",
    "series_of",
    "set_series_metadata",
    "settle_awaited",
    "split",
    "splits_of",
    "stored_instances",
    "studies_with",
    "study",
    "sweep",
    "tell_late_images",
    "undo_split",
    "unreferenced",
    "write_due_note",
    "write_due_records",
]
