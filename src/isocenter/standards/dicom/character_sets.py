r"""Text in every Specific Character Set: single byte, code extensions (ISO 2022), UTF-8, GB18030.

Decoding never fails: what the declared sets cannot explain is replaced or guessed, and flagged.
Encoding is strict: a character outside the declared sets is an error that names it. Splitting
values at \ comes after decoding, since the byte of \ may be half of a character.
It does not transliterate, and knows no set outside PS3.3 C.12.1.1.2.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from isocenter.standards import LocalProtocolError

TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
UTF_8: Final = "ISO_IR 192"
LATIN_1: Final = "ISO_IR 100"

_ESCAPE: Final = 0x1B
_REPLACEMENT: Final = "\ufffd"


class NotRepresentableError(LocalProtocolError):
    """A character is outside the character sets that the text was to be encoded in.

    Attributes:
        character: the first such character.
    """

    def __init__(self, character: str) -> None:
        super().__init__(f"U+{ord(character):04X} is not in the chosen character sets")
        self.character = character


class Decoded(NamedTuple):
    """Decoded text; ``faithful`` is False when the bytes did not keep to the declared sets."""

    text: str
    faithful: bool


@dataclass(frozen=True, slots=True)
class _Graphic:
    """A set of characters that ISO 2022 can designate to G0 or G1.

    ``prefix`` goes before each pair for the codec; ``width`` is bytes a character.
    """

    escape: bytes
    element: int  # 0 for G0 (bytes below 0x80), 1 for G1
    codec: str
    width: int = 1
    prefix: bytes = b""


_ASCII: Final = _Graphic(b"\x1b(B", 0, "ascii")
_ROMAN: Final = _Graphic(b"\x1b(J", 0, "shift_jis")
_KATAKANA: Final = _Graphic(b"\x1b)I", 1, "shift_jis")
# EUC-JP carries JIS X 0208 as pairs with the high bit set, and JIS X 0212 as such after 0x8F.
_JIS_X_0208: Final = _Graphic(b"\x1b$B", 0, "euc_jp", 2)
_JIS_X_0212: Final = _Graphic(b"\x1b$(D", 0, "euc_jp", 2, b"\x8f")
_KS_X_1001: Final = _Graphic(b"\x1b$)C", 1, "euc_kr", 2)
_GB_2312: Final = _Graphic(b"\x1b$)A", 1, "gb2312", 2)

# PS3.3 Tables C.12-2 to C.12-4: registration number to the sets it brings.
_SINGLE_BYTE: Final = {
    "100": _Graphic(b"\x1b-A", 1, "iso8859_1"),
    "101": _Graphic(b"\x1b-B", 1, "iso8859_2"),
    "109": _Graphic(b"\x1b-C", 1, "iso8859_3"),
    "110": _Graphic(b"\x1b-D", 1, "iso8859_4"),
    "126": _Graphic(b"\x1b-F", 1, "iso8859_7"),
    "127": _Graphic(b"\x1b-G", 1, "iso8859_6"),
    "138": _Graphic(b"\x1b-H", 1, "iso8859_8"),
    "144": _Graphic(b"\x1b-L", 1, "iso8859_5"),
    "148": _Graphic(b"\x1b-M", 1, "iso8859_9"),
    "166": _Graphic(b"\x1b-T", 1, "tis_620"),
    "203": _Graphic(b"\x1b-b", 1, "iso8859_15"),
}
_SETS: Final[dict[str, tuple[_Graphic, ...]]] = {
    "6": (_ASCII,),
    "13": (_ROMAN, _KATAKANA),
    "87": (_JIS_X_0208,),
    "159": (_JIS_X_0212,),
    "149": (_KS_X_1001,),
    "58": (_GB_2312,),
    **{number: (_ASCII, graphic) for number, graphic in _SINGLE_BYTE.items()},
}
_DESIGNATED: Final = {
    graphic.escape: graphic for graphics in _SETS.values() for graphic in graphics
}
_STANDALONE: Final = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
_TERM: Final = re.compile(r"ISO[ _-]?(?:2022[ _-]?)?IR[ _-]?(\d+)")
_ESCAPE_SEQUENCE: Final = re.compile(rb"\x1b(?:\$[()]?[@-~]|[\x20-\x2f][@-~])")
_HALVES: Final = re.compile(rb"[\x00-\x7f]+|[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to read and write with one list of terms.

    Either ``codec`` is set (no code extensions) or the ISO 2022 fields are.
    """

    known: bool
    codec: str = ""
    first: tuple[_Graphic, _Graphic | None] = (_ASCII, None)
    graphics: tuple[_Graphic, ...] = ()


def terms(value: str) -> tuple[str, ...]:
    r"""The defined terms of a Specific Character Set value; an empty first term is kept.

    Standard: PS3.3 C.12.1.1.2
    """
    parts = tuple(part.strip(" \0") for part in value.split("\\"))
    return parts if any(parts) else ()


def _number(term: str) -> str:
    upper = term.strip(" \0").upper()
    if not upper:
        return "6"
    match = _TERM.fullmatch(upper)
    return match[1] if match else upper


@lru_cache(maxsize=256)
def _plan(specific_character_set: tuple[str, ...]) -> _Plan:
    numbers = [_number(term) for term in specific_character_set] or ["6"]
    known = all(number in _SETS or number in _STANDALONE for number in numbers)
    for number in numbers:
        # PS3.3 C.12.1.1.2: these sets stand alone; beside others the rest has no meaning.
        if number in _STANDALONE:
            return _Plan(known, codec=_STANDALONE[number])
    graphics = tuple(dict.fromkeys(g for number in numbers for g in _SETS.get(number, ())))
    initial = _SETS.get(numbers[0], (_ASCII,))
    g0 = next((g for g in initial if g.element == 0 and g.width == 1), _ASCII)
    g1 = next((g for g in initial if g.element == 1), None)
    return _Plan(known, first=(g0, g1), graphics=tuple(dict.fromkeys((g0, *graphics))))


def is_known(specific_character_set: Sequence[str]) -> bool:
    """Whether every term is one that this module can decode.

    Standard: PS3.3 C.12.1.1.2
    """
    return _plan(tuple(specific_character_set)).known


def decode(data: bytes, specific_character_set: Sequence[str], *, vr: str = "LO") -> Decoded:
    """The text of a value, all its components and delimiters included.

    Args:
        data: the value bytes, padding included.
        specific_character_set: defined terms as they stand in the data set; misspelt forms such as
            "ISO-IR 100" are understood.
        vr: PN has more delimiters that end a code extension.

    Standard: PS3.5 6.1.2
    """
    if data.isascii() and _ESCAPE not in data:
        return Decoded(data.decode("ascii"), faithful=True)
    plan = _plan(tuple(specific_character_set))
    if plan.codec:
        return _decode_codec(data, plan)
    if not plan.known or (plan.graphics == (_ASCII,) and _ESCAPE not in data):
        # Nothing declared explains these bytes: UTF-8 proves itself, else Latin-1 keeps each byte.
        try:
            return Decoded(data.decode("utf_8"), faithful=False)
        except UnicodeDecodeError:
            return Decoded(data.decode("latin_1"), faithful=False)
    return _decode_extended(data, plan, vr)


def _decode_codec(data: bytes, plan: _Plan) -> Decoded:
    try:
        return Decoded(data.decode(plan.codec), faithful=plan.known)
    except UnicodeDecodeError:
        return Decoded(data.decode(plan.codec, "replace"), faithful=False)


def _delimiters(vr: str) -> bytes:
    """Bytes before which the initial sets must be active again.

    Standard: PS3.5 6.1.2.5.3
    """
    if vr == "PN":
        return b"\\^=\r\n\f\t"
    return b"\r\n\f\t" if vr in {"LT", "ST", "UT"} else b"\\\r\n\f\t"


def _decode_extended(data: bytes, plan: _Plan, vr: str) -> Decoded:
    delimiter = re.compile(b"[" + re.escape(_delimiters(vr)) + b"]")
    g0, g1 = plan.first
    out: list[str] = []
    faithful = plan.known
    position = 0
    while position < len(data):
        if data[position] == _ESCAPE:
            match = _ESCAPE_SEQUENCE.match(data, position)
            graphic = _DESIGNATED.get(match[0]) if match else None
            if graphic is None:
                faithful = False
            elif graphic.element == 0:
                g0 = graphic
            else:
                g1 = graphic
            position = match.end() if match else position + 1
            continue
        end = data.find(b"\x1b", position)
        end = len(data) if end < 0 else end
        stop = delimiter.search(data, position, end) if g0.width == 1 else None
        run = data[position : stop.start() if stop else end]
        faithful &= _decode_run(run, g0, g1, out)
        position += len(run)
        if stop:
            out.append(stop[0].decode("ascii"))
            position += 1
            g0, g1 = plan.first
    return Decoded("".join(out), faithful)


def _decode_run(run: bytes, g0: _Graphic, g1: _Graphic | None, out: list[str]) -> bool:
    """Append the text of bytes without escapes; whether all of it was understood."""
    faithful = True
    for match in _HALVES.finditer(run):
        part = match[0]
        graphic = g0 if part[0] < 0x80 else g1
        if graphic is None:
            out.append(_REPLACEMENT * len(part))
            faithful = False
            continue
        text = _decode_graphic(part, graphic)
        faithful &= _REPLACEMENT not in text
        out.append(text)
    return faithful


def _decode_graphic(part: bytes, graphic: _Graphic) -> str:
    if graphic is _ROMAN:
        # JIS X 0201 has an overline at 7E; 5C stays the delimiter that it is in DICOM.
        return part.decode("ascii").replace("~", "\u203e")
    if graphic.element == 0 and graphic.width == 2:
        pairs = bytes(byte | 0x80 for byte in part)
        if graphic.prefix:
            split = (pairs[i : i + 2] for i in range(0, len(pairs), 2))
            pairs = b"".join(graphic.prefix + pair for pair in split)
        return pairs.decode(graphic.codec, "replace")
    return part.decode(graphic.codec, "replace")


def encode(text: str, specific_character_set: Sequence[str], *, vr: str = "LO") -> bytes:
    r"""The bytes of ``text``, which may hold the delimiters \ and, in a PN, ^ and =.

    Sets are tried in the order of the terms; the initial ones are restored before each delimiter
    and at the end.

    Raises:
        NotRepresentableError: a character is in none of the sets.
        LocalProtocolError: a term is unknown.

    Standard: PS3.5 6.1.2.5
    """
    plan = _plan(tuple(specific_character_set))
    if not plan.known:
        raise LocalProtocolError("an unknown character set cannot be written")
    if plan.codec:
        try:
            return text.encode(plan.codec)
        except UnicodeEncodeError as error:
            raise NotRepresentableError(text[error.start]) from error
    g0, g1 = plan.first
    if g0 is _ASCII and text.isascii():
        return text.encode("ascii")
    delimiters = _delimiters(vr).decode("ascii")
    out = bytearray()
    for character in text:
        if character in delimiters:
            out += _restore(plan, g0, g1)
            out += character.encode("ascii")
            g0, g1 = plan.first
            continue
        graphic, encoded = _encode_character(character, plan, g0, g1)
        if graphic is not g0 and graphic is not g1:
            if not _may_extend(specific_character_set):
                raise NotRepresentableError(character)
            out += graphic.escape
            g0, g1 = (graphic, g1) if graphic.element == 0 else (g0, graphic)
        out += encoded
    out += _restore(plan, g0, g1)
    return bytes(out)


def _may_extend(specific_character_set: Sequence[str]) -> bool:
    """Whether escape sequences are allowed: not with one term without code extensions."""
    return len(specific_character_set) > 1 or any("2022" in term for term in specific_character_set)


def _restore(plan: _Plan, g0: _Graphic, g1: _Graphic | None) -> bytes:
    first0, first1 = plan.first
    out = b"" if g0 is first0 else first0.escape
    if first1 is not None and g1 is not first1:
        out += first1.escape
    return out


def _encode_character(
    character: str, plan: _Plan, g0: _Graphic, g1: _Graphic | None
) -> tuple[_Graphic, bytes]:
    """The set to take and the bytes in it: the active ones first, then in the order declared."""
    active = (g0,) if g1 is None else (g0, g1)
    for graphic in (*active, *plan.graphics):
        encoded = _encode_graphic(character, graphic)
        if encoded is not None:
            return graphic, encoded
    raise NotRepresentableError(character)


@lru_cache(maxsize=4096)
def _encode_graphic(character: str, graphic: _Graphic) -> bytes | None:
    if graphic is _ASCII:
        return character.encode("ascii") if character.isascii() else None
    if graphic is _ROMAN:
        if character == "\u203e":
            return b"~"
        return character.encode("ascii") if character.isascii() and character != "~" else None
    try:
        encoded = character.encode(graphic.codec)
    except UnicodeEncodeError:
        return None
    body = encoded.removeprefix(graphic.prefix)
    if len(encoded) != len(graphic.prefix) + graphic.width or body[0] < 0xA0:
        return None
    if graphic.element == 0:
        return bytes(byte & 0x7F for byte in body)
    return body


def can_encode(text: str, specific_character_set: Sequence[str]) -> bool:
    """Whether every character of ``text`` is in the declared sets."""
    try:
        encode(text, specific_character_set, vr="PN")
    except LocalProtocolError:
        return False
    return True


def best_for(texts: Iterable[str]) -> tuple[str, ...]:
    """The plainest terms that hold all of ``texts``: none (ASCII), Latin-1, else UTF-8.

    Standard: PS3.3 C.12.1.1.2
    """
    joined = "".join(texts)
    if joined.isascii():
        return ()
    return (LATIN_1,) if can_encode(joined, (LATIN_1,)) else (UTF_8,)


def choose(texts: Iterable[str], requested: Sequence[str]) -> tuple[str, ...]:
    """The requested terms when they hold all of ``texts``, else UTF-8.

    This is how an answer comes in the character set of its question without losing a character.

    Standard: PS3.4 C.4.1.1.3.1, K.4.1.1.3
    """
    joined = "".join(texts)
    if joined.isascii():
        return tuple(requested) if is_known(requested) else ()
    return tuple(requested) if can_encode(joined, requested) else (UTF_8,)
