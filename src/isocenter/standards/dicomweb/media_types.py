"""Media types: reading Accept and Content-Type, and choosing what to answer with.

The caller lists what it can offer, best first; the choice follows the client's weights and then
that order. Which offers exist is not decided here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
OCTET_STREAM: Final = "application/octet-stream"
JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
GIF: Final = "image/gif"
MP4: Final = "video/mp4"
MPEG: Final = "video/mpeg"
PDF: Final = "application/pdf"
ZIP: Final = "application/zip"

# PS3.18 Table 8.7.3-5: the media type whose bytes are frames of a transfer syntax.
_FRAME_TYPES: Final[Mapping[str, str]] = {
    uids.JPEG_BASELINE: JPEG,
    uids.JPEG_EXTENDED: JPEG,
    uids.JPEG_LOSSLESS: JPEG,
    uids.JPEG_LOSSLESS_FIRST_ORDER: JPEG,
    uids.RLE_LOSSLESS: "image/dicom-rle",
    uids.JPEG_LS_LOSSLESS: "image/jls",
    uids.JPEG_LS_NEAR_LOSSLESS: "image/jls",
    uids.JPEG_2000_LOSSLESS: "image/jp2",
    uids.JPEG_2000: "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    uids.JPEG_XL_LOSSLESS: "image/jxl",
    uids.JPEG_XL_RECOMPRESSION: "image/jxl",
    uids.JPEG_XL: "image/jxl",
    uids.HTJ2K_LOSSLESS: "image/jphc",
    uids.HTJ2K_LOSSLESS_RPCL: "image/jphc",
    uids.HTJ2K: "image/jphc",
}
# PS3.18 Tables 8.7.3-2 and 8.7.3-5: what a media type means without a transfer-syntax parameter.
_DEFAULT_SYNTAX: Final[Mapping[str, str]] = {
    DICOM: uids.EXPLICIT_VR_LITTLE_ENDIAN,
    OCTET_STREAM: uids.EXPLICIT_VR_LITTLE_ENDIAN,
}
# The same for the media types of compressed frames; what is stored in another transfer syntax of
# the media type is taken for what is meant all the same.
_DEFAULT_FRAME_SYNTAX: Final[Mapping[str, str]] = {
    JPEG: uids.JPEG_LOSSLESS_FIRST_ORDER,
    "image/dicom-rle": uids.RLE_LOSSLESS,
    "image/jls": uids.JPEG_LS_LOSSLESS,
    "image/jp2": uids.JPEG_2000_LOSSLESS,
    "image/jphc": uids.HTJ2K_LOSSLESS,
    "image/jxl": uids.JPEG_XL_LOSSLESS,
}
_RANGES_MAX: Final = 64
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE: Final = re.compile(rf"\s*({_WORD})/({_WORD})\s*")
# A "/" in an unquoted value is not a token; clients write type=application/dicom all the same.
_PARAMETER: Final = re.compile(rf';\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*|;\s*')


class MediaTypeError(RemoteProtocolError):
    """A media type or a list of them is not well formed."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type or range: ``name`` is type/subtype in lower case, parameter names too."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    weight: float = 1.0

    @property
    def is_multipart(self) -> bool:
        """Whether parts of another type are meant."""
        return self.name == "multipart/related"

    @property
    def part_name(self) -> str:
        """The type of the content: of the parts when this is multipart; */* when not said.

        Standard: PS3.18 8.7.3.3
        """
        if not self.is_multipart:
            return self.name
        return self.parameters.get("type", "*/*").lower()

    @property
    def transfer_syntax(self) -> str | None:
        """The transfer-syntax parameter, None when there is none."""
        return self.parameters.get("transfer-syntax")


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be answered with.

    Attributes:
        name: type/subtype of the content.
        transfer_syntax_uid: "" where that has no sense.
        multipart: sent as parts of a multipart/related body.
    """

    name: str
    transfer_syntax_uid: str = ""
    multipart: bool = False


def parse_media_type(text: str) -> MediaType:
    """The media type of a Content-Type header.

    Raises:
        MediaTypeError: not well formed.

    Standard: RFC 9110 8.3.1
    """
    found, rest = _parse_one(text)
    if rest.strip():
        raise MediaTypeError("something follows the media type")
    return found


def _parse_one(text: str) -> tuple[MediaType, str]:
    match = _TYPE.match(text)
    if match is None:
        raise MediaTypeError(f"{text[:64]!r} is no media type")
    name = f"{match[1]}/{match[2]}".lower()
    position = match.end()
    parameters: dict[str, str] = {}
    while parameter := _PARAMETER.match(text, position):
        position = parameter.end()
        if parameter[1]:
            quoted = parameter[2]
            value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[parameter[1].lower()] = value
    weight = _weight(parameters.pop("q", "1"))
    return MediaType(name, parameters, weight), text[position:]


def _weight(text: str) -> float:
    if not re.fullmatch(r"(0(\.\d{0,3})?|1(\.0{0,3})?)", text):
        raise MediaTypeError(f"q={text[:16]!r} is no weight")
    return float(text)


def parse_accept(text: str) -> list[MediaType]:
    """The ranges of an Accept header, as they stand; [] for an empty one.

    Raises:
        MediaTypeError: not well formed, or absurdly long.

    Standard: RFC 9110 12.5.1
    """
    ranges: list[MediaType] = []
    while text.strip(" \t,"):
        found, text = _parse_one(text.lstrip(" \t,"))
        if text and not text.startswith(","):
            raise MediaTypeError("media types are parted by commas")
        ranges.append(found)
        if len(ranges) > _RANGES_MAX:
            raise MediaTypeError(f"more than {_RANGES_MAX} media types")
    return ranges


def select(accept: str | None, offers: Sequence[Offer]) -> Offer | None:
    """The offer to answer with: highest weight, then most exact range, then first offer.

    Args:
        accept: the header; None or empty accepts everything.
        offers: best first.

    Returns:
        None when nothing offered is acceptable.

    Raises:
        MediaTypeError: the header is not well formed.

    Standard: PS3.18 8.7.4, RFC 9110 12.4
    """
    ranges = parse_accept(accept or "") or [MediaType("*/*")]
    best: Offer | None = None
    best_rank = (0.0, 0)
    for offer in offers:
        # RFC 9110 12.5.1: of the ranges that fit, the most exact one gives the weight.
        fitting = [(_exactness(r, offer), r.weight) for r in ranges if _fits(r, offer)]
        if not fitting:
            continue
        exactness, weight = max(fitting)
        if weight > 0 and (weight, exactness) > best_rank:
            best, best_rank = offer, (weight, exactness)
    return best


def _fits(wanted: MediaType, offer: Offer) -> bool:
    if wanted.name != "*/*" and wanted.is_multipart != offer.multipart:
        return False
    if not _covers(wanted.part_name, offer.name):
        return False
    syntax = wanted.transfer_syntax
    if syntax is None and wanted.part_name == offer.name:
        syntax = _DEFAULT_SYNTAX.get(offer.name)
    return syntax in {None, "*", offer.transfer_syntax_uid} or not offer.transfer_syntax_uid


def _covers(pattern: str, name: str) -> bool:
    if pattern in {"*/*", name}:
        return True
    return pattern.endswith("/*") and name.startswith(pattern[:-1])


def _exactness(wanted: MediaType, offer: Offer) -> int:
    exact = 0 if wanted.part_name == "*/*" else 1 if wanted.part_name.endswith("/*") else 2
    named = wanted.transfer_syntax == offer.transfer_syntax_uid and bool(offer.transfer_syntax_uid)
    return exact * 2 + named


def frame_media_type(transfer_syntax_uid: str) -> str:
    """The media type of one frame's bytes in this transfer syntax.

    Standard: PS3.18 Table 8.7.3-5
    """
    return _FRAME_TYPES.get(transfer_syntax_uid, OCTET_STREAM)


def default_syntax(media_type: str) -> str:
    """The transfer syntax that a media type of frames means by itself; "" for others.

    Standard: PS3.18 Table 8.7.3-5
    """
    return _DEFAULT_SYNTAX.get(media_type) or _DEFAULT_FRAME_SYNTAX.get(media_type, "")
