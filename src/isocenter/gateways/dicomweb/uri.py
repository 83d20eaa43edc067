"""WADO-URI: one instance, as the DICOM file or as a picture of it.

It answers below ``/wado`` and at the service root itself, because viewers are set up with either.
De-identification and presentation states are refused: to ignore them would show what the client
asked not to be shown, or otherwise than it asked.

Standard: PS3.18 9
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_splits import Modifications
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.bodies import REVALIDATE
from isocenter.gateways.dicomweb.contents import content_of
from isocenter.gateways.dicomweb.context import Dicomweb, actor_of, context_of, viewer_of
from isocenter.gateways.dicomweb.drawing import Wish, draw
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.renditions import with_renditions
from isocenter.gateways.dicomweb.representation import choose, represented
from isocenter.gateways.dicomweb.retrieve import modifications_for
from isocenter.imaging.render import JPEG_QUALITY
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM, GIF, JPEG, PNG, Offer
from isocenter.standards.dicomweb.wado_uri import UriRequest, parse_request

_PICTURES: Final = (JPEG, PNG, GIF)


async def retrieve(request: Request) -> Response:
    """The instance in the first media type that the client names and that can be made."""
    asked = parse_request(request.query_params)
    if asked.is_anonymous:
        raise NotAcceptable("objects are not de-identified here: leave anonymize out")
    if asked.presentation_uid:
        raise NotAcceptable("presentation states are not applied here: leave presentationUID out")
    context = context_of(request)
    locations = await context.pool.read(
        archive.locate,
        viewer_of(request),
        asked.study_instance_uid,
        asked.series_instance_uid,
        asked.sop_instance_uid,
    )
    if not locations:
        raise NothingThere("no instance has these UIDs")
    location = locations[0]
    if asked.frame_number > (location.number_of_frames or 1):
        raise NothingThere(f"the instance has {location.number_of_frames or 1} frames")
    await context.record_opening(actor_of(request), location.study_instance_uid)
    content = await context.pool.call(content_of, context.blobs, location)
    own = content.media_type if content is not None else ""
    kind = _media_type(request, asked, location, own)
    if kind == DICOM:
        return await _send_file(request, context, location, asked)
    tag = bodies.entity_tag(location.sha256, asked, kind)
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    if content is not None:
        pieces = content.pieces
    else:
        pieces = [await _picture(request, context, location, asked, kind)]
    return await bodies.answer(request, pieces, kind, tag=tag, cache=REVALIDATE)


def _media_type(request: Request, asked: UriRequest, location: InstanceLocation, own: str) -> str:
    """What is sent.

    Standard: PS3.18 9.1.2.1.1, 8.7.4 (pictures by default, objects without pixels as they are)
    """
    shown = location.pixel_data_offset is not None and not own
    possible = [*(_PICTURES if shown else ()), *([own] if own else ()), DICOM]
    if asked.content_types:
        wanted = (each for each in asked.content_types if each in possible)
        found = next(wanted, "")
    else:
        offers = [Offer(each) for each in possible]
        chosen = media_types.select(request.headers.get("accept"), offers)
        found = chosen.name if chosen is not None else ""
    if not found:
        raise NotAcceptable(f"the instance is sent as {', '.join(possible)}")
    return found


async def _send_file(
    request: Request, context: Dicomweb, location: InstanceLocation, asked: UriRequest
) -> Response:
    syntax = asked.transfer_syntax_uid
    how = choose(
        f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM,
        location,
        single=True,
        transcoded_bytes_max=context.options.transcoded_bytes_max,
    )
    modification = (await modifications_for(request, [location])).of(location)
    tag = bodies.entity_tag(location.sha256, how.transfer_syntax_uid, modification)
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current
    ((_, how),) = await with_renditions(request, [(location, how)])
    pieces, _ = await context.pool.call(represented, context.blobs, location, how, modification)
    return await bodies.answer(request, pieces, DICOM, tag=tag, cache=REVALIDATE)


async def _picture(
    request: Request,
    context: Dicomweb,
    location: InstanceLocation,
    asked: UriRequest,
    kind: str,
) -> bytes:
    count = location.number_of_frames or 1
    frames = [asked.frame_number] if asked.frame_number else range(1, count + 1)
    if kind != GIF and not asked.frame_number:
        frames = [(count + 1) // 2]
    wish = Wish(
        media_type=kind,
        window=asked.window,
        quality=asked.quality or JPEG_QUALITY,
        annotation=asked.annotation,
        icc_profile=asked.icc_profile,
        box=(asked.columns, asked.rows),
        region=asked.region,
        modifications=await modifications_for(request, [location])
        if asked.annotation
        else Modifications(),
    )
    return await context.pool.call(draw, context, location, frames, wish)
