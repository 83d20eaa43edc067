"""WADO-RS frames and pixel data: range reads from the store to the socket.

Frames are sent in the transfer syntax they are stored in, from the rendition that is kept beside
them, decoded, or encoded anew in one that the client names, or means by its media type. What is
sent as it is kept may be asked for in byte ranges, also inside its multipart body: the boundary is
the same each time.

Standard: PS3.18 10.4.1.1.6, 10.4.1.1.7
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.bodies import IMMUTABLE
from isocenter.gateways.dicomweb.context import (
    Dicomweb,
    actor_of,
    context_of,
    service_root,
)
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.metadata import instance_path
from isocenter.gateways.dicomweb.pictures import decoded_frame, open_picture
from isocenter.gateways.dicomweb.pieces import Piece
from isocenter.gateways.dicomweb.renditions import frame_pieces, rendition_of_frames
from isocenter.gateways.dicomweb.retrieve import accepted, found, found_here
from isocenter.imaging.codecs import can_decode
from isocenter.imaging.encoders import can_encode, encode_frame
from isocenter.imaging.frames import Pixels
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb import media_types, multipart, params
from isocenter.standards.dicomweb.media_types import OCTET_STREAM, Offer

_ACCEPT_REMEMBERED_LENGTH_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class _Wish:
    """Frames of an instance, and how the client is to have them."""

    location: InstanceLocation
    numbers: Sequence[int]
    offer: Offer
    boundary: str
    resource: str

    @property
    def part_type(self) -> str:
        return f"{self.offer.name}; transfer-syntax={self.offer.transfer_syntax_uid}"

    def head(self, number: int, *, first: bool) -> bytes:
        headers = {
            "Content-Type": self.part_type,
            "Content-Location": f"{self.resource}/frames/{number}",
        }
        return multipart.part_head(self.boundary, headers, first=first)


async def frames(request: Request) -> Response:
    """The frames that the path lists, in its order."""
    numbers = params.parse_frames(request.path_params["frames"])
    context = context_of(request)
    location, answer = await context.pool.call(_at_once, request, context, numbers)
    return answer or await send_frames(request, context, location, numbers)


def _at_once(
    request: Request, context: Dicomweb, numbers: Sequence[int]
) -> tuple[InstanceLocation, Response | None]:
    """Where the instance is, and the answer where it only has to be read: one hop to a thread."""
    location = found_here(request)[0]
    count = location.number_of_frames or 1
    if max(numbers) > count:
        raise NothingThere(f"the instance has {count} frames")
    wish = _wish(request, location, numbers)
    if (
        _is_decoded(wish.offer, location)
        or location.frame_ranges is None
        or not context.is_on_record(actor_of(request), location.study_instance_uid)
    ):
        return location, None
    tag = _tag(request, wish)
    current = bodies.not_modified(request, tag, IMMUTABLE)
    if current is not None:
        return location, current
    pieces, kind = _body(wish, context.frame_index.pieces(location, numbers))
    return location, bodies.answer_here(request, pieces, kind, tag=tag, cache=IMMUTABLE)


async def pixel_data(request: Request) -> Response:
    """All frames of the instance."""
    context, locations = await found(request)
    return await send_all_frames(request, context, locations[0])


async def send_all_frames(
    request: Request, context: Dicomweb, location: InstanceLocation
) -> Response:
    """The pixel data, a part for each frame; raises ``NothingThere`` where there are none."""
    count = await context.pool.call(context.frame_index.count, location)
    if not count:
        raise NothingThere("the instance has no frames")
    return await send_frames(request, context, location, range(1, count + 1))


async def send_frames(
    request: Request, context: Dicomweb, location: InstanceLocation, numbers: Sequence[int]
) -> Response:
    """The frames as the client accepts them; raises ``NotAcceptable``."""
    wish = _wish(request, location, numbers)
    await context.record_opening(actor_of(request), location.study_instance_uid)
    tag = _tag(request, wish)
    current = bodies.not_modified(request, tag, IMMUTABLE)
    if current is not None:
        return current
    rendition = await rendition_of_frames(request, location, wish.offer.transfer_syntax_uid)
    if rendition is None and _is_decoded(wish.offer, location):
        return await _send_decoded(request, context, wish, tag)
    if rendition is not None:
        pieces = frame_pieces(rendition, numbers)
    elif location.frame_ranges is None:
        pieces = await context.pool.call(context.frame_index.pieces, location, numbers)
    else:  # known since admission: nothing has to be read
        pieces = context.frame_index.pieces(location, numbers)
    pieces, kind = _body(wish, pieces)
    return await bodies.answer(request, pieces, kind, tag=tag, cache=IMMUTABLE)


def _wish(request: Request, location: InstanceLocation, numbers: Sequence[int]) -> _Wish:
    """How the client is to have them; raises ``NotAcceptable``."""
    stored = location.transfer_syntax_uid
    chosen = _chosen(accepted(request), stored, single=len(numbers) == 1)
    if chosen is None:
        raise NotAcceptable(
            f"the frames are stored in {stored}: accept transfer-syntax=* to have them as they are"
        )
    resource = service_root(request) + instance_path(location)
    return _Wish(
        location, numbers, chosen, multipart.stable_boundary(request.scope["path"]), resource
    )


def _tag(request: Request, wish: _Wish) -> str:
    return bodies.entity_tag(request.scope["path"], wish.location.sha256, wish.offer)


def _body(wish: _Wish, pieces: Sequence[Piece]) -> tuple[Sequence[Piece], str]:
    """The body and its media type."""
    if not wish.offer.multipart:
        return pieces, wish.part_type
    return _with_heads(pieces, wish), multipart.content_type(wish.offer.name, wish.boundary)


def _chosen(accept: str | None, stored: str, *, single: bool) -> Offer | None:
    """What is offered that the client accepts best; a client says the same for each frame."""
    if accept is not None and len(accept) > _ACCEPT_REMEMBERED_LENGTH_MAX:
        return media_types.select(accept, _offers(accept, stored, single=single))
    return _remembered(accept, stored, single=single)


@lru_cache(maxsize=256)
def _remembered(accept: str | None, stored: str, *, single: bool) -> Offer | None:
    return media_types.select(accept, _offers(accept, stored, single=single))


def _offers(accept: str | None, stored: str, *, single: bool) -> list[Offer]:
    as_stored = _named(stored)
    kinds = [(media_types.frame_media_type(stored), as_stored), (OCTET_STREAM, as_stored)]
    if can_decode(stored):
        kinds.append((OCTET_STREAM, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        kinds += _encoded_kinds(accept)
    kinds = list(dict.fromkeys(kinds))
    offers = [Offer(kind, syntax, multipart=True) for kind, syntax in kinds]
    return offers + ([Offer(kind, syntax) for kind, syntax in kinds] if single else [])


def _named(stored: str) -> str:
    """Frames of all native transfer syntaxes but the big endian one are the same bytes."""
    native = not uids.transfer_syntax(stored).encapsulated
    if native and stored != uids.EXPLICIT_VR_BIG_ENDIAN:
        return uids.EXPLICIT_VR_LITTLE_ENDIAN
    return stored


def _encoded_kinds(accept: str | None) -> list[tuple[str, str]]:
    """What can be made only because the client asks for it by name.

    Standard: PS3.18 Table 8.7.3-5
    """
    kinds: list[tuple[str, str]] = []
    for each in media_types.parse_accept(accept or ""):
        kind = each.part_name
        syntax = each.transfer_syntax or media_types.default_syntax(kind)
        if not can_encode(syntax):
            continue
        if kind in {OCTET_STREAM, media_types.frame_media_type(syntax)}:
            kinds.append((kind, _named(syntax)))
    return kinds


def _is_decoded(chosen: Offer, location: InstanceLocation) -> bool:
    return chosen.transfer_syntax_uid != _named(location.transfer_syntax_uid)


def _with_heads(pieces: Sequence[Piece], wish: _Wish) -> list[Piece]:
    made: list[Piece] = []
    for number, piece in zip(wish.numbers, pieces, strict=True):
        made += [wish.head(number, first=not made), piece]
    return [*made, multipart.closing(wish.boundary)]


async def _send_decoded(request: Request, context: Dicomweb, wish: _Wish, tag: str) -> Response:
    """Frames in another transfer syntax, each made when its turn comes.

    Standard: PS3.5 8.2
    """
    if len(wish.numbers) > 1:
        kind = multipart.content_type(wish.offer.name, wish.boundary)
        headers = {"Cache-Control": IMMUTABLE, "ETag": tag}
        chunks = _decoded_parts(context, wish)
        return await bodies.stream(request, chunks, HTTPStatus.OK, headers, kind)
    pieces: list[Piece] = [await context.pool.call(_only_frame, context, wish)]
    kind = wish.part_type
    if wish.offer.multipart:
        pieces = _with_heads(pieces, wish)
        kind = multipart.content_type(wish.offer.name, wish.boundary)
    return await bodies.answer(request, pieces, kind, tag=tag, cache=IMMUTABLE)


def _only_frame(context: Dicomweb, wish: _Wish) -> bytes:
    return next(_decoded(context, wish))


def _decoded(context: Dicomweb, wish: _Wish) -> Iterator[bytes]:
    picture = open_picture(context.blobs, wish.location)
    for number in wish.numbers:
        frame = decoded_frame(context.blobs, context.frame_index, picture, number)
        if wish.offer.transfer_syntax_uid == uids.EXPLICIT_VR_LITTLE_ENDIAN:
            yield _little_endian(frame.pixels)
            continue
        try:
            yield encode_frame(frame, picture.pixels, wish.offer.transfer_syntax_uid)
        except RemoteProtocolError as error:
            raise NotAcceptable(f"frame {number} cannot be encoded so: {error}") from error


def _decoded_parts(context: Dicomweb, wish: _Wish) -> Iterator[bytes]:
    first = True
    for number, frame in zip(wish.numbers, _decoded(context, wish), strict=True):
        yield wish.head(number, first=first) + frame
        first = False
    yield multipart.closing(wish.boundary)


def _little_endian(pixels: Pixels) -> bytes:
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
