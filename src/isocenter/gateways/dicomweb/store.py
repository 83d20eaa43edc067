"""STOW-RS: objects come in as the parts of a body of any size and are admitted in batches.

Bytes go to the blob store while they arrive. An object is answered as stored only after the
transaction that makes it visible; one bad object never harms another.

Standard: PS3.18 10.5
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import (
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    NotAnInstance,
    Outcome,
    ReceivedInstance,
    identify,
)
from isocenter.domain.archive.service.description import describe_file
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dicomweb.context import Dicomweb, actor_of, context_of, service_root
from isocenter.infra.blobs import BlobWriter, StoredBlob
from isocenter.infra.log import get_logger
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM, DICOM_JSON, MediaType
from isocenter.standards.dicomweb.multipart import MultipartReader, PartBegin, PartData, PartEnd

_log = get_logger(__name__)
_BATCH_OBJECTS: Final = 64
_NOT_NEEDED: Final = frozenset({Outcome.DUPLICATE, Outcome.REFUSED})

# Failure Reason (0008,1197), PS3.18 Table I.2-2
_OUT_OF_RESOURCES: Final = 0xA700
_DOES_NOT_MATCH: Final = 0xA900
_CANNOT_UNDERSTAND: Final = 0xC000


class UnsupportedBody(IsocenterError):
    """The body is of a media type that STOW-RS does not take here."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of one object; ``failure`` is its Failure Reason, None when it is stored."""

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    failure: int | None = None


@dataclass(slots=True)
class _Upload:
    """One request's objects: written ones wait here until their batch is full."""

    context: Dicomweb
    actor: Actor
    study_instance_uid: str | None
    waiting: list[BlobWriter] = field(default_factory=list[BlobWriter])
    answers: list[_Answer] = field(default_factory=list[_Answer])
    current: BlobWriter | None = None
    size_bytes: int = 0

    def begin(self, kind: MediaType) -> None:
        if kind.name != DICOM:
            raise UnsupportedBody(f"parts must be {DICOM}, not {kind.name}")
        if len(self.answers) + len(self.waiting) >= self.context.options.objects_max:
            raise UnsupportedBody(f"more than {self.context.options.objects_max} objects")
        self.current, self.size_bytes = self.context.blobs.writer(), 0

    def write(self, data: bytes) -> None:
        if self.current is None:
            return
        self.size_bytes += len(data)
        if self.size_bytes > self.context.options.object_bytes_max:
            raise UnsupportedBody("an object is larger than this server takes")
        self.current.write(data)

    def end(self) -> None:
        if self.current is not None:
            self.waiting.append(self.current)
            self.current = None

    async def settle(self) -> None:
        """Make what waits durable and visible, and note what became of each object."""
        batch, self.waiting = self.waiting, []
        if batch:
            self.answers += await self.context.pool.call(partial(_admit, self, batch))

    def abandon(self) -> None:
        """Forget what is not visible yet."""
        for writer in [*self.waiting, *([self.current] if self.current else [])]:
            writer.abort()
        self.waiting, self.current = [], None


async def store(request: Request) -> Response:
    """Store the objects of the body; the answer tells what became of each.

    Standard: PS3.18 10.5.1, 10.5.3
    """
    context, actor = context_of(request), actor_of(request)
    authorize(actor, Action.STUDY_STORE)
    kind = media_types.parse_media_type(request.headers.get("content-type", ""))
    upload = _Upload(context, actor, request.path_params.get("study"))
    try:
        if kind.is_multipart:
            await _read_parts(request, kind, upload)
        else:
            await _read_single(request, kind, upload)
        await upload.settle()
    except BaseException:
        upload.abandon()
        raise
    return _response(upload.answers, service_root(request))


async def _read_parts(request: Request, kind: MediaType, upload: _Upload) -> None:
    reader = MultipartReader(kind.parameters.get("boundary", ""))
    async for chunk in request.stream():
        for event in reader.receive(chunk):
            match event:
                case PartBegin(headers):
                    part = headers.get("content-type", kind.part_name)
                    upload.begin(media_types.parse_media_type(part))
                case PartData(data):
                    upload.write(data)
                case PartEnd():
                    upload.end()
                case _:
                    break
        if len(upload.waiting) >= _BATCH_OBJECTS:
            await upload.settle()
    reader.close()


async def _read_single(request: Request, kind: MediaType, upload: _Upload) -> None:
    upload.begin(kind)
    async for chunk in request.stream():
        upload.write(chunk)
    upload.end()


def _admit(upload: _Upload, batch: Sequence[BlobWriter]) -> list[_Answer]:
    context, now = upload.context, upload.context.clock()
    blobs = context.blobs.commit_all(batch)
    answers: list[_Answer | None] = [None] * len(batch)
    described: list[tuple[int, ReceivedInstance]] = []
    for index, blob in enumerate(blobs):
        found = _describe(upload, blob, now)
        if isinstance(found, _Answer):
            answers[index] = found
            context.blobs.delete(blob.key)
        else:
            described.append((index, found))
    if described:
        received = [instance for _, instance in described]
        admissions = context.pool.run_here(
            lambda tx: archive.admit(tx, upload.actor, received, now=now)
        )
        for (index, instance), admission in zip(described, admissions, strict=True):
            refused = admission.outcome is Outcome.REFUSED
            answers[index] = _answer(instance, _CANNOT_UNDERSTAND if refused else None)
            if admission.outcome in _NOT_NEEDED:
                context.blobs.delete(instance.blob_key)
    return [answer or _Answer(failure=_OUT_OF_RESOURCES) for answer in answers]


def _describe(upload: _Upload, blob: StoredBlob, now: datetime) -> ReceivedInstance | _Answer:
    """The object ready to be admitted, or why it is refused."""
    try:
        instance = describe_file(
            upload.context.blobs, blob, calling_ae_title=upload.actor.name, received_at=now
        )
        identity = identify(instance.attributes)
    except NotAnInstance:
        _log.warning("instance_refused", peer_name=upload.actor.name, error_type="NotAnInstance")
        return _Answer(failure=_CANNOT_UNDERSTAND)
    if upload.study_instance_uid not in {None, identity.study_instance_uid}:
        return _answer(instance, _DOES_NOT_MATCH)
    return instance


def _answer(instance: ReceivedInstance, failure: int | None) -> _Answer:
    attributes = instance.attributes
    return _Answer(
        study_instance_uid=attributes.get(STUDY_INSTANCE_UID, ""),
        series_instance_uid=attributes.get(0x0020_000E, ""),
        sop_class_uid=attributes.get(SOP_CLASS_UID, ""),
        sop_instance_uid=attributes.get(SOP_INSTANCE_UID, ""),
        failure=failure,
    )


def _response(answers: Sequence[_Answer], root: str) -> Response:
    """The store instances response.

    Standard: PS3.18 10.5.3, Table 10.5.3-1, Annex I
    """
    stored = [answer for answer in answers if answer.failure is None]
    failed = [answer for answer in answers if answer.failure is not None]
    body: dict[str, Any] = {}
    studies = {answer.study_instance_uid for answer in stored}
    if len(studies) == 1:
        body["00081190"] = _ui(f"{root}/studies/{studies.pop()}", vr="UR")
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": [_failed_item(each) for each in failed]}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": [_stored_item(each, root) for each in stored]}
    partly = HTTPStatus.ACCEPTED if stored else HTTPStatus.CONFLICT
    status = partly if failed else HTTPStatus.OK
    return Response(msgspec.json.encode(body), status, media_type=DICOM_JSON)


def _ui(value: str, *, vr: str = "UI") -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value else {"vr": vr}


def _stored_item(answer: _Answer, root: str) -> dict[str, Any]:
    url = (
        f"{root}/studies/{answer.study_instance_uid}/series/{answer.series_instance_uid}"
        f"/instances/{answer.sop_instance_uid}"
    )
    return {
        "00081150": _ui(answer.sop_class_uid),
        "00081155": _ui(answer.sop_instance_uid),
        "00081190": _ui(url, vr="UR"),
    }


def _failed_item(answer: _Answer) -> dict[str, Any]:
    return {
        "00081150": _ui(answer.sop_class_uid),
        "00081155": _ui(answer.sop_instance_uid),
        "00081197": {"vr": "US", "Value": [answer.failure]},
    }
