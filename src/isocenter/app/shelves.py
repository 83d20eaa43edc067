"""Takes in what a receiver that is gone left on its shelves; see ``domain/archive/service/shelving``."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from isocenter.app.jobs import Job
from isocenter.app.runtime import Runtime
from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.archive.service import shelving
from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs.store import Shelf
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_ACTOR: Final = Actor.system("worker")
_LOOK_S: Final = 3.0
# Receivers renew theirs every three seconds.
_LEASE: Final = timedelta(seconds=15)
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

    def take_in() -> int:
        count = 0
        while (shelf := _claimed(runtime)) is not None:
            mark = shelf.mark
            count += _take_in(runtime, shelf)
            runtime.pool.run_here(lambda tx, mark=mark: shelving.close_shelves(tx, _ACTOR, [mark]))
        return count

    return Job("take_in_shelves", _LOOK_S, take_in)


def _claimed(runtime: Runtime) -> Shelf | None:
    now = runtime.clock()
    return runtime.pool.run_here(
        lambda tx: shelving.claim_shelf(tx, _ACTOR, before=now - _LEASE, now=now)
    )


def _take_in(runtime: Runtime, shelf: Shelf) -> int:
    """How many objects were taken in. Raises when a store or the database is away."""
    count, keys = 0, runtime.blobs.keys_on(shelf)
    for at in range(0, len(keys), _BATCH):
        portion = keys[at : at + _BATCH]
        with runtime.db.read() as tx:
            readings = peers.text_readings(tx)
            left = shelving.left_on(tx, _ACTOR, portion)
        described = (shelving.describe_left(runtime.blobs, key, readings) for key in left)
        count += _admit(runtime, [each for each in described if each is not None])
    if count:
        _log.warning("shelf_taken_in", instances=count)
    return count


def _admit(runtime: Runtime, batch: Sequence[ReceivedInstance]) -> int:
    if not batch:
        return 0
    now = runtime.clock()
    try:
        admissions, needless = runtime.pool.run_here(
            lambda tx: shelving.take_in(tx, _ACTOR, batch, now=now)
        )
    except IsocenterError as error:
        if error.kind in _AWAY:
            raise
        if len(batch) > 1:
            return sum(_admit(runtime, [each]) for each in batch)
        # The sweeper shows it as an orphan: a person has to look.
        _log.error("shelf_object_not_taken_in", error_kind=error.kind.value)
        return 0
    for key in needless:
        runtime.blobs.delete(key)
    return len(admissions)
