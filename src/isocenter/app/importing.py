"""Admits DICOM files into the archive, and says of each that was not taken why.

The bytes go through the same two phases as C-STORE: durable first, then visible, in batches of one
transaction. Files stay where they are. What the archive has already is read and compared, and not
written again: a run that was ended in any way is simply repeated.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Final

from isocenter.app.import_sources import RefusedSource, Source
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Admission, Outcome, ReceivedInstance
from isocenter.domain.archive.service import integrity
from isocenter.domain.archive.service.description import describe_file
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore, StoredBlob
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.directory import MEDIA_STORAGE_DIRECTORY
from isocenter.standards.dicom.part10 import FileMeta, parse_file_meta
from isocenter.standards.dicom.part10_elements import TruncatedError

_BATCH_FILES: Final = 50
_CHUNK_BYTES: Final = 1 << 20
_HEAD_BYTES: Final = 1 << 14
_LONG_HEAD_BYTES: Final = 1 << 20
_SOURCE: Final = "IMPORT"
_REFUSALS_KEPT_MAX: Final = 1000


class StorageNearlyFull(IsocenterError):
    """Less room is left than must stay free; what was admitted before stays."""

    kind: ClassVar[Kind] = Kind.BUSY


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """What is refused before it does harm."""

    object_bytes_max: int
    free_bytes_min: int


@dataclass
class ImportReport:
    """What became of the files.

    Attributes:
        skipped: directories of media, which say nothing that their files do not.
        refused: name and reason of the first thousand that were refused.
    """

    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0
    skipped: int = 0
    refused_count: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def files(self) -> int:
        """How many files were looked at."""
        return self.stored + self.duplicates + self.conflicting + self.skipped + self.refused_count

    def as_row(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "stored": self.stored,
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "skipped": self.skipped,
            "refused_count": self.refused_count,
            "refused": [{"file": name, "reason": reason} for name, reason in self.refused],
        }


@dataclass(slots=True)
class _Looked:
    """A file after a look at its beginning."""

    source: Source
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Importer:
    """Admits files.

    Attributes:
        on_progress: told after each batch.
        on_refused: told of each file that was not taken, and why.
    """

    db: Database
    blobs: BlobStore
    actor: Actor
    clock: Clock
    limits: ImportLimits
    on_progress: Callable[[ImportReport], None]
    on_refused: Callable[[str, str], None]

    def run(self, files: Iterable[Source | RefusedSource], report: ImportReport) -> None:
        """Admit the files, counting them in ``report``.

        Raises:
            StorageNearlyFull: there is no room for more.
            IsocenterError: store or database are away. Repeat it when they are back.
        """
        waiting = iter(files)
        while batch := list(islice(waiting, _BATCH_FILES)):
            self._refuse_when_full()
            looked = list(self._looked_at(batch, report))
            ready = list(self._stored(self._news(looked, report), report))
            self._admit(ready, report)
            self.on_progress(report)

    def _refuse_when_full(self) -> None:
        free = self.blobs.free_bytes()
        if free is not None and free < self.limits.free_bytes_min:
            raise StorageNearlyFull(
                f"{free} bytes are free in the object store, and {self.limits.free_bytes_min}"
                " must stay free: make room and repeat the import"
            )

    def _refuse(self, report: ImportReport, name: str, reason: str) -> None:
        report.refused_count += 1
        if len(report.refused) < _REFUSALS_KEPT_MAX:
            report.refused.append((name, reason))
        self.on_refused(name, reason)

    def _looked_at(
        self, batch: Sequence[Source | RefusedSource], report: ImportReport
    ) -> Iterator[_Looked]:
        """Those that begin like DICOM files; nothing else is read any further."""
        for each in batch:
            if isinstance(each, RefusedSource):
                self._refuse(report, each.name, each.reason)
                continue
            if each.size_bytes > self.limits.object_bytes_max:
                self._refuse(report, each.name, "is larger than object_size_max_bytes")
                continue
            try:
                meta = _meta_of(each)
            except (RemoteProtocolError, IsocenterError, OSError) as error:
                self._refuse(report, each.name, _reason(error))
                continue
            if meta.media_storage_sop_class_uid == MEDIA_STORAGE_DIRECTORY:
                report.skipped += 1
                continue
            yield _Looked(each, meta.media_storage_sop_instance_uid)

    def _news(self, looked: Sequence[_Looked], report: ImportReport) -> Iterator[Source]:
        """Those whose bytes the archive does not have."""
        with self.db.read() as tx:
            held = integrity.held_digests(
                tx, self.actor, [each.sop_instance_uid for each in looked]
            )
        for each in looked:
            digests = held.get(each.sop_instance_uid, set())
            if any(size == each.source.size_bytes for size, _ in digests):
                try:
                    digest = _digest_of(each.source)
                except (IsocenterError, OSError) as error:
                    self._refuse(report, each.source.name, _reason(error))
                    continue
                if (each.source.size_bytes, digest) in digests:
                    report.duplicates += 1
                    continue
            yield each.source

    def _stored(
        self, news: Iterable[Source], report: ImportReport
    ) -> Iterator[tuple[Source, ReceivedInstance]]:
        """The files as durable blobs, described; those that are no images are taken back."""
        writers = [(source, self._written(source, report)) for source in news]
        taken = [(source, writer) for source, writer in writers if writer is not None]
        blobs = self.blobs.commit_all([writer for _, writer in taken]) if taken else []
        for (source, _), blob in zip(taken, blobs, strict=True):
            described = self._described(source, blob, report)
            if described is not None:
                yield source, described

    def _written(self, source: Source, report: ImportReport) -> Any:
        writer = self.blobs.writer()
        size_bytes = 0
        try:
            with source.open() as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    size_bytes += len(chunk)
                    if size_bytes > self.limits.object_bytes_max:
                        raise _TooLarge("is larger than object_size_max_bytes")
                    writer.write(chunk)
        except (IsocenterError, OSError) as error:
            writer.abort()
            if isinstance(error, IsocenterError) and error.kind is not Kind.INCORRECT:
                raise
            self._refuse(report, source.name, _reason(error))
            return None
        return writer

    def _described(
        self, source: Source, blob: StoredBlob, report: ImportReport
    ) -> ReceivedInstance | None:
        try:
            return describe_file(
                self.blobs, blob, calling_ae_title=_SOURCE, received_at=self.clock()
            )
        except IsocenterError as error:
            if error.kind is not Kind.INCORRECT:
                raise
            self.blobs.delete(blob.key)
            self._refuse(report, source.name, error.message)
            return None

    def _admit(
        self, ready: Sequence[tuple[Source, ReceivedInstance]], report: ImportReport
    ) -> None:
        """Make a batch visible; when its content is refused, each file alone."""
        if not ready:
            return
        try:
            with self.db.transaction() as tx:
                admissions = archive.admit(
                    tx, self.actor, [each for _, each in ready], now=self.clock()
                )
        except IsocenterError as error:
            if error.kind is not Kind.INCORRECT:
                raise
            if len(ready) == 1:
                self._refuse(report, ready[0][0].name, error.message)
                return
            for one in ready:
                self._admit([one], report)
            return
        for (source, instance), admission in zip(ready, admissions, strict=True):
            self._count(report, source, admission)
            if admission.outcome in {Outcome.DUPLICATE, Outcome.REFUSED}:
                self.blobs.delete(instance.blob_key)  # nobody will name it

    def _count(self, report: ImportReport, source: Source, admission: Admission) -> None:
        match admission.outcome:
            case Outcome.STORED:
                report.stored += 1
            case Outcome.DUPLICATE:
                report.duplicates += 1
            case Outcome.CONFLICTING:
                report.conflicting += 1
            case Outcome.REFUSED:
                self._refuse(report, source.name, admission.reason)


class _TooLarge(IsocenterError):
    kind: ClassVar[Kind] = Kind.INCORRECT


def _meta_of(source: Source) -> FileMeta:
    """Raises ``RemoteProtocolError``, and what opening and reading raise."""
    with source.open() as stream:
        head = stream.read(_HEAD_BYTES)
        try:
            return parse_file_meta(head)
        except TruncatedError:
            return parse_file_meta(head + stream.read(_LONG_HEAD_BYTES))


def _digest_of(source: Source) -> bytes:
    digest = hashlib.sha256()
    with source.open() as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _reason(error: Exception) -> str:
    if isinstance(error, TruncatedError):
        return "ends before its header does"
    if isinstance(error, IsocenterError):
        return error.message
    return getattr(error, "strerror", None) or str(error)
