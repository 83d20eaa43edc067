"""WADO-RS metadata: what instances are, without their pixels.

Standard: PS3.18 10.4.1.1.2
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.model_splits import Modifications
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
    modifications_of,
)
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.metadata import (
    instance_metadata,
    kept_metadata,
    series_metadata,
    with_root,
)
from isocenter.gateways.dicomweb.retrieve import accepted, found, modifications_for
from isocenter.infra.db import Tx
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import DICOM_JSON, DICOM_XML, Offer

_OFFERS: Final = (
    Offer(DICOM_JSON),
    Offer("application/json"),
    Offer(DICOM_XML, multipart=True),
)


async def metadata(request: Request) -> Response:
    """What every instance of the study or series is, as DICOM JSON or Native DICOM Model."""
    chosen = _chosen(request)
    context, viewer = context_of(request), viewer_of(request)
    study: str = request.path_params["study"]
    wanted: str | None = request.path_params.get("series")
    known, modifications = await context.pool.each(_known, viewer, study)
    series = [each for each in known if wanted in {None, each.series_instance_uid}]
    if not series:
        raise NothingThere("there is no such study or series")
    await context.record_opening(actor_of(request), study)
    state = [
        (each.series_instance_uid, each.number_of_instances, each.last_received_at)
        for each in series
    ]
    tag = bodies.entity_tag(state, modifications)
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    content = await context.pool.call(_kept, context, series, modifications, service_root(request))
    if content is None:
        parts = [await _series(context, viewer, each) for each in series]
        root = service_root(request)
        content = await context.pool.call(_finished, parts, study, modifications, root)
    return await _answer(request, content, chosen, tag)


def _kept(
    context: Dicomweb, series: Sequence[Series], modifications: Modifications, root: str
) -> bytes | None:
    """What is sent, where it only has to be read; None where it has to be made."""
    parts = [kept_metadata(context.blobs, each) for each in series]
    found = [each for each in parts if each is not None]
    if len(found) < len(parts):
        return None
    return _finished(found, series[0].study_instance_uid, modifications, root)


def _finished(
    parts: Sequence[bytes], study_instance_uid: str, modifications: Modifications, root: str
) -> bytes:
    return with_root(corrected_metadata(_joined(parts), study_instance_uid, modifications), root)


def _known(tx: Tx, viewer: Viewer, study_instance_uid: str) -> tuple[list[Series], Modifications]:
    series = archive.series_of(tx, viewer, study_instance_uid)
    return series, modifications_of(tx, viewer, study_instance_uid)


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
    return await _answer(request, content, chosen, tag)


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


async def _answer(request: Request, content: bytes, chosen: Offer, tag: str) -> Response:
    # Weak: the same metadata is sent with and without compression, and in two forms.
    headers = {"ETag": f"W/{tag}", "Cache-Control": REVALIDATE}
    if not chosen.multipart:
        return await bodies.json_answer(request, content, chosen.name, headers)
    boundary = multipart.stable_boundary(request.url.path)
    made = await context_of(request).pool.call(_as_xml, content, boundary)
    kind = multipart.content_type(DICOM_XML, boundary)
    return Response(made, HTTPStatus.OK, {**headers, "Vary": "Accept"}, kind)


def _as_xml(content: bytes, boundary: str) -> bytes:
    models: list[JsonObject] = msgspec.json.decode(content)
    return bodies.xml_parts(models, boundary)
