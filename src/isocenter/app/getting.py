"""Takes in what another archive sends on request (C-GET), like images that come by themselves."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import NotAnInstance, Outcome
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.peers import service as peers
from isocenter.gateways.dimse.scu_get import Received
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.part10 import encode_file_meta
from isocenter.standards.dicom.text_reading import AS_DECLARED

_NOT_NEEDED: Final = frozenset({Outcome.DUPLICATE, Outcome.REFUSED})


@dataclass
class Getter:
    """Keeps objects one by one; each is durable and visible before its sender is told so.

    Attributes:
        ae_title: of the peer that sends them.
        free_bytes_min: what must stay free in the store.
        outcomes: how many there were of each.
    """

    db: Database
    blobs: BlobStore
    actor: Actor
    clock: Clock
    ae_title: str
    free_bytes_min: int
    outcomes: dict[Outcome, int] = field(default_factory=dict[Outcome, int])

    async def take(self, received: Received) -> Status:
        """What to tell the sender."""
        return await asyncio.to_thread(self._keep, received)

    def _keep(self, received: Received) -> Status:
        free = self.blobs.free_bytes()
        if free is not None and free < self.free_bytes_min:
            return Status.OUT_OF_RESOURCES
        head = encode_file_meta(
            sop_class_uid=received.sop_class_uid,
            sop_instance_uid=received.sop_instance_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
            source_ae_title=self.ae_title,
        )
        blob = self.blobs.put(head + received.data_set)
        with self.db.read() as tx:
            readings = peers.text_readings(tx)
        try:
            instance = describe_file(
                self.blobs,
                blob,
                calling_ae_title=self.ae_title,
                received_at=self.clock(),
                reading=readings.get(self.ae_title, AS_DECLARED),
            )
        except NotAnInstance:
            self.blobs.delete(blob.key)
            return self._counted(Outcome.REFUSED)
        with self.db.transaction() as tx:
            (admission,) = archive.admit(tx, self.actor, [instance], now=self.clock())
        if admission.outcome in _NOT_NEEDED:
            self.blobs.delete(blob.key)
        return self._counted(admission.outcome)

    def _counted(self, outcome: Outcome) -> Status:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        return Status.CANNOT_UNDERSTAND if outcome is Outcome.REFUSED else Status.SUCCESS
