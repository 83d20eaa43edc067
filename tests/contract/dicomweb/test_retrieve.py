"""What WADO-RS makes of stored objects: other transfer syntaxes, XML, pictures, zip files."""

import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.fileset import FileSet
from pydicom.uid import (
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from isocenter.standards.dicom.xml_model import from_xml
from tests.contract.dicomweb.test_clients import FILES, SR, a_file
from tests.contract.dicomweb.test_real_files import parts

INSTANCE = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"
FRAMES = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.3"
PDF_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"
PDF = b"%PDF-1.4 phantom!"  # of odd length


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(knows_its_url=True)
    pdf = a_file(
        2,
        9,
        1,
        sop_class=PDF_CLASS,
        Modality="DOC",
        EncapsulatedDocument=PDF + b"\0",
        EncapsulatedDocumentLength=len(PDF),
        MIMETypeOfEncapsulatedDocument="application/pdf",
    )
    assert made.store(*FILES.values(), pdf).status_code == 200
    return made


def stored(uid: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(FILES[uid]))


DECODERS = {
    JPEGLSLossless: ["dcmdjpls"],
    JPEGLosslessSV1: ["dcmdjpeg"],
    RLELossless: ["dcmdrle"],
    JPEG2000Lossless: [],
    ImplicitVRLittleEndian: [],
}


@pytest.mark.parametrize("syntax", DECODERS, ids=lambda each: each.name)
@pytest.mark.parametrize("uid", ["1.2.1.1.1", "1.2.1.1.3"])
def test_an_instance_in_the_transfer_syntax_asked_for(server, tmp_path, syntax, uid):
    asked = f"application/dicom; transfer-syntax={syntax}"
    answer = server.get(f"/studies/1.2.1/series/1.2.1.1/instances/{uid}", asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == asked
    made = tmp_path / "made.dcm"
    made.write_bytes(answer.content)
    if DECODERS[syntax]:
        if shutil.which(DECODERS[syntax][0]) is None:
            pytest.skip("DCMTK is not installed")
        plain = tmp_path / "plain.dcm"
        subprocess.run([*DECODERS[syntax], made, plain], check=True)
        made = plain
    assert np.array_equal(pydicom.dcmread(made).pixel_array, stored(uid).pixel_array)


def test_a_study_in_one_transfer_syntax_with_what_cannot_be_compressed(server):
    asked = f"multipart/related; type=application/dicom; transfer-syntax={HTJ2KLosslessRPCL}"
    answer = server.get("/studies/1.2.1", asked)
    kinds = sorted(kind for kind, _ in parts(answer))
    assert kinds == [
        *["application/dicom; transfer-syntax=1.2.840.10008.1.2.1"],  # the report
        *[f"application/dicom; transfer-syntax={HTJ2KLosslessRPCL}"] * 3,
    ]
    for _, data in parts(answer):
        made = pydicom.dcmread(io.BytesIO(data))
        if made.SOPClassUID != SR:
            (frame, *_) = generate_frames(made.PixelData, number_of_frames=1)
            cod = frame.index(b"\xff\x52")
            assert frame[cod + 5] == 2  # RPCL
            assert b"\xff\x55" in frame  # TLM


def test_what_is_not_written_is_refused(server):
    for syntax in ("1.2.840.10008.1.2.4.102", "1.2.3.4"):
        assert (
            server.get(INSTANCE, f"application/dicom; transfer-syntax={syntax}").status_code == 406
        )


@pytest.mark.parametrize(
    ("kind", "syntax", "reader"),
    [
        ("image/jp2", "1.2.840.10008.1.2.4.90", PIL.Image.open),
        ("image/jls", "1.2.840.10008.1.2.4.80", None),
        ("image/jphc", "1.2.840.10008.1.2.4.201", None),
        ("image/jpeg", "1.2.840.10008.1.2.4.70", None),
        ("image/dicom-rle", "1.2.840.10008.1.2.5", None),
    ],
)
def test_frames_by_media_type(server, kind, syntax, reader):
    answer = server.get(f"{INSTANCE}/frames/1", kind)
    assert answer.headers["content-type"] == f"{kind}; transfer-syntax={syntax}"
    if reader is not None:
        assert np.array_equal(
            np.array(reader(io.BytesIO(answer.content))), stored("1.2.1.1.1").pixel_array
        )
    many = server.get(f"{FRAMES}/frames/3,1", f'multipart/related; type="{kind}"')
    assert [each for each, _ in parts(many)] == [f"{kind}; transfer-syntax={syntax}"] * 2
    named = f"multipart/related; type=application/octet-stream; transfer-syntax={syntax}"
    again = server.get(f"{FRAMES}/frames/3,1", named)
    assert [data for _, data in parts(again)] == [data for _, data in parts(many)]


def test_weights_decide(server):
    accept = (
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80; q=0.3, application/zip; q=0.9"
    )
    assert server.get(INSTANCE, accept).headers["content-type"] == "application/zip"
    accept = "image/jls; q=0.2, image/jp2; q=0.8, application/octet-stream; q=0.1"
    kind = server.get(f"{INSTANCE}/frames/1", accept).headers["content-type"]
    assert kind.startswith("image/jp2")
    by_query = server.get(f"{INSTANCE}/frames/1?accept=image/jls", "image/jp2")
    assert by_query.headers["content-type"].startswith("image/jls")


def test_metadata_as_xml_says_the_same(server):
    for path in ("/studies/1.2.1", "/studies/1.2.1/series/1.2.1.1", INSTANCE):
        models = server.get(f"{path}/metadata", "application/dicom+json").json()
        answer = server.get(f"{path}/metadata", 'multipart/related; type="application/dicom+xml"')
        documents = [data for kind, data in parts(answer) if kind == "application/dicom+xml"]
        assert len(documents) == len(models)
        for document, model in zip(documents, models, strict=True):
            assert ET.fromstring(document).tag == "NativeDicomModel"
            assert from_xml(document).keys() == model.keys()
            name = from_xml(document)["00100010"]["Value"][0]["Alphabetic"]
            assert name == "Phantom^Ada"


def test_several_byte_ranges(server):
    whole = server.get(INSTANCE, "application/dicom; transfer-syntax=*")
    headers = {"Range": "bytes=0-131, -10, 200-219"}
    answer = server.get(INSTANCE, "application/dicom; transfer-syntax=*", headers=headers)
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert int(answer.headers["content-length"]) == len(answer.content)
    data = whole.content
    assert [each for _, each in parts(answer)] == [data[:132], data[-10:], data[200:220]]
    assert f"bytes 0-131/{len(data)}".encode() in answer.content
    again = server.get(INSTANCE, "application/dicom; transfer-syntax=*", headers=headers)
    assert again.headers["content-type"] == answer.headers["content-type"]


def test_conditions(server):
    first = server.get(f"{INSTANCE}/frames/1", "application/octet-stream")
    tag = first.headers["ETag"]
    for name, value, status in (
        ("If-None-Match", tag, 304),
        ("If-None-Match", '"other"', 200),
        ("If-Match", tag, 200),
        ("If-Match", '"other"', 412),
        ("If-Match", "*", 200),
    ):
        headers = {name: value}
        answer = server.get(f"{INSTANCE}/frames/1", "application/octet-stream", headers=headers)
        assert answer.status_code == status, name


def picture(answer) -> PIL.Image.Image:
    assert answer.status_code == 200
    return PIL.Image.open(io.BytesIO(answer.content))


def test_rendered_studies_series_and_frames(server):
    answer = server.get("/studies/1.2.1/rendered", "multipart/related; type=image/jpeg")
    assert [kind for kind, _ in parts(answer)] == ["image/jpeg"] * 3  # the report has no picture
    answer = server.get(
        "/studies/1.2.1/series/1.2.1.1/rendered", "multipart/related; type=image/png"
    )
    assert [PIL.Image.open(io.BytesIO(data)).size for _, data in parts(answer)] == [(4, 4)] * 3
    assert picture(server.get("/studies/1.2.1/rendered", "image/png")).size == (4, 4)
    answer = server.get(f"{FRAMES}/frames/2,3/rendered", "multipart/related; type=image/png")
    assert len(parts(answer)) == 2
    assert server.get(f"{FRAMES}/frames/4/rendered", "image/png").status_code == 404
    assert server.get("/studies/1.2.1/series/1.2.1.2/rendered").status_code == 404


def test_moving_pictures(server):
    moving = picture(server.get(f"{FRAMES}/rendered?viewport=8,8&window=324,48", "image/gif"))
    assert (moving.format, moving.n_frames, moving.size) == ("GIF", 3, (8, 8))
    two = picture(server.get(f"{FRAMES}/frames/1,3/rendered?window=324,48", "image/gif"))
    assert two.n_frames == 2
    assert picture(server.get(f"{INSTANCE}/rendered", "image/gif")).n_frames == 1


def test_several_frames_are_a_video_and_one_is_none(server):
    answer = server.get(f"{FRAMES}/rendered?viewport=64,64&window=324,48", "video/mp4")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content[4:12] == b"ftypisom"
    assert answer.content.find(b"moov") < answer.content.find(b"mdat")  # plays while it comes
    piece = server.get(
        f"{FRAMES}/rendered?viewport=64,64&window=324,48",
        "video/mp4",
        headers={"Range": "bytes=4-7"},
    )
    assert (piece.status_code, piece.content) == (206, b"ftyp")
    two = server.get(f"{FRAMES}/frames/1,3/rendered?viewport=64,64", "video/mp4")
    assert two.status_code == 200
    for path in (f"{FRAMES}/frames/1/rendered", f"{INSTANCE}/rendered", "/studies/1.2.1/rendered"):
        refused = server.get(path, "video/mp4")
        assert refused.status_code == 406
        assert "image/gif" in refused.json()["detail"]


def test_parameters_of_pictures(server):
    plain = picture(server.get(f"{INSTANCE}/rendered?viewport=256,256", "image/png"))
    burned = picture(
        server.get(
            f"{INSTANCE}/rendered?viewport=256,256&annotation=patient,technique", "image/png"
        )
    )
    assert plain.size == burned.size == (256, 256)
    assert np.count_nonzero(np.array(plain) != np.array(burned)) > 100
    profiled = picture(server.get(f"{INSTANCE}/rendered?iccprofile=srgb", "image/jpeg"))
    assert profiled.mode == "L"
    assert "icc_profile" not in profiled.info  # grey has no colour space
    for query in ("iccprofile=rommrgb", "window=1", "viewport=0,0", "quality=0"):
        assert server.get(f"{INSTANCE}/rendered?{query}").status_code == 400


def test_documents_are_rendered_as_what_they_are(server):
    path = "/studies/1.2.2/series/1.2.2.9/instances/1.2.2.9.1/rendered"
    answer = server.get(path, "application/pdf")
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert server.get(path, "image/png").status_code == 406


def test_zip_files_are_file_sets(server, tmp_path):
    answer = server.get("/studies/1.2.1", "application/zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[-1] == "DICOMDIR"
        archive.extractall(tmp_path)
    files = FileSet(tmp_path / "DICOMDIR")
    assert {each.SOPInstanceUID for each in files} == {uid for uid in FILES if uid[4] == "1"}
    for each in files:
        assert Path(each.path).read_bytes() == FILES[each.SOPInstanceUID]
    assert files.find_values("PatientName") == ["Phantom^Ada"]
    kinds = {
        record.DirectoryRecordType
        for record in pydicom.dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence
    }
    assert kinds == {"PATIENT", "STUDY", "SERIES", "IMAGE", "SR DOCUMENT"}
    if shutil.which("dcmdump"):
        subprocess.run(["dcmdump", "-q", tmp_path / "DICOMDIR"], check=True, capture_output=True)


def test_zip_files_in_a_transfer_syntax(server):
    accept = f"application/zip; transfer-syntax={ImplicitVRLittleEndian}"
    answer = server.get("/studies/1.2.1/series/1.2.1.1", accept)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = [each for each in archive.namelist() if each != "DICOMDIR"]
        assert len(names) == 3
        for name in names:
            made = pydicom.dcmread(io.BytesIO(archive.read(name)))
            assert made.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
