"""DICOM files: the file meta information, and the scan of a data set's header in place.

The scan passes over every element up to the pixel data and hands out the raw values of those that
the caller wants. It does not decode text or numbers beyond a few conveniences, nor look into
sequences, nor at pixel data. Frames are found by ``part10_frames``.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import character_sets, dictionary, uids
from isocenter.standards.dicom.part10_elements import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    INFLATED_BYTES_MAX,
    LONG_VRS,
    PIXEL_DATA_TAGS,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Buffer,
    Encoding,
    NotPart10Error,
    TruncatedError,
    element_at,
    encoding_of,
    has_short_length,
    inflate,
    skip_items,
    sniff_encoding,
)
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading

PREAMBLE_BYTES: Final = 128
PREFIX: Final = b"DICM"
_META_HEAD: Final = bytes(PREAMBLE_BYTES) + PREFIX
SPECIFIC_CHARACTER_SET: Final = 0x00080005
# What the frame index needs to know of the image (PS3.3 C.7.6.3, C.7.6.6; PS3.5 A.4).
FRAME_TAGS: Final = frozenset({
    0x00280002,  # Samples per Pixel
    0x00280004,  # Photometric Interpretation
    0x00280008,  # Number of Frames
    0x00280010,  # Rows
    0x00280011,  # Columns
    0x00280100,  # Bits Allocated
    0x7FE00001,  # Extended Offset Table
    0x7FE00002,  # Extended Offset Table Lengths
})
_TEXT_PADDING: Final = " \0"
_META_GROUP: Final = 0x0002
_SHORT_VR_NAMES: Final = {vr: vr.decode("ascii") for vr in SHORT_VRS}


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The file meta information of one DICOM file.

    Attributes:
        dataset_offset: where the data set begins in the file, in bytes.

    Standard: PS3.10 7.1
    """

    media_storage_sop_class_uid: str
    media_storage_sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    source_ae_title: str = ""


class RawElement(NamedTuple):
    """One element as it is encoded: VR, value bytes (no delimiter), where the value begins."""

    vr: str
    value: bytes
    offset: int


class PixelData(NamedTuple):
    """Where the pixel data is.

    Attributes:
        offset: where its value begins, in bytes.
        length: of its value in bytes, or None for encapsulated fragments.
    """

    tag: int
    vr: str
    offset: int
    length: int | None


@dataclass(frozen=True, slots=True)
class HeaderScan:
    """What one pass over a data set's header found.

    Offsets count from the start of the scanned bytes, or of ``inflated`` when that is not None.

    Attributes:
        elements: the wanted elements that are present, by tag.
        encoding: as found, which may differ from what the transfer syntax says.
        header_end: where the pixel data element begins; the end when there is none.
        inflated: the whole data set of a deflated one.
        reading: how its text is read.
    """

    transfer_syntax_uid: str
    encoding: Encoding
    elements: dict[int, RawElement]
    header_end: int
    pixel_data: PixelData | None
    inflated: bytes | None = field(default=None, repr=False)
    reading: TextReading = AS_DECLARED

    def raw(self, tag: int) -> bytes | None:
        """The value bytes of ``tag``, or None when it was not wanted or not present."""
        found = self.elements.get(tag)
        return None if found is None else found.value

    @property
    def specific_character_set(self) -> tuple[str, ...]:
        """The defined terms that text of this data set is encoded in; empty for ASCII.

        Standard: PS3.3 C.12.1.1.2
        """
        value = self.raw(SPECIFIC_CHARACTER_SET)
        return character_sets.terms(value.decode("latin-1")) if value else ()

    def text(self, tag: int) -> str:
        r"""The decoded text of ``tag`` without padding, values joined by \; empty when not there.

        Standard: PS3.5 6.1, 6.2
        """
        found = self.elements.get(tag)
        if found is None:
            return ""
        if found.vr in character_sets.TEXT_VRS:
            declared = self.specific_character_set
            text = self.reading.decode(found.value, declared, vr=found.vr).text
        else:
            text = found.value.decode("latin-1")
        return text.strip(_TEXT_PADDING)

    def texts(self, tag: int) -> tuple[str, ...]:
        """Each value of ``tag`` without padding; empty when not there or without value."""
        text = self.text(tag)
        return tuple(part.strip(_TEXT_PADDING) for part in text.split("\\")) if text else ()

    def number(self, tag: int) -> int | None:
        """The first value of ``tag`` as a whole number (US, SS, UL, SL, IS), None if there is none.

        Standard: PS3.5 6.2
        """
        found = self.elements.get(tag)
        if found is None:
            return None
        code = {"US": "H", "SS": "h", "UL": "L", "SL": "l"}.get(found.vr)
        try:
            if code is None:
                return int(found.value.split(b"\\", 1)[0].strip(b" \0"))
            order = "<" if self.encoding.little_endian else ">"
            number: int = struct.unpack_from(order + code, found.value)[0]
        except (ValueError, struct.error):
            return None
        return number


def encode_file_meta(
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    source_ae_title: str = "",
) -> bytes:
    """Preamble, prefix and file meta information: what goes before a data set to make a file.

    Raises:
        LocalProtocolError: a UID or the title is empty where it may not be, too long or not ASCII.

    Standard: PS3.10 7.1
    """
    instance = _meta_text(0x0003, b"UI", _checked_uid(sop_instance_uid))
    before, after = _meta_around(sop_class_uid, transfer_syntax_uid, source_ae_title)
    size = len(before) + len(instance) + len(after)
    length = struct.pack("<HH2sHL", _META_GROUP, 0x0000, b"UL", 4, size)
    return b"".join((_META_HEAD, length, before, instance, after))


def _checked_uid(uid: str) -> str:
    if not uid or len(uid) > 64 or not uid.isascii():
        raise LocalProtocolError("a UID of the file meta information is empty or too long")
    return uid


@lru_cache(maxsize=256)  # all but the instance is the same for all objects of a series
def _meta_around(
    sop_class_uid: str, transfer_syntax_uid: str, source_ae_title: str
) -> tuple[bytes, bytes]:
    """The elements before Media Storage SOP Instance UID, and those after it."""
    if len(source_ae_title) > 16 or not source_ae_title.isascii():
        raise LocalProtocolError("the source AE title is longer than 16 ASCII characters")
    version = struct.pack("<HH2sHL", _META_GROUP, 0x0001, b"OB", 0, 2) + b"\0\1"
    before = version + _meta_text(0x0002, b"UI", _checked_uid(sop_class_uid))
    after = [
        _meta_text(0x0010, b"UI", _checked_uid(transfer_syntax_uid)),
        _meta_text(0x0012, b"UI", uids.IMPLEMENTATION_CLASS_UID),
        _meta_text(0x0013, b"SH", uids.IMPLEMENTATION_VERSION_NAME),
    ]
    if source_ae_title:
        after.append(_meta_text(0x0016, b"AE", source_ae_title))
    return before, b"".join(after)


def _meta_text(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", _META_GROUP, element, vr, len(value)) + value


def parse_file_meta(data: Buffer) -> FileMeta:
    """The file meta information at the head of ``data``, which may be only the file's first part.

    Tolerated, since meaning is unharmed: no preamble; no group length or a wrong one; meta
    information in implicit VR; no meta information or transfer syntax at all, when the data set's
    first element shows its encoding.

    Raises:
        NotPart10Error: nothing here looks like DICOM.
        TruncatedError: the bytes end inside the meta information.

    Standard: PS3.10 7.1
    """
    start = 0
    if bytes(data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4]) == PREFIX:
        start = PREAMBLE_BYTES + 4
    elif bytes(data[:4]) == PREFIX:
        start = 4
    found, position = _meta_elements(data, start)
    syntax = found.get(0x00020010, "")
    if not syntax:
        syntax = _guess_transfer_syntax(data, position)
    return FileMeta(
        media_storage_sop_class_uid=found.get(0x00020002, ""),
        media_storage_sop_instance_uid=found.get(0x00020003, ""),
        transfer_syntax_uid=syntax,
        dataset_offset=position,
        implementation_class_uid=found.get(0x00020012, ""),
        implementation_version_name=found.get(0x00020013, ""),
        source_ae_title=found.get(0x00020016, ""),
    )


def _meta_elements(data: Buffer, start: int) -> tuple[dict[int, str], int]:
    encoding = sniff_encoding(data, start, EXPLICIT_LITTLE)
    found: dict[int, str] = {}
    position, end = start, len(data)
    while bytes(data[position : position + 2]) == b"\2\0":
        header = element_at(data, position, end, encoding)
        value = bytes(data[header.value : min(header.value_end, header.value + 128)])
        found[header.tag] = value.decode("latin-1").strip(_TEXT_PADDING)
        position = header.end
    return found, position


def _guess_transfer_syntax(data: Buffer, start: int) -> str:
    """The encoding that the first element shows: a low even group, then a VR or a small length."""
    head = bytes(data[start : start + 8])
    if len(head) < 8:
        raise NotPart10Error("no DICOM data set")
    group_little, group_big = struct.unpack("<H", head[:2])[0], struct.unpack(">H", head[:2])[0]
    explicit = head[4:6] in SHORT_VRS or head[4:6] in LONG_VRS
    if group_little in {0x0008, 0x0004, 0x0010}:
        if explicit:
            return uids.EXPLICIT_VR_LITTLE_ENDIAN
        if struct.unpack("<L", head[4:])[0] < 1024:
            return uids.IMPLICIT_VR_LITTLE_ENDIAN
    if group_big in {0x0008, 0x0004, 0x0010} and explicit:
        return uids.EXPLICIT_VR_BIG_ENDIAN
    raise NotPart10Error("no DICOM file: neither prefix nor a first element in sight")


def scan_header(
    data: Buffer,
    wanted: Iterable[int],
    *,
    transfer_syntax_uid: str,
    start: int = 0,
    inflated_bytes_max: int = INFLATED_BYTES_MAX,
) -> HeaderScan:
    """The raw values of the ``wanted`` elements before the pixel data, in one pass.

    Specific Character Set and what the frame index needs are always among them. Only the header
    has to be in ``data``: the value of the pixel data is not looked at.

    Args:
        data: a data set, or a file whose data set begins at ``start``.
        wanted: tags; pixel data is found without being asked for.
        transfer_syntax_uid: how the data set is encoded.
        start: where the data set begins in ``data``.
        inflated_bytes_max: refuse a deflated data set that grows beyond this.

    Raises:
        TruncatedError: the data set ends inside an element.
        RemoteProtocolError: it breaks the encoding rules otherwise.

    Standard: PS3.5 7.1, 7.5, Annex A
    """
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    inflated = None
    if syntax.deflated:
        inflated = inflate(memoryview(data)[start:], bytes_max=inflated_bytes_max)
        data, start = inflated, 0
    encoding = sniff_encoding(data, start, encoding_of(syntax))
    keys = _keys(frozenset(wanted), encoding.little_endian)
    scan = _scan_explicit if encoding.explicit_vr else _scan_implicit
    try:
        elements, end, pixel_data = scan(data, start, encoding, keys)
    except struct.error as error:
        raise TruncatedError("data set ends inside an element header") from error
    return HeaderScan(transfer_syntax_uid, encoding, elements, end, pixel_data, inflated)


_Found = tuple[dict[int, RawElement], int, PixelData | None]


@lru_cache(maxsize=64)
def _keys(wanted: frozenset[int], little_endian: bool) -> dict[int, int]:
    """Tags by the number that their four bytes make when read at once in this byte order."""
    tags = wanted | FRAME_TAGS | PIXEL_DATA_TAGS | {SPECIFIC_CHARACTER_SET}
    if not little_endian:
        return {tag: tag for tag in tags}
    return {(tag & 0xFFFF) << 16 | tag >> 16: tag for tag in tags}


def _scan_explicit(data: Buffer, position: int, encoding: Encoding, keys: dict[int, int]) -> _Found:
    # One iteration per element of every object received: locals, one unpack, two look-ups. An
    # unwanted element may step past the end; that is seen once, after the loop.
    order = "<" if encoding.little_endian else ">"
    unpack = struct.Struct(order + "L2sH").unpack_from
    names, end = _SHORT_VR_NAMES, len(data)
    found: dict[int, RawElement] = {}
    while position < end:
        key, vr, length = unpack(data, position)
        start = position + 8
        if vr in names:
            position = start + length
            if key not in keys:
                continue
            name, after, tag = names[vr], position, keys[key]
            if tag in PIXEL_DATA_TAGS:
                # A VR that pixel data cannot have; it ends the header all the same.
                return found, start - 8, _pixel_data(tag, name, start, length)
        else:
            tag = keys.get(key, 0)
            name, start, length, after = _long_element(data, position, encoding)
            if tag in PIXEL_DATA_TAGS:
                return found, position, _pixel_data(tag, name, start, length)
            if length == UNDEFINED_LENGTH:
                after = skip_items(data, start, end, _inside(name, encoding), depth=1)
                length = after - 8 - start
            position = after
            if not tag:
                continue
        if after > end:
            break
        found[tag] = RawElement(name, bytes(data[start : start + length]), start)
    if position > end:
        raise TruncatedError("an element goes past the end of the data set")
    return found, position, None


def _long_element(data: Buffer, position: int, encoding: Encoding) -> tuple[str, int, int, int]:
    """VR, value offset, length and end of an element whose VR is not one of the short ones."""
    order = "<" if encoding.little_endian else ">"
    group, _, vr, short = struct.unpack_from(order + "HH2sH", data, position)
    if group == 0xFFFE:
        # A stray delimiter, left behind by a writer that closed a sequence twice.
        length = struct.unpack_from(order + "L", data, position + 4)[0]
        return "UN", position + 8, length, position + 8 + length
    if has_short_length(vr):
        return "UN", position + 8, short, position + 8 + short
    length = struct.unpack_from(order + "L", data, position + 8)[0]
    name = vr.decode("ascii") if vr in LONG_VRS else "UN"
    return name, position + 12, length, position + 12 + length


def _inside(vr: str, encoding: Encoding) -> Encoding:
    """The encoding inside a value of undefined length: UN is implicit little endian in any case.

    Standard: PS3.5 6.2.2 Note 2 (CP-246)
    """
    return IMPLICIT_LITTLE if vr == "UN" else encoding


def _scan_implicit(data: Buffer, position: int, encoding: Encoding, keys: dict[int, int]) -> _Found:
    unpack = struct.Struct("<LL").unpack_from
    end = len(data)
    found: dict[int, RawElement] = {}
    while position < end:
        key, length = unpack(data, position)
        start = position + 8
        if key not in keys:
            if length == UNDEFINED_LENGTH:
                position = skip_items(data, start, end, encoding, depth=1)
            else:
                position = start + length
            continue
        tag = keys[key]
        if tag in PIXEL_DATA_TAGS:
            return found, position, _pixel_data(tag, dictionary.vr_of(tag), start, length)
        position = start + length
        if length == UNDEFINED_LENGTH:
            position = skip_items(data, start, end, encoding, depth=1)
            length = position - 8 - start
        if position > end:
            break
        value = bytes(data[start : start + length])
        found[tag] = RawElement(dictionary.vr_of(tag), value, start)
    if position > end:
        raise TruncatedError("an element goes past the end of the data set")
    return found, position, None


def _pixel_data(tag: int, vr: str, offset: int, length: int) -> PixelData:
    return PixelData(tag, vr, offset, None if length == UNDEFINED_LENGTH else length)
