"""WADO-URI requests: one instance, named in the query part of the URL.

Standard: PS3.18 9
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicomweb.params import (
    PIXELS_MAX,
    ParameterError,
    Window,
    parse_annotation,
    parse_frames,
    parse_icc_profile,
    parse_quality,
    parse_window,
)

_DECIMAL: Final = re.compile(r"[0-9]{0,9}(\.[0-9]{1,9})?")
_UID: Final = re.compile(r"[0-9.]{1,64}")

Region = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class UriRequest:
    """What is asked of an instance.

    Attributes:
        content_types: media types in the order of preference; empty when none is said.
        transfer_syntax_uid: of a DICOM answer; "" when not said.
        frame_number: from 1; 0 when not said.
        rows: at most so high; 0 when not said, as is ``columns``.
        region: left, top, right and bottom edge as fractions of width and height.
        is_anonymous: identifying attributes are to be removed.
        presentation_uid: a presentation state to be applied; "" for none.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    content_types: tuple[str, ...] = ()
    transfer_syntax_uid: str = ""
    frame_number: int = 0
    rows: int = 0
    columns: int = 0
    region: Region | None = None
    window: Window | None = None
    quality: int = 0
    annotation: frozenset[str] = frozenset()
    icc_profile: str = "no"
    is_anonymous: bool = False
    presentation_uid: str = ""


def parse_request(query: Mapping[str, str]) -> UriRequest:
    """The request.

    Raises:
        ParameterError: a parameter is missing or makes no sense.

    Standard: PS3.18 9.1.2, Table 9.1.2-1
    """
    if query.get("requestType") != "WADO":
        raise ParameterError("requestType", "must be WADO")
    frames = query.get("frameNumber")
    quality, profile = query.get("imageQuality"), query.get("iccprofile")
    return UriRequest(
        study_instance_uid=_uid(query, "studyUID"),
        series_instance_uid=_uid(query, "seriesUID"),
        sop_instance_uid=_uid(query, "objectUID"),
        content_types=_content_types(query.get("contentType", "")),
        transfer_syntax_uid=_uid(query, "transferSyntax") if query.get("transferSyntax") else "",
        frame_number=parse_frames(frames)[0] if frames else 0,
        rows=_size(query, "rows"),
        columns=_size(query, "columns"),
        region=_region(query["region"]) if query.get("region") else None,
        window=_window(query),
        quality=parse_quality(quality) if quality else 0,
        annotation=parse_annotation(query.get("annotation", "")),
        icc_profile=parse_icc_profile(profile) if profile else "no",
        is_anonymous=query.get("anonymize", "no") == "yes",
        presentation_uid=query.get("presentationUID", ""),
    )


def _uid(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not _UID.fullmatch(value):
        raise ParameterError(name, "must be a UID")
    return value


def _content_types(text: str) -> tuple[str, ...]:
    names = (each.partition(";")[0].strip().lower() for each in text.split(","))
    return tuple(each for each in names if each)


def _size(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= PIXELS_MAX:
        raise ParameterError(name, f"must be a whole number from 1 to {PIXELS_MAX}")
    return int(text)


def _region(text: str) -> Region:
    """Standard: PS3.18 9.1.2.2.6 (fractions, the first pair the upper left corner)."""
    parts = [each.strip() for each in text.split(",")]
    if len(parts) != 4 or not all(each and _DECIMAL.fullmatch(each) for each in parts):
        raise ParameterError("region", "must be left,top,right,bottom from 0 to 1")
    left, top, right, bottom = (float(each) for each in parts)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ParameterError("region", "must be left,top,right,bottom from 0 to 1")
    return left, top, right, bottom


def _window(query: Mapping[str, str]) -> Window | None:
    center, width = query.get("windowCenter"), query.get("windowWidth")
    if not center and not width:
        return None
    if not center or not width:
        raise ParameterError("windowCenter", "goes with windowWidth")
    return parse_window(f"{center},{width}")
