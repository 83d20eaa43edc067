"""Two-phase admission with group commit: bytes durable first, then one commit shows them.

Objects that concurrent associations have finished collect while the batch before is being
committed; one thread takes them all, scans their headers, has the storage make their bytes durable
together, and has them admitted in one transaction. Each sender is answered after that. What is bad
is sorted out before, so that it harms no other.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Final

from isocenter.domain.archive.model import (
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    Admission,
    NotAnInstance,
    Outcome,
    ReceivedInstance,
)
from isocenter.domain.archive.service.description import (
    ObjectHeader,
    index_frames,
    read_header,
    read_note_of,
)
from isocenter.domain.peers.model_quirks import reading_of
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Admit, Arrival, Caller, Grant
from isocenter.gateways.dimse.status_table import STORE
from isocenter.infra.blobs import BlobStore, BlobWriter, StoredBlob
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION, Note
from isocenter.standards.dicom.part10_elements import TruncatedError

_log = get_logger(__name__)
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_NOT_NEEDED: Final = frozenset({Outcome.DUPLICATE, Outcome.REFUSED})


@dataclass(frozen=True, slots=True)
class Answer:
    """What to tell the sender of one object."""

    status: Status
    comment: str = ""


_STORED: Final = Answer(Status.SUCCESS)


@dataclass(slots=True)
class Finished:
    """An object whose last byte has arrived.

    Attributes:
        writer: holds all of its file, not durable yet.
        header: the first bytes of its data set.
        answered: called on the event loop with the outcome.
    """

    caller: Caller
    grant: Grant
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    writer: BlobWriter
    header: bytes | bytearray
    dataset_offset: int
    dataset_bytes: int
    answered: Callable[[Answer], None]


@dataclass(slots=True)
class _Entry:
    """One object on its way through a batch."""

    finished: Finished
    header: ObjectHeader | None = None
    note: Note | None = None
    blob: StoredBlob | None = None
    answer: Answer | None = None


class AdmissionQueue:
    """Takes finished objects from the event loop and answers them there.

    Args:
        store: where the writers of the objects come from.
        admit: the transaction that makes them visible.
        clock: tells when they were received.
        limits: size of a batch, and of what is read back.
    """

    def __init__(self, store: BlobStore, admit: Admit, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._admit = admit
        self._clock = clock
        self._limits = limits
        self._queue: SimpleQueue[Finished | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="admission", daemon=True)
        self._thread.start()

    def submit(self, finished: Finished) -> None:
        """Hands an object over; its ``answered`` is called when it is visible or refused."""
        self._queue.put(finished)

    def close(self) -> None:
        """Finishes what was submitted, then ends the thread. Blocks until then."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch, more = [first], True
            while (
                more and len(batch) < self._limits.batch_instances_max and not self._queue.empty()
            ):
                following = self._queue.get()
                if following is None:
                    more = False
                else:
                    batch.append(following)
            with metrics.ADMISSION_SECONDS.time():
                answers = self._process(batch)
            self._answer(batch, answers)
            metrics.BATCH_INSTANCES.observe(len(batch))
            if not more:
                return

    def _answer(self, batch: Sequence[Finished], answers: Sequence[Answer]) -> None:
        def on_loop() -> None:
            for finished, answer in zip(batch, answers, strict=True):
                finished.answered(answer)

        self._loop.call_soon_threadsafe(on_loop)

    def _process(self, batch: Sequence[Finished]) -> list[Answer]:
        entries = [_Entry(finished) for finished in batch]
        try:
            for entry in entries:
                self._scan(entry)
            self._make_durable(_open(entries))
            for entry in _open(entries):
                self._complete_header(entry)
                self._read_note(entry)
            self._admit_all(_open(entries))
        except Exception:  # noqa: BLE001  a defect of ours must not end the thread
            _log.exception("admission_failed", instances=len(batch))
        refused = Answer(Status.PROCESSING_FAILURE, "internal error")
        return [entry.answer or refused for entry in entries]

    def _scan(self, entry: _Entry) -> None:
        finished = entry.finished
        try:
            header = read_header(
                finished.header,
                finished.transfer_syntax_uid,
                dataset_offset=finished.dataset_offset,
                reading=reading_of(finished.grant.quirks),
            )
        except TruncatedError as error:
            if len(finished.header) >= finished.dataset_bytes:
                self._refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
            return  # the rest of the header is in the file
        except RemoteProtocolError as error:
            self._refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
            return
        self._check(entry, header)

    def _check(self, entry: _Entry, header: ObjectHeader) -> None:
        finished, attributes = entry.finished, header.attributes
        if attributes.get(SOP_CLASS_UID) != finished.sop_class_uid:
            comment = "SOP Class UID is not that of the request"
        elif attributes.get(SOP_INSTANCE_UID) != finished.sop_instance_uid:
            comment = "SOP Instance UID is not that of the request"
        else:
            entry.header = header
            return
        self._refuse(entry, Answer(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment))

    def _make_durable(self, entries: Sequence[_Entry]) -> None:
        """Gives the objects their keys; their bytes are durable then."""
        if not entries:
            return
        try:
            blobs = self._store.commit_all([entry.finished.writer for entry in entries])
        except IsocenterError as error:
            _log.error("blobs_not_stored", instances=len(entries), error_kind=error.kind.value)
            for entry in entries:
                entry.answer = Answer(Status.OUT_OF_RESOURCES, error.message)
            return
        for entry, blob in zip(entries, blobs, strict=True):
            entry.blob = blob

    def _complete_header(self, entry: _Entry) -> None:
        """Reads back what was not kept in memory: long headers, frames of compressed images."""
        finished, blob = entry.finished, entry.blob
        header = entry.header
        if blob is None or (header is not None and not header.needs_frame_index):
            return
        size, offset = self._limits.header_reread_bytes_max, finished.dataset_offset
        if header is None:
            data = memoryview(self._store.read(blob.key, offset, size))
            try:
                found = read_header(
                    data,
                    finished.transfer_syntax_uid,
                    dataset_offset=offset,
                    reading=reading_of(finished.grant.quirks),
                )
            except RemoteProtocolError as error:
                self._refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
                return
            self._check(entry, found)
            header = entry.header
        if header is not None and header.needs_frame_index and blob.size_bytes <= size:
            whole = self._store.read(blob.key)
            ranges = index_frames(whole, finished.transfer_syntax_uid, dataset_offset=offset)
            entry.header = replace(header, frame_ranges=ranges, needs_frame_index=False)

    def _read_note(self, entry: _Entry) -> None:
        """Reads back what a document says of other instances."""
        finished, blob = entry.finished, entry.blob
        if finished.sop_class_uid != KEY_OBJECT_SELECTION or blob is None or entry.header is None:
            return
        try:
            entry.note = read_note_of(
                self._store,
                blob,
                finished.transfer_syntax_uid,
                dataset_offset=finished.dataset_offset,
            )
        except NotAnInstance as error:
            self._refuse(entry, Answer(Status.OUT_OF_RESOURCES, error.message))

    def _admit_all(self, entries: Sequence[_Entry]) -> None:
        if not entries:
            return
        try:
            admissions = self._admit([self._arrival(entry) for entry in entries])
        except IsocenterError as error:
            if len(entries) > 1 and error.kind not in _AWAY:
                for entry in entries:
                    self._admit_all([entry])
                return
            # Their blobs stay: the commit may have succeeded before the answer was lost. Blobs that
            # nothing refers to are swept later.
            _log.error("admission_refused", instances=len(entries), error_kind=error.kind.value)
            for entry in entries:
                entry.answer = Answer(STORE[error.kind], error.message)
            return
        for entry, admission in zip(entries, admissions, strict=True):
            self._settle(entry, admission)

    def _settle(self, entry: _Entry, admission: Admission) -> None:
        if admission.outcome is Outcome.REFUSED:
            entry.answer = Answer(Status.CANNOT_UNDERSTAND, admission.reason)
        else:
            entry.answer = _STORED
        if admission.outcome in _NOT_NEEDED and entry.blob is not None:
            self._store.delete(entry.blob.key)

    def _arrival(self, entry: _Entry) -> Arrival:
        finished, header, blob = entry.finished, entry.header, entry.blob
        if header is None or blob is None:
            raise RuntimeError("an object without header or blob reached admission")
        instance = ReceivedInstance(
            blob_key=blob.key,
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            dataset_offset=finished.dataset_offset,
            transfer_syntax_uid=finished.transfer_syntax_uid,
            calling_ae_title=finished.caller.calling_ae_title,
            received_at=self._clock(),
            attributes=header.attributes,
            pixel_data_offset=header.pixel_data_offset,
            frame_ranges=header.frame_ranges,
            note=entry.note,
        )
        return Arrival(finished.caller, finished.grant, instance)

    def _refuse(self, entry: _Entry, answer: Answer) -> None:
        finished = entry.finished
        _log.warning(
            "instance_refused",
            calling_ae_title=finished.caller.calling_ae_title,
            sop_instance_uid=finished.sop_instance_uid,
            sop_class_uid=finished.sop_class_uid,
            transfer_syntax_uid=finished.transfer_syntax_uid,
            status=f"{answer.status:04X}",
        )
        entry.answer = answer
        if entry.blob is None:
            finished.writer.abort()
        else:
            self._store.delete(entry.blob.key)


def _open(entries: Sequence[_Entry]) -> list[_Entry]:
    return [entry for entry in entries if entry.answer is None]
