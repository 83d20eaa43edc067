"""WADO-RS: whole instances, metadata and bulk data.

Standard: PS3.18 10.4
"""

import hashlib
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import InstanceLocation, Series
from isocenter.gateways.dicomweb.context import (
    Dicomweb,
    NotAcceptable,
    NothingThere,
    actor_of,
    context_of,
    service_root,
    viewer_of,
)
from isocenter.gateways.dicomweb.metadata import (
    instance_metadata,
    instance_path,
    series_metadata,
    with_root,
)
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.transcode import transcode_file
from isocenter.infra.blobs import BlobStore
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.part10 import scan_header
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet, Element
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import DICOM, DICOM_JSON, OCTET_STREAM, Offer

_CHUNK_BYTES: Final = 1 << 20
_JSON_OFFERS: Final = (Offer(DICOM_JSON), Offer("application/json"))
_PIXEL_DATA: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})
_REVALIDATE: Final = "private, no-cache"


async def instances(request: Request) -> Response:
    """The study's, series' or single instance's objects, as stored or as the client accepts.

    Standard: PS3.18 10.4.1.1.1
    """
    context, locations = await found(request)
    await context.record_opening(actor_of(request), locations[0].study_instance_uid)
    accept = accepted(request)
    single = len(locations) == 1
    chosen = [_choose(accept, each, single=single) for each in locations]
    if not chosen[0].multipart:
        content = await context.pool.call(_object, context.blobs, locations[0], chosen[0])
        kind = f"{DICOM}; transfer-syntax={chosen[0].transfer_syntax_uid}"
        return Response(content, media_type=kind)
    boundary = multipart.stable_boundary(request.url.path)
    return StreamingResponse(
        _parts(context.blobs, list(zip(locations, chosen, strict=True)), boundary, request),
        media_type=multipart.content_type(DICOM, boundary),
    )


def _choose(accept: str | None, location: InstanceLocation, *, single: bool) -> Offer:
    syntaxes = [location.transfer_syntax_uid]
    if can_decode(location.transfer_syntax_uid):
        syntaxes.append(uids.EXPLICIT_VR_LITTLE_ENDIAN)
    offers = [Offer(DICOM, syntax, multipart=True) for syntax in syntaxes]
    if single:
        offers += [Offer(DICOM, syntax) for syntax in syntaxes]
    chosen = media_types.select(accept, offers)
    if chosen is None:
        raise NotAcceptable(
            f"{location.sop_instance_uid} is stored in {location.transfer_syntax_uid}: "
            "accept transfer-syntax=* to have it as it is"
        )
    return chosen


def _parts(
    blobs: BlobStore,
    chosen: Sequence[tuple[InstanceLocation, Offer]],
    boundary: str,
    request: Request,
) -> Iterator[bytes]:
    root = service_root(request)
    for number, (location, offer) in enumerate(chosen):
        headers = {
            "Content-Type": f"{DICOM}; transfer-syntax={offer.transfer_syntax_uid}",
            "Content-Location": root + instance_path(location),
        }
        yield multipart.part_head(boundary, headers, first=number == 0)
        if offer.transfer_syntax_uid != location.transfer_syntax_uid:
            yield _object(blobs, location, offer)
            continue
        with blobs.open(location.blob_key) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    yield multipart.closing(boundary)


def _object(blobs: BlobStore, location: InstanceLocation, offer: Offer) -> bytes:
    data = blobs.read(location.blob_key)
    if offer.transfer_syntax_uid == location.transfer_syntax_uid:
        return data
    try:
        return transcode_file(data, offer.transfer_syntax_uid)
    except RemoteProtocolError as error:
        raise NotAcceptable(f"{location.sop_instance_uid} cannot be decoded: {error}") from error


async def metadata(request: Request) -> Response:
    """DICOM JSON of every instance of the study, or of one of its series.

    Standard: PS3.18 10.4.1.1.2
    """
    context, viewer = context_of(request), viewer_of(request)
    study: str = request.path_params["study"]
    wanted: str | None = request.path_params.get("series")
    series = [
        each
        for each in await context.pool.read(archive.series_of, viewer, study)
        if wanted in {None, each.series_instance_uid}
    ]
    if not series:
        raise NothingThere("there is no such study or series")
    await context.record_opening(actor_of(request), study)
    tag = _entity_tag(series)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    parts = [
        await context.pool.call(series_metadata, context.pool.db, context.blobs, viewer, each)
        for each in series
    ]
    # Each part is a JSON array of its own; what is between its brackets is joined.
    inside = [part[1:-1] for part in parts if len(part) > len(b"[]")]
    return _json(request, b"[" + b",".join(inside) + b"]", tag)


def _entity_tag(series: Sequence[Series]) -> str:
    state = [f"{each.series_instance_uid} {each.number_of_instances}" for each in series]
    return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"'


def _json(request: Request, content: bytes, tag: str) -> Response:
    chosen = media_types.select(accepted(request), _JSON_OFFERS)
    if chosen is None:
        raise NotAcceptable("metadata is sent as application/dicom+json")
    headers = {"ETag": tag, "Cache-Control": _REVALIDATE}
    return Response(with_root(content, service_root(request)), 200, headers, chosen.name)


async def one_instance_metadata(request: Request) -> Response:
    """DICOM JSON of one instance, in an array."""
    context, locations = await found(request)
    location = locations[0]
    await context.record_opening(actor_of(request), location.study_instance_uid)
    model = await context.pool.call(instance_metadata, context.blobs, location)
    return _json(request, msgspec.json.encode([model]), f'"{location.sha256.hex()[:32]}"')


async def bulk_data(request: Request) -> Response:
    """The value of one attribute that the metadata names by BulkDataURI.

    Standard: PS3.18 10.4.1.1.5
    """
    context, locations = await found(request)
    path: str = request.path_params["path"]
    value = await context.pool.call(_bulk_value, context.blobs, locations[0], path)
    chosen = media_types.select(
        accepted(request), [Offer(OCTET_STREAM, multipart=True), Offer(OCTET_STREAM)]
    )
    if chosen is None:
        raise NotAcceptable("bulk data is sent as application/octet-stream")
    if not chosen.multipart:
        return Response(value, media_type=OCTET_STREAM)
    boundary = multipart.stable_boundary(request.url.path)
    head = multipart.part_head(boundary, {"Content-Type": OCTET_STREAM}, first=True)
    return Response(
        head + value + multipart.closing(boundary),
        media_type=multipart.content_type(OCTET_STREAM, boundary),
    )


def _bulk_value(blobs: BlobStore, location: InstanceLocation, path: str) -> bytes:
    data = blobs.read(location.blob_key)
    syntax, start = location.transfer_syntax_uid, location.dataset_offset
    tags = path.split("/")
    if len(tags) == 1 and tags[0].upper() in _PIXEL_DATA:
        scan = scan_header(data, frozenset[int](), transfer_syntax_uid=syntax, start=start)
        pixels = scan.pixel_data
        if pixels is None or pixels.length is None:
            raise NothingThere("the pixel data is compressed: ask for its frames")
        return (scan.inflated or data)[pixels.offset : pixels.offset + pixels.length]
    element = _element_at(decode_dataset(data, syntax, start=start), tags)
    value = element.values[0] if element is not None and element.values else None
    if not isinstance(value, bytes):
        raise NothingThere("there is no bulk data of that name")
    return value


def _element_at(dataset: DataSet, path: Sequence[str]) -> Element | None:
    try:
        element = dataset.get(int(path[0], 16))
        for number, tag in zip(path[1::2], path[2::2], strict=True):
            item = element.values[int(number)] if element is not None else None
            if not isinstance(item, DataSet):
                return None
            element = item.get(int(tag, 16))
    except (ValueError, IndexError):
        return None
    return element


async def found(request: Request) -> tuple[Dicomweb, list[InstanceLocation]]:
    """What the path names; raises ``NothingThere``."""
    context, path = context_of(request), request.path_params
    locations = await context.pool.read(
        archive.locate,
        viewer_of(request),
        path["study"],
        path.get("series"),
        path.get("instance"),
    )
    if not locations:
        raise NothingThere("no instance has these UIDs")
    return context, locations


def accepted(request: Request) -> str | None:
    """What the client accepts: its query parameter where it has one, else its header.

    Standard: PS3.18 8.3.3.1
    """
    return request.query_params.get("accept") or request.headers.get("accept")
