"""Compressed frames to arrays of stored values, for every transfer syntax of still images.

Colour comes back as RGB when the frame was in a luminance and chrominance space, and the result
says so. Video is not decoded; encoding is ``transcode``'s work.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import imagecodecs
import numpy as np

from isocenter.imaging.colour import ybr_full_to_rgb, ybr_partial_to_rgb
from isocenter.imaging.frames import PixelFormat, Pixels, PixelsUnreadableError, native_array
from isocenter.standards.dicom import uids

_SEGMENTS_MAX: Final = 15
_RLE_HEADER: Final = struct.Struct("<16L")
# Others without fragments hold no pixels at all (JPIP, SMPTE ST 2110) or are withdrawn (Papyrus 3).
_NATIVE: Final = frozenset({
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_BIG_ENDIAN,
})
_LOSSLESS_JPEG: Final = frozenset({uids.JPEG_LOSSLESS, uids.JPEG_LOSSLESS_FIRST_ORDER})
_JPEG_2000: Final = frozenset({f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93)})
_HTJ2K: Final = frozenset({uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K})
_JPEG_XL: Final = frozenset({uids.JPEG_XL_LOSSLESS, uids.JPEG_XL_RECOMPRESSION, uids.JPEG_XL})
_JPEG_LS: Final = frozenset({uids.JPEG_LS_LOSSLESS, uids.JPEG_LS_NEAR_LOSSLESS})
_DCT_JPEG: Final = frozenset({f"1.2.840.10008.1.2.4.{n}" for n in range(50, 57)})


class Decoded(NamedTuple):
    """One frame's stored values and the colour space they are in.

    ``pixels`` is (rows, columns) or (rows, columns, samples).
    """

    pixels: Pixels
    photometric_interpretation: str


def can_decode(transfer_syntax_uid: str) -> bool:
    """Whether frames of this transfer syntax can become arrays."""
    return transfer_syntax_uid in _NATIVE or transfer_syntax_uid in _DECODERS


def decode_frame(
    frame: bytes, pixels: PixelFormat, *, skip_resolutions: int = 0, keep_ybr: bool = False
) -> Decoded:
    """The stored values of one frame.

    Args:
        frame: one whole frame as ``frames.extract_frame`` gives it.
        pixels: how it is encoded.
        skip_resolutions: halve rows and columns so often while decoding, where the encoding can
            (HTJ2K); others give the full size.
        keep_ybr: leave YBR_FULL as it is stored, where it is not the codec that converts it: RGB
            made of it does not lead back to the same values. YBR_FULL_422 comes as YBR_FULL.

    Raises:
        PixelsUnreadableError: the codec refuses the bytes, the result contradicts the description,
            or the transfer syntax is not one of still images.

    Standard: PS3.5 8, Annex A, Annex G
    """
    syntax = pixels.transfer_syntax_uid
    if syntax in _NATIVE:
        native = Decoded(native_array(frame, pixels), pixels.photometric_interpretation)
        return _as_stored(native) if keep_ybr else _to_rgb(*native)
    decoder = _DECODERS.get(syntax)
    if decoder is None:
        raise PixelsUnreadableError(f"{uids.name_of(syntax)} is not decoded")
    try:
        if syntax in _HTJ2K and skip_resolutions:
            array = imagecodecs.htj2k_decode(frame, skipres=skip_resolutions, planar=False)
            decoded = Decoded(array, _after_wavelet(pixels))
        else:
            decoded = decoder(frame, pixels)
    except PixelsUnreadableError:
        raise
    except (RuntimeError, ValueError, TypeError, MemoryError, IndexError, zlib.error) as error:
        raise PixelsUnreadableError(f"{uids.name_of(syntax)} frame cannot be decoded") from error
    array = _fit(decoded.pixels, pixels, checked=skip_resolutions == 0)
    decoded = Decoded(array, decoded.photometric_interpretation)
    return _as_stored(decoded) if keep_ybr else _to_rgb(*decoded)


def _fit(array: Pixels, pixels: PixelFormat, *, checked: bool) -> Pixels:
    """The codec's array in the shape and dtype that the description asks for."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    samples = array.shape[2] if array.ndim == 3 else 1
    size_differs = array.shape[:2] != (pixels.rows, pixels.columns)
    if (checked and size_differs) or samples != pixels.samples_per_pixel:
        raise PixelsUnreadableError("the decoded frame has another size than its description")
    if array.dtype.kind not in "iu" or pixels.is_colour:
        return array
    return _with_sign(array, pixels)


def _with_sign(array: Pixels, pixels: PixelFormat) -> Pixels:
    """Stored values with the sign that Pixel Representation says they have.

    Codecs carry bits; whether the highest of them is a sign is known to the data set only.

    Standard: PS3.5 8.2.1 to 8.2.4
    """
    width = max(array.dtype.itemsize * 8, pixels.bits_allocated)
    kind = "i" if pixels.signed else "u"
    if array.dtype.kind == kind and array.dtype.itemsize * 8 == width:
        return array
    bits = pixels.bits_stored
    wide = array.astype(np.int64)
    wide &= (1 << bits) - 1
    if pixels.signed:
        sign = 1 << (bits - 1)
        wide = (wide ^ sign) - sign
    return wide.astype(np.dtype(f"{kind}{width // 8}"))


def _as_stored(decoded: Decoded) -> Decoded:
    if decoded.photometric_interpretation == "YBR_FULL_422":
        return Decoded(decoded.pixels, "YBR_FULL")
    return decoded if decoded.photometric_interpretation == "YBR_FULL" else _to_rgb(*decoded)


def _to_rgb(array: Pixels, photometric_interpretation: str) -> Decoded:
    if array.ndim == 3 and array.shape[2] == 3:
        if photometric_interpretation in {"YBR_FULL", "YBR_FULL_422"}:
            return Decoded(ybr_full_to_rgb(array), "RGB")
        if photometric_interpretation in {"YBR_PARTIAL_420", "YBR_PARTIAL_422"}:
            return Decoded(ybr_partial_to_rgb(array), "RGB")
    return Decoded(array, photometric_interpretation)


def _decode_jpeg(frame: bytes, pixels: PixelFormat) -> Decoded:
    """JPEG by discrete cosine transform, 8 or 12 bit.

    Standard: PS3.5 8.2.1, A.4.1
    """
    if pixels.samples_per_pixel == 1:
        return Decoded(_jpeg8(frame), pixels.photometric_interpretation)
    if pixels.photometric_interpretation == "RGB" and not _says_ycbcr(frame):
        return Decoded(_jpeg8(frame, colorspace="RGB", outcolorspace="RGB"), "RGB")
    return Decoded(_jpeg8(frame, outcolorspace="RGB"), "RGB")


def _jpeg8(frame: bytes, **options: Any) -> Pixels:
    return imagecodecs.jpeg8_decode(frame, **options)


def _says_ycbcr(frame: bytes) -> bool:
    """Whether the stream itself says that it is YCbCr: JFIF, or Adobe with transform 1.

    Data sets say RGB of both kinds; the stream knows better.
    """
    position = 2
    while position + 4 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in {0xDA, 0xC0, 0xC1, 0xC2}:
            return False
        length = int.from_bytes(frame[position + 2 : position + 4])
        body = frame[position + 4 : position + 2 + length]
        if marker == 0xE0 and body.startswith(b"JFIF\0"):
            return True
        if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            return body[11] == 1
        position += 2 + length
    return False


def _decode_lossless_jpeg(frame: bytes, pixels: PixelFormat) -> Decoded:
    """JPEG lossless (process 14, any predictor): stored values as they are.

    Standard: PS3.5 8.2.1, A.4.1
    """
    try:
        array = (
            _jpeg8(frame, colorspace="RGB", outcolorspace="RGB")
            if pixels.is_colour
            else _jpeg8(frame)
        )
    except RuntimeError:
        array = imagecodecs.jpegsof3_decode(frame)
    return Decoded(array, pixels.photometric_interpretation)


def _decode_jpeg_ls(frame: bytes, pixels: PixelFormat) -> Decoded:
    array = imagecodecs.jpegls_decode(frame)
    return Decoded(array, pixels.photometric_interpretation)


def _after_wavelet(pixels: PixelFormat) -> str:
    """JPEG 2000 undoes its own colour transform: YBR_RCT and YBR_ICT name it, RGB is left.

    Standard: PS3.3 C.7.6.3.1.2
    """
    photometric = pixels.photometric_interpretation
    return "RGB" if photometric in {"YBR_RCT", "YBR_ICT"} else photometric


def _decode_jpeg_2000(frame: bytes, pixels: PixelFormat) -> Decoded:
    array = imagecodecs.jpeg2k_decode(frame)
    return Decoded(array, _after_wavelet(pixels))


def _decode_htj2k(frame: bytes, pixels: PixelFormat) -> Decoded:
    # Components without a colour transform would come one after the other.
    array = imagecodecs.htj2k_decode(frame, planar=False)
    return Decoded(array, _after_wavelet(pixels))


def _decode_jpeg_xl(frame: bytes, pixels: PixelFormat) -> Decoded:
    array = imagecodecs.jpegxl_decode(frame)
    photometric = pixels.photometric_interpretation
    if pixels.transfer_syntax_uid == uids.JPEG_XL_LOSSLESS:
        return Decoded(array, photometric)
    return Decoded(array, "RGB" if pixels.is_colour else photometric)


def _decode_rle(frame: bytes, pixels: PixelFormat) -> Decoded:
    """RLE: one segment for each byte of each sample, most significant first.

    Standard: PS3.5 Annex G
    """
    if len(frame) < _RLE_HEADER.size:
        raise PixelsUnreadableError("the RLE header is cut off")
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    width = pixels.bits_allocated // 8
    if width == 0 and count == 1:
        # PS3.5 G: one bit pixels are packed before they are encoded.
        packed = _unpack_bits(frame[offsets[0] :])
        return Decoded(native_array(packed, pixels), pixels.photometric_interpretation)
    if count != pixels.samples_per_pixel * width or count > _SEGMENTS_MAX:
        raise PixelsUnreadableError(f"the RLE frame has {count} segments")
    ends = [*offsets[1:count], len(frame)]
    size = pixels.rows * pixels.columns
    planes = np.empty((pixels.samples_per_pixel, size, width), np.uint8)
    for number in range(count):
        segment = frame[offsets[number] : ends[number]]
        plane = np.frombuffer(_unpack_bits(segment), np.uint8)
        if plane.size < size:
            raise PixelsUnreadableError("an RLE segment is shorter than a frame")
        sample, byte = divmod(number, width)
        # Segments begin with the most significant byte; the array is little endian.
        planes[sample, :, width - 1 - byte] = plane[:size]
    dtype = np.dtype(f"<{'i' if pixels.signed else 'u'}{width}")
    values = planes.view(dtype).reshape(pixels.samples_per_pixel, pixels.rows, pixels.columns)
    array = values[0] if pixels.samples_per_pixel == 1 else np.moveaxis(values, 0, -1)
    return Decoded(np.ascontiguousarray(array), pixels.photometric_interpretation)


def _unpack_bits(segment: bytes) -> bytes:
    return cast("bytes", imagecodecs.packbits_decode(segment))


def _decode_deflated(frame: bytes, pixels: PixelFormat) -> Decoded:
    limit = (
        pixels.rows * pixels.columns * pixels.samples_per_pixel * max(1, pixels.bits_allocated // 8)
    )
    raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, limit)
    return Decoded(native_array(raw, pixels), pixels.photometric_interpretation)


def _decode_uncompressed(frame: bytes, pixels: PixelFormat) -> Decoded:
    native = replace(pixels, planar=False)
    return Decoded(native_array(frame, native), pixels.photometric_interpretation)


_Decoder = Callable[[bytes, PixelFormat], Decoded]
_DECODERS: Final[dict[str, _Decoder]] = {
    **dict.fromkeys(_DCT_JPEG, _decode_jpeg),
    **dict.fromkeys(_LOSSLESS_JPEG, _decode_lossless_jpeg),
    **dict.fromkeys(_JPEG_LS, _decode_jpeg_ls),
    **dict.fromkeys(_JPEG_2000, _decode_jpeg_2000),
    **dict.fromkeys(_HTJ2K, _decode_htj2k),
    **dict.fromkeys(_JPEG_XL, _decode_jpeg_xl),
    uids.RLE_LOSSLESS: _decode_rle,
    uids.DEFLATED_IMAGE_FRAME: _decode_deflated,
    uids.ENCAPSULATED_UNCOMPRESSED: _decode_uncompressed,
}
