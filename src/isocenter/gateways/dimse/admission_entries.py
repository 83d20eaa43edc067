"""One object on its way from its last byte to the index: what is checked before it is kept.

Everything here concerns a single object and needs neither the database nor another object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from isocenter.domain.archive.model import (
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    NotAnInstance,
    ReceivedInstance,
    identify,
)
from isocenter.domain.archive.service.completeness import FRAGMENTS_END, is_cut
from isocenter.domain.archive.service.description import (
    ObjectHeader,
    index_frames,
    read_header,
    read_note_of,
)
from isocenter.domain.peers.model_quirks import reading_of
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Arrival, Caller, Grant
from isocenter.infra.blobs import BlobStore, BlobWriter, StoredBlob
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.key_object import KEY_OBJECT_SELECTION, Note
from isocenter.standards.dicom.part10_elements import TruncatedError

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to tell the sender of one object."""

    status: Status
    comment: str = ""


_CUT: Final = Answer(Status.CANNOT_UNDERSTAND, "the object ends inside its pixels")


@dataclass(slots=True)
class Finished:
    """An object whose last byte has arrived.

    Attributes:
        writer: holds all of its file, not durable yet.
        header: the first bytes of its data set; ``tail``: the last ones.
        answered: called on the event loop with the outcome, and whether ``admitted`` will follow.
        admitted: called there when an object that was answered before is visible.
    """

    caller: Caller
    grant: Grant
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    writer: BlobWriter
    header: bytes | bytearray
    tail: bytes
    dataset_offset: int
    dataset_bytes: int
    answered: Callable[[Answer, bool], None]
    admitted: Callable[[], None]


@dataclass(slots=True)
class Entry:
    """What is known of one object so far.

    Attributes:
        key: of its durable bytes.
        is_promised: the sender has its success; the object must become visible.
        answer: what the sender is told, or was told.
    """

    finished: Finished
    header: ObjectHeader | None = None
    note: Note | None = None
    key: str | None = None
    blob: StoredBlob | None = None
    is_promised: bool = False
    answer: Answer | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is all there, and nothing but its place in the index is left to be found out.

        What is answered on that ground is taken in after a crash: ``is_cut`` says the same of it.
        """
        header, finished = self.header, self.finished
        if header is None or finished.sop_class_uid == KEY_OBJECT_SELECTION:
            return False
        return not header.needs_frame_index or finished.tail == FRAGMENTS_END


def unanswered(entries: Sequence[Entry]) -> list[Entry]:
    """Those that were not refused."""
    return [entry for entry in entries if entry.answer is None]


class Examiner:
    """Looks at objects one by one; what is bad has an ``answer`` afterwards."""

    def __init__(self, store: BlobStore, clock: Clock, limits: Limits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits

    def scan(self, entry: Entry) -> None:
        """Read the header from the bytes in memory, when it is all there."""
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
                self.refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
            return  # the rest of the header is in the file
        except RemoteProtocolError as error:
            self.refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
            return
        self._check(entry, header)

    def _check(self, entry: Entry, header: ObjectHeader) -> None:
        finished, attributes = entry.finished, header.attributes
        if (header.pixel_data_end or 0) > finished.dataset_offset + finished.dataset_bytes:
            self.refuse(entry, _CUT)
            return
        if attributes.get(SOP_CLASS_UID) != finished.sop_class_uid:
            comment = "SOP Class UID is not that of the request"
        elif attributes.get(SOP_INSTANCE_UID) != finished.sop_instance_uid:
            comment = "SOP Instance UID is not that of the request"
        else:
            try:
                identify(attributes)
            except NotAnInstance as refusal:
                self.refuse(entry, Answer(Status.CANNOT_UNDERSTAND, refusal.message))
            else:
                entry.header = header
            return
        self.refuse(entry, Answer(Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, comment))

    def complete(self, entry: Entry) -> None:
        """Read back what was not kept in memory: long headers, compressed frames, notes."""
        finished, key = entry.finished, entry.key
        if key is None:
            return
        if entry.blob is None:
            entry.blob = finished.writer.stored(key)
        header = entry.header
        if header is None or header.needs_frame_index:
            self._read_back(entry, entry.blob)
        if entry.answer is not None:
            return
        if finished.sop_class_uid == KEY_OBJECT_SELECTION:
            self._read_note(entry, entry.blob)
        elif is_cut(self._store, self._received(entry)):
            self.refuse(entry, _CUT)

    def _read_back(self, entry: Entry, blob: StoredBlob) -> None:
        finished, header = entry.finished, entry.header
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
                self.refuse(entry, Answer(Status.CANNOT_UNDERSTAND, str(error)))
                return
            self._check(entry, found)
            header = entry.header
        if header is not None and header.needs_frame_index and blob.size_bytes <= size:
            whole = self._store.read(blob.key)
            ranges = index_frames(whole, finished.transfer_syntax_uid, dataset_offset=offset)
            entry.header = replace(header, frame_ranges=ranges, needs_frame_index=False)

    def _read_note(self, entry: Entry, blob: StoredBlob) -> None:
        finished = entry.finished
        try:
            entry.note = read_note_of(
                self._store,
                blob,
                finished.transfer_syntax_uid,
                dataset_offset=finished.dataset_offset,
            )
        except NotAnInstance as error:
            self.refuse(entry, Answer(Status.OUT_OF_RESOURCES, error.message))

    def arrival(self, entry: Entry) -> Arrival:
        """The object as the archive takes it."""
        return Arrival(entry.finished.caller, entry.finished.grant, self._received(entry))

    def _received(self, entry: Entry) -> ReceivedInstance:
        finished, header, blob = entry.finished, entry.header, entry.blob
        if header is None or blob is None:
            raise RuntimeError("an object without header or blob reached admission")
        return ReceivedInstance(
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

    def refuse(self, entry: Entry, answer: Answer) -> None:
        """Settle that the object is not taken; nothing of it stays."""
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
        if entry.key is None:
            finished.writer.abort()
        else:
            self._store.delete(entry.key)
