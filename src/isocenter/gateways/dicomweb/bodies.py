"""Bodies of answers: pieces in memory and ranges of blobs, sent without holding them whole.

A body of known length may be asked for in byte ranges and by HEAD, and a client sees when it ends
early. The first bytes are read before the answer begins, so that what cannot be read at all is
answered as the failure it is; what fails later ends the connection.

Standard: RFC 9110 8.8, 9.3.2, 13, 14
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from isocenter.gateways.dicomweb.context import context_of
from isocenter.gateways.dicomweb.kept_bodies import Coded
from isocenter.gateways.dicomweb.pieces import Piece, chunks, cut, joined, length
from isocenter.infra.blobs import BlobStore
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicom.xml_model import to_xml
from isocenter.standards.dicomweb import multipart, params
from isocenter.standards.dicomweb.media_types import DICOM_XML

_AT_ONCE_BYTES_MAX: Final = 1 << 21  # what is read at one go, in one hop to a thread
_COMPRESSED_BYTES_MIN: Final = 1400  # less fits into one packet anyway
# Search results and metadata are the words of a patient's record; they change when images arrive.
REVALIDATE: Final = "private, no-cache"
# The bytes under a SOP Instance UID never change.
IMMUTABLE: Final = "private, max-age=3600, immutable"


def entity_tag(*state: object) -> str:
    """A strong validator that is the same as long as ``state`` is.

    Standard: RFC 9110 8.8.3
    """
    return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"'


def not_modified(request: Request, tag: str, cache: str) -> Response | None:
    """The answer to a client that has the current state already, or wants another; else None.

    Standard: RFC 9110 13.1.1, 13.1.2
    """
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() != "*" and tag not in _tags(wanted):
        return Response(None, HTTPStatus.PRECONDITION_FAILED, {"ETag": tag})
    given = request.headers.get("if-none-match", "")
    # Weak comparison: a proxy that compresses makes weak validators of ours.
    known = {each.removeprefix("W/") for each in _tags(given)}
    if tag not in known and "*" not in known:
        return None
    return Response(None, HTTPStatus.NOT_MODIFIED, {"ETag": tag, "Cache-Control": cache})


def _tags(header: str) -> set[str]:
    return {each.strip() for each in header.split(",")}


@dataclass(frozen=True, slots=True)
class _Planned:
    """A body as it will be sent."""

    pieces: Sequence[Piece]
    size_bytes: int
    status: HTTPStatus
    headers: Mapping[str, str]
    media_type: str

    def is_read_at_once(self, request: Request) -> bool:
        """Whether one read and one answer do."""
        return self.size_bytes <= _AT_ONCE_BYTES_MAX and request.method != "HEAD"

    def whole(self, blobs: BlobStore) -> Response:
        """The answer with all of the body."""
        return Response(joined(blobs, self.pieces), self.status, self.headers, self.media_type)


async def answer(
    request: Request, pieces: Sequence[Piece], media_type: str, *, tag: str, cache: str
) -> Response:
    """The pieces as one body, or the byte ranges of it that were asked for.

    Standard: RFC 9110 14.2, 14.6, 13.1.5
    """
    planned = _planned(request, pieces, media_type, tag=tag, cache=cache)
    if isinstance(planned, Response):
        return planned
    blobs = context_of(request).blobs
    if planned.is_read_at_once(request):
        return await context_of(request).pool.call(planned.whole, blobs)
    content = chunks(blobs, planned.pieces)
    return await stream(request, content, planned.status, planned.headers, planned.media_type)


def answer_here(
    request: Request, pieces: Sequence[Piece], media_type: str, *, tag: str, cache: str
) -> Response | None:
    """As ``answer``, for callers that are in a thread; None where it is more than one read."""
    planned = _planned(request, pieces, media_type, tag=tag, cache=cache)
    if isinstance(planned, Response):
        return planned
    return planned.whole(context_of(request).blobs) if planned.is_read_at_once(request) else None


def _planned(
    request: Request, pieces: Sequence[Piece], media_type: str, *, tag: str, cache: str
) -> _Planned | Response:
    """What is to be sent; the answer to ranges that there are not."""
    size = sum(map(length, pieces))
    headers = {"Accept-Ranges": "bytes", "Cache-Control": cache, "ETag": tag}
    wanted: list[params.ByteRange] = []
    if request.headers.get("if-range", tag) == tag:
        try:
            wanted = params.parse_byte_ranges(request.headers.get("range", ""), size)
        except params.RangeNotSatisfiableError:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(None, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
    if len(wanted) == 1:
        headers["Content-Range"] = _content_range(wanted[0], size)
        pieces = cut(pieces, wanted[0].start, wanted[0].start + wanted[0].length)
    elif wanted:
        boundary = multipart.stable_boundary(tag)
        pieces = _range_parts(pieces, wanted, media_type, boundary)
        media_type = f"multipart/byteranges; boundary={boundary}"
    size = sum(map(length, pieces))
    headers["Content-Length"] = str(size)
    return _Planned(pieces, size, status, headers, media_type)


def _content_range(wanted: params.ByteRange, size: int) -> str:
    return f"bytes {wanted.start}-{wanted.start + wanted.length - 1}/{size}"


def _range_parts(
    pieces: Sequence[Piece], wanted: Sequence[params.ByteRange], media_type: str, boundary: str
) -> list[Piece]:
    """Each range as a part.

    Standard: RFC 9110 14.6
    """
    size = sum(map(length, pieces))
    made: list[Piece] = []
    for each in wanted:
        headers = {"Content-Type": media_type, "Content-Range": _content_range(each, size)}
        made.append(multipart.part_head(boundary, headers, first=not made))
        made += cut(pieces, each.start, each.start + each.length)
    return [*made, multipart.closing(boundary)]


async def stream(
    request: Request,
    content: Iterator[bytes],
    status: HTTPStatus,
    headers: Mapping[str, str],
    media_type: str,
) -> Response:
    """The content as it comes, after the first of them is there."""
    if request.method == "HEAD":
        return _head(status, headers, media_type)
    first = await context_of(request).pool.call(next, content, b"")
    return StreamingResponse(_resumed(first, content), status, headers, media_type)


def _head(status: HTTPStatus, headers: Mapping[str, str], media_type: str) -> Response:
    made = Response(None, status, headers, media_type)
    if "Content-Length" not in headers:  # Starlette would say 0, which the body is not
        del made.headers["Content-Length"]
    return made


def _resumed(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def json_answer(
    request: Request, content: bytes, media_type: str, headers: Mapping[str, str]
) -> Response:
    """JSON text, compressed for clients that take it. That takes a while: call it in a thread."""
    return coded_answer(coded(content, is_gzip_taken=takes_gzip(request)), media_type, headers)


def coded(content: bytes, *, is_gzip_taken: bool) -> Coded:
    """JSON text as it is sent, compressed where that is worth it: it shrinks to a tenth.

    Standard: RFC 9110 8.4.1.3
    """
    if is_gzip_taken and len(content) >= _COMPRESSED_BYTES_MIN:
        return Coded(gzip.compress(content, compresslevel=1, mtime=0), "gzip")
    return Coded(content)


def coded_answer(body: Coded, media_type: str, headers: Mapping[str, str]) -> Response:
    """JSON text that is coded already.

    Standard: RFC 9110 12.5.3
    """
    sent = {**headers, "Vary": "Accept, Accept-Encoding"}
    if body.coding:
        sent["Content-Encoding"] = body.coding
    return Response(body.content, HTTPStatus.OK, sent, media_type)


def xml_parts(objects: Sequence[JsonObject], boundary: str, locations: Sequence[str] = ()) -> bytes:
    """A multipart body of Native DICOM Models; ``locations`` are the parts' URLs where they matter.

    Standard: PS3.18 8.7.3.2, 10.6.3.3.1
    """
    pieces: list[bytes] = []
    for number, model in enumerate(objects):
        headers = {"Content-Type": DICOM_XML}
        if locations:
            headers["Content-Location"] = locations[number]
        pieces += [multipart.part_head(boundary, headers, first=number == 0), to_xml(model)]
    return b"".join([*pieces, multipart.closing(boundary)])


def takes_gzip(request: Request) -> bool:
    """Whether the client takes gzip as the coding of a body."""
    for each in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
