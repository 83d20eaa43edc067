"""Reading text whose Specific Character Set is absent or not true.

What the standard says about text that keeps to its declaration is in ``character_sets``; here is
what is known beforehand of a sender that does not. Nothing is guessed beyond what is said of it.

Standard: PS3.3 C.12.1.1.2
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards.dicom import character_sets
from isocenter.standards.dicom.character_sets import Decoded


@dataclass(frozen=True, slots=True)
class TextReading:
    """How the text of a data set is read.

    Attributes:
        assumed: the terms where none are declared; () follows the standard.
        utf_8_undeclared: bytes beyond ASCII that are well-formed UTF-8 are that, whatever single
            byte set is declared.
    """

    assumed: tuple[str, ...] = ()
    utf_8_undeclared: bool = False

    def terms(self, declared: Sequence[str]) -> tuple[str, ...]:
        """The terms that are taken for the declared ones."""
        return tuple(declared) or self.assumed

    def decode(self, data: bytes, declared: Sequence[str], *, vr: str = "LO") -> Decoded:
        """The text of a value; see ``character_sets.decode``."""
        if self.utf_8_undeclared and _is_utf_8(data):
            return Decoded(data.decode("utf_8"), faithful=data.isascii())
        return character_sets.decode(data, self.terms(declared), vr=vr)


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf_8")
    except UnicodeDecodeError:
        return False
    return b"\x1b" not in data  # escape sequences are of ISO 2022


AS_DECLARED: Final = TextReading()
