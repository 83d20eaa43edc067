"""WADO-RS rendered images and thumbnails: frames as a browser can show them.

Not for primary diagnosis: eight bits, one window, maybe compressed with loss.

Standard: PS3.18 8.3.5, 10.4.1.1.3, 10.4.1.1.4
"""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.context import Dicomweb, actor_of
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere, TooLarge
from isocenter.gateways.dicomweb.pictures import Picture, decoded_frame, frame_bytes, open_picture
from isocenter.gateways.dicomweb.retrieve import accepted, found
from isocenter.imaging.render import (
    JPEG_QUALITY,
    encode_jpeg,
    encode_png,
    fit,
    presentation_of,
    render_frame,
)
from isocenter.imaging.thumbnails import thumbnail as small_picture
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicomweb import media_types, params
from isocenter.standards.dicomweb.media_types import JPEG, PNG, Offer
from isocenter.standards.dicomweb.params import Viewport, Window

_KEEP = "private, max-age=3600"
_THUMBNAIL = Viewport(128, 128)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the client asks of the picture."""

    media_type: str
    frame_number: int
    window: Window | None
    viewport: Viewport | None
    quality: int
    is_thumbnail: bool


async def rendered(request: Request) -> Response:
    """The frame, or the middle of what the path names, as JPEG or PNG."""
    return await _answer(request, None)


async def thumbnail(request: Request) -> Response:
    """The same, small."""
    return await _answer(request, _THUMBNAIL)


async def _answer(request: Request, default: Viewport | None) -> Response:
    wish = _wish(request, default)
    context, locations = await found(request)
    location = _middle(locations)
    frame = wish.frame_number or ((location.number_of_frames or 1) + 1) // 2
    tag = bodies.entity_tag(location.sha256, frame, wish)
    await context.record_opening(actor_of(request), location.study_instance_uid)
    current = bodies.not_modified(request, tag, _KEEP)
    if current is not None:
        return current
    headers = {"ETag": tag, "Cache-Control": _KEEP}
    content = await context.pool.call(_draw, context, location, frame, wish)
    return Response(content, HTTPStatus.OK, headers, wish.media_type)


def _wish(request: Request, default: Viewport | None) -> _Wish:
    query = request.query_params
    chosen = media_types.select(accepted(request), [Offer(JPEG), Offer(PNG)])
    if chosen is None:
        raise NotAcceptable("rendered images are sent as image/jpeg or image/png")
    frame = request.path_params.get("frame")
    viewport = query.get("viewport")
    window, quality = query.get("window"), query.get("quality")
    return _Wish(
        media_type=chosen.name,
        frame_number=params.parse_frames(frame)[0] if frame else 0,
        window=params.parse_window(window) if window else None,
        viewport=params.parse_viewport(viewport) if viewport else default,
        quality=params.parse_quality(quality) if quality else JPEG_QUALITY,
        is_thumbnail=default is not None and window is None,
    )


def _middle(locations: list[InstanceLocation]) -> InstanceLocation:
    shown = [each for each in locations if each.pixel_data_offset is not None] or locations
    if not shown:
        raise NothingThere("nothing here can be shown")
    first = [each for each in shown if each.series_instance_uid == shown[0].series_instance_uid]
    return first[len(first) // 2]


def _draw(context: Dicomweb, location: InstanceLocation, frame: int, wish: _Wish) -> bytes:
    picture = open_picture(context.blobs, location)
    _check_size(picture, wish, context.options.rendered_pixels_max)
    if wish.is_thumbnail and wish.media_type == JPEG:
        return _draw_small(context, picture, frame, wish)
    decoded = decoded_frame(context.blobs, context.frame_index, picture, frame)
    presentation = presentation_of(picture.header, frame)
    image = render_frame(decoded, presentation, picture.pixels, window=wish.window)
    if wish.viewport is not None:
        image = fit(image, wish.viewport)
    if wish.media_type == PNG:
        return encode_png(image)
    return encode_jpeg(image, quality=wish.quality)


def _draw_small(context: Dicomweb, picture: Picture, frame: int, wish: _Wish) -> bytes:
    """A thumbnail, of which some encodings let us decode only as much as is shown."""
    data = frame_bytes(context.blobs, context.frame_index, picture, frame)
    try:
        return small_picture(
            data,
            picture.pixels,
            presentation_of(picture.header, frame),
            viewport=wish.viewport,
            quality=wish.quality,
        )
    except RemoteProtocolError as error:
        raise NothingThere(f"frame {frame} cannot be decoded: {error}") from error


def _check_size(picture: Picture, wish: _Wish, pixels_max: int) -> None:
    """Refuse before the memory is taken."""
    shown = wish.viewport.width * wish.viewport.height if wish.viewport else 0
    if max(picture.pixels.rows * picture.pixels.columns, shown) > pixels_max:
        raise TooLarge(f"images of more than {pixels_max} pixels are not rendered")
