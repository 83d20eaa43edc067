"""What each lossless transfer syntax keeps, and what lossy ones say; stored values are compared."""

import numpy as np
import pytest

from isocenter.imaging.codecs import decode_frame
from isocenter.imaging.encoders import can_encode
from isocenter.imaging.frames import PixelsUnreadableError
from isocenter.imaging.transcode import open_image, transcode_file
from isocenter.standards.dicom import uids
from tests.unit.imaging.test_imaging import image_file

RANDOM = np.random.default_rng(7)
EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
LOSSLESS = (
    uids.HTJ2K_LOSSLESS,
    uids.HTJ2K_LOSSLESS_RPCL,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_LOSSLESS,
    uids.JPEG_LOSSLESS_FIRST_ORDER,
    uids.JPEG_XL_LOSSLESS,
    uids.RLE_LOSSLESS,
    uids.DEFLATED_IMAGE_FRAME,
    uids.ENCAPSULATED_UNCOMPRESSED,
)
LOSSY = {
    uids.JPEG_BASELINE: "ISO_10918_1",
    uids.JPEG_EXTENDED: "ISO_10918_1",
    uids.JPEG_LS_NEAR_LOSSLESS: "ISO_14495_1",
    uids.JPEG_2000: "ISO_15444_1",
    uids.HTJ2K: "ISO_15444_15",
}


def values_of(data: bytes, *, keep_ybr: bool = True):
    image = open_image(data)
    return [decode_frame(frame, image.pixels, keep_ybr=keep_ybr) for frame in image.frames()]


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize(
    ("shape", "dtype", "photometric"),
    [
        ((3, 3, 3), np.uint8, "RGB"),
        ((5, 4, 3), np.uint8, "YBR_FULL"),
        ((6, 7, 3), np.uint16, "RGB"),
    ],
)
def test_colour_is_kept(syntax, shape, dtype, photometric):
    array = RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    out = transcode_file(image_file(array, photometric=photometric), syntax)
    (back,) = values_of(out)
    assert np.array_equal(back.pixels, array)
    assert back.photometric_interpretation == photometric
    native = transcode_file(out, EXPLICIT)
    assert np.array_equal(values_of(native)[0].pixels, array)
    assert open_image(native).header.text(0x00280004) == photometric


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_frames_of_signed_twelve_bits_are_kept(syntax):
    array = RANDOM.integers(-2048, 2047, (3, 9, 11), dtype=np.int16)
    out = transcode_file(image_file(array, frames_=3, bits_stored=12), syntax)
    assert np.array_equal([each.pixels for each in values_of(out)], array)


def test_native_pixels_pass_untouched():
    """Also what lies in bits that are not stored ones."""
    array = RANDOM.integers(0, 65535, (4, 5), dtype=np.uint16)
    data = image_file(array, bits_stored=12)
    out = transcode_file(data, uids.IMPLICIT_VR_LITTLE_ENDIAN)
    assert out.endswith(array.tobytes())


def test_overlays_in_unused_bits_are_not_lost():
    array = RANDOM.integers(0, 65535, (4, 5), dtype=np.uint16)
    data = image_file(array, bits_stored=12)
    pixels = data.rindex(b"\xe0\x7f\x10\x00")
    allocated = b"\x00\x60\x00\x01US\x02\x00\x10\x00"
    data = data[:pixels] + allocated + data[pixels:]
    with pytest.raises(PixelsUnreadableError, match="overlay"):
        transcode_file(data, uids.RLE_LOSSLESS)
    assert transcode_file(data, uids.IMPLICIT_VR_LITTLE_ENDIAN).endswith(array.tobytes())


@pytest.mark.parametrize(("syntax", "method"), LOSSY.items())
def test_lossy_ones_say_so_and_come_near(syntax, method):
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) * 4
    out = transcode_file(image_file(ramp), syntax)
    header = open_image(out).header
    assert header.text(0x00282110) == "01"
    assert header.text(0x00282114) == method
    assert header.decimal(0x00282112) > 0
    (back,) = values_of(out)
    assert np.abs(back.pixels.astype(int) - ramp).max() <= 12


def test_large_images_have_a_small_resolution():
    wide = np.zeros((2, 5000), np.uint8)
    (frame,) = open_image(transcode_file(image_file(wide), uids.HTJ2K_LOSSLESS_RPCL)).frames()
    levels = frame[frame.index(b"\xff\x52") + 9]
    assert 5000 >> levels <= 64


def test_what_is_written():
    assert all(can_encode(each) for each in (*LOSSLESS, *LOSSY, EXPLICIT))
    assert not can_encode("1.2.840.10008.1.2.4.102")
