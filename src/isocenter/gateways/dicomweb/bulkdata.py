"""WADO-RS bulk data: the values that metadata names by URI.

Standard: PS3.18 10.4.1.1.5
"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.archive.model import InstanceLocation
from isocenter.gateways.dicomweb import bodies
from isocenter.gateways.dicomweb.bodies import IMMUTABLE
from isocenter.gateways.dicomweb.context import actor_of, service_root
from isocenter.gateways.dicomweb.errors import NotAcceptable, NothingThere
from isocenter.gateways.dicomweb.frames import send_all_frames
from isocenter.gateways.dicomweb.metadata import instance_path
from isocenter.gateways.dicomweb.pictures import read_head
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece
from isocenter.gateways.dicomweb.retrieve import accepted, found
from isocenter.infra.blobs import BlobStore, mapped
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.part10 import PixelData, scan_header
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet, Element
from isocenter.standards.dicomweb import media_types, multipart
from isocenter.standards.dicomweb.media_types import OCTET_STREAM, Offer

_PIXEL_DATA: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})


async def bulk_data(request: Request) -> Response:
    """The value of the attribute that the path names, whole or in byte ranges.

    Compressed and big endian pixel data is sent as its frames.
    """
    context, locations = await found(request)
    location = locations[0]
    path: str = request.path_params["path"]
    tags = path.upper().split("/")
    if len(tags) == 1 and tags[0] in _PIXEL_DATA:
        piece = await context.pool.call(_pixel_data, context.blobs, location)
        if piece is None:
            return await send_all_frames(request, context, location)
    else:
        piece = await context.pool.call(_value, context.blobs, location, tags)
    chosen = media_types.select(
        accepted(request), [Offer(OCTET_STREAM, multipart=True), Offer(OCTET_STREAM)]
    )
    if chosen is None:
        raise NotAcceptable("bulk data is sent as application/octet-stream")
    await context.record_opening(actor_of(request), location.study_instance_uid)
    tag = bodies.entity_tag(request.url.path, location.sha256, chosen.multipart)
    current = bodies.not_modified(request, tag, IMMUTABLE)
    if current is not None:
        return current
    pieces, kind = [piece], OCTET_STREAM
    if chosen.multipart:
        boundary = multipart.stable_boundary(request.url.path)
        resource = f"{service_root(request)}{instance_path(location)}/bulkdata"
        headers = {"Content-Type": OCTET_STREAM, "Content-Location": f"{resource}/{'/'.join(tags)}"}
        head = multipart.part_head(boundary, headers, first=True)
        pieces = [head, piece, multipart.closing(boundary)]
        kind = multipart.content_type(OCTET_STREAM, boundary)
    return await bodies.answer(request, pieces, kind, tag=tag, cache=IMMUTABLE)


def _pixel_data(blobs: BlobStore, location: InstanceLocation) -> Piece | None:
    """The value of native little endian pixel data; None where its frames must be asked for.

    Raises:
        NothingThere: there is no pixel data.

    Standard: PS3.18 F.2.7 (bulk data is little endian)
    """
    if not uids.transfer_syntax(location.transfer_syntax_uid).little_endian:
        return None
    syntax, start = location.transfer_syntax_uid, location.dataset_offset
    head = read_head(blobs, location)
    scan = scan_header(head, frozenset[int](), transfer_syntax_uid=syntax, start=start)
    pixels = scan.pixel_data
    if pixels is None:
        raise NothingThere("the instance has no pixel data")
    if pixels.length is None:
        return None
    if scan.inflated is not None:
        return scan.inflated[pixels.offset : pixels.offset + pixels.length]
    return _within(location, pixels, pixels.length)


def _within(location: InstanceLocation, pixels: PixelData, length: int) -> BlobRange:
    """What is there of a value, which a damaged file may end inside."""
    present = min(length, max(location.size_bytes - pixels.offset, 0))
    return BlobRange(location.blob_key, pixels.offset, present)


def _value(blobs: BlobStore, location: InstanceLocation, tags: Sequence[str]) -> bytes:
    data = mapped(blobs, location.blob_key)
    try:
        dataset = decode_dataset(data, location.transfer_syntax_uid, start=location.dataset_offset)
    except RemoteProtocolError as error:
        raise NothingThere(f"the instance cannot be read: {error}") from error
    element = _element_at(dataset, tags)
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
