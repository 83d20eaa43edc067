"""WADO-RS: whole instances, of a study, a series, or one.

Objects that are sent as they are stored go from the store to the socket a portion at a time; the
answer has a length, byte ranges and a validator. Answers with decoded objects are made while they
are sent, one object at a time.

Standard: PS3.18 10.4.1.1.1
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_splits import Modifications
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.archives import zip_parts
from isocenter.gateways.dicomweb.bodies import REVALIDATE
from isocenter.gateways.dicomweb.context import (
    Dicomweb,
    actor_of,
    context_of,
    service_root,
    viewer_of,
)
from isocenter.gateways.dicomweb.corrections import modifications_of
from isocenter.gateways.dicomweb.disc_viewer import DiscViewer
from isocenter.gateways.dicomweb.drawing import Wish, draw
from isocenter.gateways.dicomweb.errors import NothingThere
from isocenter.gateways.dicomweb.metadata import instance_path
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece, read_range
from isocenter.gateways.dicomweb.renditions import with_renditions
from isocenter.gateways.dicomweb.representation import Representation, choose, represented
from isocenter.infra.blobs import BlobStore
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import DICOM, ZIP, Offer

_Chosen = Sequence[tuple[InstanceLocation, Representation]]


async def instances(request: Request) -> Response:
    """The study's, series' or single instance's objects, as stored or as the client accepts."""
    context, locations = await found(request)
    single = len(locations) == 1
    if (zipped := _zip_accept(request)) is not None:
        return await _send_zip(request, context, locations, zipped)
    modifications = await modifications_for(request, locations)
    chosen = [
        (
            each,
            choose(
                accepted(request),
                each,
                single=single,
                transcoded_bytes_max=context.options.transcoded_bytes_max,
            ),
        )
        for each in locations
    ]
    await context.record_opening(actor_of(request), locations[0].study_instance_uid)
    tag = bodies.entity_tag(
        request.url.path,
        [(each.sha256, how.transfer_syntax_uid) for each, how in chosen],
        modifications,
    )
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    chosen = await with_renditions(request, chosen)
    if not chosen[0][1].multipart:
        content, kind = await context.pool.call(_one, context, *chosen[0], modifications)
        return await bodies.answer(request, content, kind, tag=tag, cache=REVALIDATE)
    boundary = multipart.stable_boundary(request.url.path)
    kind = multipart.content_type(DICOM, boundary)
    root = service_root(request)
    if not modifications and all(how.is_stored for _, how in chosen):
        return await bodies.answer(
            request, _stored_parts(chosen, boundary, root), kind, tag=tag, cache=REVALIDATE
        )
    chunks = _parts(context.blobs, chosen, boundary, root, modifications)
    headers = {"Cache-Control": REVALIDATE, "ETag": tag}
    return await bodies.stream(request, chunks, HTTPStatus.OK, headers, kind)


def _zip_accept(request: Request) -> str | None:
    """Where the client prefers a zip file: what it accepts of the files in it.

    Standard: PS3.18 8.7.3.6
    """
    accept = accepted(request)
    offers = [Offer(DICOM, multipart=True), Offer(DICOM), Offer(ZIP)]
    chosen = media_types.select(accept, offers)
    if chosen is None or chosen.name != ZIP:
        return None
    named = [each.transfer_syntax for each in media_types.parse_accept(accept or "")]
    syntax = next((each for each in named if each), "*")
    return f"{DICOM}; transfer-syntax={syntax}"


async def _send_zip(
    request: Request, context: Dicomweb, locations: Sequence[InstanceLocation], accept: str
) -> Response:
    most = context.options.transcoded_bytes_max
    chosen = [
        (each, choose(accept, each, single=True, transcoded_bytes_max=most)) for each in locations
    ]
    await context.record_opening(actor_of(request), locations[0].study_instance_uid)
    headers = {
        "Cache-Control": REVALIDATE,
        "Content-Disposition": 'attachment; filename="dicom.zip"',
    }
    modifications = await modifications_for(request, locations)
    chosen = await with_renditions(request, chosen)
    viewer = None
    if request.query_params.get("viewer") == "true":  # ours: DICOMweb leaves it to servers
        await context.record_export(actor_of(request), locations[0].study_instance_uid)
        viewer = DiscViewer(lambda location, frame: draw(context, location, [frame], Wish()))
    content = zip_parts(context.blobs, chosen, modifications, now=context.clock(), viewer=viewer)
    return await bodies.stream(request, content, HTTPStatus.OK, headers, ZIP)


def _one(
    context: Dicomweb,
    location: InstanceLocation,
    how: Representation,
    modifications: Modifications,
) -> tuple[list[Piece], str]:
    """The body of one instance and its media type."""
    pieces, syntax = represented(context.blobs, location, how, modifications.of(location))
    return pieces, _part_type(syntax)


def _whole(location: InstanceLocation) -> BlobRange:
    return BlobRange(location.blob_key, 0, location.size_bytes)


def _part_type(transfer_syntax_uid: str) -> str:
    return f"{DICOM}; transfer-syntax={transfer_syntax_uid}"


def _head(
    location: InstanceLocation, transfer_syntax_uid: str, boundary: str, root: str, *, first: bool
) -> bytes:
    headers = {
        "Content-Type": _part_type(transfer_syntax_uid),
        "Content-Location": root + instance_path(location),
    }
    return multipart.part_head(boundary, headers, first=first)


def _stored_parts(chosen: _Chosen, boundary: str, root: str) -> list[Piece]:
    pieces: list[Piece] = []
    for location, how in chosen:
        head = _head(location, how.transfer_syntax_uid, boundary, root, first=not pieces)
        pieces += [head, _whole(location)]
    return [*pieces, multipart.closing(boundary)]


def _parts(
    blobs: BlobStore,
    chosen: _Chosen,
    boundary: str,
    root: str,
    modifications: Modifications,
) -> Iterator[bytes]:
    for number, (location, how) in enumerate(chosen):
        pieces, syntax = represented(blobs, location, how, modifications.of(location))
        yield _head(location, syntax, boundary, root, first=number == 0)
        for piece in pieces:
            if isinstance(piece, BlobRange):
                yield from read_range(blobs, piece)
            else:
                yield piece
    yield multipart.closing(boundary)


async def modifications_for(
    request: Request, locations: Sequence[InstanceLocation]
) -> Modifications:
    """What these images of one study must say on their way out."""
    only = locations[0].sop_instance_uid if len(locations) == 1 else None
    return await context_of(request).pool.read(
        modifications_of, viewer_of(request), locations[0].study_instance_uid, only
    )


async def found(request: Request) -> tuple[Dicomweb, list[InstanceLocation]]:
    """What the path names; raises ``NothingThere``."""
    context = context_of(request)
    return context, await context.pool.call(found_here, request)


def found_here(request: Request) -> list[InstanceLocation]:
    """What the path names, for callers that are in a thread; raises ``NothingThere``."""
    viewer, path = viewer_of(request), request.path_params
    locations = context_of(request).pool.each_here(
        lambda tx: archive.locate(
            tx, viewer, path["study"], path.get("series"), path.get("instance")
        )
    )
    if not locations:
        raise NothingThere("no instance has these UIDs")
    return locations


def accepted(request: Request) -> str | None:
    """What the client accepts: its query parameter where it has one, else its header.

    Standard: PS3.18 8.3.3.1
    """
    return request.query_params.get("accept") or request.headers.get("accept")
