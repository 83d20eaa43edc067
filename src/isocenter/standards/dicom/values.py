"""Data sets between bytes and values, for identifiers, worklist answers and headers.

Decoding is tolerant where meaning is unharmed and keeps what it cannot interpret as bytes; encoding
is strict. Big endian is read, not written. Pixel data is not for this module: ``part10_frames``.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom import character_sets, dictionary, uids
from isocenter.standards.dicom.part10_elements import (
    DEPTH_MAX,
    IMPLICIT_LITTLE,
    ITEM,
    LONG_VRS,
    PIXEL_DATA_TAGS,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    Buffer,
    Encoding,
    Header,
    encoding_of,
    inflate,
    items,
    sniff_encoding,
    walk,
)
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading
from isocenter.standards.dicom.values_model import (
    SPECIFIC_CHARACTER_SET,
    DataSet,
    Element,
    NameComponents,
    NameGroups,
    name_components,
    name_groups,
)

__all__ = [
    "DataSet",
    "Element",
    "NameComponents",
    "NameGroups",
    "decimal_string",
    "decode_dataset",
    "encode_dataset",
    "name_components",
    "name_groups",
]

_NUMBERS: Final = {
    "US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
}  # fmt: skip
_WORD_BYTES: Final = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
# PS3.5 6.2: VM is 1 and leading spaces count.
_WHOLE_TEXT: Final = frozenset({"LT", "ST", "UT", "UR"})
_PADDING: Final = " \0"
_PIXEL_REPRESENTATION: Final = 0x00280103
_LUT_DESCRIPTOR: Final = 0x00283002
_LUT_DATA: Final = 0x00283006
_DS_CHARACTERS_MAX: Final = 16
_SHORT_LENGTH_MAX: Final = 0xFFFE


@dataclass(frozen=True, slots=True)
class _Context:
    """What an element's meaning depends on besides its own bytes."""

    encoding: Encoding
    charset: tuple[str, ...] = ()
    signed: bool = False
    depth: int = 0
    reading: TextReading = AS_DECLARED


def decode_dataset(
    data: Buffer,
    transfer_syntax_uid: str,
    *,
    start: int = 0,
    end: int | None = None,
    reading: TextReading = AS_DECLARED,
) -> DataSet:
    """The values of a data set, up to its pixel data.

    Tolerated: VR form other than declared; values whose length does not fit their VR, which become
    UN with their bytes; UN where the dictionary knows the VR.

    Args:
        data: a data set, or a file that holds one.
        transfer_syntax_uid: how the data set is encoded.
        start: where the data set begins in ``data``.
        end: where it ends; None for the end of ``data``.
        reading: how text is read.

    Raises:
        TruncatedError: the bytes end inside an element.
        RemoteProtocolError: the bytes break the encoding rules otherwise.

    Standard: PS3.5 7
    """
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    if syntax.deflated:
        data, start, end = inflate(memoryview(data)[start:end]), 0, None
    encoding = sniff_encoding(data, start, encoding_of(syntax))
    return _decode(
        data, start, len(data) if end is None else end, _Context(encoding, reading=reading)
    )


def _decode(data: Buffer, start: int, end: int, context: _Context) -> DataSet:
    if context.depth > DEPTH_MAX:
        raise RemoteProtocolError(f"sequences nest deeper than {DEPTH_MAX}")
    dataset = DataSet()
    stop_at = frozenset[int]() if context.depth else PIXEL_DATA_TAGS
    for header in walk(data, start, end, context.encoding, depth=context.depth, stop_at=stop_at):
        tag = header.tag
        if tag >> 16 == 0xFFFE or tag & 0xFFFF == 0:
            # Delimiters are no elements; group lengths (PS3.5 7.2) are retired and say nothing.
            continue
        element = _decode_element(data, header, context, dataset)
        dataset[tag] = element
        if tag == SPECIFIC_CHARACTER_SET:
            context = replace(context, charset=dataset.specific_character_set)
        elif tag == _PIXEL_REPRESENTATION:
            context = replace(context, signed=element.values[:1] == (1,))
    return dataset


def _decode_element(data: Buffer, header: Header, context: _Context, dataset: DataSet) -> Element:
    vr, encoding = header.vr, context.encoding
    if vr == "UN":
        # PS3.5 6.2.2 Note 2: UN is implicit little endian inside, whatever is around it.
        encoding = IMPLICIT_LITTLE
        vr = "SQ" if header.undefined_length else dictionary.vr_of(header.tag)
    if dictionary.vr_is_ambiguous(header.tag) and (vr != header.vr or not encoding.explicit_vr):
        vr = _resolve(header.tag, vr, context, dataset)
    if vr == "SQ":
        inner = replace(context, encoding=encoding, depth=context.depth + 1)
        return Element("SQ", _decode_items(data, header, inner))
    value = bytes(data[header.value : header.value_end])
    if header.undefined_length:
        # Encapsulated pixel data of an icon: fragments, kept as they are.
        return Element(vr, (value,), encapsulated=True)
    return _decode_value(vr, value, replace(context, encoding=encoding))


def _resolve(tag: int, vr: str, context: _Context, dataset: DataSet) -> str:
    """The VR of an element that implicit VR leaves open.

    Standard: PS3.5 A.1, PS3.3 C.7.6.3.1.1, C.11.1.1
    """
    if tag == _LUT_DATA:
        descriptor = dataset.get(_LUT_DESCRIPTOR)
        return "US" if descriptor and descriptor.values[:1] == (1,) else "OW"
    return "SS" if vr == "US" and context.signed else vr


def _decode_items(data: Buffer, header: Header, context: _Context) -> tuple[DataSet, ...]:
    found = items(data, header.value, header.value_end, context.encoding, depth=context.depth)
    return tuple(
        _decode(data, item.value, item.value_end, context) for item in found if item.tag == ITEM
    )


def _decode_value(vr: str, value: bytes, context: _Context) -> Element:
    if not value:
        return Element(vr)
    if vr in _WORD_BYTES:
        return Element(vr, (_to_little(value, vr, context.encoding),))
    order = "<" if context.encoding.little_endian else ">"
    if vr in _NUMBERS:
        size = struct.calcsize(order + _NUMBERS[vr])
        if len(value) % size:
            return Element("UN", (value,))
        return Element(vr, struct.unpack(f"{order}{len(value) // size}{_NUMBERS[vr]}", value))
    if vr == "AT":
        if len(value) % 4:
            return Element("UN", (value,))
        halves = struct.unpack(f"{order}{len(value) // 2}H", value)
        pairs = zip(halves[::2], halves[1::2], strict=True)
        return Element(vr, tuple(group << 16 | element for group, element in pairs))
    return Element(vr, _decode_text(vr, value, context))


def _to_little(value: bytes, vr: str, encoding: Encoding) -> bytes:
    size = _WORD_BYTES[vr]
    if encoding.little_endian or size == 1 or len(value) % size:
        return value
    return b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))


def _decode_text(vr: str, value: bytes, context: _Context) -> tuple[str, ...]:
    if vr in character_sets.TEXT_VRS:
        text = context.reading.decode(value, context.charset, vr=vr).text
    else:
        text = value.decode("latin-1")
    text = text.rstrip(_PADDING)
    if not text:
        return ()
    if vr in _WHOLE_TEXT:
        return (text,)
    return tuple(part.strip(_PADDING) for part in text.split("\\"))


def encode_dataset(dataset: DataSet, transfer_syntax_uid: str) -> bytes:
    """The bytes of ``dataset`` in a little endian transfer syntax, in ascending order of tags.

    Text is encoded in the data set's own Specific Character Set; lengths are explicit.

    Raises:
        LocalProtocolError: a value does not fit its VR or its character set, or the transfer
            syntax is big endian.

    Standard: PS3.5 7
    """
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    if not syntax.little_endian:
        raise LocalProtocolError("big endian data sets are read, not written")
    encoded = _encode(dataset, encoding_of(syntax), ())
    if not syntax.deflated:
        return encoded
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(encoded) + stream.flush()
    # PS3.5 A.5: padded to an even length.
    return deflated + b"\0" * (len(deflated) % 2)


def _encode(dataset: DataSet, encoding: Encoding, charset: Sequence[str]) -> bytes:
    if SPECIFIC_CHARACTER_SET in dataset:
        charset = dataset.specific_character_set
    out: list[bytes] = []
    for tag, element in sorted(dataset.items()):
        value = _encode_value(tag, element, encoding, charset)
        if element.encapsulated:
            out.append(_head(tag, element.vr, UNDEFINED_LENGTH, encoding))
            value += struct.pack("<HHL", 0xFFFE, SEQUENCE_DELIMITATION & 0xFFFF, 0)
        else:
            out.append(_head(tag, element.vr, len(value), encoding))
        out.append(value)
    return b"".join(out)


def _head(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if not encoding.explicit_vr:
        return struct.pack("<HHL", group, element, length)
    code = vr.encode("ascii")
    if code in LONG_VRS:
        return struct.pack("<HH2sHL", group, element, code, 0, length)
    if length > _SHORT_LENGTH_MAX:
        # PS3.5 6.2.2 Note: a value too long for a 16 bit length goes as UN.
        return struct.pack("<HH2sHL", group, element, b"UN", 0, length)
    return struct.pack("<HH2sH", group, element, code, length)


def _encode_value(tag: int, element: Element, encoding: Encoding, charset: Sequence[str]) -> bytes:
    vr, values = element.vr, element.values
    try:
        if vr == "SQ":
            return b"".join(_encode_item(value, encoding, charset) for value in values)
        if vr in _WORD_BYTES:
            return _even(b"".join(value for value in values if isinstance(value, bytes)), b"\0")
        if vr in _NUMBERS:
            return struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *values)
        if vr == "AT":
            return b"".join(_encode_tag(value) for value in values)
    except (struct.error, OverflowError) as error:
        raise LocalProtocolError(f"a value of {tag:08X} is no {vr}") from error
    return _encode_text(tag, element, charset)


def _encode_item(
    value: str | int | float | bytes | DataSet, encoding: Encoding, charset: Sequence[str]
) -> bytes:
    if not isinstance(value, DataSet):
        raise LocalProtocolError("a sequence holds something that is no data set")
    body = _encode(value, encoding, charset)
    return struct.pack("<HHL", ITEM >> 16, ITEM & 0xFFFF, len(body)) + body


def _encode_tag(value: str | int | float | bytes | DataSet) -> bytes:
    if not isinstance(value, int):
        raise LocalProtocolError("an AT value is no tag")
    return struct.pack("<HH", value >> 16, value & 0xFFFF)


def _encode_text(tag: int, element: Element, charset: Sequence[str]) -> bytes:
    vr = element.vr
    parts: list[str] = []
    for value in element.values:
        if isinstance(value, bytes | DataSet):
            raise LocalProtocolError(f"a value of {tag:08X} is no {vr}")
        parts.append(decimal_string(value) if isinstance(value, float) else str(value))
    if vr not in _WHOLE_TEXT and any("\\" in part for part in parts):
        raise LocalProtocolError(f"a value of {tag:08X} holds a backslash")
    text = "\\".join(parts)
    if vr in character_sets.TEXT_VRS:
        encoded = character_sets.encode(text, charset, vr=vr)
    else:
        try:
            encoded = text.encode("ascii")
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"a value of {tag:08X} is not ASCII") from error
    return _even(encoded, b"\0" if vr == "UI" else b" ")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value


def decimal_string(value: float) -> str:
    """A DS value: as precise as 16 characters allow.

    Raises:
        LocalProtocolError: not a finite number.

    Standard: PS3.5 6.2
    """
    if value != value or value in {float("inf"), float("-inf")}:
        raise LocalProtocolError("a DS value is not finite")
    text = repr(value)
    digits = 17
    while len(text) > _DS_CHARACTERS_MAX:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
