"""Admits DICOM files from folders into the archive, and says which were refused and why.

The bytes go through the same two phases as C-STORE: durable first, then visible. Files stay where
they are; other files than DICOM are refused one by one and harm no other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Admission, Outcome, ReceivedInstance
from isocenter.domain.archive.service.description import describe_file
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database

_BATCH_FILES = 50
_CHUNK_BYTES = 1 << 20
_SOURCE = "IMPORT"

Progressed = Callable[[int, int], None]


@dataclass
class ImportReport:
    """What became of the files."""

    stored: int = 0
    duplicates: int = 0
    conflicting: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])

    def as_row(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "stored": self.stored,
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "refused": [{"file": str(file), "reason": reason} for file, reason in self.refused],
        }


def import_paths(
    db: Database,
    blobs: BlobStore,
    actor: Actor,
    paths: Sequence[Path],
    *,
    clock: Clock,
    on_progress: Progressed,
) -> ImportReport:
    """Admit every file under the paths, in batches of one transaction each."""
    files = [file for path in paths for file in _files(path)]
    report = ImportReport()
    for start in range(0, len(files), _BATCH_FILES):
        batch = files[start : start + _BATCH_FILES]
        described = [_described(blobs, file, clock, report) for file in batch]
        ready = [
            (file, each) for file, each in zip(batch, described, strict=True) if each is not None
        ]
        _admit(db, blobs, actor, ready, clock=clock, report=report)
        on_progress(start + len(batch), len(files))
    return report


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in sorted(path.rglob("*")):
        if each.is_file() and not each.name.startswith("."):
            yield each


def _described(
    blobs: BlobStore, file: Path, clock: Clock, report: ImportReport
) -> ReceivedInstance | None:
    """The file's bytes made durable and read; ``None`` when it is refused."""
    writer = blobs.writer()
    try:
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                writer.write(chunk)
        blob = writer.commit()
    except OSError as error:
        writer.abort()
        report.refused.append((file, error.strerror or str(error)))
        return None
    try:
        return describe_file(blobs, blob, calling_ae_title=_SOURCE, received_at=clock())
    except IsocenterError as error:
        blobs.delete(blob.key)
        report.refused.append((file, error.message))
        return None


def _admit(
    db: Database,
    blobs: BlobStore,
    actor: Actor,
    ready: Sequence[tuple[Path, ReceivedInstance]],
    *,
    clock: Clock,
    report: ImportReport,
) -> None:
    """Make a batch visible; when its content is refused, each file alone."""
    if not ready:
        return
    try:
        with db.transaction() as tx:
            admissions = archive.admit(tx, actor, [each for _, each in ready], now=clock())
    except IsocenterError as error:
        if error.kind is not Kind.INCORRECT:
            raise
        if len(ready) == 1:
            report.refused.append((ready[0][0], error.message))
            return
        for one in ready:
            _admit(db, blobs, actor, [one], clock=clock, report=report)
        return
    for (file, instance), admission in zip(ready, admissions, strict=True):
        _count(report, file, admission)
        if admission.outcome in {Outcome.DUPLICATE, Outcome.REFUSED}:
            blobs.delete(instance.blob_key)  # nobody will name it


def _count(report: ImportReport, file: Path, admission: Admission) -> None:
    match admission.outcome:
        case Outcome.STORED:
            report.stored += 1
        case Outcome.DUPLICATE:
            report.duplicates += 1
        case Outcome.CONFLICTING:
            report.conflicting += 1
        case Outcome.REFUSED:
            report.refused.append((file, admission.reason))
