"""What is known of DICOM peers that do not keep to the standard, as policies with names.

A policy changes what a peer is believed to mean, or what it is spared; never the stored bytes. The
list is closed, so that each of them is documented and tested; combining them is an administrator's
decision, per peer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from isocenter.domain.peers.model import BadPeer
from isocenter.standards.dicom.text_reading import TextReading

_ASSUMED_SETS: Final[Mapping[str, tuple[str, str]]] = {
    "assume-latin-1": ("ISO_IR 100", "Western European"),
    "assume-latin-2": ("ISO_IR 101", "Central European"),
    "assume-cyrillic": ("ISO_IR 144", "Cyrillic"),
    "assume-greek": ("ISO_IR 126", "Greek"),
    "assume-turkish": ("ISO_IR 148", "Turkish"),
    "assume-hebrew": ("ISO_IR 138", "Hebrew"),
    "assume-arabic": ("ISO_IR 127", "Arabic"),
    "assume-thai": ("ISO_IR 166", "Thai"),
    "assume-japanese": ("ISO_IR 13", "Japanese katakana"),
    "assume-chinese": ("GB18030", "Chinese"),
}
_ANSWER_SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "answers-in-ascii": (),
    "answers-in-latin-1": ("ISO_IR 100",),
    "answers-in-utf-8": ("ISO_IR 192",),
}
UTF_8_MISLABELLED: Final = "utf-8-mislabelled"
NAMES_BEGIN: Final = "names-begin"
ALPHABETIC_NAMES: Final = "alphabetic-names"
PLAIN_PENDING: Final = "plain-pending"
NOT_TOLD_AGAIN: Final = "not-told-again"

QUIRKS: Final[Mapping[str, str]] = {
    **{
        name: f"its text without Specific Character Set is {script} ({term})"
        for name, (term, script) in _ASSUMED_SETS.items()
    },
    UTF_8_MISLABELLED: "it writes UTF-8 and declares another character set",
    NAMES_BEGIN: "names that it asks for are how a name begins, without a wildcard",
    "answers-in-ascii": "it reads answers in ASCII only: accents go, other letters become ?",
    "answers-in-latin-1": "it reads answers in ISO_IR 100 only: other letters become ?",
    "answers-in-utf-8": "it reads answers in ISO_IR 192, whatever it asks in",
    ALPHABETIC_NAMES: "it reads the alphabetic group of a name only",
    PLAIN_PENDING: "it takes status FF01 for a failure: it gets FF00",
    NOT_TOLD_AGAIN: "it takes images that come again for new ones: corrections and merges do"
    " not bring them again",
}
"""Every policy, with what it says of a peer."""

# Of these a peer has one at most.
_EXCLUSIVE: Final = (frozenset(_ASSUMED_SETS), frozenset(_ANSWER_SETS))


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How answers to a query are written.

    Attributes:
        character_set: defined terms that all text is brought into, () for ASCII; None for those of
            the question where they hold it.
        alphabetic_names: names go without their ideographic and phonetic groups.
        plain_pending: every answer has the status FF00.
    """

    character_set: tuple[str, ...] | None = None
    alphabetic_names: bool = False
    plain_pending: bool = False


def check_quirks(quirks: Iterable[str]) -> None:
    """Raise ``BadPeer`` for a policy that is unknown, or two that contradict each other."""
    given = frozenset(quirks)
    unknown = sorted(given - QUIRKS.keys())
    if unknown:
        raise BadPeer(f"quirks are {', '.join(QUIRKS)}, not {', '.join(unknown)}")
    for group in _EXCLUSIVE:
        if len(given & group) > 1:
            raise BadPeer(f"only one of {', '.join(sorted(given & group))} can be true")


def reading_of(quirks: Iterable[str]) -> TextReading:
    """How the text that the peer writes is read.

    Standard: PS3.3 C.12.1.1.2
    """
    given = frozenset(quirks)
    assumed = next((_ASSUMED_SETS[each][0] for each in sorted(given & _ASSUMED_SETS.keys())), "")
    return TextReading((assumed,) if assumed else (), UTF_8_MISLABELLED in given)


def answer_form_of(quirks: Iterable[str]) -> AnswerForm:
    """How answers to the peer's queries are written.

    Standard: PS3.4 C.4.1.1.3.2, C.4.1.1.4
    """
    given = frozenset(quirks)
    name = next(iter(sorted(given & _ANSWER_SETS.keys())), None)
    return AnswerForm(
        None if name is None else _ANSWER_SETS[name],
        alphabetic_names=ALPHABETIC_NAMES in given,
        plain_pending=PLAIN_PENDING in given,
    )
