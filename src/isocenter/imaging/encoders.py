"""Arrays of stored values to frames of a transfer syntax, lossless ones keeping every value.

Decoding is ``codecs``' work, whole files are ``transcode``'s.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import imagecodecs
import numpy as np

from isocenter.imaging.codecs import Decoded
from isocenter.imaging.frames import PixelFormat, Pixels, PixelsUnreadableError
from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import uids

NATIVE: Final = frozenset({
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
})
_JPEG_QUALITY: Final = 90
_JPEG_2000_BITS_MAX: Final = 26
_BITS_MAX: Final = 64
_LEVELS_MIN: Final = 5
_LOWEST_RESOLUTION_MAX: Final = 64
_JPEG_LS_NEAR: Final = 2
_HTJ2K_STEP: Final = 0.0001
_PSNR_DB: Final = 55
_PSNR_WIDE_DB: Final = 70


def can_encode(transfer_syntax_uid: str) -> bool:
    """Whether frames and files can be written in this transfer syntax."""
    return transfer_syntax_uid in NATIVE or transfer_syntax_uid in _ENCODERS


def encode_frame(frame: Decoded, pixels: PixelFormat, transfer_syntax_uid: str) -> bytes:
    """One frame's bytes in the target transfer syntax, without padding.

    Args:
        frame: as ``codecs.decode_frame`` gave it.
        pixels: of the source; stored bits and sign are the frame's.
        transfer_syntax_uid: target.

    Raises:
        PixelsUnreadableError: the target cannot hold such pixels.
        LocalProtocolError: the target is not one that is written.

    Standard: PS3.5 8, Annex A
    """
    if transfer_syntax_uid in NATIVE:
        return _encode_native(frame.pixels, pixels)
    encoder = _ENCODERS.get(transfer_syntax_uid)
    if encoder is None:
        raise LocalProtocolError(f"{uids.name_of(transfer_syntax_uid)} is not written")
    name = uids.name_of(transfer_syntax_uid)
    if frame.pixels.dtype.kind == "f" or pixels.bits_allocated == _BITS_MAX:
        raise PixelsUnreadableError("only integer pixels of 1 to 32 bits are compressed")
    if pixels.bits_allocated == 1 and transfer_syntax_uid not in _OF_BITS:
        raise PixelsUnreadableError(f"pixels of one bit are not written as {name}")
    array = np.ascontiguousarray(frame.pixels)
    try:
        return encoder(Decoded(array, frame.photometric_interpretation), pixels)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise PixelsUnreadableError(f"the frame cannot be written as {name}") from error


def _encode_native(array: Pixels, pixels: PixelFormat) -> bytes:
    if pixels.bits_allocated == 1:
        return np.packbits(array.astype(np.uint8).ravel(), bitorder="little").tobytes()
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _unsigned(array: Pixels, pixels: PixelFormat) -> Pixels:
    """The stored bits without a sign: what codecs without signed pixels carry."""
    if array.dtype.kind != "i":
        return array
    unsigned = array.view(array.dtype.str.replace("i", "u"))
    return unsigned & unsigned.dtype.type((1 << pixels.bits_stored) - 1)


def _has_rgb(frame: Decoded) -> bool:
    """Whether a colour transform makes sense, of which the codec knows the way back."""
    return frame.pixels.ndim == 3 and frame.photometric_interpretation == "RGB"


def _encode_htj2k(frame: Decoded, pixels: PixelFormat) -> bytes:
    """HTJ2K with RPCL progression and TLM markers, for both lossless transfer syntaxes.

    Standard: PS3.5 A.4.11 (also how small the lowest resolution is at most)
    """
    levels = _LEVELS_MIN
    while max(pixels.rows, pixels.columns) >> levels > _LOWEST_RESOLUTION_MAX:
        levels += 1
    return _bytes(
        imagecodecs.htj2k_encode(
            frame.pixels, reversible=True, tlm=True, rgb=_has_rgb(frame), resolutions=levels
        )
    )


def _encode_lossy_htj2k(frame: Decoded, pixels: PixelFormat) -> bytes:
    del pixels
    return _bytes(
        imagecodecs.htj2k_encode(
            frame.pixels, _HTJ2K_STEP, reversible=False, tlm=True, rgb=_has_rgb(frame)
        )
    )


def _encode_jpeg_ls(frame: Decoded, pixels: PixelFormat) -> bytes:
    return _bytes(imagecodecs.jpegls_encode(_unsigned(frame.pixels, pixels)))


def _encode_lossy_jpeg_ls(frame: Decoded, pixels: PixelFormat) -> bytes:
    if pixels.signed:
        # Errors near zero would turn signs over.
        raise PixelsUnreadableError("signed pixels are not written near-losslessly")
    return _bytes(imagecodecs.jpegls_encode(frame.pixels, _JPEG_LS_NEAR))


def _encode_jpeg_2000(frame: Decoded, pixels: PixelFormat) -> bytes:
    if pixels.bits_stored > _JPEG_2000_BITS_MAX:
        raise PixelsUnreadableError("OpenJPEG holds at most 26 bits without loss")
    return _bytes(
        imagecodecs.jpeg2k_encode(
            frame.pixels,
            codecformat="j2k",
            reversible=True,
            mct=_has_rgb(frame),
            bitspersample=pixels.bits_stored,
        )
    )


def _encode_lossy_jpeg_2000(frame: Decoded, pixels: PixelFormat) -> bytes:
    wide = pixels.bits_stored > 8
    return _bytes(
        imagecodecs.jpeg2k_encode(
            frame.pixels,
            _PSNR_WIDE_DB if wide else _PSNR_DB,
            codecformat="j2k",
            reversible=False,
            mct=_has_rgb(frame),
            bitspersample=pixels.bits_stored,
        )
    )


def _encode_lossless_jpeg(frame: Decoded, pixels: PixelFormat) -> bytes:
    bits = max(pixels.bits_stored, 2)
    if pixels.is_colour:
        return _bytes(
            imagecodecs.jpeg8_encode(
                frame.pixels,
                lossless=True,
                predictor=1,
                colorspace="RGB",
                outcolorspace="RGB",
                bitspersample=bits,
            )
        )
    return _bytes(
        imagecodecs.jpeg8_encode(
            _unsigned(frame.pixels, pixels), lossless=True, predictor=1, bitspersample=bits
        )
    )


def _encode_jpeg_baseline(frame: Decoded, pixels: PixelFormat) -> bytes:
    if frame.pixels.dtype != np.uint8:
        raise PixelsUnreadableError("JPEG baseline holds 8 bit pixels")
    if pixels.is_colour:
        return _bytes(imagecodecs.jpeg8_encode(frame.pixels, _JPEG_QUALITY, subsampling="422"))
    return _bytes(imagecodecs.jpeg8_encode(frame.pixels, _JPEG_QUALITY))


def _encode_jpeg_extended(frame: Decoded, pixels: PixelFormat) -> bytes:
    if pixels.bits_stored <= 8:
        return _encode_jpeg_baseline(frame, pixels)
    if pixels.bits_stored > 12 or pixels.signed or pixels.is_colour:
        raise PixelsUnreadableError("JPEG extended holds unsigned grey pixels of up to 12 bits")
    return _bytes(imagecodecs.jpeg8_encode(frame.pixels, _JPEG_QUALITY, bitspersample=12))


def _encode_jpeg_xl(frame: Decoded, pixels: PixelFormat) -> bytes:
    return _bytes(
        imagecodecs.jpegxl_encode(
            _unsigned(frame.pixels, pixels), lossless=True, usecontainer=False, numthreads=1
        )
    )


def _encode_rle(frame: Decoded, pixels: PixelFormat) -> bytes:
    """RLE: one segment for each byte of each sample, most significant first.

    Standard: PS3.5 Annex G
    """
    array = frame.pixels
    width = array.dtype.itemsize
    samples = array[:, :, np.newaxis] if array.ndim == 2 else array
    segments: list[bytes] = []
    for sample in range(samples.shape[2]):
        plane = np.ascontiguousarray(samples[:, :, sample], samples.dtype.newbyteorder(">"))
        octets = plane.view(np.uint8).reshape(pixels.rows, pixels.columns, width)
        for byte in range(width):
            rows = (np.ascontiguousarray(row) for row in octets[:, :, byte])
            segment = b"".join(_pack_bits(row.tobytes()) for row in rows)
            segments.append(segment + b"\0" * (len(segment) % 2))
    if len(segments) > 15:
        raise PixelsUnreadableError("RLE holds at most 15 segments")
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack(f"<L{len(offsets)}L", len(segments), *offsets).ljust(64, b"\0")
    return header + b"".join(segments)


def _pack_bits(row: bytes) -> bytes:
    return _bytes(imagecodecs.packbits_encode(row))


def _bytes(encoded: Any) -> bytes:
    return bytes(encoded)


def _encode_deflated(frame: Decoded, pixels: PixelFormat) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(_encode_native(frame.pixels, pixels)) + stream.flush()


def _encode_uncompressed(frame: Decoded, pixels: PixelFormat) -> bytes:
    return _encode_native(frame.pixels, pixels)


_Encoder = Callable[[Decoded, PixelFormat], bytes]
_ENCODERS: Final[dict[str, _Encoder]] = {
    uids.HTJ2K_LOSSLESS: _encode_htj2k,
    uids.HTJ2K_LOSSLESS_RPCL: _encode_htj2k,
    uids.HTJ2K: _encode_lossy_htj2k,
    uids.JPEG_LS_LOSSLESS: _encode_jpeg_ls,
    uids.JPEG_LS_NEAR_LOSSLESS: _encode_lossy_jpeg_ls,
    uids.JPEG_2000_LOSSLESS: _encode_jpeg_2000,
    uids.JPEG_2000: _encode_lossy_jpeg_2000,
    uids.JPEG_LOSSLESS: _encode_lossless_jpeg,
    uids.JPEG_LOSSLESS_FIRST_ORDER: _encode_lossless_jpeg,
    uids.JPEG_BASELINE: _encode_jpeg_baseline,
    uids.JPEG_EXTENDED: _encode_jpeg_extended,
    uids.JPEG_XL_LOSSLESS: _encode_jpeg_xl,
    uids.RLE_LOSSLESS: _encode_rle,
    uids.DEFLATED_IMAGE_FRAME: _encode_deflated,
    uids.ENCAPSULATED_UNCOMPRESSED: _encode_uncompressed,
}
_OF_BITS: Final = frozenset({uids.DEFLATED_IMAGE_FRAME, uids.ENCAPSULATED_UNCOMPRESSED})
