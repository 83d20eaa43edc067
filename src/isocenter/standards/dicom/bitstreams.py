"""Compressed pictures as they come from cameras and scanners: what their own headers say of them.

JPEG, JPEG-LS, JPEG 2000 and HTJ2K; enough to write the Image Pixel attributes and to name the
transfer syntax. Nothing is decoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.part10_elements import Buffer

_SOI: Final = b"\xff\xd8"
_J2K: Final = b"\xff\x4f\xff\x51"
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_BOXES_MAX: Final = 64


class BitstreamUnclearError(RemoteProtocolError):
    """The bytes are no picture of a kind that DICOM keeps as it is."""


@dataclass(frozen=True, slots=True)
class Bitstream:
    """A compressed picture.

    Attributes:
        data: without a file format around it.
        bits: of each sample.
    """

    data: Buffer
    transfer_syntax_uid: str
    rows: int
    columns: int
    samples_per_pixel: int
    bits: int
    photometric_interpretation: str


def read_bitstream(data: Buffer) -> Bitstream:
    """What the picture's header says.

    Raises:
        BitstreamUnclearError: unknown, cut off, or of a kind that has no transfer syntax.

    Standard: PS3.5 8.2.1, 8.2.3, 8.2.4; ITU-T T.81 B.2, T.87 C.2, T.800 A.5
    """
    view = memoryview(data)
    try:
        if bytes(view[:8]) == _JP2:
            view = _codestream(view)
        if bytes(view[:4]) == _J2K:
            return _jpeg_2000(view)
        if bytes(view[:2]) == _SOI:
            return _jpeg(view)
    except (IndexError, ValueError) as error:
        raise BitstreamUnclearError("the picture's header is cut off") from error
    raise BitstreamUnclearError("the bytes are neither JPEG nor JPEG 2000")


def _number(view: memoryview, at: int, size: int = 2) -> int:
    if at + size > len(view):
        raise ValueError
    return int.from_bytes(view[at : at + size])


def _segments(view: memoryview) -> Iterator[tuple[int, int]]:
    """Marker codes of a JPEG up to its first scan, and where their contents begin."""
    at = 2
    while True:
        if view[at] != 0xFF:
            raise ValueError
        code = view[at + 1]
        if code == 0xFF:
            at += 1
        elif code in _ALONE:
            at += 2
        else:
            yield code, at + 4
            at += 2 + _number(view, at + 2)


def _jpeg(view: memoryview) -> Bitstream:
    frame, start, adobe = 0, 0, -1
    for code, at in _segments(view):
        if code in _FRAMES:
            frame, start = code, at
        elif code == 0xEE and bytes(view[at : at + 5]) == b"Adobe":
            adobe = view[at + 11]
        elif code == 0xDA:
            return _jpeg_of(view, frame, start, at, adobe)
    raise BitstreamUnclearError("the picture has no scan")


def _jpeg_of(view: memoryview, frame: int, start: int, scan: int, adobe: int) -> Bitstream:
    bits, samples = view[start], view[start + 5]
    first_of_scan = scan + 1 + 2 * view[scan]  # predictor, or NEAR of JPEG-LS
    match frame:
        case 0xC0:
            syntax = uids.JPEG_BASELINE
        case 0xC1:
            syntax = uids.JPEG_EXTENDED
        case 0xC3:
            first = view[first_of_scan] == 1
            syntax = uids.JPEG_LOSSLESS_FIRST_ORDER if first else uids.JPEG_LOSSLESS
        case 0xF7:
            lossless = view[first_of_scan] == 0
            syntax = uids.JPEG_LS_LOSSLESS if lossless else uids.JPEG_LS_NEAR_LOSSLESS
        case _:
            raise BitstreamUnclearError("progressive JPEG has no transfer syntax")
    photometric = "MONOCHROME2"
    if samples > 1:
        names = [view[start + 6 + 3 * each] for each in range(samples)]
        by_transform = frame in {0xC0, 0xC1} and adobe != 0 and names != [*b"RGB"]
        subsampled = view[start + 7] != 0x11
        photometric = ("YBR_FULL_422" if subsampled else "YBR_FULL") if by_transform else "RGB"
    return Bitstream(
        view, syntax, _number(view, start + 1), _number(view, start + 3), samples, bits, photometric
    )


def _codestream(view: memoryview) -> memoryview:
    """What is in the jp2c box of a JP2 file.

    Standard: ITU-T T.800 I.5.4
    """
    at = 0
    for _ in range(_BOXES_MAX):
        length, kind = _number(view, at, 4), bytes(view[at + 4 : at + 8])
        head = 8
        if length == 1:
            length, head = _number(view, at + 8, 8), 16
        if kind == b"jp2c":
            return view[at + head : at + length if length else len(view)]
        if length < head:
            break
        at += length
    raise BitstreamUnclearError("the JP2 file has no codestream")


def _jpeg_2000(view: memoryview) -> Bitstream:
    columns = _number(view, 8, 4) - _number(view, 16, 4)
    rows = _number(view, 12, 4) - _number(view, 20, 4)
    samples, bits = _number(view, 40), (view[42] & 0x7F) + 1
    at, has_cap, rpcl, tlm, coding = 2 + 2 + _number(view, 4), False, False, False, b""
    while not coding or view[at + 1] not in {0x90, 0xD9}:
        code = view[at + 1]
        has_cap |= code == 0x50
        tlm |= code == 0x55
        if code == 0x52:
            coding = bytes(view[at + 4 : at + 14])
            rpcl = coding[1] == 2
        at += 2 + _number(view, at + 2)
    reversible, mct = coding[9] == 1, coding[4] == 1
    if has_cap:
        lossless = uids.HTJ2K_LOSSLESS_RPCL if rpcl and tlm else uids.HTJ2K_LOSSLESS
        syntax = lossless if reversible else uids.HTJ2K
    else:
        syntax = uids.JPEG_2000_LOSSLESS if reversible else uids.JPEG_2000
    photometric = "MONOCHROME2"
    if samples > 1:
        photometric = ("YBR_RCT" if reversible else "YBR_ICT") if mct else "RGB"
    return Bitstream(view, syntax, rows, columns, samples, bits, photometric)
