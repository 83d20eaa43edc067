"""Frame index: native, and encapsulated by each way that tells frames apart."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.part10_elements import TruncatedError
from isocenter.standards.dicom.part10_frames import (
    FramesUnclearError,
    frame_ranges,
    join_fragments,
)
from isocenter.standards.dicom.values import DataSet, encode_dataset

SYNTAX = uids.JPEG_2000_LOSSLESS
SOC = b"\xff\x4f\xff\x51"


def header(
    frames: int, *, bits: int = 8, rows: int = 2, columns: int = 3, **more: object
) -> DataSet:
    dataset = DataSet()
    dataset.put("SamplesPerPixel", 1)
    dataset.put("PhotometricInterpretation", "MONOCHROME2")
    dataset.put("NumberOfFrames", str(frames))
    dataset.put("Rows", rows)
    dataset.put("Columns", columns)
    dataset.put("BitsAllocated", bits)
    for keyword, value in more.items():
        dataset.put(keyword, value)
    return dataset


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def encapsulated(
    dataset: DataSet, table: bytes, fragments: list[bytes], *, end: bool = True
) -> bytes:
    data = encode_dataset(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    data += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + item(table)
    data += b"".join(item(fragment) for fragment in fragments)
    return data + (struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if end else b"")


def frames_of(data: bytes, syntax: str = SYNTAX) -> list[bytes]:
    scan = part10.scan_header(data, (), transfer_syntax_uid=syntax)
    out: list[bytes] = []
    for frame in frame_ranges(data, scan):
        piece = data[frame.offset : frame.offset + frame.length]
        out.append(join_fragments(piece) if frame.fragments > 1 else piece)
    return out


def offsets_of(frames: list[list[bytes]]) -> list[int]:
    offsets, at = [], 0
    for fragments in frames:
        offsets.append(at)
        at += sum(len(fragment) + 8 for fragment in fragments)
    return offsets


FRAME = st.lists(
    st.binary(min_size=2, max_size=8).map(lambda b: b[: len(b) // 2 * 2]), min_size=1, max_size=3
)


@given(st.lists(FRAME, min_size=1, max_size=5), st.sampled_from(["basic", "extended"]))
def test_offset_tables_divide_fragments(frames, kind):
    offsets = offsets_of(frames)
    fragments = [fragment for frame in frames for fragment in frame]
    more, table = {}, struct.pack(f"<{len(offsets)}L", *offsets)
    if kind == "extended":
        more, table = {"ExtendedOffsetTable": struct.pack(f"<{len(offsets)}Q", *offsets)}, b""
    data = encapsulated(header(len(frames), **more), table, fragments)
    assert frames_of(data) == [b"".join(frame) for frame in frames]


@given(st.lists(FRAME, min_size=1, max_size=5))
def test_start_markers_divide_fragments_without_any_table(frames):
    # What goes on does not look like a beginning.
    marked = [[SOC + frame[0], *(b"\x01\x02" + piece for piece in frame[1:])] for frame in frames]
    fragments = [fragment for frame in marked for fragment in frame]
    data = encapsulated(header(len(frames)), b"", fragments)
    assert frames_of(data) == [b"".join(frame) for frame in marked]


def test_a_table_that_points_between_items_is_not_believed():
    data = encapsulated(header(2), struct.pack("<2L", 0, 5), [SOC + b"aa", b"bb", SOC + b"cc"])
    assert frames_of(data) == [SOC + b"aabb", SOC + b"cc"]


def test_frames_that_nothing_tells_apart_are_an_error():
    data = encapsulated(header(2), b"", [b"aa", b"bb", b"cc"])
    with pytest.raises(FramesUnclearError):
        frames_of(data)
    with pytest.raises(FramesUnclearError):
        frames_of(encapsulated(header(4), b"", [b"aa"]))


def test_a_missing_delimiter_at_the_end_is_tolerated_but_a_cut_fragment_is_not():
    data = encapsulated(header(1), b"", [b"aabb"], end=False)
    assert frames_of(data) == [b"aabb"]
    with pytest.raises(TruncatedError):
        frames_of(data[:-1])


def test_native_frames_follow_each_other():
    body = bytes(range(12))
    data = encode_dataset(header(2), uids.EXPLICIT_VR_LITTLE_ENDIAN)
    data += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 12) + body
    assert frames_of(data, uids.EXPLICIT_VR_LITTLE_ENDIAN) == [body[:6], body[6:]]
    with pytest.raises(TruncatedError):
        frames_of(data[:-1], uids.EXPLICIT_VR_LITTLE_ENDIAN)


def test_one_bit_frames_begin_inside_bytes():
    data = encode_dataset(header(3, bits=1), uids.EXPLICIT_VR_LITTLE_ENDIAN)
    data += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 4) + b"\1\2\3\0"
    scan = part10.scan_header(data, (), transfer_syntax_uid=uids.EXPLICIT_VR_LITTLE_ENDIAN)
    start = scan.pixel_data.offset
    found = [(f.offset - start, f.length, f.first_bit) for f in frame_ranges(data, scan)]
    # 2 x 3 pixels are six bits: bits 0-5, 6-11, 12-17.
    assert found == [(0, 1, 0), (0, 2, 6), (1, 2, 4)]


@pytest.mark.parametrize("frames", ["0", "-1", "99999999"])
def test_absurd_numbers_of_frames_are_refused(frames):
    dataset = header(1)
    dataset.put("NumberOfFrames", frames)
    data = encapsulated(dataset, b"", [b"aa"])
    with pytest.raises(RemoteProtocolError):
        frames_of(data)
