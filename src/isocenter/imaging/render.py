"""What a person sees: stored values through modality, VOI and presentation steps to 8 bit images.

Grey and colour images of any photometric interpretation; the caller may override the window and ask
for a size. Overlays, shutters and presentation states are not applied; ICC profiles on request.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from isocenter.imaging.codecs import Decoded
from isocenter.imaging.colour import Palette, apply_palette, palette_of
from isocenter.imaging.frames import PixelFormat, Pixels, PixelsUnreadableError
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicomweb.params import Viewport, Window

EightBit = npt.NDArray[np.uint8]

JPEG_QUALITY: Final = 90
_SHARED_GROUPS: Final = 0x52009229
_PER_FRAME_GROUPS: Final = 0x52009230
_PIXEL_VALUE_TRANSFORMATION: Final = 0x00289145
_FRAME_VOI_LUT: Final = 0x00289132
_BINS_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A modality or VOI lookup table: a value less ``first`` is the index of its entry.

    Attributes:
        bits: of the entries' range.

    Standard: PS3.3 C.11.1.1.1, C.11.2.1.1
    """

    first: int
    bits: int
    entries: npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Presentation:
    """How stored values of one frame become what is shown.

    Attributes:
        window: the image's first window, in modality values.
        inverted: the lowest value is white (MONOCHROME1).
        padding: first and last stored value that mark pixels outside the image, if any.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality_table: LookupTable | None = None
    window: Window | None = None
    voi_table: LookupTable | None = None
    palette: Palette | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None


def presentation_of(header: DataSet, frame_number: int = 1) -> Presentation:
    """How the image wants frame ``frame_number`` (from 1) to be shown.

    Enhanced multi-frame images say it per frame, else shared; the others once.

    Standard: PS3.3 C.11.1, C.11.2, C.7.6.16.2.9, C.7.6.16.2.10
    """
    modality = _functional(header, frame_number, _PIXEL_VALUE_TRANSFORMATION)
    voi = _functional(header, frame_number, _FRAME_VOI_LUT)
    slope, intercept = modality.decimal(0x00281053), modality.decimal(0x00281052)
    return Presentation(
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        modality_table=_table(header.item(0x00283000)),
        window=_window(voi),
        voi_table=_table(voi.item(0x00283010)),
        palette=palette_of(header) if header.text(0x00280004) == "PALETTE COLOR" else None,
        inverted=header.text(0x00280004) == "MONOCHROME1",
        padding=_padding(header),
    )


def _functional(header: DataSet, frame_number: int, group: int) -> DataSet:
    frames = header.sequence(_PER_FRAME_GROUPS)
    if 0 < frame_number <= len(frames):
        found = frames[frame_number - 1].item(group)
        if found:
            return found
    return header.item(_SHARED_GROUPS).item(group) or header


def _window(voi: DataSet) -> Window | None:
    center, width = voi.decimal(0x00281050), voi.decimal(0x00281051)
    function = voi.text(0x00281056) or "LINEAR"
    if center is None or width is None or width <= 0:
        return None
    if function == "LINEAR" and width < 1:
        # PS3.3 C.11.2.1.2.1 forbids it; parametric maps write it all the same and mean it exactly.
        function = "LINEAR_EXACT"
    return Window(center, width, function)


def _table(item: DataSet) -> LookupTable | None:
    descriptor = item.decimals(0x00283002)
    if len(descriptor) != 3:
        return None
    count = int(descriptor[0]) % _BINS_MAX or _BINS_MAX
    data = item.get(0x00283006)
    if data is None:
        return None
    bits = min(max(int(descriptor[2]), 8), 16)
    raw = item.octets(0x00283006)
    if raw:
        narrow = len(raw) < 2 * count
        entries = np.frombuffer(raw[: len(raw) // 2 * 2], "<u1" if narrow else "<u2")
    else:
        entries = np.array(item.decimals(0x00283006), np.int64)
    if entries.size < 1:
        return None
    return LookupTable(int(descriptor[1]), bits, entries[:count].astype(np.uint16))


def _padding(header: DataSet) -> tuple[int, int] | None:
    """Pixel Padding Value and, with a range limit, all between.

    Standard: PS3.3 C.7.5.1.1.2
    """
    value = header.number(0x00280120)
    if value is None:
        return None
    limit = header.number(0x00280121)
    limit = value if limit is None else limit
    return min(value, limit), max(value, limit)


def render_frame(
    frame: Decoded, presentation: Presentation, pixels: PixelFormat, *, window: Window | None = None
) -> EightBit:
    """The frame as it is shown: (rows, columns) grey or (rows, columns, 3) RGB.

    Args:
        frame: stored values.
        presentation: how the image wants to be shown.
        pixels: how wide the stored values are.
        window: in place of the image's own.

    Standard: PS3.4 N.2, PS3.3 C.11
    """
    if frame.pixels.ndim == 3:
        return _colour(frame.pixels[:, :, :3], pixels)
    if presentation.palette is not None:
        return apply_palette(frame.pixels, presentation.palette)
    values = modality_values(frame.pixels, presentation)
    if window is not None:
        shown = apply_window(values, window)
    elif presentation.window is not None:
        shown = apply_window(values, _for_kind(presentation.window, frame.pixels))
    elif presentation.voi_table is not None:
        shown = _apply_voi_table(values, presentation.voi_table)
    else:
        shown = apply_window(values, full_window(frame.pixels, values, presentation))
    grey = np.rint(shown * 255).astype(np.uint8)
    return 255 - grey if presentation.inverted else grey


def _for_kind(window: Window, stored: Pixels) -> Window:
    """LINEAR counts in whole steps; parametric maps in fractions of one mean LINEAR_EXACT by it."""
    if stored.dtype.kind == "f" and window.function == "LINEAR":
        return Window(window.center, window.width, "LINEAR_EXACT")
    return window


def _colour(array: Pixels, pixels: PixelFormat) -> EightBit:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    top = (1 << pixels.bits_stored) - 1
    return np.clip(array.astype(np.float32) * (255 / top), 0, 255).astype(np.uint8)


def modality_values(stored: Pixels, presentation: Presentation) -> npt.NDArray[np.float32]:
    """Stored values in the modality's unit, such as Hounsfield units.

    Standard: PS3.3 C.11.1.1
    """
    table = presentation.modality_table
    if table is not None and stored.dtype.kind in "iu":
        index = np.clip(stored.astype(np.int64) - table.first, 0, len(table.entries) - 1)
        return table.entries[index].astype(np.float32)
    values = stored.astype(np.float32)
    if presentation.slope != 1:
        values *= presentation.slope
    if presentation.intercept:
        values += presentation.intercept
    return values


def apply_window(values: npt.NDArray[np.float32], window: Window) -> npt.NDArray[np.float32]:
    """Values through a window to 0 … 1.

    Standard: PS3.3 C.11.2.1.2.1, C.11.2.1.3.1, C.11.2.1.3.2
    """
    center, width = window.center, window.width
    match window.function:
        case "SIGMOID":
            exponent = np.clip(-4 * (values - center) / width, -60, 60)
            return (1 / (1 + np.exp(exponent))).astype(np.float32)
        case "LINEAR_EXACT":
            shown = (values - center) / width + 0.5
        case _ if width <= 1:
            shown = values > center - 0.5
        case _:
            shown = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.clip(np.nan_to_num(shown.astype(np.float32)), 0, 1)


def full_window(
    stored: Pixels, values: npt.NDArray[np.float32], presentation: Presentation
) -> Window:
    """A window over all values of the frame, padding left out."""
    inside = np.isfinite(values)
    if presentation.padding is not None:
        first, last = presentation.padding
        inside &= (stored < first) | (stored > last)
    if not inside.any():
        return Window(0.5, 1.0, "LINEAR_EXACT")
    low, high = float(values[inside].min()), float(values[inside].max())
    if high <= low:
        # Equal values have no contrast: they show as black, whatever they are.
        return Window(low + 0.5, 1.0, "LINEAR_EXACT")
    return Window((low + high) / 2, high - low, "LINEAR_EXACT")


def _apply_voi_table(
    values: npt.NDArray[np.float32], table: LookupTable
) -> npt.NDArray[np.float32]:
    index = np.clip(np.rint(values).astype(np.int64) - table.first, 0, len(table.entries) - 1)
    top = float((1 << table.bits) - 1)
    return np.clip(table.entries[index].astype(np.float32) / top, 0, 1)


def fit(image: EightBit, viewport: Viewport) -> EightBit:
    """The part of ``image`` that the viewport shows, scaled to fit in it, proportions kept.

    Standard: PS3.18 8.3.5.1.3
    """
    rows, columns = image.shape[:2]
    left = min(int(viewport.source_x), columns - 1)
    top = min(int(viewport.source_y), rows - 1)
    right = min(columns, left + (int(viewport.source_width) or columns))
    bottom = min(rows, top + (int(viewport.source_height) or rows))
    part = image[top:bottom, left:right]
    if viewport.flip_horizontal:
        part = part[:, ::-1]
    if viewport.flip_vertical:
        part = part[::-1]
    scale = min(viewport.width / part.shape[1], viewport.height / part.shape[0])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    if size == (part.shape[1], part.shape[0]):
        return np.ascontiguousarray(part)
    filter_ = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size, filter_))


def encode_jpeg(image: EightBit, *, quality: int = JPEG_QUALITY, icc_profile: bytes = b"") -> bytes:
    """A JPEG file of a grey or RGB image; ``quality`` is 1 to 100."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality, icc_profile=icc_profile or None)
    return out.getvalue()


def encode_png(image: EightBit, *, icc_profile: bytes = b"") -> bytes:
    """A PNG file of a grey or RGB image."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=1, icc_profile=icc_profile or None)
    return out.getvalue()


def encode_gif(images: Iterable[EightBit], *, frame_time_ms: float) -> bytes:
    """A GIF file that shows the images one after the other, for ever; one image stands still."""
    first, *others = (Image.fromarray(each) for each in images)
    out = io.BytesIO()
    if not others:
        first.save(out, "GIF")
        return out.getvalue()
    # GIF counts in hundredths of a second, and players slow down what is faster than two of them.
    duration = max(20, round(frame_time_ms / 10) * 10)
    first.save(
        out, "GIF", save_all=True, append_images=others, duration=duration, loop=0, optimize=False
    )
    return out.getvalue()


def to_srgb(image: EightBit, icc_profile: bytes) -> EightBit:
    """RGB in the sRGB space, of an image in the space that the profile describes.

    Raises:
        PixelsUnreadableError: the profile cannot be applied to the image.

    Standard: PS3.18 8.3.5.1.5, PS3.3 C.11.15
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        made = ImageCms.profileToProfile(Image.fromarray(image), source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise PixelsUnreadableError("the ICC profile cannot be applied") from error
    if made is None:
        raise PixelsUnreadableError("the ICC profile cannot be applied")
    return np.asarray(made)


def srgb_profile() -> bytes:
    """The ICC profile of sRGB."""
    return _srgb().tobytes()


def _srgb() -> ImageCms.ImageCmsProfile:
    make = cast("Callable[[str], Any]", ImageCms.createProfile)  # whose type Pillow leaves open
    return ImageCms.ImageCmsProfile(make("sRGB"))
