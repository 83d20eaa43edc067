import struct

import pydicom
import pytest
from pydicom.data import get_testdata_file

from isocenter.domain.archive.model import INDEXED_TAGS
from isocenter.domain.archive.service.description import index_frames, read_header
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import parse_file_meta

NATIVE = (
    "SC_rgb_small_odd_big_endian.dcm",
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "rtdose.dcm",
)
ENCAPSULATED = ("MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm")


def load(name):
    path = get_testdata_file(name, download=False)
    with open(path, "rb") as file:  # noqa: PTH123  pydicom names it as text
        data = file.read()
    return data, parse_file_meta(data), pydicom.dcmread(path)


def ranges(packed):
    return [struct.unpack_from("<QQ", packed, at) for at in range(0, len(packed), 16)]


@pytest.mark.parametrize("name", NATIVE)
def test_native_frames_are_where_pydicom_finds_them(name):
    data, meta, dataset = load(name)
    offset = meta.dataset_offset
    header = read_header(memoryview(data)[offset:], meta.transfer_syntax_uid, dataset_offset=offset)
    frames = [data[start : start + length] for start, length in ranges(header.frame_ranges)]
    assert len(frames) == int(dataset.get("NumberOfFrames", 1))
    assert b"".join(frames) == dataset.PixelData[: len(b"".join(frames))]
    assert header.pixel_data_offset < ranges(header.frame_ranges)[0][0]
    assert not header.needs_frame_index


@pytest.mark.parametrize("name", ENCAPSULATED)
def test_encapsulated_frames_are_where_pydicom_finds_them(name):
    data, meta, dataset = load(name)
    offset = meta.dataset_offset
    header = read_header(memoryview(data)[offset:], meta.transfer_syntax_uid, dataset_offset=offset)
    assert header.needs_frame_index
    packed = index_frames(data, meta.transfer_syntax_uid, dataset_offset=offset)
    frames = [data[start : start + length] for start, length in ranges(packed)]
    count = int(dataset.get("NumberOfFrames", 1))
    assert frames == list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=count))


@pytest.mark.parametrize("name", ["CT_small.dcm", "reportsi.dcm", "image_dfl.dcm"])
def test_the_indexed_attributes_are_those_of_pydicom(name):
    data, meta, dataset = load(name)
    offset = meta.dataset_offset
    header = read_header(memoryview(data)[offset:], meta.transfer_syntax_uid, dataset_offset=offset)
    assert set(header.attributes) == {int(e.tag) for e in dataset} & INDEXED_TAGS
    for tag in set(header.attributes) & {0x00080018, 0x0020000D, 0x00100020, 0x00100010}:
        assert header.attributes[tag] == str(dataset[tag].value)


def test_only_the_header_is_needed():
    data, meta, _ = load("CT_small.dcm")
    offset = meta.dataset_offset
    whole = read_header(data[offset:], meta.transfer_syntax_uid, dataset_offset=offset)
    front = data[offset : whole.pixel_data_offset + 12]
    assert read_header(front, meta.transfer_syntax_uid, dataset_offset=offset) == whole


def test_garbage_is_a_protocol_error():
    with pytest.raises(RemoteProtocolError):
        read_header(b"no data set at all", "1.2.840.10008.1.2.1", dataset_offset=0)


def test_frames_that_cannot_be_told_apart_are_left_out():
    data, meta, _ = load("JPEG2000.dcm")
    cut = data[: len(data) // 2]
    offset = meta.dataset_offset
    assert index_frames(cut, meta.transfer_syntax_uid, dataset_offset=offset) is None
