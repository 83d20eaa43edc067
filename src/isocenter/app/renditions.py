"""Makes the HTJ2K renditions of complete studies, in the background and at a share of a processor.

What is due is kept by ``domain.archive``; here is the work, which no transaction waits for. It may
end at any moment: what was recorded is not made again, and what was not is.
"""

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.events import StudyCompleted
from isocenter.domain.archive.model_renditions import MARK, MadeRendition, Unrendered
from isocenter.domain.archive.service import renditions
from isocenter.errors import IsocenterError, Kind
from isocenter.imaging.rendition import write_rendition
from isocenter.infra.blobs import StorageUnavailable, mapped
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, Tx
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError

_log = get_logger(__name__)
_AT_ONCE: Final = 20
# Beyond this an original gets no rendition: it would be read and written for many minutes.
_ORIGINAL_BYTES_MAX: Final = 4 << 30
_REST: Final = timedelta(hours=1)  # when a store is away or full
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})


class _Stopped(Exception):
    """The process is to end in the middle of an image."""


@dataclass
class ProcessorShare:
    """Keeps a thread to a share of one processor, by waiting as much longer as it has worked."""

    percent: int
    wait: Callable[[float], object]
    _worked_s: float = 0.0

    def begin(self) -> None:
        """Work begins: what this thread did before does not count."""
        self._worked_s = time.thread_time()

    def rest(self) -> None:
        """A piece of work is done: wait in proportion."""
        took_s = time.thread_time() - self._worked_s
        if self.percent < 100:
            self.wait(took_s * (100 / self.percent - 1))
        self._worked_s = time.thread_time()


@dataclass(frozen=True, slots=True)
class RenditionMaker:
    """Makes renditions.

    Attributes:
        modalities: of the series that get them; none: nothing is made.
        share: of a processor.
        stopped: whether the process is to end.
    """

    db: Database
    blobs: SeveralStores
    actor: Actor
    clock: Clock
    modalities: Sequence[str]
    share: ProcessorShare
    stopped: Callable[[], bool]

    def on_study_completed(self, tx: Tx, event: StudyCompleted, /, *, now: datetime) -> None:
        """React: the study's series are due."""
        if self.modalities:
            renditions.want_renditions(
                tx, self.actor, event.study_instance_uid, self.modalities, now=now
            )

    def run(self) -> int:
        """How many renditions were made: all that are due, unless the process is to end."""
        made = 0
        while self.modalities and not self.stopped():
            with self.db.transaction() as tx:
                series_key = renditions.next_series(tx, self.actor, now=self.clock())
            if series_key is None:
                break
            made += self._series(series_key)
        return made

    def _series(self, series_key: int) -> int:
        made = 0
        while True:
            with self.db.read() as tx:
                found = renditions.unrendered(tx, self.actor, series_key, limit=_AT_ONCE)
            count, failure = self._make_all(series_key, found)
            made += count
            if isinstance(failure, IsocenterError):
                _log.warning("renditions_put_off", error_kind=failure.kind.value)
                self._put_off(series_key, _REST)
                return made
            if len(found) < _AT_ONCE and failure is None and self._settled(series_key):
                return made
            if self.stopped():
                self._put_off(series_key, timedelta(0))
                return made

    def _put_off(self, series_key: int, rest: timedelta) -> None:
        with self.db.transaction() as tx:
            due_at = self.clock() + rest
            renditions.put_off_series(tx, self.actor, series_key, due_at=due_at)

    def _settled(self, series_key: int) -> bool:
        with self.db.transaction() as tx:
            return renditions.settle_series(tx, self.actor, series_key)

    def _make_all(
        self, series_key: int, found: Sequence[Unrendered]
    ) -> tuple[int, _Stopped | IsocenterError | None]:
        """How many were made and are recorded together, and why not all of them."""
        made: list[MadeRendition] = []
        failure = None
        try:
            made.extend(self._made(each) for each in found)
        except (_Stopped, IsocenterError) as error:
            failure = error
        return self._record(series_key, made), failure

    def _record(self, series_key: int, made: Sequence[MadeRendition]) -> int:
        with self.db.transaction() as tx:
            kept = renditions.record_renditions(tx, self.actor, series_key, made, now=self.clock())
        for each in made:
            if each.blob_key is not None and each.instance_key not in kept:
                self.blobs.delete(each.blob_key)
        return sum(each.blob_key is not None and each.instance_key in kept for each in made)

    def _made(self, original: Unrendered) -> MadeRendition:
        """The rendition, durable in the original's store; or why there is none.

        Raises:
            IsocenterError: the store is away or full.
        """
        if original.size_bytes > _ORIGINAL_BYTES_MAX:
            return _none(original, "is too large")
        writer = self.blobs.writer_in(store_of(original.blob_key))
        self.share.begin()
        try:
            writer.write(MARK)
            data = mapped(self.blobs, original.blob_key)
            ranges = write_rendition(data, writer.write, after_frame=self._after_frame)
            blob = writer.commit()
        except ProtocolError as error:
            writer.abort()
            return _none(original, str(error))
        except IsocenterError as error:
            writer.abort()
            if error.kind in _AWAY:
                raise
            # Missing or damaged: reading everything back finds this, too, and tells people.
            return _none(original, error.message)
        except OSError as error:
            writer.abort()
            raise StorageUnavailable(f"no rendition is written: {error.strerror}") from error
        except BaseException:
            writer.abort()
            raise
        return MadeRendition(
            instance_key=original.instance_key,
            source_sha256=original.sha256,
            blob_key=blob.key,
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            frame_ranges=b"".join(
                struct.pack("<QQ", len(MARK) + offset, length) for offset, length in ranges
            ),
        )

    def _after_frame(self) -> None:
        self.share.rest()
        if self.stopped():
            raise _Stopped


def _none(original: Unrendered, obstacle: str) -> MadeRendition:
    return MadeRendition(
        instance_key=original.instance_key, source_sha256=original.sha256, obstacle=obstacle
    )
