"""A series as a volume on an even grid, made when it is asked for: no resource of the standard.

For series whose slices are no volume as they are (a tilted gantry, uneven gaps) and that viewers
therefore do not cut into planes. What is made is marked as derived, has UIDs of its own and is not
stored. It is sent as DICOM files, or as metadata and frames, each slice when it is made.

Standard: PS3.18 8.6.1.2 (multipart); PS3.3 C.7.6.1.1.2 (derived images)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.peers import service as peers
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.bodies import REVALIDATE
from isocenter.gateways.dicomweb.context import Dicomweb, actor_of
from isocenter.gateways.dicomweb.corrections import corrected_model
from isocenter.gateways.dicomweb.derived import DerivedSeries, file_of
from isocenter.gateways.dicomweb.errors import NotAcceptable, TooLarge
from isocenter.gateways.dicomweb.metadata import instance_metadata
from isocenter.gateways.dicomweb.pictures import decoded_frame, open_picture
from isocenter.gateways.dicomweb.retrieve import accepted, found, modifications_for
from isocenter.imaging.frames import Pixels
from isocenter.imaging.resample import Plan, as_stored, plan, resample
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import DICOM, DICOM_JSON, OCTET_STREAM, Offer

_OFFERS: Final = (
    Offer(OCTET_STREAM, uids.EXPLICIT_VR_LITTLE_ENDIAN, multipart=True),
    Offer(DICOM, uids.EXPLICIT_VR_LITTLE_ENDIAN, multipart=True),
)
_FRAME_TYPE: Final = f"{OCTET_STREAM}; transfer-syntax={uids.EXPLICIT_VR_LITTLE_ENDIAN}"
_FILE_TYPE: Final = f"{DICOM}; transfer-syntax={uids.EXPLICIT_VR_LITTLE_ENDIAN}"


@dataclass(frozen=True, slots=True)
class _Volume:
    """What is made, and of what."""

    locations: Sequence[InstanceLocation]
    series: DerivedSeries
    plan: Plan

    def slices(self, context: Dicomweb) -> Iterator[Pixels]:
        """The slices' stored values, each made when its turn comes."""
        made = resample(
            self.plan, lambda index: self._read(context, index), outside=self.series.outside
        )
        for values in made:
            yield as_stored(values, self.series.dtype)

    def _read(self, context: Dicomweb, index: int) -> Pixels:
        picture = open_picture(context.blobs, self.locations[index])
        return decoded_frame(context.blobs, context.frame_index, picture, 1).pixels


async def resampled(request: Request) -> Response:
    """The series' volume: its metadata and then its slices, or a DICOM file for each slice.

    Raises:
        CannotResampleError: the slices are no volume that could be mended.
        TooLarge: the volume would be larger than this server makes.
    """
    chosen = media_types.select(accepted(request), _OFFERS)
    if chosen is None:
        names = " or ".join(f'multipart/related; type="{each.name}"' for each in _OFFERS)
        raise NotAcceptable(f"a resampled series is sent as {names}")
    context, locations = await found(request)
    modifications = await modifications_for(request, locations)
    readings = await context.pool.read(peers.text_readings)
    await context.record_opening(actor_of(request), locations[0].study_instance_uid)
    tag = bodies.entity_tag(
        request.url.path, [each.sha256 for each in locations], modifications, chosen.name
    )
    current = bodies.not_modified(request, tag, REVALIDATE)
    if current is not None:
        return current

    def prepared() -> _Volume:
        models = [
            corrected_model(
                instance_metadata(context.blobs, each, readings), modifications.of(each)
            )
            for each in locations
        ]
        return _volume(context, locations, models)

    volume = await context.pool.call(prepared)
    boundary = multipart.stable_boundary(request.url.path)
    make = _files if chosen.name == DICOM else _frames
    kind = multipart.content_type(chosen.name, boundary)
    headers = {"Cache-Control": REVALIDATE, "ETag": tag, "Vary": "Accept"}
    parts = make(context, volume, boundary)
    return await bodies.stream(request, parts, HTTPStatus.OK, headers, kind)


def _volume(
    context: Dicomweb, locations: Sequence[InstanceLocation], models: Sequence[JsonObject]
) -> _Volume:
    series = DerivedSeries(models)
    made = plan(series.places)
    size = made.grid.slices * made.grid.rows * made.grid.columns * series.dtype.itemsize
    if size > context.options.resampled_bytes_max:
        raise TooLarge("the volume would be larger than this server makes")
    return _Volume(locations, series, made)


def _frames(context: Dicomweb, volume: _Volume, boundary: str) -> Iterator[bytes]:
    """The metadata of all slices, then their pixels; every part says how long it is."""
    models = [volume.series.model(volume.plan, k) for k in range(volume.plan.grid.slices)]
    content = msgspec.json.encode(models)
    head = {"Content-Type": DICOM_JSON, "Content-Length": str(len(content))}
    yield multipart.part_head(boundary, head, first=True) + content
    for values in volume.slices(context):
        pixels = _little_endian(values)
        head = {"Content-Type": _FRAME_TYPE, "Content-Length": str(len(pixels))}
        yield multipart.part_head(boundary, head, first=False) + pixels
    yield multipart.closing(boundary)


def _files(context: Dicomweb, volume: _Volume, boundary: str) -> Iterator[bytes]:
    """A DICOM file for each slice."""
    for index, values in enumerate(volume.slices(context)):
        content = file_of(volume.series.model(volume.plan, index), _little_endian(values))
        head = {"Content-Type": _FILE_TYPE, "Content-Length": str(len(content))}
        yield multipart.part_head(boundary, head, first=index == 0) + content
    yield multipart.closing(boundary)


def _little_endian(values: Pixels) -> bytes:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
