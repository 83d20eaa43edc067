"""WADO-RS metadata: what instances are, without their pixels.

Standard: PS3.18 10.4.1.1.2
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_splits import Modifications
from isocenter.domain.archive.service.correction import series_and_modifications
from isocenter.domain.peers import service as peers
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.bodies import REVALIDATE
from isocenter.gateways.dicomweb.context import (
    Dicomweb,
    actor_of,
    context_of,
    service_root,
    viewer_of,
)
from isocenter.gateways.dicomweb.corrections import (
    corrected_metadata,
    corrected_model,
)
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.metadata import (
    instance_metadata,
    kept_metadata,
    series_metadata,
    with_root,
)
from isocenter.gateways.dicomweb.retrieve import accepted, found, modifications_for
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import DICOM_JSON, DICOM_XML, Offer

_OFFERS: Final = (
    Offer(DICOM_JSON),
    Offer("application/json"),
    Offer(DICOM_XML, multipart=True),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Series of one study, what their images must say now, and how the client is to have it."""

    series: Sequence[Series]
    modifications: Modifications
    offer: Offer
    root: str
    is_gzip_taken: bool

    @property
    def study_instance_uid(self) -> str:
        return self.series[0].study_instance_uid

    @property
    def tag(self) -> str:
        state = [
            (each.series_instance_uid, each.number_of_instances, each.last_received_at)
            for each in self.series
        ]
        return bodies.entity_tag(state, self.modifications)


async def metadata(request: Request) -> Response:
    """What every instance of the study or series is, as DICOM JSON or Native DICOM Model."""
    context = context_of(request)
    asked, answer = await context.pool.call(_at_once, request, context)
    if answer is None:
        await context.record_opening(actor_of(request), asked.study_instance_uid)
        answer = await context.pool.call(_current, request, context, asked)
    if answer is None:
        viewer = viewer_of(request)
        parts = [await _series(context, viewer, each) for each in asked.series]
        answer = await context.pool.call(_made, request, asked, parts)
    return answer


def _at_once(request: Request, context: Dicomweb) -> tuple[_Asked, Response | None]:
    """What is asked for, and the answer where it is at hand: all in one hop to a thread."""
    chosen, path = _chosen(request), request.path_params
    known, modifications = context.pool.each_here(
        lambda tx: series_and_modifications(tx, viewer_of(request), path["study"])
    )
    wanted: str | None = path.get("series")
    series = [each for each in known if wanted in {None, each.series_instance_uid}]
    if not series:
        raise NothingThere("there is no such study or series")
    root, is_gzip_taken = service_root(request), bodies.takes_gzip(request)
    asked = _Asked(series, modifications, chosen, root, is_gzip_taken)
    if not context.is_on_record(actor_of(request), asked.study_instance_uid):
        return asked, None
    return asked, _current(request, context, asked)


def _current(request: Request, context: Dicomweb, asked: _Asked) -> Response | None:
    """The answer where nothing is new, or it only has to be read; None where it is to be made."""
    tag = asked.tag
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    if asked.offer.multipart:
        content = _kept(context, asked)
        return None if content is None else _answer(request, content, asked.offer, tag)
    made_of = [(each.metadata_blob_key, each.metadata_instances) for each in asked.series]
    key = (tag, asked.root, asked.is_gzip_taken, *made_of)
    body = context.kept_bodies.find(key)
    if body is None:
        content = _kept(context, asked)
        if content is None:
            return None
        body = bodies.coded(content, is_gzip_taken=asked.is_gzip_taken)
        context.kept_bodies.keep(key, body)
    return bodies.coded_answer(body, asked.offer.name, _headers(tag))


def _kept(context: Dicomweb, asked: _Asked) -> bytes | None:
    """What is sent, where it only has to be read; None where it has to be made."""
    parts = [kept_metadata(context.blobs, each) for each in asked.series]
    found = [each for each in parts if each is not None]
    return None if len(found) < len(parts) else _finished(found, asked)


def _made(request: Request, asked: _Asked, parts: Sequence[bytes]) -> Response:
    return _answer(request, _finished(parts, asked), asked.offer, asked.tag)


def _finished(parts: Sequence[bytes], asked: _Asked) -> bytes:
    study = asked.study_instance_uid
    return with_root(corrected_metadata(_joined(parts), study, asked.modifications), asked.root)


async def one_instance_metadata(request: Request) -> Response:
    """What one instance is, as DICOM JSON in an array or as Native DICOM Model."""
    chosen = _chosen(request)
    context, locations = await found(request)
    location = locations[0]
    await context.record_opening(actor_of(request), location.study_instance_uid)
    modification = (await modifications_for(request, [location])).of(location)
    tag = bodies.entity_tag(location.sha256, modification)
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    readings = await context.pool.read(peers.text_readings)
    model = await context.pool.call(instance_metadata, context.blobs, location, readings)
    content = with_root(
        msgspec.json.encode([corrected_model(model, modification)]), service_root(request)
    )
    return await context.pool.call(_answer, request, content, chosen, tag)


async def _series(context: Dicomweb, viewer: Viewer, series: Series) -> bytes:
    key = (series.study_instance_uid, series.series_instance_uid, series.number_of_instances)
    return await context.metadata.run(
        key,
        lambda: context.pool.call(series_metadata, context.pool.db, context.blobs, viewer, series),
    )


def _joined(arrays: Sequence[bytes]) -> bytes:
    """One JSON array of the elements of several: what is between their brackets is joined."""
    if len(arrays) == 1:
        return arrays[0]
    return b"[" + b",".join(each[1:-1] for each in arrays if len(each) > len(b"[]")) + b"]"


def _chosen(request: Request) -> Offer:
    chosen = media_types.select(accepted(request), _OFFERS)
    if chosen is None:
        raise NotAcceptable(f"metadata is sent as {DICOM_JSON} or multipart {DICOM_XML}")
    return chosen


def _headers(tag: str) -> dict[str, str]:
    # Weak: the same metadata is sent with and without compression, and in two forms.
    return {"ETag": f"W/{tag}", "Cache-Control": REVALIDATE}


def _answer(request: Request, content: bytes, chosen: Offer, tag: str) -> Response:
    if not chosen.multipart:
        return bodies.json_answer(request, content, chosen.name, _headers(tag))
    boundary = multipart.stable_boundary(request.url.path)
    made = _as_xml(content, boundary)
    kind = multipart.content_type(DICOM_XML, boundary)
    return Response(made, HTTPStatus.OK, {**_headers(tag), "Vary": "Accept"}, kind)


def _as_xml(content: bytes, boundary: str) -> bytes:
    models: list[JsonObject] = msgspec.json.decode(content)
    return bodies.xml_parts(models, boundary)
