"""Other values in headers on their way out, judged by pydicom on real files of every encoding."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files, get_testdata_file

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.coercion import Modification, modify
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta, scan_header
from isocenter.standards.dicom.part10_elements import TruncatedError

NAME, ID, SEX, ACCESSION = 0x00100010, 0x00100020, 0x00100040, 0x00080050
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FILES = (
    "CT_small.dcm",  # explicit little endian
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",  # deflated
    "JPEG2000.dcm",
    "reportsi.dcm",  # no pixel data
    "rtplan.dcm",
)


def file_of(name: str) -> bytes:
    if name.startswith("chr"):
        return Path(get_charset_files(name)[0]).read_bytes()
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


def a_modification(**values: str) -> Modification:
    tags = {"name": NAME, "id": ID, "sex": SEX, "accession": ACCESSION}
    return Modification({tags[key]: text for key, text in values.items()}, AT, "ISOCENTER")


def modified(data: bytes, modification: Modification) -> bytes | None:
    """The file with other values."""
    meta = parse_file_meta(data)
    found = modify(
        data, meta.transfer_syntax_uid, modification, start=meta.dataset_offset, is_whole=True
    )
    if found is None:
        return None
    return data[: meta.dataset_offset] + b"".join(found.pieces) + data[found.end :]


@pytest.mark.parametrize("name", FILES)
def test_values_change_and_the_originals_are_kept(name):
    data = file_of(name)
    before = pydicom.dcmread(BytesIO(data))
    changed = modified(data, a_modification(name="Phantom^Bea", id="NEW-1", accession="A-77"))
    after = pydicom.dcmread(BytesIO(changed))
    assert (after.PatientName, after.PatientID, after.AccessionNumber) == (
        "Phantom^Bea", "NEW-1", "A-77",
    )  # fmt: skip
    item = after.OriginalAttributesSequence[-1]
    assert item.AttributeModificationDateTime == "20260302090000+0000"
    assert item.ModifyingSystem == "ISOCENTER"
    assert item.ReasonForTheAttributeModification == "COERCE"
    original = item.ModifiedAttributesSequence[0]
    assert original.PatientName == before.get("PatientName", "")
    assert original.PatientID == before.get("PatientID", "")
    for element in before:
        if element.tag not in {NAME, ID, ACCESSION} and element.tag.element:
            assert after[element.tag].value == element.value


@pytest.mark.parametrize("name", FILES)
def test_the_same_values_change_nothing(name):
    data = file_of(name)
    before = pydicom.dcmread(BytesIO(data))
    same = a_modification(
        name=f"{before.PatientName}^^", id=f"{before.PatientID} ", sex=before.get("PatientSex", "")
    )
    assert modified(data, same) is None


def test_only_the_changed_elements_are_written():
    data = file_of("CT_small.dcm")
    meta = parse_file_meta(data)
    found = modify(
        data,
        meta.transfer_syntax_uid,
        a_modification(id="OTHER"),
        start=meta.dataset_offset,
        is_whole=True,
    )
    kept = [piece for piece in found.pieces if isinstance(piece, memoryview)]
    written = [piece for piece in found.pieces if isinstance(piece, bytes)]
    assert all(bytes(piece) in data for piece in kept)
    assert written[0] == b"\x10\x00\x20\x00LO\x06\x00OTHER "
    scan = scan_header(
        data, (), transfer_syntax_uid=meta.transfer_syntax_uid, start=meta.dataset_offset
    )
    assert found.end <= scan.header_end


def test_a_second_change_adds_a_second_item():
    once = modified(file_of("CT_small.dcm"), a_modification(id="SECOND"))
    twice = pydicom.dcmread(BytesIO(modified(once, a_modification(id="THIRD"))))
    values = [
        item.ModifiedAttributesSequence[0].PatientID for item in twice.OriginalAttributesSequence
    ]
    assert values == ["1CT1", "SECOND"]
    assert twice.PatientID == "THIRD"


@pytest.mark.parametrize(
    ("name", "family"),
    [("chrH31.dcm", "Ph\u00e4ntom^Ada"), ("CT_small.dcm", "\u5c71\u7530^\u592a\u90ce")],
)
def test_a_name_beyond_the_character_set_brings_its_own(name, family):
    data = file_of(name)
    before = pydicom.dcmread(BytesIO(data))
    after = pydicom.dcmread(BytesIO(modified(data, a_modification(name=family, id="X"))))
    assert str(after.PatientName) == family
    original = after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert str(original.PatientName) == str(before.PatientName)
    for element in before:
        if element.tag not in {NAME, ID, 0x00080005} and element.tag.element:
            assert after[element.tag].value == element.value


def test_a_name_in_the_declared_set_keeps_the_set():
    data = file_of("chrGerm.dcm")
    after = pydicom.dcmread(BytesIO(modified(data, a_modification(name="M\u00fcller^Ada"))))
    assert str(after.PatientName) == "M\u00fcller^Ada"
    assert after.SpecificCharacterSet == "ISO_IR 100"


def test_group_lengths_that_would_be_wrong_are_left_out():
    meta = encode_file_meta(
        sop_class_uid="1.2.3", sop_instance_uid="1.2.4", transfer_syntax_uid="1.2.840.10008.1.2"
    )
    body = (
        b"\x08\x00\x00\x00\x04\x00\x00\x00\x0c\x00\x00\x00"
        b"\x08\x00\x60\x00\x02\x00\x00\x00CT"
        b"\x10\x00\x00\x00\x04\x00\x00\x00\x0a\x00\x00\x00"
        b"\x10\x00\x20\x00\x02\x00\x00\x00P1"
    )
    after = pydicom.dcmread(BytesIO(modified(meta + body, a_modification(id="P2"))))
    assert 0x00080000 in after
    assert 0x00100000 not in after
    assert after.PatientID == "P2"


@pytest.mark.parametrize("name", FILES)
def test_a_cut_header_asks_for_more_or_is_refused(name):
    data = file_of(name)
    meta = parse_file_meta(data)
    syntax, start = meta.transfer_syntax_uid, meta.dataset_offset
    wanted = a_modification(id="OTHER")
    found = modify(data, syntax, wanted, start=start, is_whole=True)
    for end in range(start, min(start + 600, found.end), 7):
        with pytest.raises(TruncatedError):
            modify(data[:end], syntax, wanted, start=start, is_whole=False)
        try:
            modify(data[:end], syntax, wanted, start=start, is_whole=True)
        except RemoteProtocolError:
            continue
