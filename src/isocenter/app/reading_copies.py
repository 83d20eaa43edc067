"""Reads of images that go on from another copy, and what is put down about the first one."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model_integrity import Fault
from isocenter.domain.archive.service import integrity
from isocenter.errors import IsocenterError, Kind
from isocenter.infra import metrics
from isocenter.infra.blobs import BlobStore
from isocenter.infra.blobs.elsewhere import ReadsElsewhere
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_ACTOR: Final = Actor.system("reader")
# More than that of one store within that time: it is rather the store.
_FAULTS_MAX: Final = 20
_WITHIN: Final = timedelta(minutes=10)
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_READS = metrics.counter(
    "reads_elsewhere", "Objects that were read from a copy, by the store that failed.", ["store"]
)


class KnownCopies:
    """What the archive knows of copies, and where it is told that one was needed.

    An object that its store has lost, or gives up no more, becomes a finding: it alarms, and the
    worker repairs it from the copy. A store that is away is no fault of its objects; neither is one
    that suddenly lacks many, which is rather not mounted, or not the right one.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        """Asks and tells the database of ``db``."""
        self._db = db
        self._clock = clock
        self._told: dict[str, list[datetime]] = {}
        self._lock = threading.Lock()

    def copies(self, key: str) -> Sequence[str]:
        """Keys of the other blobs that should hold the bytes of this one."""
        with self._db.read() as tx:
            return integrity.same_bytes(tx, _ACTOR, key)

    def noticed(self, key: str, copy: str, error: IsocenterError | OSError) -> None:
        """Log it, count it, and have the object repaired where it is the object that fails."""
        store = store_of(key)
        _READS.labels(store).inc()
        kind = error.kind if isinstance(error, IsocenterError) else Kind.FAULT
        _log.error("read_elsewhere", storage=store, source=store_of(copy), error_kind=kind.value)
        now = self._clock()
        if kind in _AWAY or not self._is_of_the_object(store, now):
            return
        fault = Fault.MISSING if kind is Kind.NOT_FOUND else Fault.UNREADABLE
        detail = error.message if isinstance(error, IsocenterError) else "cannot be read"
        try:
            with self._db.transaction() as tx:
                integrity.report_fault(tx, _ACTOR, key, fault, detail, now=now)
        except IsocenterError as failure:
            # The read goes on; the next one of this object says it again.
            _log.warning("fault_not_noted", storage=store, error_kind=failure.kind.value)

    def _is_of_the_object(self, store: str, now: datetime) -> bool:
        """Whether it is the object that is faulty, and not its store."""
        with self._lock:
            told = [each for each in self._told.get(store, []) if now - each < _WITHIN]
            self._told[store] = [*told, now][-_FAULTS_MAX:]
            return len(told) < _FAULTS_MAX


def reading_copies(db: Database, blobs: SeveralStores, clock: Clock) -> BlobStore:
    """The stores for whoever serves images: where one fails, another copy is read."""
    if len(blobs.names) == 1:
        return blobs  # there is nowhere else
    return ReadsElsewhere(blobs, KnownCopies(db, clock))
