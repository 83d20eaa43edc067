"""Frames as bytes and as arrays: what the image module says of pixels, and native encodings.

Compressed frames are ``codecs``' work; what a viewer shows is ``render``'s.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.part10_elements import Buffer
from isocenter.standards.dicom.part10_frames import FrameRange, join_fragments
from isocenter.standards.dicom.values import DataSet

Pixels = npt.NDArray[Any]

PIXEL_DATA: Final = 0x7FE00010
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
# A frame larger than this is refused before memory is taken for it.
FRAME_BYTES_MAX: Final = 1 << 30


class PixelsUnreadableError(RemoteProtocolError):
    """The pixel data contradicts its description, or its encoding is not supported."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of every frame of an image are encoded.

    Attributes:
        signed: stored values are two's complement.
        planar: colour samples are kept plane by plane (native encodings).
        pixel_data_tag: integer, float or double float pixel data.

    Standard: PS3.3 C.7.6.3, PS3.5 8
    """

    rows: int
    columns: int
    transfer_syntax_uid: str
    samples_per_pixel: int = 1
    photometric_interpretation: str = "MONOCHROME2"
    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int = 15
    signed: bool = False
    planar: bool = False
    number_of_frames: int = 1
    pixel_data_tag: int = PIXEL_DATA
    pixel_data_vr: str = "OW"

    @property
    def is_colour(self) -> bool:
        """Whether a pixel has three samples."""
        return self.samples_per_pixel >= 3


def pixel_format(
    header: DataSet,
    transfer_syntax_uid: str,
    *,
    pixel_data_tag: int = PIXEL_DATA,
    pixel_data_vr: str = "OW",
) -> PixelFormat:
    """What ``header`` says of the pixels.

    Raises:
        PixelsUnreadableError: an attribute is missing or absurd.

    Standard: PS3.3 C.7.6.3
    """
    rows, columns = header.number(0x00280010), header.number(0x00280011)
    samples = header.number(0x00280002) or 1
    allocated = header.number(0x00280100) or 0
    if pixel_data_tag != PIXEL_DATA:
        allocated = 32 if pixel_data_tag == FLOAT_PIXEL_DATA else 64
    if not rows or not columns or samples not in {1, 3, 4}:
        raise PixelsUnreadableError("Rows, Columns or Samples per Pixel is missing or absurd")
    if allocated not in {1, 8, 16, 32, 64}:
        raise PixelsUnreadableError(f"Bits Allocated is {allocated}")
    if rows * columns * samples * allocated > 8 * FRAME_BYTES_MAX:
        raise PixelsUnreadableError(f"a frame is larger than {FRAME_BYTES_MAX} bytes")
    stored = min(header.number(0x00280101) or allocated, allocated)
    high_bit = header.number(0x00280102)
    high_bit = (
        stored - 1 if high_bit is None or not stored - 1 <= high_bit < allocated else high_bit
    )
    return PixelFormat(
        rows=rows,
        columns=columns,
        transfer_syntax_uid=transfer_syntax_uid,
        samples_per_pixel=samples,
        photometric_interpretation=header.text(0x00280004) or "MONOCHROME2",
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=header.number(0x00280103) == 1,
        planar=header.number(0x00280006) == 1,
        number_of_frames=max(1, header.number(0x00280008) or 1),
        pixel_data_tag=pixel_data_tag,
        pixel_data_vr=pixel_data_vr,
    )


def extract_frame(range_bytes: Buffer, frame: FrameRange) -> bytes:
    """One frame as its codec wants it, from the bytes of its range.

    Fragments are joined; a 1 bit frame that begins inside a byte is moved to the byte's edge.

    Raises:
        RemoteProtocolError: the bytes are not those of the range.

    Standard: PS3.5 A.4, 8.1.1
    """
    if frame.fragments > 1:
        return join_fragments(range_bytes)
    if frame.first_bit == 0:
        return bytes(range_bytes)
    bits = np.unpackbits(np.frombuffer(range_bytes, np.uint8), bitorder="little")
    return np.packbits(bits[frame.first_bit :], bitorder="little").tobytes()


def native_array(frame: bytes, pixels: PixelFormat) -> Pixels:
    """The stored values of a native frame: (rows, columns) or (rows, columns, samples).

    dtype is the smallest that Bits Allocated and Pixel Representation name; float for float pixel
    data. YBR_FULL_422 comes back with its colour samples doubled, as YBR_FULL.

    Raises:
        PixelsUnreadableError: fewer bytes than a frame takes.

    Standard: PS3.5 8.1.1, 8.2; PS3.3 C.7.6.3.1.2, C.7.6.3.1.3
    """
    if pixels.bits_allocated == 1:
        return _bit_array(frame, pixels)
    subsampled = (
        pixels.photometric_interpretation == "YBR_FULL_422" and pixels.samples_per_pixel == 3
    )
    samples = 2 if subsampled else pixels.samples_per_pixel
    dtype = _native_dtype(pixels)
    count = pixels.rows * pixels.columns * samples
    if len(frame) < count * dtype.itemsize:
        raise PixelsUnreadableError("the frame has fewer bytes than its description asks for")
    if _is_swapped_bytes(pixels):
        # PS3.5 8.2.1: 8 bit pixels in OW words; big endian words hold them crosswise.
        if len(frame) % 2:
            raise PixelsUnreadableError("big endian frames of an odd number of bytes share words")
        frame = (
            np.frombuffer(frame[: len(frame) // 2 * 2], np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
        )
    values = np.frombuffer(frame, dtype, count)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    if subsampled:
        return _expand_422(values, pixels)
    if pixels.samples_per_pixel == 1:
        array = values.reshape(pixels.rows, pixels.columns)
    elif pixels.planar:
        planes = values.reshape(pixels.samples_per_pixel, pixels.rows, pixels.columns)
        array = np.moveaxis(planes, 0, -1)
    else:
        array = values.reshape(pixels.rows, pixels.columns, pixels.samples_per_pixel)
    return clear_unused_bits(array, pixels) if pixels.bits_stored < pixels.bits_allocated else array


def _native_dtype(pixels: PixelFormat) -> np.dtype[Any]:
    kind = "u"
    if pixels.pixel_data_tag != PIXEL_DATA:
        kind = "f"
    elif pixels.signed:
        kind = "i"
    order = "<" if uids.transfer_syntax(pixels.transfer_syntax_uid).little_endian else ">"
    return np.dtype(f"{order}{kind}{pixels.bits_allocated // 8}")


def _is_swapped_bytes(pixels: PixelFormat) -> bool:
    return (
        pixels.bits_allocated == 8
        and pixels.pixel_data_vr == "OW"
        and not uids.transfer_syntax(pixels.transfer_syntax_uid).little_endian
    )


def _bit_array(frame: bytes, pixels: PixelFormat) -> Pixels:
    count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
    if bits.size < count:
        raise PixelsUnreadableError("the frame has fewer bits than its description asks for")
    return bits[:count].reshape(pixels.rows, pixels.columns)


def _expand_422(values: Pixels, pixels: PixelFormat) -> Pixels:
    """Y1 Y2 Cb Cr for each two pixels becomes Y Cb Cr for each pixel.

    Standard: PS3.3 C.7.6.3.1.2 YBR_FULL_422
    """
    if pixels.columns % 2:
        raise PixelsUnreadableError("YBR_FULL_422 has an odd number of columns")
    pairs = values.reshape(-1, 4)
    full = np.empty((pairs.shape[0], 2, 3), values.dtype)
    full[:, :, 0] = pairs[:, :2]
    full[:, :, 1:] = pairs[:, np.newaxis, 2:]
    return full.reshape(pixels.rows, pixels.columns, 3)


def clear_unused_bits(array: Pixels, pixels: PixelFormat) -> Pixels:
    """Stored values without what lies in the bits around them; the sign is extended.

    Old images keep overlays there; some writers leave the sign of 12 bit values unextended.

    Standard: PS3.5 8.1.1
    """
    if array.dtype.kind not in "iu":
        return array
    width = array.dtype.itemsize * 8
    above = width - min(pixels.high_bit + 1, width)
    shifted = array.astype(array.dtype, copy=True)
    shifted <<= above
    shifted >>= width - min(pixels.bits_stored, width)
    return shifted
