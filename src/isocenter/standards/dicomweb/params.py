"""Parameters of DICOMweb requests other than search keys: frames, rendering, byte ranges.

Search keys are read by ``dicom.matching_keys``.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from isocenter.standards import RemoteProtocolError

FRAMES_MAX: Final = 10_000
PIXELS_MAX: Final = 16_384
BYTE_RANGES_MAX: Final = 64
_AE_CHARACTERS_MAX: Final = 16
ANNOTATIONS: Final = frozenset({"patient", "technique"})
_NUMBER: Final = re.compile(r"[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})([eE][+-]?\d{1,2})?")
_RANGE: Final = re.compile(r"(\d{0,18})-(\d{0,18})")


class ParameterError(RemoteProtocolError):
    """A parameter's value makes no sense.

    Attributes:
        parameter: its name.
    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Viewport:
    """The size to fit the image in, and optionally the part of it to show, in pixels.

    Attributes:
        source_x: left edge of the part, from the image's left edge; the others likewise. 0 for
            ``source_width`` and ``source_height`` is the whole rest of the image.

    Standard: PS3.18 8.3.5.1.3
    """

    width: int
    height: int
    source_x: float = 0.0
    source_y: float = 0.0
    source_width: float = 0.0
    source_height: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """A window that overrides the image's own.

    Attributes:
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Standard: PS3.18 8.3.5.1.4, PS3.3 C.11.2.1.2
    """

    center: float
    width: float
    function: str = "LINEAR"


class ByteRange(NamedTuple):
    """First byte and number of bytes of a partial answer."""

    start: int
    length: int


class RangeNotSatisfiableError(RemoteProtocolError):
    """No byte of the asked range exists."""


def parse_frames(text: str) -> list[int]:
    """Frame numbers, from 1, in the order asked for.

    Raises:
        ParameterError: not a list of positive whole numbers, or too many.

    Standard: PS3.18 8.2, 10.4.1.1.6
    """
    numbers = text.split(",")
    if len(numbers) > FRAMES_MAX:
        raise ParameterError("frames", f"more than {FRAMES_MAX}")
    if not all(re.fullmatch(r"[1-9]\d{0,8}", number.strip()) for number in numbers):
        raise ParameterError("frames", "must be whole numbers from 1, parted by commas")
    return [int(number) for number in numbers]


def parse_viewport(text: str) -> Viewport:
    """The viewport parameter: width,height[,sx,sy,sw,sh]; negative sw or sh flips.

    Raises:
        ParameterError: not so, or too large.

    Standard: PS3.18 8.3.5.1.3
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in {2, 6} or not all(not part or _NUMBER.fullmatch(part) for part in parts):
        raise ParameterError("viewport", "must be width,height or width,height,sx,sy,sw,sh")
    width, height = (float(part or 0) for part in parts[:2])
    if not (1 <= width <= PIXELS_MAX and 1 <= height <= PIXELS_MAX):
        raise ParameterError("viewport", f"width and height must be 1 to {PIXELS_MAX}")
    if len(parts) == 2:
        return Viewport(int(width), int(height))
    source = [float(part or 0) for part in parts[2:]]
    if source[0] < 0 or source[1] < 0:
        raise ParameterError("viewport", "sx and sy must not be negative")
    return Viewport(
        int(width),
        int(height),
        source[0],
        source[1],
        abs(source[2]),
        abs(source[3]),
        flip_horizontal=source[2] < 0,
        flip_vertical=source[3] < 0,
    )


def parse_window(text: str) -> Window:
    """The window parameter: center,width[,function].

    Raises:
        ParameterError: not so, or a width that its function does not allow.

    Standard: PS3.18 8.3.5.1.4
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in {2, 3} or not all(_NUMBER.fullmatch(part) for part in parts[:2]):
        raise ParameterError("window", "must be center,width or center,width,function")
    function = parts[2].upper().replace("-", "_") if len(parts) == 3 else "LINEAR"
    if function not in {"LINEAR", "LINEAR_EXACT", "SIGMOID"}:
        raise ParameterError("window", "function must be linear, linear-exact or sigmoid")
    center, width = float(parts[0]), float(parts[1])
    # PS3.3 C.11.2.1.2: at least 1 for linear, more than 0 for the others.
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ParameterError("window", "the width is too small")
    return Window(center, width, function)


def parse_quality(text: str) -> int:
    """The quality parameter, 1 to 100.

    Raises:
        ParameterError: not a whole number in that range.

    Standard: PS3.18 8.3.5.1.2
    """
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 100:
        raise ParameterError("quality", "must be a whole number from 1 to 100")
    return int(text)


def parse_annotation(text: str) -> frozenset[str]:
    """Which annotations are wanted: patient, technique or both. Others are to be ignored.

    Standard: PS3.18 8.3.5.1.1
    """
    return frozenset(each.strip().lower() for each in text.split(",")) & ANNOTATIONS


def parse_icc_profile(text: str) -> str:
    """The iccprofile parameter: no, yes (the image's own) or srgb.

    Raises:
        ParameterError: another profile, which is not made here.

    Standard: PS3.18 8.3.5.1.5
    """
    lowered = text.lower()
    if lowered not in {"no", "yes", "srgb"}:
        raise ParameterError("iccprofile", "must be no, yes or srgb")
    return lowered


def parse_byte_ranges(header: str, size_bytes: int) -> list[ByteRange]:
    """The ranges that a Range header asks for, in its order; [] where the whole is to be sent.

    Other units, malformed headers, and more ranges or bytes than make sense are answered with the
    whole, as HTTP allows. Ranges beyond the end are left out.

    Raises:
        RangeNotSatisfiableError: every range begins after the end.

    Standard: RFC 9110 14.1.2, 14.2, 17.15
    """
    unit, _, ranges = header.strip().partition("=")
    matches = [_RANGE.fullmatch(each.strip()) for each in ranges.split(",")]
    if unit != "bytes" or len(matches) > BYTE_RANGES_MAX:
        return []
    found: list[ByteRange] = []
    for match in matches:
        if match is None or not (match[1] or match[2]):
            return []
        if match[1] and match[2] and int(match[2]) < int(match[1]):
            return []
        start = int(match[1]) if match[1] else max(0, size_bytes - int(match[2]))
        last = int(match[2]) if match[1] and match[2] else size_bytes - 1
        if start < size_bytes:
            found.append(ByteRange(start, min(last, size_bytes - 1) - start + 1))
    if not found:
        raise RangeNotSatisfiableError("no byte of the ranges exists")
    # Overlapping ranges would make a small object a large answer.
    return found if sum(each.length for each in found) <= size_bytes else []


def parse_ae_title(text: str) -> str:
    """The AE title in a path or a parameter.

    Raises:
        RemoteProtocolError: it is none.

    Standard: PS3.5 6.2 AE
    """
    title = text.strip(" ")
    printable = title.isascii() and title.isprintable() and "\\" not in title
    if not printable or not 0 < len(title) <= _AE_CHARACTERS_MAX:
        raise RemoteProtocolError("this is no AE title")
    return title
