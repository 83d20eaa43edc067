"""Pixels with known answers: native layouts, the display pipeline by its formulas, transcoding."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isocenter.imaging import colour, frames, render, thumbnails, transcode
from isocenter.imaging.codecs import Decoded, can_decode, decode_frame
from isocenter.imaging.frames import PixelFormat, PixelsUnreadableError, native_array
from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.part10_frames import FrameRange
from isocenter.standards.dicom.values import DataSet, Element, encode_dataset
from isocenter.standards.dicomweb.params import Viewport, Window
from tests.raising import check_raises_only

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
LOSSLESS = (
    uids.HTJ2K_LOSSLESS_RPCL,
    uids.HTJ2K_LOSSLESS,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_LOSSLESS_FIRST_ORDER,
    uids.RLE_LOSSLESS,
    uids.DEFLATED_IMAGE_FRAME,
)


def pixel_format(rows, columns, **more) -> PixelFormat:
    return PixelFormat(rows=rows, columns=columns, transfer_syntax_uid=EXPLICIT, **more)


def image_file(array, *, bits_stored=None, frames_=1, photometric=None, **more) -> bytes:
    dataset = DataSet()
    dataset.put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7")
    dataset.put("SOPInstanceUID", "1.2.3")
    samples = 3 if array.ndim == 3 and frames_ == 1 else 1
    dataset.put("SamplesPerPixel", samples)
    dataset.put(
        "PhotometricInterpretation", photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    )
    dataset.put("NumberOfFrames", str(frames_))
    dataset.put("Rows", array.shape[-2] if samples == 1 else array.shape[-3])
    dataset.put("Columns", array.shape[-1] if samples == 1 else array.shape[-2])
    bits = array.dtype.itemsize * 8
    dataset.put("BitsAllocated", bits)
    dataset.put("BitsStored", bits_stored or bits)
    dataset.put("HighBit", (bits_stored or bits) - 1)
    dataset.put("PixelRepresentation", int(array.dtype.kind == "i"))
    for keyword, value in more.items():
        dataset.put(keyword, value)
    body = array.tobytes()
    body += b"\0" * (len(body) % 2)
    return (
        part10.encode_file_meta(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
            sop_instance_uid="1.2.3",
            transfer_syntax_uid=EXPLICIT,
        )
        + encode_dataset(dataset, EXPLICIT)
        + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, len(body))
        + body
    )


def pixels_of(data: bytes) -> list[np.ndarray]:
    image = transcode.open_image(data)
    return [decode_frame(frame, image.pixels).pixels for frame in image.frames()]


def test_native_layouts():
    planar = pixel_format(1, 2, samples_per_pixel=3, bits_allocated=8, bits_stored=8, high_bit=7,
                          planar=True, photometric_interpretation="RGB")  # fmt: skip
    assert native_array(bytes([1, 2, 3, 4, 5, 6]), planar).tolist() == [[[1, 3, 5], [2, 4, 6]]]
    signed = pixel_format(1, 2, bits_stored=12, high_bit=11, signed=True)
    # Bits above the 12 stored ones carry an overlay, and the sign is not extended.
    assert native_array(struct.pack("<2H", 0xFFFF, 0x1001), signed).tolist() == [[-1, 1]]
    bits = pixel_format(2, 3, bits_allocated=1, bits_stored=1, high_bit=0)
    assert native_array(bytes([0b101010]), bits).tolist() == [[0, 1, 0], [1, 0, 1]]
    with pytest.raises(PixelsUnreadableError):
        native_array(b"\0", signed)


def test_a_one_bit_frame_that_begins_inside_a_byte_is_moved():
    moved = frames.extract_frame(b"\xc0\x03", FrameRange(0, 2, first_bit=6))
    assert moved[0] & 0b1111 == 0b1111


def test_ybr_full_422_doubles_the_colour_of_each_pair():
    image = pixel_format(1, 2, samples_per_pixel=3, bits_allocated=8, bits_stored=8, high_bit=7,
                         photometric_interpretation="YBR_FULL_422")  # fmt: skip
    assert native_array(bytes([10, 20, 128, 200]), image).tolist() == [
        [[10, 128, 200], [20, 128, 200]]
    ]


@pytest.mark.parametrize(
    ("ybr", "rgb"),
    [
        ((76, 85, 255), (254, 0, 0)),
        ((150, 44, 21), (0, 255, 1)),
        ((255, 128, 128), (255, 255, 255)),
    ],
)
def test_ybr_to_rgb_by_the_standards_matrix(ybr, rgb):
    found = colour.ybr_full_to_rgb(np.array([[ybr]], np.uint8))
    assert np.abs(found[0, 0].astype(int) - rgb).max() <= 1


@pytest.mark.parametrize(
    ("window", "value", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 is the identity of 12 bit values to 8 bit ones.
        (Window(2048, 4096), 0, 0.0),
        (Window(2048, 4096), 4095, 1.0),
        (Window(2048, 4096), 2047.5, 0.5),
        (Window(0, 1), -1, 0.0),
        (Window(0, 1), 0, 1.0),
        (Window(0, 100), -50, 0.0),
        (Window(0, 100), 49, 1.0),
        (Window(0, 100, "LINEAR_EXACT"), 25, 0.75),
        (Window(0, 100, "SIGMOID"), 0, 0.5),
        (Window(0, 100, "SIGMOID"), 25, 1 / (1 + np.exp(-1))),
    ],
)
def test_windows_by_their_formulas(window, value, expected):
    found = render.apply_window(np.array([[value]], np.float32), window)
    assert found[0, 0] == pytest.approx(expected, abs=1e-3)


def test_the_pipeline_of_a_ct_slice():
    stored = np.array([[0, 1024, 1064, 1264]], np.uint16)
    header = DataSet()
    for keyword, value in {
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "WindowCenter": "40",
        "WindowWidth": "400",
    }.items():
        header.put(keyword, value)
    shown = render.render_frame(
        Decoded(stored, "MONOCHROME2"), render.presentation_of(header), pixel_format(1, 4)
    )
    assert shown.tolist() == [[0, 102, 128, 255]]
    header.put("PhotometricInterpretation", "MONOCHROME1")
    inverted = render.render_frame(
        Decoded(stored, "MONOCHROME1"), render.presentation_of(header), pixel_format(1, 4)
    )
    assert inverted.tolist() == [[255, 153, 127, 0]]
    narrow = render.render_frame(
        Decoded(stored, "MONOCHROME2"),
        render.presentation_of(header),
        pixel_format(1, 4),
        window=Window(0, 2, "LINEAR_EXACT"),
    )
    assert narrow.tolist() == [[255, 127, 0, 0]]


def test_without_a_window_the_whole_range_shows_and_padding_is_left_out():
    stored = np.array([[-2000, 100, 150, 200]], np.int16)
    header = DataSet()
    header.put("PixelPaddingValue", -2000, vr="SS")
    shown = render.render_frame(
        Decoded(stored, "MONOCHROME2"),
        render.presentation_of(header),
        pixel_format(1, 4, signed=True),
    )
    assert shown.tolist() == [[0, 0, 128, 255]]


def test_lookup_tables():
    voi = DataSet()
    voi.put("LUTDescriptor", 4, 10, 8)
    voi.put("LUTData", 0, 85, 170, 255, vr="US")
    header = DataSet({0x00283010: Element("SQ", (voi,))})
    shown = render.render_frame(
        Decoded(np.array([[5, 10, 11, 12, 13, 99]], np.uint16), "MONOCHROME2"),
        render.presentation_of(header),
        pixel_format(1, 6),
    )
    assert shown.tolist() == [[0, 0, 85, 170, 255, 255]]
    modality = DataSet()
    modality.put("LUTDescriptor", 2, 0, 16)
    modality.put("LUTData", 1000, 2000, vr="US")
    presentation = render.presentation_of(DataSet({0x00283000: Element("SQ", (modality,))}))
    values = render.modality_values(np.array([[0, 1, 7]], np.uint8), presentation)
    assert values.tolist() == [[1000, 2000, 2000]]


def palette_header(entries: list[bytes], descriptor=(4, 2, 16), base=0x00281201) -> DataSet:
    header = DataSet()
    header.put("PhotometricInterpretation", "PALETTE COLOR")
    for number, raw in enumerate(entries):
        header.put(0x00281101 + number, *descriptor)
        header.put(base + number, raw, vr="OW")
    return header


def test_palettes_plain_and_segmented():
    ramp = struct.pack("<4H", 0, 0x5500, 0xAA00, 0xFF00)
    zero = bytes(8)
    palette = colour.palette_of(palette_header([ramp, zero, ramp]))
    shown = colour.apply_palette(np.array([[0, 2, 3, 5, 9]], np.uint8), palette)
    assert shown[0].tolist() == [[0, 0, 0], [0, 0, 0], [85, 0, 85], [255, 0, 255], [255, 0, 255]]
    # A discrete segment of one entry, then a ramp of three to the last.
    segmented = struct.pack("<6H", 0, 1, 0, 1, 3, 0xFF00)
    found = colour.palette_of(palette_header([segmented] * 3, base=0x00281221))
    assert found.entries[:, 0].tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize(
    "raw", [b"\1\0", struct.pack("<4H", 7, 1, 0, 0), struct.pack("<4H", 2, 9, 0, 0)]
)
def test_broken_palettes_are_refused(raw):
    with pytest.raises(colour.PaletteUnreadableError):
        colour.palette_of(palette_header([raw] * 3, base=0x00281221))


def test_enhanced_images_say_it_per_frame():
    def group(center):
        voi = DataSet()
        voi.put("WindowCenter", center)
        voi.put("WindowWidth", "10")
        return DataSet({0x00289132: Element("SQ", (voi,))})

    header = DataSet({
        0x52009229: Element("SQ", (group("1"),)),
        0x52009230: Element("SQ", (group("2"), DataSet())),
    })
    assert render.presentation_of(header, 1).window == Window(2, 10)
    assert render.presentation_of(header, 2).window == Window(1, 10)


def test_viewports_keep_proportions_crop_and_flip():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    assert render.fit(image, Viewport(10, 10)).shape == (5, 10)
    part = render.fit(image, Viewport(4, 2, 3, 1, 4, 2, flip_horizontal=True))
    assert part.tolist() == image[1:3, 3:7][:, ::-1].tolist()
    png = Image.open(io.BytesIO(render.encode_png(image)))
    assert np.array_equal(np.asarray(png), image)
    assert Image.open(io.BytesIO(render.encode_jpeg(image))).size == (20, 10)


ARRAYS = st.one_of(
    st.tuples(st.just(np.uint8), st.sampled_from([8])),
    st.tuples(st.just(np.uint16), st.sampled_from([10, 12, 16])),
    st.tuples(st.just(np.int16), st.sampled_from([12, 16])),
)


@settings(deadline=None, max_examples=40)
@given(
    ARRAYS, st.integers(1, 40), st.integers(1, 40), st.sampled_from(LOSSLESS), st.integers(0, 99)
)
def test_lossless_transcoding_keeps_every_stored_value(kind, rows, columns, syntax, seed):
    dtype, bits = kind
    low, high = (-(1 << bits - 1), 1 << bits - 1) if dtype == np.int16 else (0, 1 << bits)
    array = np.random.default_rng(seed).integers(low, high, (2, rows, columns)).astype(dtype)
    data = image_file(array, bits_stored=bits, frames_=2)
    out = transcode.transcode_file(data, syntax)
    assert part10.parse_file_meta(out).transfer_syntax_uid == syntax
    assert np.array_equal(np.stack(pixels_of(out)), array)
    back = transcode.transcode_file(out, uids.IMPLICIT_VR_LITTLE_ENDIAN)
    assert np.array_equal(np.stack(pixels_of(back)), array)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_transcoding_of_colour(syntax):
    array = np.random.default_rng(1).integers(0, 256, (33, 17, 3)).astype(np.uint8)
    out = transcode.transcode_file(image_file(array), syntax)
    assert np.array_equal(pixels_of(out)[0], array)


def test_a_lossy_target_says_so():
    array = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    out = transcode.open_image(transcode.transcode_file(image_file(array), uids.JPEG_BASELINE))
    assert out.header.text(0x00282110) == "01"
    assert out.header.text(0x00282114) == "ISO_10918_1"
    found = decode_frame(next(out.frames()), out.pixels).pixels
    assert np.abs(found.astype(int) - array).mean() < 2
    with pytest.raises(PixelsUnreadableError):
        transcode.transcode_file(image_file(array.astype(np.uint16)), uids.JPEG_BASELINE)


def test_targets_that_are_not_written():
    with pytest.raises(LocalProtocolError):
        transcode.transcode_file(
            image_file(np.zeros((2, 2), np.uint8)), uids.EXPLICIT_VR_BIG_ENDIAN
        )
    assert not can_decode("1.2.840.10008.1.2.4.102")
    for without_pixels in ("4.94", "4.95", "4.204", "4.205", "7.1", "7.2", "7.3"):
        assert not can_decode(f"1.2.840.10008.1.2.{without_pixels}")
    assert not can_decode("1.2.840.10008.1.20")  # Papyrus 3
    assert all(can_decode(f"1.2.840.10008.1.2{each}") for each in ("", ".1", ".1.99", ".2"))
    assert can_decode(uids.JPEG_EXTENDED)


def test_thumbnails_of_htj2k_use_its_lower_resolutions():
    array = np.tile(np.arange(512, dtype=np.uint16) * 8, (512, 1))
    data = transcode.transcode_file(image_file(array, bits_stored=12), uids.HTJ2K_LOSSLESS_RPCL)
    image = transcode.open_image(data)
    jpeg = thumbnails.thumbnail(
        next(image.frames()),
        image.pixels,
        render.presentation_of(image.header),
        viewport=Viewport(64, 64),
    )
    small = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
    assert small.shape == (64, 64)
    # A ramp from black on the left to white on the right.
    assert small[32, 1] < 20
    assert small[32, 62] > 235
    assert np.all(np.diff(small[32]) > -8)


@given(st.binary(max_size=100), st.sampled_from([*LOSSLESS, uids.JPEG_BASELINE, uids.JPEG_2000]))
@settings(deadline=None)
def test_broken_frames_raise_one_error(data, syntax):
    image = PixelFormat(rows=4, columns=4, transfer_syntax_uid=syntax)
    check_raises_only(PixelsUnreadableError, decode_frame, data, image)
