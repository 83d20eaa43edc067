"""Packs small objects of complete studies' series: one blob of a store in place of many.

In this order, so that whatever ends in between loses nothing: the pack is written and durable; it
is noted, so that no sweeper takes it; all of it is read back and compared with the digests that the
database keeps; one transaction gives every object its new key. The single blobs are left to the
sweeper. What fails before the last step leaves a pack that nobody names, which the sweeper removes.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar, Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.events import StudyCompleted
from isocenter.domain.archive.model_packs import Exchange, Unpacked
from isocenter.domain.archive.service import packing
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import StorageUnavailable
from isocenter.infra.blobs.packs import (
    MEMBERS_MAX,
    Member,
    PackDamaged,
    Packed,
    encode_index,
    laid_out,
    read_index,
)
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, Tx
from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_MEMBERS_MIN: Final = 2
_REST: Final = timedelta(hours=1)  # when a store is away or full
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class _Stopped(Exception):
    """The process is to end in the middle of a pack."""


class _Unsound(IsocenterError):
    """An object is not what the database says: reading everything back finds it, and repairs it."""

    kind: ClassVar[Kind] = Kind.FAULT


@dataclass(frozen=True, slots=True)
class PackLimits:
    """How large an object may be that is packed, and a pack's members together."""

    object_bytes: int
    pack_bytes: int


@dataclass(frozen=True, slots=True)
class Packer:
    """Packs series.

    Attributes:
        stores: in which objects are packed; none: nothing is.
        stopped: whether the process is to end.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    stores: Sequence[str]
    limits: PackLimits
    stopped: Callable[[], bool]

    def on_study_completed(self, tx: Tx, event: StudyCompleted, /, *, now: datetime) -> None:
        """React: the study's series are due."""
        if self.stores:
            packing.want_packs(tx, self.actor, event.study_instance_uid, now=now)

    def run(self) -> int:
        """How many objects were packed: all that are due, unless the process is to end."""
        done = 0
        while self.stores and not self.stopped():
            begun_at = self.clock()
            with self.db.transaction() as tx:
                series_key = packing.next_series(tx, self.actor, now=begun_at)
            if series_key is None:
                break
            done += self._series(series_key, begun_at)
        return done

    def _series(self, series_key: int, begun_at: datetime) -> int:
        done = 0
        try:
            for store in self.stores:
                with self.db.read() as tx:
                    found = packing.unpacked(
                        tx,
                        self.actor,
                        series_key,
                        store,
                        size_bytes_max=min(self.limits.object_bytes, self.limits.pack_bytes),
                    )
                for each in self._portions(found):
                    done += self._pack(series_key, store, each)
        except _Stopped:
            self._put_off(series_key, timedelta(0))
        except IsocenterError as error:
            _log.warning("packs_put_off", error_kind=error.kind.value)
            self._put_off(series_key, _REST)
        else:
            with self.db.transaction() as tx:
                packing.settle_series(tx, self.actor, series_key, begun_at=begun_at)
        return done

    def _put_off(self, series_key: int, rest: timedelta) -> None:
        with self.db.transaction() as tx:
            packing.put_off_series(tx, self.actor, series_key, due_at=self.clock() + rest)

    def _portions(self, found: Sequence[Unpacked]) -> Iterator[Sequence[Unpacked]]:
        """What may go into one pack each: of one day, and within the limits."""
        portion: list[Unpacked] = []
        size_bytes = 0
        for each in found:
            is_full = (
                size_bytes + each.size_bytes > self.limits.pack_bytes
                or len(portion) == MEMBERS_MAX
                or (portion and _day(portion[0].blob_key) != _day(each.blob_key))
            )
            if is_full:
                yield portion
                portion, size_bytes = [], 0
            portion.append(each)
            size_bytes += each.size_bytes
        yield portion

    def _pack(self, series_key: int, store: str, objects: Sequence[Unpacked]) -> int:
        """How many objects and copies lie in a new pack from now on.

        Raises:
            IsocenterError: the store is away or full, or a pack is not read back as it was written.
        """
        if len(objects) < _MEMBERS_MIN:
            return 0
        try:
            written = self._written(store, objects)
        except _Unsound:
            objects = [each for each in objects if self._is_sound(each)]
            if len(objects) < _MEMBERS_MIN:
                return 0
            written = self._written(store, objects)
        key, members = written
        try:
            self._check(key, members)
        except Exception:
            self._discard(key)
            raise
        exchanges = [
            Exchange(each.blob_key, member.key(key))
            for each, member in zip(objects, members, strict=True)
        ]
        with self.db.transaction() as tx:
            changed = packing.exchange(tx, self.actor, series_key, key, exchanges, now=self.clock())
        if not changed:
            self.blobs.delete(key)
        return changed

    def _written(self, store: str, objects: Sequence[Unpacked]) -> tuple[str, list[Member]]:
        """The key of a new pack of these objects, durable and noted, and its members."""
        members = laid_out([
            Packed(_identifier(each.blob_key), each.size_bytes, each.sha256) for each in objects
        ])
        writer = self.blobs.writer_in(store, packs_of=_day(objects[0].blob_key))
        try:
            writer.write(encode_index(members))
            for each in objects:
                writer.write(self._content(each))
            blob = writer.commit()
        except OSError as error:
            writer.abort()
            raise StorageUnavailable(f"no pack is written: {error.strerror}") from error
        except BaseException:
            writer.abort()
            raise
        with self.db.transaction() as tx:
            packing.note_pack(
                tx,
                self.actor,
                blob.key,
                members=len(members),
                size_bytes=blob.size_bytes,
                now=self.clock(),
            )
        return blob.key, members

    def _content(self, stored: Unpacked) -> bytes:
        """The object's bytes. Raises ``_Unsound``, and what a store that is away raises."""
        if self.stopped():
            raise _Stopped
        try:
            content = self.blobs.read(stored.blob_key)
        except IsocenterError as error:
            if error.kind in _AWAY:
                raise
            raise _Unsound("an object cannot be read") from error
        except OSError as error:
            raise _Unsound("an object cannot be read") from error
        if hashlib.sha256(content).digest() != stored.sha256 or len(content) != stored.size_bytes:
            raise _Unsound("an object is damaged")
        return content

    def _is_sound(self, stored: Unpacked) -> bool:
        try:
            self._content(stored)
        except _Unsound:
            return False
        return True

    def _check(self, key: str, members: Sequence[Member]) -> None:
        """Read the pack back as anybody would who has nothing else. Raises ``PackDamaged``."""
        if read_index(lambda start, length: self.blobs.read(key, start, length)) != members:
            raise PackDamaged("the pack was not written as it should be")
        with self.blobs.open(key) as stream:
            for each in members:
                if self.stopped():
                    raise _Stopped
                stream.seek(each.offset)
                if hashlib.sha256(stream.read(each.size_bytes)).digest() != each.sha256:
                    raise PackDamaged("the pack was not written as it should be")

    def _discard(self, key: str) -> None:
        with self.db.transaction() as tx:
            packing.discard_pack(tx, self.actor, key)
        self.blobs.delete(key)


def _identifier(key: str) -> str:
    return key.rpartition("/")[2]


def _day(key: str) -> date:
    """The day in a blob's key: of its object's arrival."""
    year, month, day = key.rpartition(":")[2].split("/")[:3]
    return date(int(year), int(month), int(day))
