"""STOW-RS of metadata and bulk data; pydicom, Pillow and DCMTK judge what became of it."""

import io
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom.dataset import Dataset

from isocenter.standards.dicom.xml_model import to_xml

BOUNDARY = "part-of-the-test"
SC, PDF, STL, VIDEO = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("7", "104.1", "104.3", "77.1.4.1")
)
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def server(make_server):
    return make_server(knows_its_url=True)


def metadata(number: int, sop_class: str = SC, **attributes) -> dict:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.70.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.70", "1.2.70.1"
    ds.PatientName, ds.PatientID, ds.Modality = "Phantom^Ağnes", "PH70", "OT"
    ds.InstanceNumber = number
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds.to_json_dict()


def with_bulk(model: dict, tag: str, uri: str, vr: str = "OB") -> dict:
    return {**model, tag: {"vr": vr, "BulkDataURI": uri}}


def send(server, models, bulk=(), *, root="application/dicom+json", accept="*/*", study=""):
    """One request: metadata first, then (location, content type, bytes) of each bulk data."""
    if root.endswith("json"):
        heads = [({"Content-Type": root}, json.dumps(models).encode())]
    else:
        heads = [({"Content-Type": root}, to_xml(each)) for each in models]
    pieces = []
    for headers, data in [
        *heads,
        *(({"Content-Type": kind, "Content-Location": where}, data) for where, kind, data in bulk),
    ]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces.append(f"--{BOUNDARY}\r\n{lines}\r\n".encode() + data + b"\r\n")
    return server.session.post(
        f"{server.url}/studies{study}",
        data=b"".join([*pieces, f"--{BOUNDARY}--".encode()]),
        headers={
            "Content-Type": f'multipart/related; type="{root}"; boundary={BOUNDARY}',
            "Accept": accept,
        },
        timeout=60,
    )


def fetched(server, number: int) -> pydicom.Dataset:
    path = f"/studies/1.2.70/series/1.2.70.1/instances/1.2.70.1.{number}"
    answer = server.get(path, "application/dicom; transfer-syntax=*")
    assert answer.status_code == 200
    return pydicom.dcmread(io.BytesIO(answer.content))


@pytest.mark.parametrize("root", ["application/dicom+json", "application/dicom+xml"])
def test_native_pixels(server, root):
    number = 1 if root.endswith("json") else 2
    pixels = np.arange(12, dtype="<u2").reshape(3, 4)
    model = metadata(
        number, Rows=3, Columns=4, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16, BitsStored=12, HighBit=11, PixelRepresentation=0,
    )  # fmt: skip
    model = with_bulk(model, "7FE00010", "bulk/1", "OW")
    answer = send(server, [model], [("bulk/1", RAW["Content-Type"], pixels.tobytes())], root=root)
    assert answer.status_code == 200
    stored = fetched(server, number)
    assert np.array_equal(stored.pixel_array, pixels)
    assert stored.PatientName == "Phantom^Ağnes"


def jpeg(mode: str, **options) -> bytes:
    values = np.linspace(0, 255, 20 * 30 * 3).astype(np.uint8).reshape(20, 30, 3)
    stream = io.BytesIO()
    PIL.Image.fromarray(values).convert(mode).save(stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("number", "mode", "options", "kind", "syntax", "photometric"),
    [
        (10, "RGB", {"format": "JPEG", "subsampling": 0}, "image/jpeg", "50", "YBR_FULL"),
        (11, "RGB", {"format": "JPEG", "subsampling": 2}, "image/jpeg", "50", "YBR_FULL_422"),
        (12, "L", {"format": "JPEG"}, "image/jpeg", "50", "MONOCHROME2"),
        (
            13,
            "RGB",
            {"format": "JPEG2000", "irreversible": False, "mct": 1},
            "image/jp2",
            "90",
            "YBR_RCT",
        ),
    ],
)
def test_pictures(server, number, mode, options, kind, syntax, photometric):
    picture = jpeg(mode, **options)
    model = with_bulk(metadata(number), "7FE00010", "http://camera/1")
    assert send(server, [model], [("http://camera/1", kind, picture)]).status_code == 200
    stored = fetched(server, number)
    assert stored.file_meta.TransferSyntaxUID == f"1.2.840.10008.1.2.4.{syntax}"
    assert (stored.Rows, stored.Columns) == (20, 30)
    assert stored.PhotometricInterpretation == photometric
    assert (stored.BitsAllocated, stored.BitsStored, stored.HighBit) == (8, 8, 7)
    expected = np.array(PIL.Image.open(io.BytesIO(picture)))
    rendered = server.get(
        f"/studies/1.2.70/series/1.2.70.1/instances/1.2.70.1.{number}/rendered?window=128,256",
        "image/png",
    )
    shown = np.array(PIL.Image.open(io.BytesIO(rendered.content))).astype(int)
    assert np.abs(shown - expected).max() <= 2


def test_frames_of_one_location(server):
    frames = [jpeg("L", format="JPEG", quality=quality) for quality in (60, 90, 95)]
    model = with_bulk(metadata(20), "7FE00010", "cine")
    answer = send(server, [model], [("cine", "image/jpeg", each) for each in frames])
    assert answer.status_code == 200
    stored = fetched(server, 20)
    assert stored.NumberOfFrames == 3
    assert stored.pixel_array.shape == (3, 20, 30)


@pytest.mark.parametrize(
    ("number", "sop_class", "kind", "data"),
    [
        (30, PDF, "application/pdf", b"%PDF-1.4 phantom!"),
        (31, STL, "model/stl", b"solid phantom\nendsolid\n"),
    ],
)
def test_documents_and_models(server, number, sop_class, kind, data):
    model = with_bulk(metadata(number, sop_class), "00420011", "doc")
    assert send(server, [model], [("doc", kind, data)]).status_code == 200
    stored = fetched(server, number)
    assert stored.MIMETypeOfEncapsulatedDocument == kind
    assert stored.EncapsulatedDocument[: stored.EncapsulatedDocumentLength] == data
    path = f"/studies/1.2.70/series/1.2.70.1/instances/1.2.70.1.{number}"
    answer = server.get(f"{path}/rendered", kind)
    assert (answer.content, answer.headers["content-type"]) == (data, kind)


def test_videos(server):
    film = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 5 + b"!"
    model = with_bulk(metadata(40, VIDEO, Rows=720, Columns=1280), "7FE00010", "film")
    assert send(server, [model], [("film", "video/mp4", film)]).status_code == 200
    stored = fetched(server, 40)
    assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    path = "/studies/1.2.70/series/1.2.70.1/instances/1.2.70.1.40/rendered"
    answer = server.get(path, "video/mp4")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content == film + b"\0"
    part = server.get(path, "video/mp4", headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, b"ftypmp42")


def test_each_object_has_its_own_fate(server):
    good = metadata(50)
    missing = with_bulk(metadata(51), "7FE00010", "nowhere")
    unclear = with_bulk(metadata(52), "7FE00010", "text")
    nameless = {key: value for key, value in metadata(53).items() if key != "00080018"}
    answer = send(
        server, [good, missing, unclear, nameless], [("text", "image/jpeg", b"no picture")]
    )
    assert answer.status_code == 202
    body = answer.json()
    assert [each["00081155"]["Value"] for each in body["00081199"]["Value"]] == [["1.2.70.1.50"]]
    assert [each["00081155"]["Value"][0] for each in body["00081198"]["Value"]] == [
        "1.2.70.1.51",
        "1.2.70.1.52",
    ]
    assert {each["00081197"]["Value"][0] for each in body["00081198"]["Value"]} == {0xC000}
    assert body["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    other = send(server, [metadata(54)], study="/1.2.71")
    assert other.status_code == 409
    assert other.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


def test_what_the_sender_should_know_of_stored_objects(server):
    """PS3.18 Table I.2-2: Warning Reasons."""
    wrong = with_bulk(metadata(55, Rows=999, Columns=30), "7FE00010", "picture")
    right = with_bulk(metadata(56, Rows=20, Columns=30), "7FE00010", "picture")
    report = metadata(58, "1.2.840.10008.5.1.4.1.1.88.11")
    answer = send(
        server,
        [wrong, right, metadata(57), report],
        [("picture", "image/jpeg", jpeg("L", format="JPEG"))],
    )
    assert answer.status_code == 202
    stored = answer.json()["00081199"]["Value"]
    assert [each.get("00081196", {}).get("Value") for each in stored] == [
        [0xB000],  # the picture knows better
        None,
        [0xB007],  # an image without an image
        None,
    ]


def test_the_answer_as_xml(server):
    answer = send(server, [metadata(60)], accept="application/dicom+xml")
    assert answer.headers["content-type"] == "application/dicom+xml"
    root = ET.fromstring(answer.content)
    path = "DicomAttribute[@keyword='ReferencedSOPSequence']/Item/DicomAttribute"
    values = {each.get("keyword"): each.findtext("Value") for each in root.iterfind(path)}
    assert values["ReferencedSOPInstanceUID"] == "1.2.70.1.60"
    assert values["RetrieveURL"].endswith("/instances/1.2.70.1.60")


@pytest.mark.parametrize("body", [b"[", b"[1]", b'"x"', b"<a/>"])
def test_what_is_no_metadata(server, body):
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom+json\r\n\r\n".encode()
    kind = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
    answer = server.session.post(
        server.url + "/studies",
        data=head + body + f"\r\n--{BOUNDARY}--".encode(),
        headers={"Content-Type": kind},
        timeout=60,
    )
    assert answer.status_code == 400


def test_dcmtk_reads_what_is_put_together(server, tmp_path):
    if shutil.which("dcmdump") is None:
        pytest.skip("DCMTK is not installed")
    for number in (10, 20, 30):
        path = f"/studies/1.2.70/series/1.2.70.1/instances/1.2.70.1.{number}"
        made = tmp_path / "made.dcm"
        made.write_bytes(server.get(path, "application/dicom; transfer-syntax=*").content)
        said = subprocess.run(["dcmdump", "-q", made], check=True, capture_output=True)
        assert b"Phantom" in said.stdout
