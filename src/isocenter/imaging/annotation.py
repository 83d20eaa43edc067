"""Text burned into a picture: who it shows and how it was made.

The font that comes with Pillow has Latin, Greek and Cyrillic letters; others show as boxes.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from isocenter.imaging.render import EightBit

_LINES_IN_HEIGHT: Final = 32
_SIZE_MIN: Final = 8
_MARGIN: Final = 4


def annotated(image: EightBit, *, left: Sequence[str], right: Sequence[str]) -> EightBit:
    """``image`` with lines of text in its upper corners, readable on any background.

    Standard: PS3.18 8.3.5.1.1
    """
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(picture)
    size = max(_SIZE_MIN, picture.height // _LINES_IN_HEIGHT)
    font = ImageFont.load_default(size)
    colour = 255 if picture.mode == "L" else (255, 255, 255)
    edge = 0 if picture.mode == "L" else (0, 0, 0)
    for lines, anchor, x in (
        (left, "la", _MARGIN),
        (right, "ra", picture.width - _MARGIN),
    ):
        for number, line in enumerate(lines):
            at = (x, _MARGIN + number * (size + 2))
            draw.text(
                at, line, fill=colour, font=font, anchor=anchor, stroke_width=1, stroke_fill=edge
            )
    return np.asarray(picture)
