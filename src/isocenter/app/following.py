"""Has images that come late follow those of their series that were split off their study."""

from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.events import SplitOutgrown
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class SplitFollower:
    """A reaction to new images.

    Until it has run they are shown where they came: admission does not wait for it.
    """

    blobs: BlobStore
    actor: Actor

    def __call__(self, tx: Tx, event: SplitOutgrown, /, *, now: datetime) -> None:
        """Move what belongs elsewhere."""
        study = event.study_instance_uid
        archive.follow_splits(tx, self.actor, self.blobs, study, now=now)
