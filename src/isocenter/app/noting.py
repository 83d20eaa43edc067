"""Writes the documents that say what was rejected and restored, after the fact and durably."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.events import InstancesRejected, InstancesRestored
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class NoteWriter:
    """A reaction that writes notes; what a store that is away prevents is tried again.

    Attributes:
        zone: where the department lives.
    """

    blobs: BlobStore
    actor: Actor
    zone: tzinfo

    def __call__(
        self, tx: Tx, event: InstancesRejected | InstancesRestored, /, *, now: datetime
    ) -> None:
        """Write the event's note, unless it is there or came from somebody else."""
        if event.note_sop_instance_uid:
            uid = event.note_sop_instance_uid
            archive.write_due_note(tx, self.actor, self.blobs, uid, zone=self.zone, now=now)
