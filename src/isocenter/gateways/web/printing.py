"""Images as they are printed: chosen frames of an exam with the look that somebody gave them.

An image is named ``SERIES/INSTANCE/FRAME`` with an optional ``@centre,width`` behind it. The server
renders it; nothing is named that the exam does not hold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.pages.exam_contents import ExamContents

PRINTED_MAX: Final = 100
_NAMED: Final = re.compile(
    r"([0-9][0-9.]{0,63})/([0-9][0-9.]{0,63})/([1-9][0-9]{0,5})"
    r"(?:@(-?[0-9]{1,6}(?:\.[0-9]{1,4})?),([0-9]{1,6}(?:\.[0-9]{1,4})?))?"
)


class BadPrint(IsocenterError):
    """An image to be printed is named in a way that is not understood, or is not of the exam."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class PrintedImage:
    """One image on paper: where it is rendered, and what is written below it."""

    study_instance_uid: str
    address: str
    caption: str


def printed_images(
    contents: ExamContents, names: Sequence[str], *, dicomweb_path: str
) -> list[PrintedImage]:
    """The images by their names, in their order. Raises ``BadPrint``.

    Standard: PS3.18 8.3.5.1.4 (window)
    """
    known = {
        series.series_instance_uid: (study.study.study_instance_uid, series.label)
        for study in contents.studies
        for series in study.series
    }
    made: list[PrintedImage] = []
    for name in names[:PRINTED_MAX]:
        found = _NAMED.fullmatch(name)
        if found is None or found[1] not in known:
            raise BadPrint("an image to be printed is not of this exam")
        study_uid, label = known[found[1]]
        window = f"?window={found[4]},{found[5]},linear" if found[4] else ""
        address = (
            f"{dicomweb_path}/studies/{study_uid}/series/{found[1]}/instances/{found[2]}"
            f"/frames/{found[3]}/rendered{window}"
        )
        shown = f"{label}, frame {found[3]}" if found[3] != "1" else label
        look = f", window {found[4]} / {found[5]}" if found[4] else ""
        made.append(PrintedImage(study_uid, address, f"{shown}{look}"))
    return made
