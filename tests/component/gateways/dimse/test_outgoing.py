"""Stored objects made ready to be sent, judged by pydicom: the same object in each encoding."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from isocenter.gateways.dimse import outgoing
from isocenter.gateways.dimse.outgoing import NotSendable, Outgoing, choose, prepare, proposals
from isocenter.gateways.dimse.outgoing_processes import TranscodingProcesses
from isocenter.imaging.transcode import transcode_file
from isocenter.infra.blobs import open_store
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.coercion import Modification
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta, scan_header

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN
FILES = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "MR_small_RLE.dcm",
    "SC_rgb_small_odd.dcm",
    "liver_1frame.dcm",
)
MOVED = Modification({0x00100020: "NEW-ID"}, datetime(2026, 3, 2, tzinfo=UTC), "ISOCENTER")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    return open_store(tmp_path_factory.mktemp("objects").as_uri())


def stored(blobs, data: bytes, modification: Modification | None = None) -> Outgoing:
    meta = parse_file_meta(data)
    scan = scan_header(
        data, (), transfer_syntax_uid=meta.transfer_syntax_uid, start=meta.dataset_offset
    )
    pixels = None
    if scan.pixel_data is not None and scan.inflated is None:
        pixels = scan.header_end
    return Outgoing(
        study_instance_uid="1.2",
        sop_class_uid=meta.media_storage_sop_class_uid,
        sop_instance_uid=meta.media_storage_sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        blob_key=blobs.put(data).key,
        size_bytes=len(data),
        dataset_offset=meta.dataset_offset,
        pixel_data_offset=pixels,
        modification=modification,
    )


def file_of(name: str) -> bytes:
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


def sent(blobs, instance: Outgoing, syntax: str) -> pydicom.Dataset:
    """What a peer would keep."""
    prepared = prepare(blobs, instance, syntax, transcode=transcode_file)
    head = encode_file_meta(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=prepared.transfer_syntax_uid,
    )
    return pydicom.dcmread(BytesIO(head + b"".join(prepared.pieces)))


@pytest.mark.parametrize("name", FILES)
def test_as_stored_is_byte_for_byte(blobs, name):
    data = file_of(name)
    instance = stored(blobs, data)
    prepared = prepare(blobs, instance, instance.transfer_syntax_uid, transcode=transcode_file)
    sent = b"".join(prepared.pieces)
    kept = data[instance.dataset_offset :]
    # One of the files is a deflated stream of an odd length.
    assert sent == kept + b"\0" * (len(kept) % 2)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", FILES)
def test_each_object_becomes_uncompressed(blobs, name, syntax):
    data = file_of(name)
    before, after = pydicom.dcmread(BytesIO(data)), sent(blobs, stored(blobs, data, MOVED), syntax)
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.PatientID == "NEW-ID"
    original = after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert original.PatientID == before.PatientID
    assert after.SOPInstanceUID == before.SOPInstanceUID
    if "PixelData" in before:
        assert np.array_equal(after.pixel_array, before.pixel_array)
    else:
        kept = [e for e in before if e.tag != 0x00100020 and e.tag.element]
        assert all(after[e.tag].value == e.value for e in kept if not e.tag.is_private)


def test_a_large_object_is_read_a_piece_at_a_time(blobs, monkeypatch):
    monkeypatch.setattr(outgoing, "PIECE_BYTES", 4096)
    data = file_of("CT_small.dcm")
    for modification in (None, MOVED):
        instance = stored(blobs, data, modification)
        for syntax in (EXPLICIT, IMPLICIT):
            prepared = prepare(blobs, instance, syntax, transcode=transcode_file)
            pieces = [len(piece) for piece in prepared.pieces]
            assert max(pieces[-8:]) <= 4096
            assert max(pieces) < len(data) / 2
    kept = b"".join(prepare(blobs, stored(blobs, data), EXPLICIT, transcode=transcode_file).pieces)
    assert kept == data[parse_file_meta(data).dataset_offset :]


def test_what_cannot_be_decoded_is_refused_by_name(blobs):
    data = bytearray(file_of("MR_small_RLE.dcm"))
    data[-200:-100] = bytes(100)
    broken = stored(blobs, bytes(data[: len(data) // 2]))
    with pytest.raises(NotSendable, match=broken.sop_instance_uid):
        list(prepare(blobs, broken, EXPLICIT, transcode=transcode_file).pieces)


def test_a_header_beyond_the_first_read_is_found(blobs):
    dataset = pydicom.dcmread(BytesIO(file_of("CT_small.dcm")))
    dataset.add_new(0x000B1001, "UN", b"\x01" * 200_000)
    file = BytesIO()
    dataset.save_as(file)
    after = sent(blobs, stored(blobs, file.getvalue(), MOVED), EXPLICIT)
    assert (after.PatientID, len(after[0x000B1001].value)) == ("NEW-ID", 200_000)


def test_each_stored_encoding_is_proposed_beside_what_can_be_made_of_it(blobs):
    rle, plain = (stored(blobs, file_of(name)) for name in ("MR_small_RLE.dcm", "MR_small.dcm"))
    assert proposals([rle, plain]) == [
        (rle.sop_class_uid, (EXPLICIT,)),
        (rle.sop_class_uid, (uids.RLE_LOSSLESS,)),
        (rle.sop_class_uid, (EXPLICIT, IMPLICIT)),
    ]
    assert proposals([plain])[1] == (plain.sop_class_uid, (IMPLICIT,))
    assert choose({EXPLICIT, uids.RLE_LOSSLESS}, rle) == uids.RLE_LOSSLESS
    assert choose({EXPLICIT, IMPLICIT}, rle) == EXPLICIT
    assert choose({IMPLICIT}, plain) == IMPLICIT
    assert choose({uids.JPEG_BASELINE}, plain) is None


def test_other_processes_decode_and_refuse(blobs):
    processes = TranscodingProcesses(processes_max=1)
    try:
        data = file_of("MR_small_RLE.dcm")
        assert processes(data, EXPLICIT) == transcode_file(data, EXPLICIT)
        broken = stored(blobs, data[: len(data) // 2])
        with pytest.raises(NotSendable, match=broken.sop_instance_uid):
            prepare(blobs, broken, EXPLICIT, transcode=processes)
    finally:
        processes.close()
