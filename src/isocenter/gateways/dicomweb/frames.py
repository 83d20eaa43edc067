"""WADO-RS frames: one range read each where admission found the frame's bytes.

Frames are sent in the transfer syntax they are stored in, or decoded, as the client accepts. A
single frame may be asked for in byte ranges, also inside its multipart body: the boundary is the
same each time.

Standard: PS3.18 10.4.1.1.6
"""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb.context import (
    NotAcceptable,
    NothingThere,
    actor_of,
    service_root,
)
from isocenter.gateways.dicomweb.metadata import instance_path
from isocenter.gateways.dicomweb.pictures import decoded_frame, open_picture, stored_frame
from isocenter.gateways.dicomweb.retrieve import accepted, found
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.frames import Pixels
from isocenter.infra.blobs import BlobStore
from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb import media_types, multipart, params
from isocenter.standards.dicomweb.media_types import OCTET_STREAM, Offer

_IMMUTABLE = "private, max-age=3600, immutable"


async def frames(request: Request) -> Response:
    """The frames that the path lists, in its order."""
    context, locations = await found(request)
    location = locations[0]
    numbers = params.parse_frames(request.path_params["frames"])
    if max(numbers) > (location.number_of_frames or 1):
        raise NothingThere(f"the instance has {location.number_of_frames or 1} frames")
    await context.record_opening(actor_of(request), location.study_instance_uid)
    chosen = media_types.select(accepted(request), _offers(location, single=len(numbers) == 1))
    if chosen is None:
        raise NotAcceptable(
            f"the frames are stored in {location.transfer_syntax_uid}: "
            "accept transfer-syntax=* to have them as they are"
        )
    read = _decoded if _is_decoded(chosen, location) else _stored
    content = await context.pool.call(read, context.blobs, location, numbers)
    if not chosen.multipart:
        kind = f"{chosen.name}; transfer-syntax={chosen.transfer_syntax_uid}"
        return _maybe_partial(request, content[0], kind)
    boundary = multipart.stable_boundary(request.url.path)
    resource = service_root(request) + instance_path(location)
    body = _body(content, numbers, chosen, boundary, resource)
    return _maybe_partial(request, body, multipart.content_type(chosen.name, boundary))


def _offers(location: InstanceLocation, *, single: bool) -> list[Offer]:
    stored = location.transfer_syntax_uid
    native = not uids.transfer_syntax(stored).encapsulated
    # Frames of all native transfer syntaxes but the big endian one are the same bytes.
    name = (
        uids.EXPLICIT_VR_LITTLE_ENDIAN
        if native and stored != uids.EXPLICIT_VR_BIG_ENDIAN
        else stored
    )
    kinds = [(media_types.frame_media_type(stored), name), (OCTET_STREAM, name)]
    if name != uids.EXPLICIT_VR_LITTLE_ENDIAN and can_decode(stored):
        kinds.append((OCTET_STREAM, uids.EXPLICIT_VR_LITTLE_ENDIAN))
    offers = [Offer(kind, syntax, multipart=True) for kind, syntax in dict.fromkeys(kinds)]
    return offers + ([Offer(kind, syntax) for kind, syntax in kinds] if single else [])


def _is_decoded(chosen: Offer, location: InstanceLocation) -> bool:
    stored = uids.transfer_syntax(location.transfer_syntax_uid)
    return chosen.transfer_syntax_uid == uids.EXPLICIT_VR_LITTLE_ENDIAN and (
        stored.encapsulated or not stored.little_endian
    )


def _stored(blobs: BlobStore, location: InstanceLocation, numbers: Sequence[int]) -> list[bytes]:
    return [stored_frame(blobs, location, number) for number in numbers]


def _decoded(blobs: BlobStore, location: InstanceLocation, numbers: Sequence[int]) -> list[bytes]:
    """The frames as native little endian pixels.

    Standard: PS3.5 8.2
    """
    picture = open_picture(blobs, location)
    return [_little_endian(decoded_frame(blobs, picture, number).pixels) for number in numbers]


def _little_endian(pixels: Pixels) -> bytes:
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def _body(
    content: Sequence[bytes],
    numbers: Sequence[int],
    chosen: Offer,
    boundary: str,
    resource: str,
) -> bytes:
    kind = f"{chosen.name}; transfer-syntax={chosen.transfer_syntax_uid}"
    pieces: list[bytes] = []
    for number, data in zip(numbers, content, strict=True):
        headers = {"Content-Type": kind, "Content-Location": f"{resource}/frames/{number}"}
        pieces += [multipart.part_head(boundary, headers, first=not pieces), data]
    return b"".join([*pieces, multipart.closing(boundary)])


def _maybe_partial(request: Request, content: bytes, kind: str) -> Response:
    """The whole answer, or the byte range of it that was asked for.

    Standard: RFC 9110 14
    """
    headers = {"Accept-Ranges": "bytes", "Cache-Control": _IMMUTABLE}
    try:
        wanted = params.parse_byte_range(request.headers.get("range", ""), len(content))
    except params.RangeNotSatisfiableError:
        headers["Content-Range"] = f"bytes */{len(content)}"
        return Response(None, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    if wanted is None:
        return Response(content, HTTPStatus.OK, headers, kind)
    end = wanted.start + wanted.length
    headers["Content-Range"] = f"bytes {wanted.start}-{end - 1}/{len(content)}"
    return Response(content[wanted.start : end], HTTPStatus.PARTIAL_CONTENT, headers, kind)
