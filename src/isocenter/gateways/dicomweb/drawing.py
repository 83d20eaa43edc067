"""Frames of instances as picture files: what rendered resources and WADO-URI answer with.

Not for primary diagnosis: eight bits, one window, maybe compressed with loss.

Standard: PS3.18 8.3.5, 8.7.4
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_splits import Modifications
from isocenter.gateways.dicomweb.context import Dicomweb
from isocenter.gateways.dicomweb.corrections import corrected_header
from isocenter.gateways.dicomweb.errors import NothingThere, TooLarge
from isocenter.gateways.dicomweb.pictures import Picture, decoded_frame, frame_bytes, open_picture
from isocenter.imaging.annotation import annotated
from isocenter.imaging.render import (
    JPEG_QUALITY,
    EightBit,
    encode_gif,
    encode_jpeg,
    encode_png,
    fit,
    presentation_of,
    render_frame,
    srgb_profile,
    to_srgb,
)
from isocenter.imaging.thumbnails import thumbnail as small_picture
from isocenter.imaging.video import encode_mp4
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.values_model import DataSet
from isocenter.standards.dicomweb.media_types import GIF, JPEG, MP4, PNG
from isocenter.standards.dicomweb.params import Viewport, Window
from isocenter.standards.dicomweb.wado_uri import Region

_FRAME_TIME: Final = 0x0018_1063
_CINE_RATE: Final = 0x0018_0040
_FRAME_TIME_MS: Final = 100.0
_ICC_PROFILE: Final = 0x0028_2000
_OPTICAL_PATH_SEQUENCE: Final = 0x0048_0105


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client asks of a picture.

    Attributes:
        annotation: patient, technique or both.
        icc_profile: no, yes (the image's own) or srgb.
        box: largest width and height where there is no viewport; 0 for any.
        region: the part to show where there is no viewport, in fractions.
        modifications: what headers must say now, where they are shown.
        is_small: a thumbnail, of which some encodings let us decode only as much as is shown.
    """

    media_type: str = JPEG
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = JPEG_QUALITY
    annotation: frozenset[str] = frozenset()
    icc_profile: str = "no"
    box: tuple[int, int] = (0, 0)
    region: Region | None = None
    modifications: Modifications = field(default_factory=Modifications)
    is_small: bool = False


def draw(context: Dicomweb, location: InstanceLocation, frames: Sequence[int], wish: Wish) -> bytes:
    """A picture file of one frame (from 1), or of several where the media type moves.

    Raises:
        NothingThere: there is nothing to show, or it cannot be decoded.
        TooLarge: it would have more pixels than are rendered.
    """
    picture = open_picture(context.blobs, location)
    wish = replace(wish, viewport=_viewport(picture, wish))
    pixels_max = context.options.rendered_pixels_max
    moves = wish.media_type in {GIF, MP4}
    _check_size(picture, wish, pixels_max // len(frames) if moves else pixels_max)
    try:
        if wish.is_small and wish.media_type == JPEG:
            return _small(context, picture, frames[0], wish)
        if wish.media_type == GIF:
            images = _images(context, picture, frames, wish)
            return encode_gif(images, frame_time_ms=_frame_time_ms(picture.header))
        if wish.media_type == MP4:
            images = _images(context, picture, frames, wish)
            time_ms = _frame_time_ms(picture.header)
            return encode_mp4(images, frame_time_ms=time_ms, quality=wish.quality)
        image = next(_images(context, picture, frames, wish))
    except RemoteProtocolError as error:
        raise NothingThere(f"the frame cannot be shown: {error}") from error
    profile = _profile(picture.header, wish) if image.ndim == 3 else b""
    if wish.media_type == PNG:
        return encode_png(image, icc_profile=profile)
    return encode_jpeg(image, quality=wish.quality, icc_profile=profile)


def _viewport(picture: Picture, wish: Wish) -> Viewport | None:
    """The viewport that is asked for, or that box and region amount to.

    Standard: PS3.18 9.1.2.2.4 to 9.1.2.2.6
    """
    if wish.viewport is not None or (wish.region is None and wish.box == (0, 0)):
        return wish.viewport
    rows, columns = picture.pixels.rows, picture.pixels.columns
    left, top, right, bottom = wish.region or (0.0, 0.0, 1.0, 1.0)
    width = max(1, round((right - left) * columns))
    height = max(1, round((bottom - top) * rows))
    wide, high = wish.box
    if not wide:
        wide = max(1, round(width * high / height)) if high else width
    if not high:
        high = max(1, round(height * wide / width))
    return Viewport(wide, high, left * columns, top * rows, width, height)


def _images(
    context: Dicomweb, picture: Picture, frames: Sequence[int], wish: Wish
) -> Iterator[EightBit]:
    for number in frames:
        decoded = decoded_frame(context.blobs, context.frame_index, picture, number)
        presentation = presentation_of(picture.header, number)
        image = render_frame(decoded, presentation, picture.pixels, window=wish.window)
        own = _own_profile(picture.header)
        if wish.icc_profile == "srgb" and own and image.ndim == 3:
            image = to_srgb(image, own)
        if wish.viewport is not None:
            image = fit(image, wish.viewport)
        if wish.annotation:
            header = corrected_header(picture.header, wish.modifications.of(picture.location))
            left = _patient(header) if "patient" in wish.annotation else []
            right = _technique(picture.header) if "technique" in wish.annotation else []
            image = annotated(image, left=left, right=right)
        yield image


def _small(context: Dicomweb, picture: Picture, frame: int, wish: Wish) -> bytes:
    return small_picture(
        frame_bytes(context.blobs, context.frame_index, picture, frame),
        picture.pixels,
        presentation_of(picture.header, frame),
        viewport=wish.viewport,
        quality=wish.quality,
    )


def _check_size(picture: Picture, wish: Wish, pixels_max: int) -> None:
    """Refuse before the memory is taken."""
    shown = wish.viewport.width * wish.viewport.height if wish.viewport else 0
    if max(picture.pixels.rows * picture.pixels.columns, shown) > pixels_max:
        raise TooLarge(f"images of more than {pixels_max} pixels are not rendered")


def _frame_time_ms(header: DataSet) -> float:
    """How long a frame is shown.

    Standard: PS3.3 C.7.6.5
    """
    rate = header.decimal(_CINE_RATE)
    return header.decimal(_FRAME_TIME) or (1000 / rate if rate else _FRAME_TIME_MS)


def _own_profile(header: DataSet) -> bytes:
    """The image's ICC profile; of whole slides, that of the first optical path."""
    return header.octets(_ICC_PROFILE) or header.item(_OPTICAL_PATH_SEQUENCE).octets(_ICC_PROFILE)


def _profile(header: DataSet, wish: Wish) -> bytes:
    if wish.icc_profile == "srgb":
        return srgb_profile()
    return _own_profile(header) if wish.icc_profile == "yes" else b""


def _patient(header: DataSet) -> list[str]:
    name = header.text(0x0010_0010).split("=")[0].replace("^", " ").strip()
    lines = [name, header.text(0x0010_0020), _day(header.text(0x0010_0030))]
    return [each for each in lines if each]


def _technique(header: DataSet) -> list[str]:
    modality = " ".join(filter(None, (header.text(0x0008_0060), header.text(0x0008_103E))))
    taken = header.text(0x0008_0022) or header.text(0x0008_0020)
    lines = [modality, _day(taken)]
    for tag, text in (
        (0x0018_0050, "{} mm"),
        (0x0018_0060, "{} kV"),
        (0x0018_1151, "{} mA"),
        (0x0018_0081, "TE {} ms"),
        (0x0018_0080, "TR {} ms"),
    ):
        value = header.decimal(tag)
        if value is not None:
            lines.append(text.format(f"{value:g}"))
    return [each for each in lines if each]


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 else text
