"""Small pictures of an image, made cheaply.

Which frame stands for a series is the caller's choice.
"""

from dataclasses import replace
from typing import Final

from isocenter.imaging.codecs import decode_frame
from isocenter.imaging.frames import PixelFormat
from isocenter.imaging.render import Presentation, encode_jpeg, fit, render_frame
from isocenter.standards.dicom import uids
from isocenter.standards.dicomweb.params import Viewport

SIZE: Final = 256
_RESOLUTIONS_MAX: Final = 4
_HTJ2K: Final = frozenset({uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K})


def thumbnail(
    frame: bytes,
    pixels: PixelFormat,
    presentation: Presentation,
    *,
    viewport: Viewport | None = None,
    quality: int = 80,
) -> bytes:
    """A JPEG file of one frame that fits the viewport (256 x 256 unless given).

    HTJ2K frames are decoded at the lowest resolution that still fills it.

    Args:
        frame: one whole frame as ``frames.extract_frame`` gives it.
        pixels: how it is encoded.
        presentation: how it is shown.
        viewport: size to fit in.
        quality: of the JPEG, 1 to 100.

    Raises:
        PixelsUnreadableError: the frame cannot be decoded.

    Standard: PS3.18 10.4.1.1.5
    """
    viewport = viewport or Viewport(SIZE, SIZE)
    skip = _resolutions_to_skip(pixels, viewport)
    decoded = decode_frame(frame, pixels, skip_resolutions=skip)
    rows, columns = decoded.pixels.shape[:2]
    small = replace(pixels, rows=rows, columns=columns)
    return encode_jpeg(fit(render_frame(decoded, presentation, small), viewport), quality=quality)


def _resolutions_to_skip(pixels: PixelFormat, viewport: Viewport) -> int:
    if pixels.transfer_syntax_uid not in _HTJ2K or viewport.source_width or viewport.source_height:
        return 0
    skip = 0
    while (
        skip < _RESOLUTIONS_MAX
        and pixels.columns >> (skip + 1) >= viewport.width
        and pixels.rows >> (skip + 1) >= viewport.height
    ):
        skip += 1
    return skip
