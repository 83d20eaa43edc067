"""Header scan, file meta information and element walking: forms, tolerances, hostile bytes."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.part10_elements import DEPTH_MAX, NotPart10Error, TruncatedError
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset
from tests.raising import check_raises_only

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
IMPLICIT = uids.IMPLICIT_VR_LITTLE_ENDIAN
PATIENT_ID = 0x00100020
WANTED = frozenset({0x00080018, 0x00080060, PATIENT_ID, 0x00081140, 0x00280010})


def explicit(
    tag: int, vr: bytes, value: bytes, order: str = "<", length: int | None = None
) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack(order + "HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT"}:
        return head + struct.pack(order + "HL", 0, size) + value
    return head + struct.pack(order + "H", size) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, size) + value


def item(body: bytes, *, order: str = "<", undefined: bool = False) -> bytes:
    if undefined:
        end = struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0)
        return struct.pack(order + "HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + body + end
    return struct.pack(order + "HHL", 0xFFFE, 0xE000, len(body)) + body


def sequence_end(order: str = "<") -> bytes:
    return struct.pack(order + "HHL", 0xFFFE, 0xE0DD, 0)


def scan(data: bytes, syntax: str = EXPLICIT) -> part10.HeaderScan:
    return part10.scan_header(data, WANTED, transfer_syntax_uid=syntax)


TAIL = explicit(PATIENT_ID, b"LO", b"AFTER ")


@pytest.mark.parametrize(
    "before",
    [
        explicit(0x00080000, b"UL", b"\4\0\0\0"),
        explicit(0x00081140, b"SQ", item(explicit(PATIENT_ID, b"LO", b"INSIDE"))),
        explicit(0x00081140, b"SQ", item(TAIL) + sequence_end(), length=0xFFFFFFFF),
        explicit(0x00081140, b"SQ", item(TAIL, undefined=True) + sequence_end(), length=0xFFFFFFFF),
        explicit(0x00090010, b"LO", b"ACME") + explicit(0x00091001, b"UN", b"x" * 70000),
        # CP-246: UN of undefined length is implicit inside.
        explicit(
            0x00091002, b"UN", item(implicit(PATIENT_ID, b"IN")) + sequence_end(), length=0xFFFFFFFF
        ),
        # A VR that no edition lists has a 32 bit length.
        struct.pack("<HH2sHL", 0x0009, 0x1003, b"ZZ", 0, 4) + b"abcd",
        # Writers without VR knowledge put zero bytes or question marks and a 16 bit length.
        struct.pack("<HH2sH", 0x0009, 0x1004, b"\0\0", 4) + b"abcd",
        struct.pack("<HH2sH", 0x0009, 0x1004, b"??", 4) + b"abcd",
        sequence_end(),
    ],
)
def test_scan_passes_over_every_form_and_finds_what_follows(before):
    found = scan(before + TAIL)
    assert found.text(PATIENT_ID) == "AFTER"
    assert found.header_end == len(before + TAIL)


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010])
@pytest.mark.parametrize("length", [0, 100, 0xFFFFFFFF])
def test_scan_stops_before_pixel_data_whose_bytes_need_not_be_there(tag, length):
    found = scan(TAIL + explicit(tag, b"OW", b"", length=length))
    assert found.header_end == len(TAIL)
    assert found.pixel_data == (tag, "OW", len(TAIL) + 12, None if length == 0xFFFFFFFF else length)


def test_scan_of_big_endian_and_implicit_and_deflated_agree():
    body = TAIL + explicit(0x00280010, b"US", struct.pack("<H", 7))
    big = explicit(PATIENT_ID, b"LO", b"AFTER ", ">") + explicit(
        0x00280010, b"US", struct.pack(">H", 7), ">"
    )
    plain = implicit(PATIENT_ID, b"AFTER ") + implicit(0x00280010, struct.pack("<H", 7))
    stream = zlib.compressobj(wbits=-15)
    deflated = stream.compress(body) + stream.flush()
    for data, syntax in (
        (body, EXPLICIT),
        (big, uids.EXPLICIT_VR_BIG_ENDIAN),
        (plain, IMPLICIT),
        (deflated, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ):
        found = scan(data, syntax)
        assert (found.text(PATIENT_ID), found.number(0x00280010)) == ("AFTER", 7), syntax
    assert found.inflated == body


def test_wrong_declaration_of_the_vr_form_is_seen_at_the_first_element():
    assert scan(implicit(PATIENT_ID, b"AFTER "), EXPLICIT).text(PATIENT_ID) == "AFTER"
    assert scan(TAIL, IMPLICIT).text(PATIENT_ID) == "AFTER"


def test_text_is_decoded_in_the_declared_character_set():
    data = explicit(0x00080005, b"CS", b"ISO_IR 144") + explicit(PATIENT_ID, b"LO", b"\xbb\xee")
    assert scan(data).text(PATIENT_ID) == "Лю"


def test_a_deflate_bomb_is_refused():
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(4 << 20)) + bomb.flush()
    with pytest.raises(RemoteProtocolError, match="larger than"):
        part10.scan_header(
            data,
            (),
            transfer_syntax_uid=uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            inflated_bytes_max=1 << 20,
        )


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_endless_nesting_is_refused(syntax):
    opening = item(b"", undefined=True)[:8]
    sequence = explicit(0x00081140, b"SQ", b"", length=0xFFFFFFFF)
    if syntax == IMPLICIT:
        sequence = implicit(0x00081140, b"", length=0xFFFFFFFF)
    data = (sequence + opening) * (DEPTH_MAX * 100)
    with pytest.raises(RemoteProtocolError, match="deeper"):
        scan(data, syntax)
    with pytest.raises(RemoteProtocolError, match="deeper"):
        decode_dataset(data, syntax)


def test_every_truncation_is_an_error_or_a_shorter_data_set():
    whole = (
        explicit(0x00081140, b"SQ", item(TAIL, undefined=True) + sequence_end(), length=0xFFFFFFFF)
        + TAIL
    )
    ends = {0, len(whole) - len(TAIL), len(whole)}
    for length in range(len(whole)):
        if length in ends:
            scan(whole[:length])
            continue
        with pytest.raises(TruncatedError):
            scan(whole[:length])


@given(st.binary(max_size=400), st.sampled_from([EXPLICIT, IMPLICIT, uids.EXPLICIT_VR_BIG_ENDIAN]))
def test_arbitrary_bytes_raise_nothing_but_protocol_errors(data, syntax):
    for read in (scan, decode_dataset):
        check_raises_only(RemoteProtocolError, read, data, syntax)


@given(
    st.dictionaries(
        st.sampled_from([0x00080018, 0x00080060, PATIENT_ID, 0x00100040, 0x00181030]),
        st.text(st.characters(min_codepoint=33, max_codepoint=91), min_size=1, max_size=20),
    ),
    st.sampled_from([EXPLICIT, IMPLICIT, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]),
)
def test_what_is_encoded_is_found_by_the_scan(texts, syntax):
    dataset = DataSet()
    for tag, text in texts.items():
        dataset.put(tag, text, vr="LO")
    found = part10.scan_header(encode_dataset(dataset, syntax), texts, transfer_syntax_uid=syntax)
    assert {tag: found.text(tag) for tag in texts} == texts


def test_file_meta_round_trip():
    head = part10.encode_file_meta(
        sop_class_uid=uids.VERIFICATION,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=EXPLICIT,
        source_ae_title="SCANNER1",
    )
    meta = part10.parse_file_meta(head + TAIL)
    assert meta.dataset_offset == len(head)
    assert meta.media_storage_sop_class_uid == uids.VERIFICATION
    assert meta.media_storage_sop_instance_uid == "1.2.3"
    assert meta.transfer_syntax_uid == EXPLICIT
    assert meta.source_ae_title == "SCANNER1"
    assert meta.implementation_class_uid == uids.IMPLEMENTATION_CLASS_UID
    # PS3.10 7.1: the group length counts what follows it up to the data set.
    assert struct.unpack_from("<L", head, 140)[0] == len(head) - 144


def test_file_meta_refuses_what_it_may_not_write():
    with pytest.raises(LocalProtocolError):
        part10.encode_file_meta(
            sop_class_uid="", sop_instance_uid="1.2", transfer_syntax_uid=EXPLICIT
        )
    with pytest.raises(LocalProtocolError):
        part10.encode_file_meta(
            sop_class_uid="1.2",
            sop_instance_uid="1.2",
            transfer_syntax_uid=EXPLICIT,
            source_ae_title="A" * 17,
        )


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (explicit(0x00080005, b"CS", b"ISO_IR 100"), EXPLICIT),
        (implicit(0x00080005, b"ISO_IR 100"), IMPLICIT),
        (explicit(0x00080005, b"CS", b"ISO_IR 100", ">"), uids.EXPLICIT_VR_BIG_ENDIAN),
    ],
)
def test_a_bare_data_set_shows_its_encoding(data, syntax):
    assert part10.parse_file_meta(data).transfer_syntax_uid == syntax
    assert part10.parse_file_meta(data).dataset_offset == 0


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(300), b"%PDF-1.7" * 40])
def test_other_files_are_not_dicom(data):
    with pytest.raises(NotPart10Error):
        part10.parse_file_meta(data)
