"""WADO-RS rendered resources and thumbnails: what is stored as a browser can show it.

A frame or instance is one picture; several frames, a series or a study are the parts of a body, or
of a moving GIF or a video. A client that accepts only a picture of a study or series gets the
middle one. Videos and documents are sent as what is inside them.

Standard: PS3.18 8.3.5, 8.7.4, 10.4.1.1.3, 10.4.1.1.4
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.errors import IsocenterError
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.contents import Content, content_of
from isocenter.gateways.dicomweb.context import Dicomweb, actor_of, service_root
from isocenter.gateways.dicomweb.drawing import Wish, draw
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.metadata import instance_path
from isocenter.gateways.dicomweb.retrieve import accepted, found, modifications_for
from isocenter.imaging.render import JPEG_QUALITY
from isocenter.imaging.video import can_encode_video
from isocenter.standards.dicomweb import media_types, multipart, params
from isocenter.standards.dicomweb.media_types import GIF, JPEG, MP4, PNG, Offer
from isocenter.standards.dicomweb.params import Viewport

_KEEP: Final = "private, max-age=3600"
_THUMBNAIL: Final = Viewport(128, 128)
_FRAMES_MAX: Final = 500

_Subject = tuple[InstanceLocation, int]  # an instance and the number of a frame


async def rendered(request: Request) -> Response:
    """The frames, the instance, or every instance of what the path names."""
    context, locations = await found(request)
    single = "instance" in request.path_params
    if single and not request.path_params.get("frames"):
        content = await context.pool.call(content_of, context.blobs, locations[0])
        if content is not None:
            return await _send_content(request, context, locations[0], content)
    subjects = _subjects(request, locations)
    moving = range(0)
    if single:
        moving = _frames(request, locations[0], default=range(1, _count(locations[0]) + 1))
    offers = _offers(single=single, count=len(subjects), has_video=len(moving) > 1)
    chosen = media_types.select(accepted(request), offers)
    if chosen is None:
        names = ", ".join(dict.fromkeys(each.name for each in offers))
        raise NotAcceptable(f"this is rendered as {names}")
    wish = _wish(request, chosen.name)
    if wish.annotation:
        wish = replace(wish, modifications=await modifications_for(request, locations))
    await context.record_opening(actor_of(request), locations[0].study_instance_uid)
    if chosen.multipart:
        return await _send_all(request, context, subjects, wish)
    if chosen.name in {GIF, MP4} and single:
        return await _send_one(request, context, locations[0], _bounded(moving), wish)
    location, frame = subjects[len(subjects) // 2] if not single else subjects[0]
    return await _send_one(request, context, location, [frame], wish)


async def thumbnail(request: Request) -> Response:
    """A small picture that stands for what the path names."""
    context, locations = await found(request)
    chosen = media_types.select(accepted(request), [Offer(JPEG), Offer(PNG), Offer(GIF)])
    if chosen is None:
        raise NotAcceptable(f"thumbnails are sent as {JPEG}, {PNG} or {GIF}")
    shown = [each for each in locations if each.pixel_data_offset is not None] or locations
    first = [each for each in shown if each.series_instance_uid == shown[0].series_instance_uid]
    location = first[len(first) // 2]
    await context.record_opening(actor_of(request), location.study_instance_uid)
    frames = _frames(request, location, default=[(_count(location) + 1) // 2])
    wish = _wish(request, chosen.name, small=_THUMBNAIL)
    return await _send_one(request, context, location, frames[:1], wish)


def _offers(*, single: bool, count: int, has_video: bool) -> list[Offer]:
    pictures = [Offer(JPEG), Offer(PNG), Offer(GIF)]
    if has_video and can_encode_video():
        pictures.append(Offer(MP4))
    parts = [Offer(JPEG, multipart=True), Offer(PNG, multipart=True)]
    return [*pictures, *parts] if single and count == 1 else [*parts, *pictures]


def _wish(request: Request, media_type: str, *, small: Viewport | None = None) -> Wish:
    query = request.query_params
    viewport, window, quality = query.get("viewport"), query.get("window"), query.get("quality")
    annotation, profile = query.get("annotation", ""), query.get("iccprofile")
    return Wish(
        media_type=media_type,
        window=params.parse_window(window) if window else None,
        viewport=params.parse_viewport(viewport) if viewport else small,
        quality=params.parse_quality(quality) if quality else JPEG_QUALITY,
        annotation=params.parse_annotation(annotation),
        icc_profile=params.parse_icc_profile(profile) if profile else "no",
        is_small=small is not None and window is None and not annotation and profile is None,
    )


def _subjects(request: Request, locations: Sequence[InstanceLocation]) -> list[_Subject]:
    """What is shown: the frames that the path lists, or of each instance the middle one."""
    if request.path_params.get("frames"):
        (location,) = locations
        return [(location, each) for each in _frames(request, location, default=())]
    shown = [each for each in locations if each.pixel_data_offset is not None] or locations
    return [(each, (_count(each) + 1) // 2) for each in shown]


def _frames(
    request: Request, location: InstanceLocation, *, default: Sequence[int]
) -> Sequence[int]:
    text = request.path_params.get("frames")
    numbers = params.parse_frames(text) if text else default
    if max(numbers) > _count(location):
        raise NothingThere(f"the instance has {_count(location)} frames")
    return _bounded(numbers) if text else numbers


def _bounded(frames: Sequence[int]) -> Sequence[int]:
    if len(frames) > _FRAMES_MAX:
        raise params.ParameterError("frames", f"more than {_FRAMES_MAX} are not rendered at once")
    return frames


def _count(location: InstanceLocation) -> int:
    return location.number_of_frames or 1


async def _send_one(
    request: Request,
    context: Dicomweb,
    location: InstanceLocation,
    frames: Sequence[int],
    wish: Wish,
) -> Response:
    tag = bodies.entity_tag(location.sha256, list(frames), wish)
    current = bodies.not_modified(request, tag, _KEEP)
    if current is not None:
        return current
    content = await context.pool.call(draw, context, location, frames, wish)
    return await bodies.answer(request, [content], wish.media_type, tag=tag, cache=_KEEP)


async def _send_all(
    request: Request, context: Dicomweb, subjects: Sequence[_Subject], wish: Wish
) -> Response:
    """Each picture as a part, made when its turn comes.

    Standard: PS3.18 10.4.3.3.1
    """
    tag = bodies.entity_tag([(each.sha256, frame) for each, frame in subjects], wish)
    current = bodies.not_modified(request, tag, _KEEP)
    if current is not None:
        return current
    boundary = multipart.stable_boundary(request.url.path)
    parts = _parts(context, subjects, wish, boundary, service_root(request))
    kind = multipart.content_type(wish.media_type, boundary)
    headers = {"ETag": tag, "Cache-Control": _KEEP}
    return await bodies.stream(request, parts, HTTPStatus.OK, headers, kind)


def _parts(
    context: Dicomweb, subjects: Sequence[_Subject], wish: Wish, boundary: str, root: str
) -> Iterator[bytes]:
    """The parts; what cannot be shown among others is left out, as reports beside images are."""
    first, failure = True, None
    for location, frame in subjects:
        try:
            picture = draw(context, location, [frame], wish)
        except IsocenterError as error:
            failure = error
            continue
        where = f"{root}{instance_path(location)}/frames/{frame}/rendered"
        headers = {"Content-Type": wish.media_type, "Content-Location": where}
        yield multipart.part_head(boundary, headers, first=first) + picture
        first = False
    if first:
        raise failure or NothingThere("nothing here can be shown")
    yield multipart.closing(boundary)


async def _send_content(
    request: Request, context: Dicomweb, location: InstanceLocation, content: Content
) -> Response:
    """What an instance holds in a format of its own, such as a document or a video."""
    if media_types.select(accepted(request), [Offer(content.media_type)]) is None:
        raise NotAcceptable(f"the instance is rendered as {content.media_type}")
    await context.record_opening(actor_of(request), location.study_instance_uid)
    tag = bodies.entity_tag(location.sha256, content.media_type)
    current = bodies.not_modified(request, tag, _KEEP)
    if current is not None:
        return current
    return await bodies.answer(request, content.pieces, content.media_type, tag=tag, cache=_KEEP)
