"""Reads all objects back at a gentle pace, notes what is damaged, and repairs it from other stores.

What is due and what was found is kept by ``domain.archive``; here is the reading, which no
transaction waits for. A store that is away is no fault of its objects: the pass waits for it.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model_integrity import Fault, ObjectKind, Reading, StoredObject
from isocenter.domain.archive.model_renditions import Rendition
from isocenter.domain.archive.service import integrity, renditions
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobMissing, StorageUnavailable, StoredBlob
from isocenter.infra.blobs.packs import part_of
from isocenter.infra.blobs.sealed_header import MARK, is_sealed
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_CHUNK_BYTES: Final = 1 << 20
_REPAIRS_PER_RUN: Final = 100
# So many in a row of one store are not there: it is rather the store that is not there.
_MISSING_IN_A_ROW: Final = 20
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})

Wait = Callable[[float], object]


@dataclass
class Pace:
    """Keeps reading to so many bytes a second, by waiting behind each chunk.

    ``wait`` takes seconds; an event's ``wait`` lets the process end in the meantime.
    """

    bytes_per_s: int
    wait: Wait
    _free_at_s: float = field(default_factory=time.monotonic)

    def took(self, size_bytes: int) -> None:
        """So many bytes were read: wait as long as they should have taken."""
        self._free_at_s = max(self._free_at_s, time.monotonic() - 1.0)
        self._free_at_s += size_bytes / self.bytes_per_s
        ahead_s = self._free_at_s - time.monotonic()
        if ahead_s > 0:
            self.wait(ahead_s)


UNPACED: Final[Callable[[int], None]] = lambda size_bytes: None  # noqa: E731 - a constant that is called


def read_back(
    blobs: SeveralStores, stored: StoredObject, *, took: Callable[[int], None] = UNPACED
) -> Reading:
    """What reading the object shows.

    Raises:
        IsocenterError: its store is away, which says nothing about the object.
    """
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with blobs.open(stored.blob_key) as source:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                took(len(chunk))
    except BlobMissing as error:
        return Reading(stored, Fault.MISSING, error.message)
    except IsocenterError as error:
        if error.kind in _AWAY:
            _refuse_when_away(blobs, stored, error)
        return Reading(stored, Fault.UNREADABLE, error.message)
    except OSError as error:
        return Reading(stored, Fault.UNREADABLE, error.strerror or "cannot be read")
    if (size_bytes, digest.digest()) != (stored.size_bytes, stored.sha256):
        _refuse_when_sealed(blobs, stored)
    if size_bytes != stored.size_bytes:
        detail = f"has {size_bytes} bytes instead of {stored.size_bytes}"
        return Reading(stored, Fault.DAMAGED, detail)
    if digest.digest() != stored.sha256:
        return Reading(stored, Fault.DAMAGED, f"has the digest {digest.hexdigest()}")
    return Reading(stored)


def _refuse_when_away(blobs: SeveralStores, stored: StoredObject, error: IsocenterError) -> None:
    """Raise ``error`` unless the store answers at all: then it is this object that fails."""
    try:
        blobs.size_bytes(stored.blob_key)
    except BlobMissing:
        return
    except IsocenterError:
        raise error from None


def _refuse_when_sealed(blobs: SeveralStores, stored: StoredObject) -> None:
    """Raise when the bytes are encrypted and we do not decipher: nothing is wrong with them."""
    part = part_of(stored.blob_key)
    whole = stored.blob_key if part is None else part.pack
    if is_sealed(blobs.read(whole, 0, len(MARK))):
        raise StorageUnavailable("the objects are encrypted, and store_encryption is off")


def read_portion(
    blobs: SeveralStores, objects: Iterable[StoredObject], *, took: Callable[[int], None]
) -> list[Reading]:
    """What reading these objects shows.

    Raises:
        StorageUnavailable: a store has none of many: it is not mounted, or not the right one.
        IsocenterError: a store is away.
    """
    readings: list[Reading] = []
    missing: dict[str, set[str]] = {}
    for each in objects:
        reading = read_back(blobs, each, took=took)
        readings.append(reading)
        store = store_of(each.blob_key)
        if reading.fault is Fault.MISSING:
            part = part_of(each.blob_key)  # a pack that is lost is one object of the store
            missing.setdefault(store, set()).add(each.blob_key if part is None else part.pack)
        else:
            missing[store] = set()
        if len(missing[store]) >= _MISSING_IN_A_ROW:
            raise StorageUnavailable(
                f"the store {store} lacks {_MISSING_IN_A_ROW} objects in a row:"
                " is it mounted, and the right one?"
            )
    return readings


@dataclass(frozen=True, slots=True)
class Scrubber:
    """The worker's scrubbing: one portion at a time.

    Attributes:
        interval: from the start of one pass to the start of the next.
        wait: sleeps; returns at once when the process is to end.
        stopped: whether it is.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    interval: timedelta
    bytes_per_s: int
    wait: Wait
    stopped: Callable[[], bool]

    def run(self) -> int:
        """How many objects were read back: all that are due, unless the process is to end."""
        objects = 0
        while not self.stopped() and (read := self.run_portion()):
            objects += read
        return objects

    def run_portion(self) -> int:
        """How many objects were read back: those of the next portion, when one is due."""
        with self.db.transaction() as tx:
            portion = integrity.next_portion(
                tx,
                self.actor,
                interval=self.interval,
                bytes_per_s=self.bytes_per_s,
                now=self.clock(),
            )
        if portion is None:
            return 0
        try:
            readings = read_portion(
                self.blobs, self._until_stopped(portion.objects), took=self._pace().took
            )
        except IsocenterError as error:
            with self.db.transaction() as tx:
                integrity.note_trouble(tx, self.actor, error.message)
            raise
        if self.stopped():
            return 0  # the portion is read again by whoever takes it up
        with self.db.transaction() as tx:
            new = integrity.record_portion(tx, self.actor, portion, readings, now=self.clock())
        if new:
            _log.error("objects_damaged", count=new, kind=portion.kind.value)
        self._check_renditions(portion.objects)
        repair_all(self.db, self.blobs, self.actor, clock=self.clock)
        return len(readings)

    def _check_renditions(self, originals: Sequence[StoredObject]) -> None:
        """Have renditions that are damaged made again: they hold nothing that could be lost."""
        with self.db.read() as tx:
            beside = renditions.renditions_beside(
                tx, self.actor, [each.blob_key for each in originals]
            )
        damaged = [each.blob_key for each in beside if self._is_damaged(each)]
        if damaged:
            _log.warning("renditions_damaged", count=len(damaged))
            with self.db.transaction() as tx:
                renditions.remake(tx, self.actor, damaged, now=self.clock())

    def _is_damaged(self, rendition: Rendition) -> bool:
        stored = StoredObject(
            kind=ObjectKind.INSTANCE,
            object_key=rendition.instance_key,
            blob_key=rendition.blob_key,
            size_bytes=rendition.size_bytes,
            sha256=rendition.sha256,
            sop_instance_uid=rendition.sop_instance_uid,
            study_instance_uid="",
        )
        return read_back(self.blobs, stored, took=self._pace().took).fault is not None

    def _pace(self) -> Pace:
        return Pace(self.bytes_per_s, self.wait)

    def _until_stopped(self, objects: Iterable[StoredObject]) -> Iterable[StoredObject]:
        for each in objects:
            if self.stopped():
                return
            yield each


def repair_all(db: Database, blobs: SeveralStores, actor: Actor, *, clock: Clock) -> int:
    """How many damaged objects were replaced by sound bytes of another store."""
    with db.read() as tx:
        faulty = integrity.faulty_objects(tx, actor, limit=_REPAIRS_PER_RUN)
    return sum(repair(db, blobs, actor, each, clock=clock) for each in faulty)


def repair(
    db: Database, blobs: SeveralStores, actor: Actor, stored: StoredObject, *, clock: Clock
) -> bool:
    """Whether sound bytes were found and stand in for the damaged ones from now on."""
    with db.read() as tx:
        sources = integrity.same_bytes(tx, actor, stored.blob_key)
    for source in sources:
        fresh = _copied(blobs, stored, source)
        if fresh is None:
            continue
        with db.transaction() as tx:
            done = integrity.replace_damaged(
                tx, actor, stored, by=fresh.key, source=source, now=clock()
            )
        if not done:
            blobs.delete(fresh.key)
        return done
    return False


def _copied(blobs: SeveralStores, stored: StoredObject, source: str) -> StoredBlob | None:
    """The bytes of ``source`` as a new blob of the object's store; None when they are not sound."""
    try:
        return copied(blobs, source, store_of(stored.blob_key), stored.sha256)
    except IsocenterError as error:
        _log.warning("repair_failed", error_kind=error.kind.value, storage=store_of(source))
        return None


def copied(blobs: SeveralStores, key: str, store: str, sha256: bytes) -> StoredBlob:
    """The blob's bytes as a new blob in ``store``, durable.

    Raises:
        StorageUnavailable: they have another digest, or cannot be read or written.
        IsocenterError: there is no such blob, or no room.
    """
    writer = blobs.writer_in(store)
    try:
        with blobs.open(key) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                writer.write(chunk)
        blob = writer.commit()
    except OSError as error:
        writer.abort()
        raise StorageUnavailable(f"the blob cannot be read: {error.strerror}") from error
    except IsocenterError:
        writer.abort()
        raise
    if blob.sha256 != sha256:
        blobs.delete(blob.key)
        raise StorageUnavailable("the blob to be copied is damaged itself")
    return blob
