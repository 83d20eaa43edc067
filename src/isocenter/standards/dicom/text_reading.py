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
        if self.utf_8_undeclared and not data.isascii():
            try:
                return Decoded(data.decode("utf_8"), faithful=False)
            except UnicodeDecodeError:
                pass  # it was no UTF-8 this time; what is declared may explain it
        return character_sets.decode(data, self.terms(declared), vr=vr)


AS_DECLARED: Final = TextReading()
