"""Takes in what a receiver that is gone left on its shelves (``archive.service.shelving``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.archive.service import shelving
from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore
from isocenter.infra.blobs.store import Shelf
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_ACTOR: Final = Actor.system("worker")
_LOOK_S: Final = 3.0
# Receivers renew theirs every three seconds.
_LEASE: Final = timedelta(seconds=10)
_BATCH: Final = 64
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class ShelfRegistrar:
    """Makes the shelves of one receiver known."""

    def __init__(self, runtime: Runtime) -> None:
        self._pool, self._clock = runtime.pool, runtime.clock
        self._actor = Actor.system("dimse")

    def open(self, directory: str, mark: str) -> None:
        """From now on whatever is put there will be taken in."""
        now = self._clock()
        self._pool.run_here(
            lambda tx: shelving.open_shelf(tx, self._actor, directory, mark, now=now)
        )

    def renew(self, marks: Sequence[str]) -> None:
        """Their owner is alive."""
        now = self._clock()
        self._pool.run_here(lambda tx: shelving.renew_shelves(tx, self._actor, marks, now=now))

    def close(self, marks: Sequence[str]) -> None:
        """Nothing is left to be done there."""
        self._pool.run_here(lambda tx: shelving.close_shelves(tx, self._actor, marks))


def shelf_job(runtime: Runtime) -> Job:
    """Looks for shelves whose owner is gone."""
    clearer = ShelfClearer(runtime.db, runtime.blobs, runtime.clock)
    return Job("clear_shelves", _LOOK_S, clearer.run)


@dataclass(frozen=True, slots=True)
class ShelfClearer:
    """Takes in what lies on shelves that nobody renews."""

    db: Database
    blobs: BlobStore
    clock: Clock

    def run(self) -> int:
        """How many objects were taken in.

        Raises:
            IsocenterError: a store or the database is away. The shelf is tried again later.
        """
        count = 0
        while (shelf := self._claimed()) is not None:
            count += self._clear(shelf)
            with self.db.transaction() as tx:
                shelving.close_shelves(tx, _ACTOR, [shelf.mark])
        return count

    def _claimed(self) -> Shelf | None:
        now = self.clock()
        with self.db.transaction() as tx:
            return shelving.claim_shelf(tx, _ACTOR, before=now - _LEASE, now=now)

    def _clear(self, shelf: Shelf) -> int:
        count, keys = 0, self.blobs.keys_on(shelf)
        for at in range(0, len(keys), _BATCH):
            with self.db.read() as tx:
                readings = peers.text_readings(tx)
                left = shelving.left_on(tx, _ACTOR, keys[at : at + _BATCH])
            described = (shelving.describe_left(self.blobs, key, readings) for key in left)
            count += self._take_in([each for each in described if each is not None])
        if count:
            _log.warning("shelf_cleared", instances=count)
        return count

    def _take_in(self, batch: Sequence[ReceivedInstance]) -> int:
        if not batch:
            return 0
        try:
            with self.db.transaction() as tx:
                needless = shelving.take_in(tx, _ACTOR, batch, now=self.clock())
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
            if len(batch) > 1:
                return sum(self._take_in([each]) for each in batch)
            # The sweeper shows it as an orphan: a person has to look.
            _log.error("shelf_object_not_taken_in", error_kind=error.kind.value)
            return 0
        for key in needless:
            self.blobs.delete(key)
        return len(batch)
