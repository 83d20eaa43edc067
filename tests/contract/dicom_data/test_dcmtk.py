"""DCMTK as judge: dcm2json for headers, its decoders for pixels that pydicom cannot read."""

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocenter.imaging.codecs import decode_frame
from isocenter.imaging.transcode import open_image, transcode_file
from isocenter.standards.dicom import json_model, part10, uids
from isocenter.standards.dicom.xml_model import to_xml
from tests.contract.dicom_data.conftest import FILES

pytestmark = pytest.mark.skipif(shutil.which("dcm2json") is None, reason="DCMTK is not installed")
# DICOMDIR-nooffset ends inside its last item, which test_pydicom holds to be an error.
SMALL = [p for p in FILES if p.stat().st_size < 400_000 and p.name != "DICOMDIR-nooffset"]
DECODERS = {
    uids.JPEG_BASELINE: "dcmdjpeg",
    uids.JPEG_EXTENDED: "dcmdjpeg",
    uids.JPEG_LOSSLESS: "dcmdjpeg",
    uids.JPEG_LOSSLESS_FIRST_ORDER: "dcmdjpeg",
    uids.JPEG_LS_LOSSLESS: "dcmdjpls",
    uids.JPEG_LS_NEAR_LOSSLESS: "dcmdjpls",
    uids.RLE_LOSSLESS: "dcmdrle",
}
# What DCMTK's own decoder rounds otherwise: it differs by at most this many grey levels.
LOSSY_DIFFERENCE_MAX = 2


def syntax_of(path: Path) -> str:
    with path.open("rb") as file:
        return part10.parse_file_meta(file.read(4096)).transfer_syntax_uid


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_text_and_numbers_of_the_header_are_dcmtks(path):
    result = run("dcm2json", "-q", path)
    if result.returncode:
        pytest.skip("dcm2json refuses the file")
    try:
        theirs = json.loads(result.stdout)
    except ValueError:
        pytest.skip("dcm2json writes no valid JSON")
    data = path.read_bytes()
    meta = part10.parse_file_meta(data)
    ours = json_model.header_to_json(
        data, transfer_syntax_uid=meta.transfer_syntax_uid, start=meta.dataset_offset
    )
    wrong = list(differences(ours, theirs))
    assert wrong == []


def differences(ours: dict[str, Any], theirs: dict[str, Any], path: str = ""):
    for tag in sorted(ours.keys() & theirs.keys()):
        one, two = ours[tag], theirs[tag]
        if tag == "00080005" or one["vr"] != two["vr"] or "Value" not in one or "Value" not in two:
            continue
        if one["vr"] == "SQ":
            assert len(one["Value"]) == len(two["Value"]), path + tag
            for item, other in zip(one["Value"], two["Value"], strict=True):
                yield from differences(item, other, path + tag + ".")
        elif [plain(v) for v in one["Value"]] != [plain(v) for v in two["Value"]]:
            yield path + tag, one["Value"], two["Value"]
    public = {tag for tag in ours.keys() ^ theirs.keys() if int(tag[:4], 16) % 2 == 0}
    missing = {tag for tag in public if not tag.endswith("0000") and tag < "7FE0"}
    if missing:
        yield path, missing, ()


def plain(value: object) -> object:
    """Numbers rounded to single precision, text without padding."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, dict):
        return {
            key: str(text).rstrip("^ ") for key, text in value.items() if str(text).rstrip("^ ")
        } or None
    return float(np.float32(value)) if isinstance(value, int | float) else value


COMPRESSED = [path for path in FILES if syntax_of(path) in DECODERS]


@pytest.mark.parametrize("path", COMPRESSED, ids=lambda path: path.name)
def test_compressed_pixels_are_dcmtks(path, tmp_path):
    syntax = syntax_of(path)
    target = tmp_path / "native.dcm"
    options = ["+cn"] if DECODERS[syntax] == "dcmdjpeg" else []
    if run(DECODERS[syntax], *options, path, target).returncode:
        pytest.skip("DCMTK does not decode it")
    theirs, ours = open_image(target.read_bytes()), open_image(path.read_bytes())
    if ours.pixels is None:
        pytest.skip("no pixel data")
    if ours.pixels.is_colour and uids.transfer_syntax(syntax).may_lose_detail:
        pytest.skip("DCMTK leaves the colour space as it is")
    for one, two in zip(ours.frames(), theirs.frames(), strict=True):
        found = decode_frame(one, ours.pixels).pixels.astype(int)
        expected = decode_frame(two, theirs.pixels).pixels.astype(int)
        error = np.abs(found - expected).max()
        near = syntax in {uids.JPEG_BASELINE, uids.JPEG_EXTENDED}
        assert error <= (LOSSY_DIFFERENCE_MAX if near else 0)


WRITTEN = {
    uids.JPEG_LS_LOSSLESS: "dcmdjpls",
    uids.JPEG_LOSSLESS_FIRST_ORDER: "dcmdjpeg",
    uids.RLE_LOSSLESS: "dcmdrle",
}


@pytest.mark.parametrize("syntax", WRITTEN)
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small.dcm", "SC_rgb_rle.dcm", "emri_small.dcm"]
)
def test_dcmtk_decodes_what_is_transcoded(name, syntax, tmp_path):
    path = next((p for p in FILES if p.name == name), None)
    if path is None:
        pytest.skip(f"{name} is not here")
    source, target = tmp_path / "ours.dcm", tmp_path / "native.dcm"
    source.write_bytes(transcode_file(path.read_bytes(), syntax))
    result = run(WRITTEN[syntax], source, target)
    assert result.returncode == 0, result.stderr
    expected, found = open_image(path.read_bytes()), open_image(target.read_bytes())
    for one, two in zip(expected.frames(), found.frames(), strict=True):
        np.testing.assert_array_equal(
            decode_frame(one, expected.pixels).pixels, decode_frame(two, found.pixels).pixels
        )


def test_dcmdump_reads_our_file_meta(tmp_path):
    path = next(p for p in FILES if p.name == "CT_small.dcm")
    source = tmp_path / "ours.dcm"
    source.write_bytes(transcode_file(path.read_bytes(), uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
    result = run("dcmdump", "-v", source)
    assert result.returncode == 0
    assert b"W:" not in result.stderr
    assert uids.IMPLEMENTATION_CLASS_UID.encode() in result.stdout


# Numbers and unknown bytes, which the two spell differently.
SPELT = {"DS", "IS", "FL", "FD", "UN", "OB", "OW"}


def _structure(element, of_vr=None):
    """Tags, VRs and values of a Native DICOM Model, without how numbers and bytes are spelt."""
    vr = element.get("vr")
    text = (element.text or "").strip() if not len(element) and of_vr not in SPELT else None
    return (
        element.tag.rpartition("}")[2],
        element.get("tag"),
        vr,
        element.get("number"),
        text,
        [_structure(each, vr) for each in element],
    )


@pytest.mark.parametrize("name", ["test-SR.dcm", "CT_small.dcm"])
def test_native_models_are_dcmtks(name):
    path = next(each for each in FILES if each.name == name)
    data = path.read_bytes()
    meta = part10.parse_file_meta(data)
    model = json_model.header_to_json(
        data, transfer_syntax_uid=meta.transfer_syntax_uid, start=meta.dataset_offset
    )
    said = subprocess.run(["dcm2xml", "-nat", "+U8", path], check=True, capture_output=True)
    ours, theirs = (
        {
            each.get("tag"): _structure(each)
            for each in ET.fromstring(document)
            if each.get("tag") not in {"00080005", "7FE00010"}
        }
        for document in (to_xml(model), said.stdout)
    )
    private = {tag for tag in ours if int(tag[:4], 16) % 2}  # whose VRs DCMTK may know better
    assert len(ours) - len(private) > 20
    for tag in ours.keys() - private:
        assert ours[tag] == theirs[tag]
