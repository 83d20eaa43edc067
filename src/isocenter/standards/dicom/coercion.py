"""Other values in a header on its way out, with Original Attributes Sequence saying what was there.

Only the elements that change are written; every other byte stays what it was. A value that the data
set's own character set cannot hold is the exception: then the whole header is written anew in one
that can. Which values to change is decided elsewhere, and what is stored is never touched.

Standard: PS3.3 C.12.1.1.9
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import character_sets, dictionary, uids
from isocenter.standards.dicom.part10_elements import (
    ITEM,
    LONG_VRS,
    PIXEL_DATA_TAGS,
    Buffer,
    Encoding,
    Header,
    TruncatedError,
    element_at,
    encoding_of,
    inflate,
    sniff_encoding,
)
from isocenter.standards.dicom.values import decode_dataset, encode_dataset
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET, DataSet, Element

ORIGINAL_ATTRIBUTES_SEQUENCE: Final = 0x04000561
_MODIFIED_ATTRIBUTES_SEQUENCE: Final = 0x04000550
_ATTRIBUTE_MODIFICATION_DATE_TIME: Final = 0x04000562
_MODIFYING_SYSTEM: Final = 0x04000563
_SOURCE_OF_PREVIOUS_VALUES: Final = 0x04000564
_REASON_FOR_THE_ATTRIBUTE_MODIFICATION: Final = 0x04000565
_PADDING: Final = " \0"


@dataclass(frozen=True, slots=True)
class Modification:
    """Values that a header is to have.

    Attributes:
        values: text by tag, as the header should say it; tags up to (0400,0561) of text VRs.
        modified_at: when it was decided, aware.
        modifying_system: who decided; ASCII, at most 64 characters.
        reason: COERCE (agreement with a master index) or CORRECT (they were wrong).

    Standard: PS3.3 Table C.12-1
    """

    values: Mapping[int, str]
    modified_at: datetime
    modifying_system: str
    reason: str = "COERCE"


class ModifiedHeader(NamedTuple):
    """A header with other values.

    Attributes:
        pieces: the new beginning of the data set, in order; views of the given bytes where nothing
            has changed.
        end: where in the given bytes the rest begins, which goes out as it is.
    """

    pieces: list[bytes | memoryview]
    end: int


class _Place(NamedTuple):
    """A top-level element and where it begins."""

    start: int
    header: Header


_Form = tuple[Encoding, tuple[str, ...]]
_Edit = tuple[int, int, bytes]


class _Head(NamedTuple):
    """The elements up to Original Attributes Sequence, between ``start`` and ``end``."""

    view: memoryview
    start: int
    end: int
    places: list[_Place]
    form: _Form


def modify(
    data: Buffer,
    transfer_syntax_uid: str,
    modification: Modification,
    *,
    start: int = 0,
    is_whole: bool,
) -> ModifiedHeader | None:
    """The header with the wanted values; None when it has them already.

    Args:
        data: the first bytes of a data set, or of a file; those of the pixel data are not looked
            at.
        transfer_syntax_uid: how the data set is encoded.
        modification: the wanted values.
        start: where the data set begins in ``data``.
        is_whole: nothing follows behind ``data``.

    Raises:
        TruncatedError: more of the data set is needed, or it is cut short.
        RemoteProtocolError: it breaks the encoding rules.
        LocalProtocolError: a wanted value cannot be encoded.

    Standard: PS3.5 7, PS3.3 C.12.1.1.9
    """
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    view = memoryview(data)
    if syntax.deflated:
        return _modify_deflated(view[start:], modification, len(view), is_whole=is_whole)
    encoding = sniff_encoding(view, start, encoding_of(syntax))
    places, end = _places(view, start, encoding, is_whole=is_whole)
    found = {place.header.tag: place for place in places}
    charset = _charset(view, found.get(SPECIFIC_CHARACTER_SET))
    wanted = {
        tag: text
        for tag, text in sorted(modification.values.items())
        if _comparable(tag, text) != _comparable(tag, _text(view, found.get(tag), charset))
    }
    if not wanted:
        return None
    known = [
        found[tag].header.vr for tag in (*wanted, ORIGINAL_ATTRIBUTES_SEQUENCE) if tag in found
    ]
    if "UN" in known or not _holds(charset, wanted):
        return _rewritten(view, transfer_syntax_uid, modification, wanted, start, is_whole=is_whole)
    head = _Head(view, start, end, places, (encoding, charset))
    return ModifiedHeader(_applied(head, _edits(head, wanted, modification)), end)


def _places(
    view: memoryview, start: int, encoding: Encoding, *, is_whole: bool
) -> tuple[list[_Place], int]:
    """The elements up to Original Attributes Sequence, and where the ones after it begin."""
    places: list[_Place] = []
    position, end = start, len(view)
    order = "<" if encoding.little_endian else ">"
    while position < end:
        if position + 4 > end:
            raise TruncatedError("data set ends inside an element header")
        group, element = struct.unpack_from(order + "HH", view, position)
        if group << 16 | element > ORIGINAL_ATTRIBUTES_SEQUENCE:
            return places, position
        header = element_at(view, position, end, encoding)
        places.append(_Place(position, header))
        position = header.end
    if not is_whole:
        raise TruncatedError("the header goes on behind the given bytes")
    return places, end


def _charset(view: memoryview, place: _Place | None) -> tuple[str, ...]:
    if place is None:
        return ()
    return character_sets.terms(_octets(view, place).decode("latin-1"))


def _octets(view: memoryview, place: _Place) -> bytes:
    return bytes(view[place.header.value : place.header.value_end])


def _text(view: memoryview, place: _Place | None, charset: Sequence[str]) -> str:
    if place is None:
        return ""
    vr = _vr(place.header)
    if vr in character_sets.TEXT_VRS:
        return character_sets.decode(_octets(view, place), charset, vr=vr).text
    return _octets(view, place).decode("latin-1")


def _vr(header: Header) -> str:
    return dictionary.vr_of(header.tag) if header.vr == "UN" else header.vr


def _comparable(tag: int, text: str) -> str:
    """What two spellings of one value have in common.

    Standard: PS3.5 6.2 (padding; DA before 1993), 6.2.1 (trailing delimiters of names)
    """
    text = text.strip(_PADDING)
    match dictionary.vr_of(tag):
        case "DA":
            return text.replace(".", "")
        case "PN":
            groups = (group.strip(_PADDING).rstrip("^ ") for group in text.split("="))
            return "=".join(groups).rstrip("=")
        case _:
            return text


def _holds(charset: Sequence[str], wanted: Mapping[int, str]) -> bool:
    return all(
        text.isascii() or character_sets.can_encode(text, charset) for text in wanted.values()
    )


def _edits(head: _Head, wanted: Mapping[int, str], modification: Modification) -> list[_Edit]:
    """What to put where: the wanted elements, and one more item of original attributes."""
    found = {place.header.tag: place for place in head.places}
    edits = [
        _edit(head, tag, _element(tag, _vr_of(found.get(tag), tag), text, head.form))
        for tag, text in wanted.items()
    ]
    encoding, _ = head.form
    originals = b"".join(
        bytes(head.view[found[tag].start : found[tag].header.end])
        if tag in found
        else _head(tag, dictionary.vr_of(tag), 0, encoding)
        for tag in wanted
    )
    items = _item(_original_attributes(originals, modification, head.form), encoding)
    before = found.get(ORIGINAL_ATTRIBUTES_SEQUENCE)
    if before is not None:
        items = _octets(head.view, before) + items
    sequence = _head(ORIGINAL_ATTRIBUTES_SEQUENCE, "SQ", len(items), encoding) + items
    edits.append(_edit(head, ORIGINAL_ATTRIBUTES_SEQUENCE, sequence))
    # Group lengths (PS3.5 7.2, retired) would be wrong now and say nothing.
    groups = {tag >> 16 for tag in (*wanted, ORIGINAL_ATTRIBUTES_SEQUENCE)}
    edits.extend(
        (place.start, place.header.end, b"")
        for place in head.places
        if place.header.tag & 0xFFFF == 0 and place.header.tag >> 16 in groups
    )
    return sorted(edits, key=lambda edit: edit[:2])


def _vr_of(place: _Place | None, tag: int) -> str:
    return dictionary.vr_of(tag) if place is None else _vr(place.header)


def _edit(head: _Head, tag: int, encoded: bytes) -> _Edit:
    """``encoded`` in the place of the element ``tag``, or before the first one of a higher tag."""
    for place in head.places:
        if place.header.tag == tag:
            return place.start, place.header.end, encoded
    for place in head.places:
        if place.header.tag > tag:
            return place.start, place.start, encoded
    return head.end, head.end, encoded


def _applied(head: _Head, edits: Sequence[_Edit]) -> list[bytes | memoryview]:
    pieces: list[bytes | memoryview] = []
    position = head.start
    for first, after, encoded in edits:
        if first > position:
            pieces.append(head.view[position:first])
        if encoded:
            pieces.append(encoded)
        position = max(position, after)
    if position < head.end:
        pieces.append(head.view[position : head.end])
    return pieces


def _original_attributes(originals: bytes, modification: Modification, form: _Form) -> bytes:
    """The inside of an item of Original Attributes Sequence."""
    encoding, _ = form
    modified = _item(originals, encoding)
    return b"".join((
        _head(_MODIFIED_ATTRIBUTES_SEQUENCE, "SQ", len(modified), encoding) + modified,
        *(
            _element(tag, dictionary.vr_of(tag), text, form)
            for tag, text in _circumstances(modification).items()
        ),
    ))


def _circumstances(modification: Modification) -> dict[int, str]:
    return {
        _ATTRIBUTE_MODIFICATION_DATE_TIME: f"{modification.modified_at:%Y%m%d%H%M%S%z}",
        _MODIFYING_SYSTEM: modification.modifying_system,
        _SOURCE_OF_PREVIOUS_VALUES: "",  # type 2: who made the object says so in the object
        _REASON_FOR_THE_ATTRIBUTE_MODIFICATION: modification.reason,
    }


def _item(body: bytes, encoding: Encoding) -> bytes:
    order = "<" if encoding.little_endian else ">"
    return struct.pack(order + "HHL", ITEM >> 16, ITEM & 0xFFFF, len(body)) + body


def _element(tag: int, vr: str, text: str, form: _Form) -> bytes:
    encoding, charset = form
    if text.isascii():
        value = text.encode("ascii")  # whatever the character set, and whether it is known
    elif vr in character_sets.TEXT_VRS:
        value = character_sets.encode(text, charset, vr=vr)
    else:
        raise LocalProtocolError(f"a value of {tag:08X} is not ASCII")
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    return _head(tag, vr, len(value), encoding) + value


def _head(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    order = "<" if encoding.little_endian else ">"
    group, element, code = tag >> 16, tag & 0xFFFF, vr.encode("ascii")
    if not encoding.explicit_vr:
        return struct.pack("<HHL", group, element, length)
    if code in LONG_VRS:
        return struct.pack(order + "HH2sHL", group, element, code, 0, length)
    return struct.pack(order + "HH2sH", group, element, code, length)


def _rewritten(
    view: memoryview,
    transfer_syntax_uid: str,
    modification: Modification,
    wanted: Mapping[int, str],
    start: int,
    *,
    is_whole: bool,
) -> ModifiedHeader:
    """The whole header anew, in a character set that holds the new values beside the old ones.

    Text that nobody could read before stays unreadable.
    """
    end = _header_end(view, transfer_syntax_uid, start, is_whole=is_whole)
    dataset = decode_dataset(view, transfer_syntax_uid, start=start, end=end)
    originals = DataSet()
    for tag, text in wanted.items():
        originals[tag] = dataset.get(tag, Element(dictionary.vr_of(tag)))
        dataset.put(tag, *((text,) if text else ()))
    item = DataSet()
    item.put(_MODIFIED_ATTRIBUTES_SEQUENCE, originals)
    for tag, text in _circumstances(modification).items():
        item.put(tag, *((text,) if text else ()))
    before = dataset.sequence(ORIGINAL_ATTRIBUTES_SEQUENCE)
    dataset.put(ORIGINAL_ATTRIBUTES_SEQUENCE, *before, item)
    terms = character_sets.choose(dataset.all_texts(), dataset.specific_character_set)
    dataset.put(SPECIFIC_CHARACTER_SET, *terms)
    return ModifiedHeader([encode_dataset(dataset, transfer_syntax_uid)], end)


def _header_end(view: memoryview, transfer_syntax_uid: str, start: int, *, is_whole: bool) -> int:
    """Where the pixel data begins, or the data set ends."""
    encoding = sniff_encoding(view, start, encoding_of(transfer_syntax_uid))
    order = "<" if encoding.little_endian else ">"
    position, end = start, len(view)
    while position < end:
        if position + 4 > end:
            raise TruncatedError("data set ends inside an element header")
        group, element = struct.unpack_from(order + "HH", view, position)
        if group << 16 | element in PIXEL_DATA_TAGS:
            return position
        position = element_at(view, position, end, encoding).end
    if not is_whole:
        raise TruncatedError("the header goes on behind the given bytes")
    return end


def _modify_deflated(
    view: memoryview, modification: Modification, end: int, *, is_whole: bool
) -> ModifiedHeader | None:
    """As ``modify``; the whole data set is written anew, because the stream depends on its past.

    Standard: PS3.5 A.5
    """
    if not is_whole:
        raise TruncatedError("a deflated data set is read whole")
    inflated = inflate(view)
    modified = modify(inflated, uids.EXPLICIT_VR_LITTLE_ENDIAN, modification, is_whole=True)
    if modified is None:
        return None
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    parts = [stream.compress(piece) for piece in modified.pieces]
    parts += [stream.compress(inflated[modified.end :]), stream.flush()]
    deflated = b"".join(parts)
    return ModifiedHeader([deflated + b"\0" * (len(deflated) % 2)], end)
