"""What compressed pictures say of themselves; imagecodecs makes them."""

import imagecodecs
import numpy as np
import pytest

from isocenter.standards.dicom.bitstreams import BitstreamUnclearError, read_bitstream

RANDOM = np.random.default_rng(1)
GREY = RANDOM.integers(0, 4095, (20, 30), dtype=np.uint16)
COLOUR = RANDOM.integers(0, 255, (20, 30, 3), dtype=np.uint8)
J2K = {"codecformat": "j2k", "reversible": True}
LOSSLESS = {"lossless": True, "bitspersample": 12}

CASES = [
    (imagecodecs.jpeg8_encode(COLOUR, 90), "50", 3, 8, "YBR_FULL_422"),
    (imagecodecs.jpeg8_encode(GREY, predictor=1, **LOSSLESS), "70", 1, 12, "MONOCHROME2"),
    (imagecodecs.jpeg8_encode(GREY, predictor=4, **LOSSLESS), "57", 1, 12, "MONOCHROME2"),
    (imagecodecs.jpegls_encode(GREY), "80", 1, 16, "MONOCHROME2"),
    (imagecodecs.jpegls_encode(GREY, 2), "81", 1, 16, "MONOCHROME2"),
    (imagecodecs.jpegls_encode(COLOUR), "80", 3, 8, "RGB"),
    (imagecodecs.jpeg2k_encode(COLOUR, **J2K), "90", 3, 8, "YBR_RCT"),
    (imagecodecs.jpeg2k_encode(COLOUR, mct=False, **J2K), "90", 3, 8, "RGB"),
    (
        imagecodecs.jpeg2k_encode(COLOUR, 40, codecformat="jp2", reversible=False),
        *("91", 3, 8, "YBR_ICT"),
    ),
    (imagecodecs.htj2k_encode(GREY, reversible=True, tlm=True), "202", 1, 16, "MONOCHROME2"),
    (imagecodecs.htj2k_encode(COLOUR, reversible=False), "203", 3, 8, "YBR_ICT"),
]


@pytest.mark.parametrize(("data", "syntax", "samples", "bits", "photometric"), CASES)
def test_what_a_picture_says(data, syntax, samples, bits, photometric):
    found = read_bitstream(bytes(data))
    assert found.transfer_syntax_uid == f"1.2.840.10008.1.2.4.{syntax}"
    assert (found.rows, found.columns) == (20, 30)
    assert (found.samples_per_pixel, found.bits) == (samples, bits)
    assert found.photometric_interpretation == photometric


@pytest.mark.parametrize("case", CASES[:7:3])
def test_cut_off_anywhere_raises_one_error(case):
    data = bytes(case[0])
    for end in range(0, 60):
        with pytest.raises(BitstreamUnclearError):
            read_bitstream(data[:end])


def test_progressive_pictures_have_no_transfer_syntax():
    with pytest.raises(BitstreamUnclearError):
        read_bitstream(
            b"\xff\xd8\xff\xc2\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0"
        )
