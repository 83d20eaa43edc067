"""HL7 character set names (MSH-18) to text and back.

A name is one of HL7 table 0211, or one of the spellings that senders use instead. Decoding never
fails: a wrong or unknown name falls back, and the fall-back is reported so that the caller can flag
the message and keep its bytes.

Standard: HL7 v2.5.1 2.15.9.18 and table 0211; ISO/IEC 2022 for switching inside a message.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

UTF_8: Final = "UNICODE UTF-8"

_PYTHON_CODECS: Final = {
    "": "ascii",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
    "ISO IR14": "shift_jis",  # JIS X 0201: Shift-JIS holds it unchanged as its single bytes
    "ISO IR13": "shift_jis",
    "ISO IR87": "iso2022_jp_ext",
    "ISO IR159": "iso2022_jp_ext",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    # Spellings that are not in the table but on the wire.
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "US-ASCII": "ascii",
    "ISO_IR 100": "iso8859-1",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "BIG5": "big5",
    "EUC-KR": "euc_kr",
    "SHIFT_JIS": "shift_jis",
    **{
        f"{prefix}{page}": f"cp{page}"
        for prefix in ("CP", "WINDOWS-")
        for page in range(1250, 1259)
    },
}
_PART_OF_8859: Final = re.compile(r"(?:ISO)?[ _-]?8859[-_/ ](\d+)")
# ISO/IEC 2022 designations. G0 sets carry bytes 21..7E; G1 sets carry bytes A1..FE.
_ESCAPE: Final = re.compile(rb"\x1b(?:\$[()-]?[\x30-\x7e]|[()\-.][\x30-\x7e])")
_JAPANESE_G0: Final = frozenset({
    b"\x1b$@",
    b"\x1b$B",
    b"\x1b$(@",
    b"\x1b$(B",
    b"\x1b$(D",
    b"\x1b(J",
    b"\x1b(I",
})
_G1_CODECS: Final = {
    b"\x1b)I": "shift_jis",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
    b"\x1b-A": "iso8859-1",
    b"\x1b-B": "iso8859-2",
    b"\x1b-C": "iso8859-3",
    b"\x1b-D": "iso8859-4",
    b"\x1b-L": "iso8859-5",
    b"\x1b-G": "iso8859-6",
    b"\x1b-F": "iso8859-7",
    b"\x1b-H": "iso8859-8",
    b"\x1b-M": "iso8859-9",
    b"\x1b-T": "iso8859-11",
}


class CharsetFlaw(StrEnum):
    """Why the text of a message may not be what its author wrote."""

    ASSUMED = "charset_assumed"  # MSH-18 is blank and the message is not ASCII
    WRONG = "charset_wrong"  # the bytes are not of the named set
    UNKNOWN = "charset_unknown"  # the name is none we know


def python_codec(name: str) -> str | None:
    """Return the Python codec of an HL7 character set name, None when there is none."""
    key = name.strip().upper()
    if part := _PART_OF_8859.fullmatch(key):
        key = f"8859/{int(part[1])}"
    return _PYTHON_CODECS.get(key)


def decode(
    data: bytes, names: Sequence[str], *, default_name: str | None = None
) -> tuple[str, str, CharsetFlaw | None]:
    """Return the text of ``data``, the Python codec that read it, and what was wrong, if anything.

    Args:
        data: the message.
        names: repetitions of MSH-18; the first is the set at the start of each line, others are
            switched to.
        default_name: what this peer means when MSH-18 is blank. None: UTF-8 if the bytes are that,
            else ISO 8859-1.

    Standard: HL7 v2.5.1 2.15.9.18.
    """
    blank = not any(names)
    if data.isascii() and b"\x1b" not in data and (blank or not _wide(names[0])):
        return data.decode("ascii"), _codec_or(names[0] if names else "", "utf-8"), None
    if blank and default_name is None:
        text, codec = _fall_back(data)
        return text, codec, CharsetFlaw.ASSUMED
    name = names[0] if names and names[0] else (default_name or "")
    codec = python_codec(name)
    if codec is None:
        text, codec = _fall_back(data)
        return text, codec, CharsetFlaw.UNKNOWN
    try:
        switches = b"\x1b" in data
        return (_decode_iso_2022(data, codec) if switches else data.decode(codec)), codec, None
    except UnicodeDecodeError:
        text, codec = _fall_back(data)
        return text, codec, CharsetFlaw.WRONG


def encode(text: str, name: str = UTF_8) -> tuple[bytes, str]:
    """Return ``text`` as bytes and the MSH-18 value that is true of them: blank for plain ASCII.

    Text that does not fit the set ``name`` is sent as UTF-8 and labelled so: a true label beats a
    lost character.
    """
    if text.isascii():
        return text.encode("ascii"), ""
    codec = python_codec(name)
    if codec is not None and codec != "ascii":
        with contextlib.suppress(UnicodeEncodeError):
            return text.encode(codec), name
    return text.encode("utf-8"), UTF_8


def hex_decoder(codec: str) -> Callable[[bytes], str | None]:
    r"""Return a function that reads the bytes of ``\Xhh..\``, None when they are no text."""

    def decode_hex(data: bytes) -> str | None:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            return None
        return None if "\x00" in text else text

    return decode_hex


def _codec_or(name: str, otherwise: str) -> str:
    codec = python_codec(name)
    return otherwise if codec is None or codec == "ascii" else codec


def _wide(name: str) -> bool:
    return python_codec(name) in {"utf-16", "utf-32"}


def _fall_back(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("iso8859-1"), "iso8859-1"


def _decode_iso_2022(data: bytes, initial: str) -> str:
    """Decode with switches: G0 back to the initial set at each line end, as table 0211 users do."""
    out: list[str] = []
    for line in data.splitlines(keepends=True):
        g0, g1, position = b"\x1b(B", initial, 0
        for escape in _ESCAPE.finditer(line):
            out.append(_decode_run(line[position : escape.start()], g0, g1))
            position = escape.end()
            if escape[0] in _G1_CODECS:
                g1 = _G1_CODECS[escape[0]]
            else:
                g0 = escape[0]
        out.append(_decode_run(line[position:], g0, g1))
    return "".join(out)


def _decode_run(run: bytes, g0: bytes, g1: str) -> str:
    if g0 not in _JAPANESE_G0:
        return run.decode(g1)
    # A line end inside a two-byte run is not part of it.
    body = run.rstrip(b"\r\n")
    return (g0 + body + b"\x1b(B").decode("iso2022_jp_ext") + run[len(body) :].decode("ascii")
