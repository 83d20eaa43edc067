"""Data elements as bytes: where each one begins and ends, in every standard encoding.

This is the floor that the header scan, the decoder and the frame index stand on. It does not
interpret values. Every function moves forward only, so the time is linear in the bytes passed, and
whatever the bytes hold, the only exceptions are RemoteProtocolError and its subclass here.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.uids import TransferSyntax, transfer_syntax

Buffer = bytes | bytearray | memoryview

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
PIXEL_DATA_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
DEPTH_MAX: Final = 64
INFLATED_BYTES_MAX: Final = 1 << 30

# PS3.5 7.1.2: these have two reserved bytes and a 32 bit length, the others a 16 bit length.
LONG_VRS: Final = frozenset((
    b"OB",
    b"OD",
    b"OF",
    b"OL",
    b"OV",
    b"OW",
    b"SQ",
    b"SV",
    b"UC",
    b"UN",
    b"UR",
    b"UT",
    b"UV",
))
SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_INFLATE_CHUNK_BYTES: Final = 1 << 20


class TruncatedError(RemoteProtocolError):
    """The bytes end inside an element: more of them may mend it."""


class NotPart10Error(RemoteProtocolError):
    """The bytes are no DICOM file."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Byte order and VR form of one data set."""

    little_endian: bool = True
    explicit_vr: bool = True


IMPLICIT_LITTLE: Final = Encoding(explicit_vr=False)
EXPLICIT_LITTLE: Final = Encoding()
EXPLICIT_BIG: Final = Encoding(little_endian=False)

_TAG: Final = {True: struct.Struct("<HH").unpack_from, False: struct.Struct(">HH").unpack_from}
_LONG: Final = {True: struct.Struct("<L").unpack_from, False: struct.Struct(">L").unpack_from}
_EXPLICIT_HEAD: Final = {
    True: struct.Struct("<HH2sH").unpack_from,
    False: struct.Struct(">HH2sH").unpack_from,
}
_IMPLICIT_HEAD: Final = {
    True: struct.Struct("<HHL").unpack_from,
    False: struct.Struct(">HHL").unpack_from,
}
_SHORT: Final = {True: struct.Struct("<H").unpack_from, False: struct.Struct(">H").unpack_from}


class Header(NamedTuple):
    """One element's tag, VR and value range.

    ``end`` is where the next element begins; ``value_end`` excludes a closing delimiter.
    """

    tag: int
    vr: str
    value: int
    value_end: int
    end: int
    undefined_length: bool


def encoding_of(syntax: TransferSyntax | str) -> Encoding:
    """The byte order and VR form that a transfer syntax prescribes.

    Standard: PS3.5 Annex A
    """
    known = transfer_syntax(syntax) if isinstance(syntax, str) else syntax
    return Encoding(known.little_endian, known.explicit_vr)


def has_short_length(vr: bytes) -> bool:
    """Whether an explicit VR element with these VR bytes has a 16 bit length.

    Two capital letters that no edition lists yet are a newer VR, hence long; anything else ("??",
    two zero bytes) comes from software that wrote a short header without knowing the VR.

    Standard: PS3.5 7.1.2 (every VR added later has a 32 bit length)
    """
    if vr in SHORT_VRS:
        return True
    return not (vr in LONG_VRS or (vr.isalpha() and vr.isupper()))


def sniff_encoding(data: Buffer, start: int, declared: Encoding) -> Encoding:
    """The VR form that the first element shows, when it contradicts the declared one.

    Some writers announce one VR form and use the other; the first element tells them apart, since
    its length is far too small to look like two letters.
    """
    vr = bytes(data[start + 4 : start + 6])
    if len(vr) < 2 or not declared.little_endian:
        return declared
    looks_explicit = vr in SHORT_VRS or vr in LONG_VRS
    if looks_explicit and not declared.explicit_vr:
        return EXPLICIT_LITTLE
    if declared.explicit_vr and not looks_explicit and vr[1:] == b"\0" and vr != b"\0\0":
        return IMPLICIT_LITTLE
    return declared


def inflate(data: Buffer, *, bytes_max: int = INFLATED_BYTES_MAX) -> bytes:
    """The data set inside a deflated one.

    Raises:
        RemoteProtocolError: not a deflate stream, or larger than ``bytes_max`` when inflated.
        TruncatedError: the stream has no end.

    Standard: PS3.5 A.5
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size_bytes = 0
    rest: Buffer = data
    try:
        while not stream.eof:
            part = stream.decompress(rest, _INFLATE_CHUNK_BYTES)
            rest = stream.unconsumed_tail
            size_bytes += len(part)
            if size_bytes > bytes_max:
                message = f"deflated data set is larger than {bytes_max} bytes"
                raise RemoteProtocolError(message)
            if not part and not rest and not stream.eof:
                raise TruncatedError("deflated data set has no end")
            parts.append(part)
    except zlib.error as error:
        raise RemoteProtocolError("deflated data set cannot be inflated") from error
    return b"".join(parts)


def walk(
    data: Buffer,
    start: int,
    end: int,
    encoding: Encoding,
    *,
    depth: int = 0,
    stop_at: frozenset[int] = frozenset(),
) -> Iterator[Header]:
    """Each element between ``start`` and ``end``, sequences as one element.

    Ends before an element of ``stop_at``, whose value then need not be there. Delimiters are given
    as headers: whether one closes something is for the caller to know.

    Raises:
        TruncatedError: an element goes past ``end``.
        RemoteProtocolError: sequences nest deeper than DEPTH_MAX.

    Standard: PS3.5 7.1, 7.5
    """
    position = start
    while position < end:
        if stop_at and position + 4 <= end:
            group, element = _TAG[encoding.little_endian](data, position)
            if group << 16 | element in stop_at:
                return
        header = element_at(data, position, end, encoding, depth=depth)
        yield header
        position = header.end


def element_at(
    data: Buffer, position: int, end: int, encoding: Encoding, *, depth: int = 0
) -> Header:
    """The element that begins at ``position``.

    Raises:
        TruncatedError: it goes past ``end``.

    Standard: PS3.5 7.1.2, 7.1.3
    """
    little = encoding.little_endian
    if position + 8 > end:
        raise TruncatedError("data set ends inside an element header")
    group, element = _TAG[little](data, position)
    tag = group << 16 | element
    if group == 0xFFFE:
        # PS3.5 7.5: items and delimiters have no VR in any encoding.
        vr, length, value = "", _LONG[little](data, position + 4)[0], position + 8
    elif encoding.explicit_vr:
        vr, length, value = _explicit(data, position, end, little)
    else:
        vr, length, value = (
            dictionary.vr_of(tag),
            _LONG[little](data, position + 4)[0],
            position + 8,
        )
    if length == UNDEFINED_LENGTH and group != 0xFFFE:
        inner = IMPLICIT_LITTLE if vr == "UN" else encoding
        after = skip_items(data, value, end, inner, depth=depth + 1)
        return Header(tag, vr, value, after - 8, after, undefined_length=True)
    after = value + length
    if after > end:
        raise TruncatedError(
            f"element ({group:04X},{element:04X}) goes past the end of the data set"
        )
    return Header(tag, vr, value, after, after, undefined_length=False)


def _explicit(data: Buffer, position: int, end: int, little: bool) -> tuple[str, int, int]:
    raw = bytes(data[position + 4 : position + 6])
    if has_short_length(raw):
        vr = raw.decode("ascii") if raw in SHORT_VRS else "UN"
        return vr, _SHORT[little](data, position + 6)[0], position + 8
    if position + 12 > end:
        raise TruncatedError("data set ends inside an element header")
    vr = raw.decode("ascii") if raw in LONG_VRS else "UN"
    return vr, _LONG[little](data, position + 8)[0], position + 12


def items(
    data: Buffer, start: int, end: int, encoding: Encoding, *, depth: int = 0
) -> Iterator[Header]:
    """Each item between ``start`` and ``end``, then the sequence delimiter when there is one.

    The headers' tags are ITEM or SEQUENCE_DELIMITATION. The same form holds data set items and
    fragments of pixel data.

    Raises:
        TruncatedError: an item goes past ``end``.
        RemoteProtocolError: something other than an item, or too deep.

    Standard: PS3.5 7.5, A.4
    """
    if depth > DEPTH_MAX:
        raise RemoteProtocolError(f"sequences nest deeper than {DEPTH_MAX}")
    position = start
    while position < end:
        header = _item_at(data, position, end, encoding, depth)
        yield header
        if header.tag == SEQUENCE_DELIMITATION:
            return
        position = header.end


def _item_at(data: Buffer, position: int, end: int, encoding: Encoding, depth: int) -> Header:
    little = encoding.little_endian
    if position + 8 > end:
        raise TruncatedError("data set ends inside an item header")
    group, element = _TAG[little](data, position)
    tag = group << 16 | element
    if tag not in {ITEM, SEQUENCE_DELIMITATION}:
        raise RemoteProtocolError(f"({group:04X},{element:04X}) stands where an item is expected")
    length = _LONG[little](data, position + 4)[0]
    value = position + 8
    if tag == SEQUENCE_DELIMITATION:
        return Header(tag, "", value, value, value, undefined_length=False)
    if length != UNDEFINED_LENGTH:
        if value + length > end:
            raise TruncatedError("an item goes past the end of the data set")
        return Header(tag, "", value, value + length, value + length, undefined_length=False)
    for inner in walk(data, value, end, encoding, depth=depth):
        if inner.tag == ITEM_DELIMITATION:
            return Header(tag, "", value, inner.value - 8, inner.end, undefined_length=True)
    raise TruncatedError("an item of undefined length has no end")


def skip_items(data: Buffer, start: int, end: int, encoding: Encoding, *, depth: int = 0) -> int:
    """Where the element after a value of undefined length begins.

    Raises:
        TruncatedError: there is no sequence delimiter.
        RemoteProtocolError: something other than an item, or too deep.

    Standard: PS3.5 7.5.2
    """
    # Two states, sequence (items follow) and item (elements follow), on a stack instead of the
    # generators above: enhanced multi-frame headers hold tens of thousands of these elements.
    stack = [(True, encoding)]
    position = start
    try:
        while stack:
            in_sequence, inner = stack[-1]
            step = _skip_in_sequence if in_sequence else _skip_in_item
            position, opened = step(data, position, inner)
            if opened is None:
                stack.pop()
                continue
            if position > end:
                raise TruncatedError("an item goes past the end of the data set")
            stack.append((not in_sequence, opened))
            if len(stack) + 2 * depth > 2 * DEPTH_MAX:
                raise RemoteProtocolError(f"sequences nest deeper than {DEPTH_MAX}")
    except struct.error as error:
        raise TruncatedError("a value of undefined length has no end") from error
    if position > end:
        raise TruncatedError("a value of undefined length has no end")
    return position


def _skip_in_sequence(
    data: Buffer, position: int, encoding: Encoding
) -> tuple[int, Encoding | None]:
    """Pass items of defined length until one of undefined length opens, or the sequence ends."""
    little = encoding.little_endian
    tag_at, long_at = _TAG[little], _LONG[little]
    while True:
        group, element = tag_at(data, position)
        length = long_at(data, position + 4)[0]
        position += 8
        if group == 0xFFFE and element == 0xE000:
            if length == UNDEFINED_LENGTH:
                return position, encoding
            position += length
        elif group == 0xFFFE and element == 0xE0DD:
            return position, None
        else:
            raise RemoteProtocolError(
                f"({group:04X},{element:04X}) stands where an item is expected"
            )


def _skip_in_item(data: Buffer, position: int, encoding: Encoding) -> tuple[int, Encoding | None]:
    """Pass elements until a value of undefined length opens, or the item ends."""
    little = encoding.little_endian
    unpack = (_EXPLICIT_HEAD if encoding.explicit_vr else _IMPLICIT_HEAD)[little]
    long_at = _LONG[little]
    while True:
        head = unpack(data, position)
        if head[0] == 0xFFFE:
            length = long_at(data, position + 4)[0]
            position += 8
            if head[1] == 0xE00D:
                return position, None
            inner = encoding
        elif not encoding.explicit_vr:
            length = head[2]
            position += 8
            inner = encoding
        elif head[2] in SHORT_VRS or has_short_length(head[2]):
            position += 8 + head[3]
            continue
        else:
            length = long_at(data, position + 8)[0]
            position += 12
            known = head[2] in LONG_VRS and head[2] != b"UN"
            inner = encoding if known else IMPLICIT_LITTLE
        if length == UNDEFINED_LENGTH:
            return position, inner
        position += length
