"""Admission in two steps: bytes durable, then one commit that shows them, for many at a time.

Some threads take what concurrent associations have finished, scan the headers and have the storage
make the bytes durable: one waits for the disk while another one looks at what came since. A storage
that takes less time than handing over to them (``pace``) is waited for on the event loop. What
needs nothing more to be known is put on a shelf (``shelves``): its sender is answered then. One
more thread collects objects for an instant and has them admitted in one transaction; the senders
of all others are answered after that. An association is not released, and does no other operation,
before its own objects are visible.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from isocenter.domain.archive.model import Admission, Outcome
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.admission_entries import (
    Answer,
    Entry,
    Examiner,
    Finished,
    unanswered,
)
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.pace import Pace
from isocenter.gateways.dimse.ports import Admit, ShelfRegister
from isocenter.gateways.dimse.shelves import Shelves
from isocenter.gateways.dimse.status_table import STORE
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.standards.dicom.dimse.status import Status

_log = get_logger(__name__)
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_NOT_NEEDED: Final = frozenset({Outcome.DUPLICATE, Outcome.REFUSED})
_STORED: Final = Answer(Status.SUCCESS)
_INTERNAL: Final = Answer(Status.PROCESSING_FAILURE, "internal error")
_TEND_S: Final = 1.0


@dataclass(slots=True)
class _Gathered:
    """What the last thread does next."""

    entries: list[Entry] = field(default_factory=list[Entry])
    is_last: bool = False


class AdmissionQueue:
    """Takes finished objects from the event loop and answers them there.

    Args:
        store: where the writers of the objects come from.
        admit: the transaction that makes them visible.
        clock: tells when they were received.
        limits: size of a batch, how long it is collected, and of what is read back.
        register: of shelves; without it every object waits for its transaction.
    """

    def __init__(
        self,
        store: BlobStore,
        admit: Admit,
        clock: Clock,
        limits: Limits,
        register: ShelfRegister | None = None,
    ) -> None:
        self._store = store
        self._admit = admit
        self._limits = limits
        self._examiner = Examiner(store, clock, limits)
        self._shelves = Shelves(store, register, unsettled_max=limits.unsettled_instances_max)
        self._pace = Pace(limits.at_once_s_max)
        self._finished: SimpleQueue[Finished | None] = SimpleQueue()
        self._durable: SimpleQueue[Entry | None] = SimpleQueue()
        self._urgent = threading.Event()
        self._owed: list[Entry] = []
        self._owed_from_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._keepers = [
            threading.Thread(target=self._keep_all, name=f"durability-{number}", daemon=True)
            for number in range(limits.durability_threads)
        ]
        self._admitter = threading.Thread(target=self._admit_all, name="admission", daemon=True)
        for thread in (*self._keepers, self._admitter):
            thread.start()

    def submit(self, finished: Finished) -> None:
        """Hands an object over; its ``answered`` is called when it is safe or refused.

        That may be before this returns.
        """
        if self._pace.is_swift and finished.dataset_bytes <= self._limits.at_once_bytes_max:
            for entry in self._kept([finished]):
                finished.answered(entry.answer or _INTERNAL, entry.is_promised)
        else:
            self._finished.put(finished)

    def hurry(self) -> None:
        """Have what was answered made visible now: somebody waits for it."""
        self._urgent.set()

    def close(self) -> None:
        """Finishes what was submitted, then ends the threads. Blocks until then.

        What was promised and cannot be made visible now is left on its shelf.
        """
        for _ in self._keepers:
            self._finished.put(None)
        for thread in self._keepers:
            thread.join()
        self._durable.put(None)
        self._urgent.set()
        self._admitter.join()

    # -- event loop and first threads: bytes

    def _keep_all(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._next_finished()
            if batch:
                self._tell(self._kept(batch), [])

    def _kept(self, batch: Sequence[Finished]) -> list[Entry]:
        """Those that can be answered; what is to become visible is handed on."""
        entries = [Entry(finished) for finished in batch]
        begun_s = time.monotonic()
        try:
            self._keep(entries)
        except Exception:  # noqa: BLE001  a defect of ours must not end the thread
            _log.exception("durability_failed", instances=len(entries))
            for entry in unanswered(entries):
                entry.answer = _INTERNAL
            keys = [entry.key for entry in entries if entry.key and not entry.is_promised]
            self._shelves.settled(keys)
        self._pace.took(time.monotonic() - begun_s, len(entries))
        for entry in entries:
            if entry.answer is None or entry.is_promised:
                self._durable.put(entry)
                if not entry.is_promised:
                    self._urgent.set()
        return [entry for entry in entries if entry.answer is not None]

    def _next_finished(self) -> tuple[list[Finished], bool]:
        """All that wait, at least one; and whether that was all that this thread has to do."""
        batch: list[Finished] = []
        following = self._finished.get()
        while following is not None:
            batch.append(following)
            if len(batch) >= self._limits.batch_instances_max:
                break
            try:
                following = self._finished.get_nowait()
            except Empty:
                break
        return batch, following is None

    def _keep(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._examiner.scan(entry)
        kept = unanswered(entries)
        plain = [entry for entry in kept if entry.is_plain]
        keys = self._shelves.take(len(plain)) if plain else None
        if keys is None:
            plain = []
        for entry, key in zip(plain, keys or (), strict=True):
            entry.key = key
        try:
            if plain:
                self._store.make_durable([entry.finished.writer for entry in plain], keys or ())
            others = [entry for entry in kept if entry.key is None]
            if others:
                blobs = self._store.commit_all([entry.finished.writer for entry in others])
                for entry, blob in zip(others, blobs, strict=True):
                    entry.key, entry.blob = blob.key, blob
        except IsocenterError as error:
            _log.error("blobs_not_stored", instances=len(kept), error_kind=error.kind.value)
            for entry in kept:
                entry.answer = Answer(Status.OUT_OF_RESOURCES, error.message)
            self._shelves.settled(keys or ())
            return
        for entry in plain:
            entry.is_promised, entry.answer = True, _STORED

    # -- last thread: the index

    def _admit_all(self) -> None:
        while True:
            gathered = self._gather()
            if gathered.entries:
                with metrics.ADMISSION_SECONDS.time():
                    self._process(gathered.entries)
                metrics.BATCH_INSTANCES.observe(len(gathered.entries))
            self._shelves.tend(is_wanted=bool(gathered.entries))
            metrics.NOT_VISIBLE.set(self._shelves.unsettled)
            if gathered.is_last:
                if self._owed:
                    _log.error("instances_left_on_shelf", instances=len(self._owed))
                self._shelves.close()
                return

    def _gather(self) -> _Gathered:
        """What came within an instant, or until somebody waits; and what is owed from before."""
        gathered = _Gathered()
        entries_max = self._limits.batch_instances_max
        with suppress(Empty):
            following = self._durable.get(timeout=_TEND_S)
            # To be woken for each of them would take as long as to receive them.
            if following is not None and self._durable.qsize() < entries_max:
                self._urgent.wait(self._limits.gather_s)
            self._urgent.clear()
            while following is not None:
                gathered.entries.append(following)
                if len(gathered.entries) >= entries_max:
                    self._urgent.set()  # the others have waited as well
                    break
                following = self._durable.get_nowait()
            gathered.is_last = following is None
        if self._owed and (gathered.is_last or time.monotonic() >= self._owed_from_s):
            gathered.entries[:0] = self._owed
            self._owed = []
        return gathered

    def _process(self, entries: Sequence[Entry]) -> None:
        visible: list[Entry] = []
        try:
            self._make_visible([entry for entry in entries if self._complete(entry)], visible)
        except Exception as error:  # noqa: BLE001  a defect of ours must not end the thread
            _log.exception("admission_failed", instances=len(entries))
            taken = set(map(id, visible))
            self._fail([entry for entry in entries if id(entry) not in taken], error)
        promised = [entry for entry in visible if entry.is_promised]
        self._shelves.settled([entry.key for entry in promised if entry.key is not None])
        self._tell([entry for entry in entries if not entry.is_promised], promised)

    def _complete(self, entry: Entry) -> bool:
        """Find out what is left to be known; False when the object goes no further."""
        try:
            self._examiner.complete(entry)
        except IsocenterError as error:
            _log.error("object_not_read_back", error_kind=error.kind.value)
            self._fail([entry], error)
            return False
        return entry.is_promised or entry.answer is None

    def _make_visible(self, entries: Sequence[Entry], visible: list[Entry]) -> None:
        if not entries:
            return
        try:
            admissions = self._admit([self._examiner.arrival(entry) for entry in entries])
        except IsocenterError as error:
            if len(entries) > 1 and error.kind not in _AWAY:
                for entry in entries:
                    self._make_visible([entry], visible)
                return
            # Their blobs stay: the commit may have succeeded before the answer was lost. Blobs that
            # nothing refers to are swept later.
            _log.error("admission_refused", instances=len(entries), error_kind=error.kind.value)
            self._fail(entries, error)
            return
        for entry, admission in zip(entries, admissions, strict=True):
            self._settle(entry, admission)
            visible.append(entry)

    def _fail(self, entries: Sequence[Entry], error: Exception) -> None:
        """Refuse what nobody was promised; try the rest again while that may help."""
        kind = error.kind if isinstance(error, IsocenterError) else None
        for entry in entries:
            if not entry.is_promised:
                known = isinstance(error, IsocenterError)
                entry.answer = Answer(STORE[error.kind], error.message) if known else _INTERNAL
            elif kind in _AWAY:
                self._owed.append(entry)
                self._owed_from_s = time.monotonic() + _TEND_S
            else:
                # Its shelf stays: it is tried again when this process is gone, and then a person
                # has to look at it, as at all orphans.
                finished = entry.finished
                _log.error("promise_not_kept", sop_instance_uid=finished.sop_instance_uid)

    def _settle(self, entry: Entry, admission: Admission) -> None:
        if entry.is_promised and admission.outcome is Outcome.REFUSED:
            raise RuntimeError("an object was answered that the archive refuses")
        if admission.outcome is Outcome.REFUSED:
            entry.answer = Answer(Status.CANNOT_UNDERSTAND, admission.reason)
        else:
            entry.answer = _STORED
        if admission.outcome in _NOT_NEEDED and entry.key is not None:
            self._store.delete(entry.key)

    def _tell(self, answers: Sequence[Entry], admitted: Sequence[Entry]) -> None:
        if not answers and not admitted:
            return

        def on_loop() -> None:
            for entry in answers:
                entry.finished.answered(entry.answer or _INTERNAL, entry.is_promised)
            for entry in admitted:
                entry.finished.admitted()

        self._loop.call_soon_threadsafe(on_loop)
