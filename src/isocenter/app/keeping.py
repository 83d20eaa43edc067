"""Carries objects to where they belong: to the store of their study, and to the store of copies.

Runs as a reaction to a complete or newly placed study, and from the command line for all. Every
object is verified on its way and counts only when it is durable; what fails is tried again, and
objects that are done are not carried twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isocenter.app.scrubbing import copied
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.events import StudyCompleted, StudyPlaced
from isocenter.domain.archive.model_integrity import Misplaced, StoredObject
from isocenter.domain.archive.service import packing, placing, renditions
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, Tx

_PORTION: Final = 100

Carried = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Keeper:
    """Carries objects.

    Attributes:
        copy_store: the store of copies; empty when there is none.
        packs: whether what was carried is looked at again by whoever makes packs.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    copy_store: str
    packs: bool = False

    def __call__(self, tx: Tx, event: StudyCompleted | StudyPlaced, /, *, now: datetime) -> None:
        """React: bring the study's objects to where they belong.

        Raises:
            IsocenterError: a store is away or full, or an object is damaged.
        """
        # Bytes are carried without a transaction that waits for them.
        del tx, now
        carried = self.move(event.study_instance_uid)
        if self.copy_store:
            carried += self.copy(event.study_instance_uid)
        if carried and self.packs:
            with self.db.transaction() as packing_tx:
                packing.want_packs(
                    packing_tx, self.actor, event.study_instance_uid, now=self.clock()
                )

    def move(self, study_instance_uid: str) -> int:
        """How many objects were carried to the study's store."""
        done = 0
        while True:
            with self.db.read() as tx:
                found = placing.misplaced(tx, self.actor, study_instance_uid, limit=_PORTION)
            moved = sum(self._move(each) for each in found)
            done += moved
            if len(found) < _PORTION or not moved:
                break
        self._discard_renditions_left_behind(study_instance_uid)
        return done

    def _discard_renditions_left_behind(self, study_instance_uid: str) -> None:
        """Renditions lie in the store of their originals: there they are made again."""
        with self.db.transaction() as tx:
            found = renditions.misplaced_renditions(tx, self.actor, study_instance_uid)
            keys = [each.blob_key for each in found]
            renditions.remake(tx, self.actor, keys, now=self.clock())

    def _move(self, misplaced: Misplaced) -> bool:
        stored = misplaced.stored
        if misplaced.copy_blob_key is not None:
            with self.db.transaction() as tx:
                return placing.exchange_with_copy(tx, self.actor, stored, misplaced.copy_blob_key)
        fresh = copied(self.blobs, stored.blob_key, misplaced.store, stored.sha256)
        with self.db.transaction() as tx:
            done = placing.record_move(tx, self.actor, stored, fresh.key)
        if not done:
            self.blobs.delete(fresh.key)
        return done

    def copy(
        self, study_instance_uid: str | None = None, *, on_carried: Carried | None = None
    ) -> int:
        """How many objects got a copy: those of the study, or all that lack one."""
        done = 0
        while True:
            with self.db.read() as tx:
                found = placing.uncopied(
                    tx,
                    self.actor,
                    self.copy_store,
                    study_instance_uid=study_instance_uid,
                    limit=_PORTION,
                )
            made = 0
            for each in found:
                made += self._copy(each)
                if on_carried is not None:
                    on_carried(done + made)
            done += made
            if len(found) < _PORTION or not made:
                return done

    def _copy(self, stored: StoredObject) -> bool:
        fresh = copied(self.blobs, stored.blob_key, self.copy_store, stored.sha256)
        with self.db.transaction() as tx:
            done = placing.record_copy(
                tx, self.actor, stored, fresh.key, self.copy_store, now=self.clock()
            )
        if not done:
            self.blobs.delete(fresh.key)
        return done
