"""The objects of one STOW-RS request on their way into the archive, in the thread that writes them.

Bytes go to the blob store while they arrive. Objects are admitted in batches, one transaction each,
and count as stored only after it. One bad object never harms another. What ends the request (a body
cut short, storage or database away) leaves whole batches behind or nothing; all of it may be sent
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import (
    INDEXED_TAGS,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Admission,
    NotAnInstance,
    Outcome,
    ReceivedInstance,
    identify,
    text_of,
)
from isocenter.domain.archive.service.completeness import is_cut
from isocenter.domain.archive.service.description import describe_file
from isocenter.gateways.dicomweb.assembly import Assembly, BulkData, read_models, uids_of
from isocenter.gateways.dicomweb.context import Dicomweb
from isocenter.gateways.dicomweb.errors import TooLarge
from isocenter.infra.blobs import BlobWriter, StorageFull, StoredBlob
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.coercion import Modification
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM, DICOM_JSON, DICOM_XML
from isocenter.standards.dicomweb.multipart import (
    BodyEnd,
    Event,
    MultipartReader,
    PartBegin,
    PartData,
    PartEnd,
)

_log = get_logger(__name__)
_BATCH_OBJECTS: Final = 32  # each is an open file until it is admitted
_NOT_NEEDED: Final = frozenset({Outcome.DUPLICATE, Outcome.REFUSED})

METADATA_TYPES: Final = frozenset({DICOM_JSON, DICOM_XML})

# Failure Reason (0008,1197), PS3.18 Table I.2-2
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

# Warning Reason (0008,1196), the same table. Elements Discarded (B006) is not among ours: all of an
# object is kept.
COERCED: Final = 0xB000
NOT_OF_ITS_CLASS: Final = 0xB007

_SYSTEM: Final = Actor.system("dicomweb")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one object.

    Attributes:
        failure: its Failure Reason; None when it is stored.
        warning: its Warning Reason, when it is stored and its sender should know something.
    """

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    failure: int | None = None
    warning: int | None = None


class Upload:
    """Takes a body piece by piece, in whichever threads.

    Args:
        context: where objects are written and admitted.
        actor: who sends them.
        study_instance_uid: the only study whose objects are taken; None takes all.
    """

    def __init__(self, context: Dicomweb, actor: Actor, study_instance_uid: str | None) -> None:
        self.fates: list[Fate] = []
        self._context = context
        self._actor = actor
        self._study_instance_uid = study_instance_uid
        self._waiting: list[BlobWriter] = []
        self._coerced: set[BlobWriter] = set()
        self._current: BlobWriter | None = None
        self._size_bytes = 0
        self._reader: MultipartReader | None = None
        self._part_name = DICOM
        self._assembly = Assembly()
        self._bulk: BulkData | None = None
        self._metadata: bytearray | None = None
        self._lock = Lock()
        self._full = 0

    def expect_parts(self, boundary: str, part_name: str) -> None:
        """The body is multipart; ``part_name`` is the type of parts that do not say theirs.

        Raises:
            MultipartError: there is no such boundary.
        """
        self._reader = MultipartReader(boundary)
        self._part_name = part_name

    def expect_one(self) -> None:
        """The body is one object."""
        self._begin()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the body.

        Raises:
            MultipartError: the body breaks the rules of multipart.
            TooLarge: it holds more objects than are taken at once.
            IsocenterError: storage or database refuse.
        """
        with self._lock:
            if self._reader is None:
                self._write(data)
                return
            for event in self._reader.receive(data):
                self._take(event)

    def finish(self) -> None:
        """The body is complete: admit what waits.

        Raises:
            MultipartError: its last boundary is missing.
            IsocenterError: storage or database refuse.
        """
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            else:
                self._end()
            self._assemble()
            self._settle()
            if self._full and self._full == len(self.fates):
                raise StorageFull("the storage is nearly full: nothing was stored")

    def abandon(self) -> None:
        """Forget what is not admitted, once no other thread is at work on it."""
        with self._lock:
            self._assembly.close()
            for writer in [*self._waiting, *([self._current] if self._current else [])]:
                writer.abort()
            self._waiting, self._current = [], None

    def _take(self, event: Event) -> None:
        match event:
            case PartBegin(headers):
                self._begin_part(headers)
            case PartData(data):
                self._write(data)
            case PartEnd():
                self._end()
            case BodyEnd():
                pass

    def _begin_part(self, headers: Mapping[str, str]) -> None:
        content_type = headers.get("content-type", self._part_name)
        name = media_types.parse_media_type(content_type).name
        if self._part_name in METADATA_TYPES:
            self._size_bytes = 0
            if name in METADATA_TYPES:
                self._metadata = bytearray()
            else:
                location = headers.get("content-location", "")
                self._bulk = self._assembly.add(location, content_type)
        # A part that does not say what it is is taken for DICOM: its bytes tell.
        elif name in {DICOM, "*/*"}:
            self._begin()
        else:
            self._refuse("UnsupportedPart", CANNOT_UNDERSTAND)

    def _begin(self) -> None:
        self._check_count(1)
        if not self._has_room():
            self._full += 1
            self._refuse("StorageFull", OUT_OF_RESOURCES)
            return
        self._current, self._size_bytes = self._context.blobs.writer(), 0

    def _has_room(self) -> bool:
        free = self._context.blobs.free_bytes()
        return free is None or free >= self._context.options.free_bytes_min

    def _check_count(self, more: int) -> None:
        most = self._context.options.objects_max
        if len(self.fates) + len(self._waiting) + more > most:
            stored = sum(each.failure is None for each in self.fates)
            raise TooLarge(
                f"more than {most} objects in one request; the first {stored} are stored"
            )

    def _write(self, data: bytes | memoryview) -> None:
        self._size_bytes += len(data)
        if self._metadata is not None:
            if self._size_bytes > self._context.options.metadata_bytes_max:
                raise TooLarge("the metadata is larger than this server takes")
            self._metadata += data
        elif self._bulk is not None:
            if self._size_bytes > self._context.options.object_bytes_max:
                raise TooLarge("the bulk data is larger than this server takes")
            self._bulk.write(data)
        if self._current is None:
            return
        if self._size_bytes > self._context.options.object_bytes_max:
            self._current.abort()
            self._current = None
            self._refuse("TooLarge", OUT_OF_RESOURCES)
            return
        self._current.write(data)

    def _end(self) -> None:
        if self._metadata is not None:
            models = read_models(bytes(self._metadata), self._part_name)
            self._metadata = None
            self._assembly.models += models
            self._check_count(len(self._assembly.models))
        self._bulk = None
        if self._current is None:
            return
        self._waiting.append(self._current)
        self._current = None
        if len(self._waiting) >= _BATCH_OBJECTS:
            self._settle()

    def _assemble(self) -> None:
        """Make files of metadata and bulk data; what cannot be made is refused by itself."""
        for model in self._assembly.models:
            if not self._has_room():
                self._full += 1
                self.fates.append(Fate(*uids_of(model), failure=OUT_OF_RESOURCES))
                continue
            writer = self._context.blobs.writer()
            try:
                if self._assembly.write(model, writer):
                    self._coerced.add(writer)
            except ProtocolError as error:
                writer.abort()
                _log.warning(
                    "instance_refused",
                    peer_name=self._actor.name,
                    error_type=type(error).__name__,
                )
                self.fates.append(Fate(*uids_of(model), failure=CANNOT_UNDERSTAND))
                continue
            except BaseException:
                writer.abort()
                raise
            self._waiting.append(writer)
            if len(self._waiting) >= _BATCH_OBJECTS:
                self._settle()
        self._assembly.close()

    def _refuse(self, error_type: str, failure: int) -> None:
        _log.warning("instance_refused", peer_name=self._actor.name, error_type=error_type)
        self.fates.append(Fate(failure=failure))

    def _settle(self) -> None:
        """Make what waits durable and visible, and note what became of each object."""
        batch, self._waiting = self._waiting, []
        if batch:
            self.fates += self._admit(batch)

    def _admit(self, batch: Sequence[BlobWriter]) -> list[Fate]:
        blobs, now = self._context.blobs, self._context.clock()
        fates: dict[int, Fate] = {}
        received: dict[int, ReceivedInstance] = {}
        for index, blob in enumerate(blobs.commit_all(batch)):
            found = self._describe(blob, now)
            if isinstance(found, Fate):
                fates[index] = found
                blobs.delete(blob.key)
            else:
                received[index] = found
        if received:
            # When this fails the blobs stay: the commit may have succeeded before its answer was
            # lost. A sweeper removes those that nothing refers to.
            admissions, modified = self._context.pool.run_here(
                lambda tx: self._admitted(tx, list(received.values()), now)
            )
            for (index, instance), admission in zip(received.items(), admissions, strict=True):
                if admission.outcome is Outcome.REFUSED:
                    fates[index] = _fate(instance, CANNOT_UNDERSTAND)
                else:
                    coerced = batch[index] in self._coerced or _is_modified(instance, modified)
                    fates[index] = replace(
                        _fate(instance, None), warning=_warning(instance, coerced)
                    )
                if admission.outcome in _NOT_NEEDED:
                    blobs.delete(instance.blob_key)
        self._coerced -= set(batch)
        return [fates[index] for index in range(len(batch))]

    def _admitted(
        self, tx: Tx, batch: Sequence[ReceivedInstance], now: datetime
    ) -> tuple[Sequence[Admission], Mapping[str, Modification]]:
        """What became of each object, and what the images of their studies are made to say."""
        admissions = archive.admit(tx, self._actor, batch, now=now)
        studies = {identify(each.attributes).study_instance_uid for each in batch}
        viewer = Viewer.of(_SYSTEM, Action.STUDY_READ)
        return admissions, archive.modifications_of(tx, viewer, studies)

    def _describe(self, blob: StoredBlob, now: datetime) -> ReceivedInstance | Fate:
        """The object ready to be admitted, or why it is refused."""
        try:
            instance = describe_file(
                self._context.blobs, blob, calling_ae_title=self._actor.name, received_at=now
            )
        except NotAnInstance:
            _log.warning("instance_refused", peer_name=self._actor.name, error_type="NotAnInstance")
            return Fate(failure=CANNOT_UNDERSTAND)
        try:
            identity = identify(instance.attributes)
        except NotAnInstance:
            return _fate(instance, CANNOT_UNDERSTAND)
        if self._study_instance_uid not in {None, identity.study_instance_uid}:
            return _fate(instance, DOES_NOT_MATCH)
        if is_cut(self._context.blobs, instance):
            _log.warning("instance_refused", peer_name=self._actor.name, error_type="CutShort")
            return _fate(instance, CANNOT_UNDERSTAND)
        return instance


def _is_modified(instance: ReceivedInstance, modified: Mapping[str, Modification]) -> bool:
    """Whether whoever retrieves the object is told other values than it came with."""
    attributes = instance.attributes
    modification = modified.get(identify(attributes).study_instance_uid)
    if modification is None:
        return False
    return any(
        (text_of(attributes, tag) or "") != value
        for tag, value in modification.values.items()
        if tag in INDEXED_TAGS
    )


def _warning(instance: ReceivedInstance, coerced: bool) -> int | None:
    """Standard: PS3.18 Table I.2-2."""
    if coerced:
        return COERCED
    name = uids.name_of(instance.attributes.get(SOP_CLASS_UID, ""))
    deflated = uids.transfer_syntax(instance.transfer_syntax_uid).deflated
    if "Image Storage" in name and instance.pixel_data_offset is None and not deflated:
        return NOT_OF_ITS_CLASS
    return None


def _fate(instance: ReceivedInstance, failure: int | None) -> Fate:
    attributes = instance.attributes
    return Fate(
        study_instance_uid=attributes.get(STUDY_INSTANCE_UID, ""),
        series_instance_uid=attributes.get(SERIES_INSTANCE_UID, ""),
        sop_class_uid=attributes.get(SOP_CLASS_UID, ""),
        sop_instance_uid=attributes.get(SOP_INSTANCE_UID, ""),
        failure=failure,
    )
