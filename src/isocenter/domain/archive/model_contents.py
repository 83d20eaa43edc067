"""Several contents under one SOP Instance UID: one is shown, others are kept beside it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind


class UnknownContent(IsocenterError):
    """No kept content has this key, or its bytes are not there."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class BelongsElsewhere(IsocenterError):
    """The content says that it is of another study or series than the one that is shown."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One of several contents.

    Attributes:
        conflict_key: None for the one that is shown.
        asserted_study_instance_uid, asserted_series_instance_uid: where it says that it belongs.
    """

    sop_instance_uid: str
    conflict_key: int | None
    blob_key: str
    size_bytes: int
    sha256: bytes
    calling_ae_title: str
    received_at: datetime
    asserted_study_instance_uid: str
    asserted_series_instance_uid: str

    @property
    def digest(self) -> str:
        """The SHA-256 as hexadecimal digits."""
        return self.sha256.hex()


@dataclass(frozen=True, slots=True)
class Contents:
    """All contents of one instance: the shown one and those beside it, by arrival."""

    sop_instance_uid: str
    shown: Content
    kept: Sequence[Content]

    def fits(self, content: Content) -> bool:
        """Whether the content may be shown instead: it says the same of its place."""
        return (
            content.asserted_study_instance_uid == self.shown.asserted_study_instance_uid
            and content.asserted_series_instance_uid == self.shown.asserted_series_instance_uid
        )


def by_instance(contents: Iterable[Content]) -> list[Contents]:
    """The contents of each instance; they come sorted by UID, the shown one first."""
    found: list[Contents] = []
    for uid, each in groupby(contents, lambda content: content.sop_instance_uid):
        all_of_it = list(each)
        if all_of_it[0].conflict_key is None:
            found.append(Contents(uid, all_of_it[0], all_of_it[1:]))
    return found
