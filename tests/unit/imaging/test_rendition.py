"""The HTJ2K form of real images: every value of the original, as another decoder reads it."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array

from isocenter.imaging.frames import PixelsUnreadableError
from isocenter.imaging.rendition import NoRendition, write_rendition

# Signed and unsigned, 8 to 16 bits, grey and colour, several frames, odd sizes, big endian, native
# and compressed without loss.
LOSSLESS = (
    "CT_small.dcm",
    "MR_small_padded.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "J2K_pixelrep_mismatch.dcm",
)


def rendition(data: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    written: list[bytes] = []
    ranges = write_rendition(data, written.append, after_frame=lambda: None)
    return b"".join(written), ranges


def original(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LOSSLESS)
def test_every_value_is_kept_and_frames_are_where_it_says(name: str):
    data = original(name)
    made, ranges = rendition(data)
    # We encode and decode with OpenJPH; this is OpenJPEG, and pydicom reads the original.
    frames = [imagecodecs.jpeg2k_decode(made[at : at + size]) for at, size in ranges]
    wanted = pixel_array(io.BytesIO(data), raw=True)
    assert np.array_equal(np.stack(frames).reshape(wanted.shape), wanted)
    ds = pydicom.dcmread(io.BytesIO(made))
    fragments = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=len(ranges)))
    assert [each[:size] for each, (_, size) in zip(fragments, ranges, strict=True)] == [
        made[at : at + size] for at, size in ranges
    ]
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.202"
    assert ds.SOPInstanceUID == pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", "with loss"),
        ("rtplan.dcm", "no pixel data"),
        ("liver_1frame.dcm", "one bit"),
    ],
)
def test_what_gains_nothing_or_cannot_be_held_gets_none_and_nothing_is_written(name: str, why: str):
    written: list[bytes] = []
    with pytest.raises(PixelsUnreadableError, match=why):
        write_rendition(original(name), written.append, after_frame=lambda: None)
    assert written == []


def test_a_rendition_of_a_rendition_is_refused():
    made, _ = rendition(original("CT_small.dcm"))
    with pytest.raises(NoRendition, match="HTJ2K already"):
        rendition(made)
