"""Every real file, stored over STOW-RS and asked for in every way; pydicom and Pillow judge."""

import io
import logging
from email.parser import BytesParser
from typing import Any

import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom.encaps import generate_frames

from isocenter.standards.dicom import uids
from tests.contract.dicom_data.test_pydicom import differences
from tests.contract.dicomweb.conftest import REAL_FILES, RealFile

logging.getLogger("pydicom").setLevel(logging.CRITICAL)
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
DECODED = 'multipart/related; type="application/dicom"'
FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
FRAMES_MAX = 3
# The file ends inside its only frame; pydicom gives what is there, an archive does not take it.
CUT_SHORT = {"MR_truncated.dcm"}
PIXEL_DATA = ("7FE00008", "7FE00009", "7FE00010")

KEPT = [each for each in REAL_FILES if each.path.name not in CUT_SHORT]
each_file = pytest.mark.parametrize("file", KEPT, ids=lambda each: each.path.name)


@pytest.fixture
def home(archives, file: RealFile):
    server = archives.of(file)
    assert archives.answers[file.path] in {200, 202}  # one object alone: stored, with a warning
    return server


def test_files_that_are_cut_short_are_refused(archives):
    cut = [each for each in REAL_FILES if each.path.name in CUT_SHORT]
    assert {each.path.name for each in cut} == CUT_SHORT
    for each in cut:
        archives.of(each)
        assert archives.answers[each.path] == 409


def parts(answer) -> list[tuple[str, bytes]]:
    """Content type and bytes of each part, as Python's own mail parser sees them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    # The parser takes line ends for its own: bytes are found by the boundary it read.
    message = BytesParser().parsebytes(head + b"--x--")
    boundary = b"--" + message.get_boundary().encode()
    pieces = (b"\r\n" + answer.content).split(b"\r\n" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        header, _, body = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in header.split(b"\r\n"))
        found.append((lines[b"Content-Type"].decode(), body))
    return found


def test_there_are_files():
    assert len(REAL_FILES) > 120


@each_file
def test_comes_back_byte_for_byte(home, file):
    answer = home.get(file.instance, STORED)
    assert answer.status_code == 200
    assert parts(answer) == [
        (f"application/dicom; transfer-syntax={file.transfer_syntax_uid}", file.data)
    ]
    single = home.get(file.instance, "application/dicom; transfer-syntax=*")
    assert single.content == file.data
    assert single.headers["content-length"] == str(len(file.data))


@each_file
def test_metadata_is_pydicoms(home, file):
    answer = home.get(f"{file.instance}/metadata", "application/dicom+json")
    assert answer.status_code == 200
    (ours,) = answer.json()
    dataset = pydicom.dcmread(file.path, force=True, stop_before_pixels=True)
    try:
        theirs = dataset.to_json_dict()
    except ValueError as error:
        pytest.skip(f"pydicom refuses a value: {error}")
    for key in [k for k in theirs if k.startswith(("0002", "7FE0"))]:
        del theirs[key]
    assert ours.pop("00083002") == {"vr": "UI", "Value": [file.transfer_syntax_uid]}
    theirs.pop("00083002", None)
    pixels = [ours.pop(tag) for tag in PIXEL_DATA if tag in ours]
    assert all("BulkDataURI" in each for each in pixels)
    fetch(home, ours)
    big = file.transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN
    assert list(differences(ours, theirs, big)) == []


def fetch(home, model: dict[str, Any]) -> None:
    """Put what the bulk data URIs name in their place, as a client would."""
    for attribute in model.values():
        if "BulkDataURI" in attribute:
            uri = attribute.pop("BulkDataURI")
            assert uri.startswith(home.url + "/studies/")
            answer = home.session.get(uri, headers={"Accept": "application/octet-stream"})
            assert answer.status_code == 200
            value = pydicom.DataElement(0x00091010, "OB", answer.content)
            attribute["InlineBinary"] = value.to_json_dict(None, 0)["InlineBinary"]
        for item in attribute.get("Value", []):
            if attribute["vr"] == "SQ":
                fetch(home, item)


def encoded_frames(file: RealFile) -> list[bytes]:
    """The stored frames as pydicom finds them."""
    dataset = file.read()
    count = int(dataset.get("NumberOfFrames") or 1)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return list(generate_frames(dataset.PixelData, number_of_frames=count))
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    if bits % 8:
        pytest.skip("frames that share bytes are compared decoded")
    pixels = dataset.PixelData
    return [pixels[n * bits // 8 : (n + 1) * bits // 8] for n in range(count)]


@each_file
def test_frames_are_pydicoms(home, file):
    try:
        theirs = encoded_frames(file)
    except Exception as error:  # noqa: BLE001 (pydicom raises many kinds for what it cannot do)
        pytest.skip(f"pydicom gives no frames: {type(error).__name__}")
    if file.transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN:
        pytest.skip("compared decoded")
    numbers = list(range(1, min(len(theirs), FRAMES_MAX) + 1))
    path = ",".join(map(str, numbers))
    answer = home.get(f"{file.instance}/frames/{path}", FRAMES)
    assert answer.status_code == 200, answer.text
    sent = parts(answer)
    syntax = file.transfer_syntax_uid
    if not uids.transfer_syntax(syntax).encapsulated:
        syntax = EXPLICIT
    assert [kind for kind, _ in sent] == [f"application/octet-stream; transfer-syntax={syntax}"] * (
        len(numbers)
    )
    for number, (_, frame) in zip(numbers, sent, strict=True):
        stored = theirs[number - 1]
        assert frame == stored or (len(theirs) == 1 and frame.rstrip(b"\0") == stored.rstrip(b"\0"))


@each_file
def test_decoded_frames_are_pydicoms(home, file):
    try:
        dataset = file.read()
        theirs = dataset.pixel_array
    except Exception as error:  # noqa: BLE001 (pydicom raises many kinds for what it cannot do)
        pytest.skip(f"pydicom gives no pixels: {type(error).__name__}")
    if int(dataset.get("NumberOfFrames") or 1) == 1:
        theirs = theirs[np.newaxis]
    syntax = uids.transfer_syntax(file.transfer_syntax_uid)
    if not syntax.encapsulated and syntax.little_endian:
        pytest.skip("sent as they are stored")
    numbers = list(range(1, min(len(theirs), FRAMES_MAX) + 1))
    path = ",".join(map(str, numbers))
    accept = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}'
    answer = home.get(f"{file.instance}/frames/{path}", accept)
    assert answer.status_code == 200, answer.text
    for number, (kind, frame) in zip(numbers, parts(answer), strict=True):
        assert kind == f"application/octet-stream; transfer-syntax={EXPLICIT}"
        array = np.frombuffer(frame, theirs.dtype.newbyteorder("<")).reshape(theirs[0].shape)
        np.testing.assert_array_equal(array, theirs[number - 1])


@each_file
def test_what_names_no_transfer_syntax_can_be_read(home, file):
    answer = home.get(file.instance, DECODED)
    assert answer.status_code == 200, answer.text
    ((kind, content),) = parts(answer)
    syntax = kind.rpartition("=")[2]
    sent = pydicom.dcmread(io.BytesIO(content), force=True)
    assert sent.SOPInstanceUID == file.sop_instance_uid
    if syntax == file.transfer_syntax_uid:
        assert content == file.data
        kept = uids.transfer_syntax(syntax)
        assert syntax == EXPLICIT or kept.may_lose_detail, syntax
        return
    assert syntax == EXPLICIT
    assert sent.file_meta.TransferSyntaxUID == EXPLICIT
    try:
        theirs = file.read().pixel_array
    except Exception:  # noqa: BLE001 (pydicom raises many kinds for what it cannot do)
        return
    np.testing.assert_array_equal(sent.pixel_array, theirs)


@each_file
def test_rendered_is_a_picture(home, file):
    try:
        dataset = file.read()
        shape = dataset.pixel_array.shape
    except Exception as error:  # noqa: BLE001 (pydicom raises many kinds for what it cannot do)
        pytest.skip(f"pydicom gives no pixels: {type(error).__name__}")
    assert shape
    for kind, form in (("image/jpeg", "JPEG"), ("image/png", "PNG")):
        answer = home.get(f"{file.instance}/rendered", kind)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kind
        picture = PIL.Image.open(io.BytesIO(answer.content))
        picture.load()
        assert picture.format == form
        assert picture.size == (dataset.Columns, dataset.Rows)
    small = home.get(f"{file.instance}/thumbnail?viewport=64,64", "image/jpeg")
    assert small.status_code == 200
    assert max(PIL.Image.open(io.BytesIO(small.content)).size) <= 64
