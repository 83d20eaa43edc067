"""Writes what was measured and marked in a study into the archive, as DICOM objects.

Runs in the worker, as a reaction to a request. Each kind of object has its series; what is there
already with the same contents is not written again, so that a repetition changes nothing. Objects
go through the same two phases as any other: durable bytes first, then one transaction that admits
them and remembers what they were made from.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from isocenter.app import region_volumes
from isocenter.app.outlined_regions import segments_by_series
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import InstanceLocation, Outcome
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.reading import service as reading
from isocenter.domain.reading.events import ArchivingRequested
from isocenter.domain.reading.model import ArchivedKind, ArchivedObject, Measurement
from isocenter.domain.reading.service import describing
from isocenter.gateways.dicomweb.pictures import read_head
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.db import Database, Tx
from isocenter.infra.ids import new_uid
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.evidence.composite import Making, as_file, predecessors
from isocenter.standards.dicom.evidence.content import ImageReference
from isocenter.standards.dicom.evidence.key_objects import key_objects
from isocenter.standards.dicom.evidence.measurement_report import measurement_report
from isocenter.standards.dicom.evidence.presentation_state import presentation_state
from isocenter.standards.dicom.evidence.segmentation import SEGMENTATION, Segments, segmentation
from isocenter.standards.dicom.evidence.volume_report import volume_report
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet

_AE_TITLE: Final = "READING"
_MARKS: Final = frozenset({
    describing.KEY_IMAGE,
    describing.VIEW,
    describing.CALIBRATION,
    describing.SEGMENT,
})
_SOP_CLASS_UID: Final = 0x0008_0016
_VERSION: Final = version("isocenter")
_VOLUME_IMAGES_MAX: Final = 4096  # of a series whose headers are read for the distance of slices

Build = Callable[[Making], DataSet]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An object that should be in the archive: what it is about, and how it is made."""

    kind: ArchivedKind
    subject: str
    says: object
    build: Build

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(msgspec.json.encode(self.says)).digest()


@dataclass(frozen=True, slots=True)
class EvidenceWriter:
    """Writes the objects.

    Attributes:
        zone: where the department lives: documents state its time.
    """

    db: Database
    blobs: BlobStore
    actor: Actor
    clock: Clock
    zone: ZoneInfo

    def __call__(self, tx: Tx, event: ArchivingRequested, /, *, now: datetime) -> None:
        """React: write what is not in the archive yet.

        Raises:
            IsocenterError: a store is away or full.
        """
        # Images are read without a transaction that waits for them.
        del tx, now
        self.write(event.study_instance_uid)

    def write(self, study_instance_uid: str) -> int:
        """How many objects were written."""
        with self.db.read() as tx:
            asked = reading.findings(tx, self.actor, study_instance_uid)
        if asked is None:
            return 0
        request, found = asked
        headers = self._headers(study_instance_uid, found)
        usable = [each for each in found if _image_of(each) in headers]
        outlined = list(segments_by_series(usable, headers, organization_uid=new_uid()))
        written = 0
        for objects in (
            _wanted(study_instance_uid, usable, headers, outlined),
            self._volumes(study_instance_uid, outlined),  # these name the segmentations above
        ):
            for wanted in objects:
                header = headers[_image_of(usable[0])]
                written += self._write(study_instance_uid, wanted, header, request.author)
        failure = _failure(found, usable, headers)
        with self.db.transaction() as tx:
            reading.finish_archiving(tx, self.actor, study_instance_uid, failure, now=self.clock())
        return written

    def _headers(self, study_instance_uid: str, found: Sequence[Measurement]) -> dict[str, DataSet]:
        """The headers of the images that something was found in, by SOP Instance UID."""
        images = {_image_of(each) for each in found}
        viewer = Viewer.of(self.actor, Action.STUDY_READ)
        with self.db.read() as tx:
            locations = archive.locate(tx, viewer, study_instance_uid)
        return {
            each.sop_instance_uid: header
            for each in locations
            if each.sop_instance_uid in images and (header := self._header(each)) is not None
        }

    def _volumes(
        self, study_instance_uid: str, outlined: Sequence[tuple[str, Segments]]
    ) -> Iterator[_Wanted]:
        """The report of the volumes in each series of which a segmentation is in the archive."""
        with self.db.read() as tx:
            before = reading.written_before(tx, self.actor, study_instance_uid)
        latest = {
            each.subject: ImageReference(
                each.series_instance_uid, SEGMENTATION, each.sop_instance_uid
            )
            for each in before
            if each.kind == ArchivedKind.SEGMENTATION.value
        }
        for series, segments in outlined:
            if series not in latest or not region_volumes.has_volume(segments):
                continue
            distance_mm = self._slice_distance_mm(study_instance_uid, series)
            if distance_mm is None:
                continue
            found = region_volumes.volumes(segments, distance_mm, latest[series])
            yield _Wanted(
                ArchivedKind.MEASUREMENTS,
                series,
                found,
                lambda making, given=found: volume_report(
                    making, given, study_instance_uid=study_instance_uid
                ),
            )

    def _slice_distance_mm(self, study_instance_uid: str, series: str) -> float | None:
        viewer = Viewer.of(self.actor, Action.STUDY_READ)
        with self.db.read() as tx:
            locations = archive.locate(tx, viewer, study_instance_uid, series)
        if len(locations) > _VOLUME_IMAGES_MAX:
            return None
        headers = [self._header(each) for each in locations]
        return region_volumes.slice_distance_mm(each for each in headers if each is not None)

    def _header(self, location: InstanceLocation) -> DataSet | None:
        try:
            return decode_dataset(
                memoryview(read_head(self.blobs, location)),
                location.transfer_syntax_uid,
                start=location.dataset_offset,
            )
        except RemoteProtocolError:
            return None

    def _write(
        self, study_instance_uid: str, wanted: _Wanted, header: DataSet, author: str
    ) -> bool:
        with self.db.read() as tx:
            before = reading.written_before(tx, self.actor, study_instance_uid)
        kind = [each for each in before if each.kind == wanted.kind.value]
        alike = [each for each in kind if each.subject == wanted.subject]
        if alike and alike[-1].digest == wanted.digest:
            return False
        making = Making(
            header=header,
            series_instance_uid=kind[-1].series_instance_uid if kind else new_uid(),
            sop_instance_uid=new_uid(),
            instance_number=len(kind) + 1,
            author=_person_name(author),
            made_at=self.clock().astimezone(self.zone),
            software_version=_VERSION,
        )
        dataset = wanted.build(making)
        if wanted.kind is ArchivedKind.MEASUREMENTS and alike:
            _replace(dataset, study_instance_uid, alike[-1:])
        self._admit(study_instance_uid, wanted, making, dataset)
        return True

    def _admit(
        self, study_instance_uid: str, wanted: _Wanted, making: Making, dataset: DataSet
    ) -> None:
        blob = self.blobs.put(as_file(dataset))
        now = self.clock()
        received = describe_file(self.blobs, blob, calling_ae_title=_AE_TITLE, received_at=now)
        made = ArchivedObject(
            study_instance_uid=study_instance_uid,
            series_instance_uid=making.series_instance_uid,
            sop_instance_uid=making.sop_instance_uid,
            sop_class_uid=dataset.text(_SOP_CLASS_UID),
            kind=wanted.kind.value,
            subject=wanted.subject,
            digest=wanted.digest,
            instance_number=making.instance_number,
            written_at=now,
        )
        with self.db.transaction() as tx:
            (admission,) = archive.admit(tx, self.actor, [received], now=now)
            if admission.outcome is Outcome.STORED:
                reading.record_written(tx, self.actor, made)


def _image_of(measurement: Measurement) -> str:
    return measurement.sop_instance_uid


def _replace(dataset: DataSet, study_instance_uid: str, earlier: Sequence[ArchivedObject]) -> None:
    documents = [
        ImageReference(each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)
        for each in earlier
    ]
    dataset.put("PredecessorDocumentsSequence", *predecessors(study_instance_uid, documents))


def _failure(
    found: Sequence[Measurement], usable: Sequence[Measurement], headers: dict[str, DataSet]
) -> str:
    """What is not in the objects, in words for the people who measured it."""
    absent = len(found) - len(usable)
    nowhere = sum(
        1
        for each in usable
        if each.tool not in _MARKS
        and describing.measured_finding(each, headers[_image_of(each)]) is None
    )
    said: list[str] = []
    if absent:
        said.append(f"{absent} on images that are not in the archive")
    if nowhere:
        said.append(f"{nowhere} whose place in the image is not known")
    return f"Not written: {', '.join(said)}." if said else ""


def _person_name(author: str) -> str:
    """As one component: how a display name divides into family and given name is not known."""
    return author.translate(str.maketrans({"^": " ", "=": " ", "\\": " "}))[:64]


def _wanted(
    study_instance_uid: str,
    usable: Sequence[Measurement],
    headers: dict[str, DataSet],
    outlined: Sequence[tuple[str, Segments]],
) -> Iterator[_Wanted]:
    """The objects that these findings make."""
    header_of = {each.measurement_id: headers[_image_of(each)] for each in usable}
    drawn = [each for each in usable if each.tool not in _MARKS]
    findings = [
        finding
        for each in drawn
        if (finding := describing.measured_finding(each, header_of[each.measurement_id]))
    ]
    if findings:
        yield _Wanted(
            ArchivedKind.MEASUREMENTS,
            "",
            findings,
            lambda making: measurement_report(
                making, findings, study_instance_uid=study_instance_uid
            ),
        )
    keys = [
        describing.reference(each, header_of[each.measurement_id])
        for each in usable
        if each.tool == describing.KEY_IMAGE
    ]
    if keys:
        yield _Wanted(
            ArchivedKind.KEY_IMAGES,
            "",
            keys,
            lambda making: key_objects(making, keys, study_instance_uid=study_instance_uid),
        )
    yield from _views(usable, drawn, header_of)
    for series, segments in outlined:
        yield _Wanted(
            ArchivedKind.SEGMENTATION,
            series,
            (segments.segments, segments.bits),
            lambda making, given=segments: segmentation(making, given),
        )


def _views(
    usable: Sequence[Measurement],
    drawn: Sequence[Measurement],
    header_of: dict[str, DataSet],
) -> Iterator[_Wanted]:
    for view in usable:
        if view.tool != describing.VIEW:
            continue
        here = [
            each
            for each in drawn
            if (each.sop_instance_uid, each.frame_number)
            == (view.sop_instance_uid, view.frame_number)
        ]
        shown = describing.presentation(view, header_of[view.measurement_id], here)
        if shown is not None:
            yield _Wanted(
                ArchivedKind.VIEW,
                view.measurement_id,
                shown,
                lambda making, given=shown: presentation_state(making, given),
            )
