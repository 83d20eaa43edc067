r"""ER7 escape sequences: text to escaped text and back, losing nothing.

Delimiters (``\F\`` ``\S\`` ``\T\`` ``\R\`` ``\E\`` ``\P\``), hexadecimal data (``\Xhh..\``) and
line breaks (``\.br\``) become characters. Everything else that looks like an escape stays as it
came, character for character: highlighting (``\H\`` ``\N\``), character set switches (``\Cxxyy\``
``\Mxxyyzz\``), other formatting, local ``\Z..\``, and broken ones. A lone escape character is data.

Standard: HL7 v2.5.1 2.7.
"""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from isocenter.standards.hl7v2.charsets import hex_decoder


@dataclass(frozen=True, slots=True)
class Syntax:
    """The delimiters of one message (MSH-1 and MSH-2) and how its hexadecimal escapes are read.

    Attributes:
        field: MSH-1. The others are the characters of MSH-2; one that is missing there is empty
            here.
        codec: Python codec of the message.
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    codec: str = "utf-8"
    decode_hex: Callable[[bytes], str | None] = dataclasses.field(
        default=hex_decoder("utf-8"), repr=False, compare=False
    )

    @property
    def encoding_characters(self) -> str:
        """The value of MSH-2."""
        return (
            self.component
            + self.repetition
            + self.escape
            + self.subcomponent
            + (self.truncation if self.subcomponent else "")
        )


DEFAULT_SYNTAX: Final = Syntax()


def unescape(text: str, syntax: Syntax = DEFAULT_SYNTAX) -> str:
    """Return what ``text`` says; sequences that are not characters stay in it unchanged.

    Standard: HL7 v2.5.1 2.7.
    """
    if not syntax.escape or syntax.escape not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        if match["letter"]:
            return _letters(syntax)[match["letter"]]
        if match["hex"]:
            digits = match["hex"].replace(f"{syntax.escape}X", "").replace(syntax.escape, "")
            decoded = syntax.decode_hex(bytes.fromhex(digits))
            return match[0] if decoded is None else decoded
        return "\n" if match["br"] else match[0]

    return _pattern(syntax.escape).sub(replace, text)


def escape(text: str, syntax: Syntax = DEFAULT_SYNTAX) -> str:
    r"""Return ``text`` with its delimiters escaped; line feeds become ``\.br\``.

    NUL is dropped: HL7 has no place for it.

    Standard: HL7 v2.5.1 2.7.
    """
    if not text:
        return text
    if text == '""' and syntax.escape:
        # Two quotes alone would ask the receiver to delete the value.
        return f"{syntax.escape}X2222{syntax.escape}"
    # Nearly every message has the same delimiters: finding their table takes longer than using it.
    table = _DEFAULT_TRANSLATION if syntax is DEFAULT_SYNTAX else _translation(syntax)
    return text.translate(table)


@lru_cache(maxsize=64)
def _pattern(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    # Neighbouring hexadecimal escapes are read together: a character may be split over them.
    # The last alternative consumes known sequences that stay, so that their closing escape opens
    # nothing.
    return re.compile(
        rf"(?P<hex>(?:{e}X(?:[0-9A-Fa-f]{{2}})+{e})+)"
        rf"|{e}(?P<letter>[FSTREP]){e}"
        rf"|{e}(?P<br>\.[bB][rR]){e}"
        rf"|{e}(?:[HN]|C[0-9A-Fa-f]{{4}}|M[0-9A-Fa-f]{{4}}(?:[0-9A-Fa-f]{{2}})?|Z[0-9A-Za-z]*"
        rf"|\.[A-Za-z]{{2}}[+-]?[0-9]*){e}"
    )


@lru_cache(maxsize=64)
def _letters(syntax: Syntax) -> dict[str, str]:
    return {
        "F": syntax.field,
        "S": syntax.component,
        "T": syntax.subcomponent,
        "R": syntax.repetition,
        "E": syntax.escape,
        "P": syntax.truncation or "#",
    }


@lru_cache(maxsize=64)
def _translation(syntax: Syntax) -> dict[int, str]:
    e = syntax.escape
    if not e:
        return {0: ""}
    table = {
        delimiter: f"{e}{letter}{e}"
        for letter, delimiter in _letters(syntax).items()
        if delimiter and (letter != "P" or syntax.truncation)
    }
    table |= {"\n": f"{e}.br{e}", "\x00": ""}
    table |= {control: f"{e}X{ord(control):02X}{e}" for control in "\r\x0b\x1c\x1b"}
    return str.maketrans(table)


_DEFAULT_TRANSLATION: Final = _translation(DEFAULT_SYNTAX)
