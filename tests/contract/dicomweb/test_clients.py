"""dicomweb-client, curl and the requests that OHIF makes, on studies made for searching."""

import gzip
import io
import json
import shutil
import subprocess

import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from isocenter.domain.access.model import Role

dicomweb_client = pytest.importorskip("dicomweb_client")

CT, MR, SR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "88.11"))
STUDY_KEYS = {
    *("0020000D", "00080020", "00080030", "00080050", "00080061", "00080090", "00081030"),
    *("00100010", "00100020", "00100030", "00100040", "00201206", "00201208"),
}
SERIES_KEYS = {
    *("0020000E", "00080060", "00200011", "0008103E", "00080021", "00080031", "00201209"),
}
OHIF_INCLUDED = "includefield=00081030%2C00080060%2C00080090%2C00100030"


def a_file(study: int, series: int, number: int, **attributes) -> bytes:
    """An instance of study ``study``; images have four rows of ``number``."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = attributes.pop("syntax", ExplicitVRLittleEndian)
    ds.SOPClassUID = attributes.pop("sop_class", CT)
    ds.SOPInstanceUID = f"1.2.{study}.{series}.{number}"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.{study}", f"1.2.{study}.{series}"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", series, number
    ds.SeriesDescription, ds.SeriesDate, ds.SeriesTime = f"Series {series}", "20260301", "101500"
    ds.StudyTime, ds.StudyDescription = "101112", "CT chest"
    ds.ReferringPhysicianName = "Referrer^Max"
    for name, value in STUDIES[study].items():
        setattr(ds, name, value)
    if ds.SOPClassUID in {CT, MR}:
        frames = attributes.pop("frames", 1)
        ds.Rows = ds.Columns = 4
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        if frames > 1:
            ds.NumberOfFrames = frames
        values = np.arange(16 * frames, dtype="<u2") + 100 * number
        ds.PixelData = values.tobytes()
        ds["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(ds, name, value)
    if ds.file_meta.TransferSyntaxUID == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


STUDIES = {
    1: {"PatientName": "Phantom^Ada", "PatientID": "PH1", "AccessionNumber": "A1",
        "StudyDate": "20260301", "PatientSex": "F", "PatientBirthDate": "19610304"},
    2: {"PatientName": "Phantom^Bèla", "PatientID": "PH2", "AccessionNumber": "A2",
        "StudyDate": "20250301", "StudyDescription": "MR head"},
    3: {"PatientName": "Fantom^Ada", "PatientID": "PH1", "AccessionNumber": "B3",
        "StudyDate": "19691231", "StudyDescription": "Old film"},
}  # fmt: skip
FILES = {
    "1.2.1.1.1": a_file(1, 1, 1),
    "1.2.1.1.2": a_file(1, 1, 2),
    "1.2.1.1.3": a_file(1, 1, 3, syntax=RLELossless, frames=3),
    "1.2.1.2.1": a_file(1, 2, 1, sop_class=SR, Modality="SR", SeriesDescription="Findings"),
    "1.2.2.1.1": a_file(2, 1, 1, sop_class=MR, Modality="MR"),
    "1.2.3.1.1": a_file(3, 1, 1),
}


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(knows_its_url=True)  # dicomweb-client sends Host without the port
    assert made.store(*FILES.values()).status_code == 200
    return made


@pytest.fixture(scope="module")
def client(server):
    return dicomweb_client.DICOMwebClient(server.url, session=server.session)


def studies_of(rows) -> list[str]:
    return sorted(row["0020000D"]["Value"][0] for row in rows)


SEARCHES = [
    ({}, "123"),
    ({"PatientName": "Phantom*"}, "12"),
    ({"PatientName": "phantom^ada"}, "1"),
    ({"PatientName": "*ada*"}, "13"),
    ({"PatientName": "Ph?ntom^B*"}, "2"),
    ({"00100020": "PH1"}, "13"),
    ({"00100020": "*1*"}, "13"),
    ({"PatientID": "1"}, ""),
    ({"AccessionNumber": "A*"}, "12"),
    ({"AccessionNumber": "A1"}, "1"),
    ({"StudyDate": "20260301"}, "1"),
    ({"StudyDate": "20250101-20251231"}, "2"),
    ({"StudyDate": "20250301-"}, "12"),
    ({"StudyDate": "-19700102"}, "3"),
    ({"StudyDate": "19700102-20260301"}, "12"),
    ({"ModalitiesInStudy": "SR"}, "1"),
    ({"ModalitiesInStudy": "SR,MR"}, "12"),
    ({"ModalitiesInStudy": "SR\\MR"}, "12"),
    ({"StudyDescription": "*head*"}, "2"),
    ({"StudyInstanceUID": "1.2.1"}, "1"),
    ({"StudyInstanceUID": "1.2.1,1.2.3"}, "13"),
    ({"StudyInstanceUID": "1.2.1\\1.2.3"}, "13"),
    ({"PatientSex": "F"}, "1"),
    ({"PatientBirthDate": "19610304"}, "1"),
    ({"ReferringPhysicianName": "Referrer*"}, "123"),
    ({"PatientID": "*"}, "123"),
]


@pytest.mark.parametrize(("filters", "found"), SEARCHES, ids=lambda each: str(each)[:40])
def test_studies_are_found(client, filters, found):
    rows = client.search_for_studies(search_filters=filters)
    assert studies_of(rows) == [f"1.2.{each}" for each in found]


def test_names_that_sound_alike_are_found_when_asked_for(client):
    wanted = {"PatientName": "Phantum^Ada"}
    assert studies_of(client.search_for_studies(search_filters=wanted)) == []
    fuzzy = client.search_for_studies(search_filters=wanted, fuzzymatching=True)
    assert studies_of(fuzzy) == ["1.2.1"]


def test_pages_neither_repeat_nor_skip(client):
    pages = [client.search_for_studies(limit=1, offset=number) for number in range(4)]
    assert [studies_of(page) for page in pages] == [["1.2.1"], ["1.2.2"], ["1.2.3"], []]


def test_series_and_instances_are_found_at_every_level(client):
    assert len(client.search_for_series()) == 4
    (findings,) = client.search_for_series("1.2.1", search_filters={"Modality": "SR"})
    assert findings["0008103E"]["Value"] == ["Findings"]
    assert findings["00201209"]["Value"] == [1]
    assert len(client.search_for_instances()) == 6
    assert len(client.search_for_instances("1.2.1")) == 4
    found = client.search_for_instances("1.2.1", "1.2.1.1", search_filters={"InstanceNumber": "3"})
    assert [each["00080018"]["Value"] for each in found] == [["1.2.1.1.3"]]
    assert found[0]["00280008"]["Value"] == [3]
    assert found[0]["00083002"]["Value"] == [RLELossless]
    assert client.search_for_instances("1.2.99") == []


def test_rows_can_be_read_by_pydicom(client):
    row = client.search_for_studies(search_filters={"PatientID": "PH2"}, fields=["PatientSex"])[0]
    dataset = Dataset.from_json(row)
    assert dataset.PatientName == "Phantom^Bèla"
    assert dataset.StudyDate == "20250301"
    assert dataset.ModalitiesInStudy == "MR"
    assert dataset.RetrieveURL.endswith("/dicomweb/studies/1.2.2")


def test_what_is_stored_comes_back(client):
    same = ("application/dicom", "*")
    study = client.retrieve_study("1.2.1", media_types=(same,))
    assert [each.SOPInstanceUID for each in study] == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3",
                                                       "1.2.1.2.1"]  # fmt: skip
    assert study[2].file_meta.TransferSyntaxUID == RLELossless
    series = list(client.iter_series("1.2.1", "1.2.1.1"))
    assert [each.file_meta.TransferSyntaxUID for each in series] == [ExplicitVRLittleEndian] * 3
    assert series[2].NumberOfFrames == 3
    np.testing.assert_array_equal(series[2].pixel_array, study[2].pixel_array)
    one = client.retrieve_instance("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert one.PatientName == "Fantom^Ada"


def test_metadata_and_its_bulk_data(client):
    study = client.retrieve_study_metadata("1.2.1")
    assert len(study) == 4
    series = client.retrieve_series_metadata("1.2.1", "1.2.1.1")
    assert series == study[:3]
    (one,) = [client.retrieve_instance_metadata("1.2.1", "1.2.1.1", "1.2.1.1.2")]
    assert one == series[1]
    (pixels,) = client.retrieve_bulkdata(one["7FE00010"]["BulkDataURI"])
    assert pixels == pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.2"])).PixelData
    (part,) = client.retrieve_bulkdata(one["7FE00010"]["BulkDataURI"], byte_range=(0, 10_000))
    assert part == pixels
    frames = client.retrieve_bulkdata(series[2]["7FE00010"]["BulkDataURI"])
    assert len(frames) == 3


def test_frames(client):
    where = ("1.2.1", "1.2.1.1", "1.2.1.1.3")
    expected = pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.3"])).pixel_array
    octets = ("application/octet-stream", ExplicitVRLittleEndian)
    decoded = client.retrieve_instance_frames(*where, [1, 3], media_types=(octets,))
    assert [np.frombuffer(each, "<u2").tolist() for each in decoded] == [
        expected[0].ravel().tolist(), expected[2].ravel().tolist()
    ]  # fmt: skip
    stored = list(client.iter_instance_frames(*where, [2]))
    assert len(stored) == 1
    assert stored[0] != decoded[0]


def test_pictures(client):
    where = ("1.2.1", "1.2.1.1", "1.2.1.1.3")
    for content in (
        client.retrieve_instance_rendered(*where, media_types=("image/png",)),
        client.retrieve_instance_frames_rendered(*where, [2], media_types=("image/png",)),
        client.retrieve_series_rendered("1.2.1", "1.2.1.1", media_types=("image/png",)),
    ):
        assert PIL.Image.open(io.BytesIO(content)).size == (4, 4)


def test_dicomweb_client_stores(make_server):
    other = make_server(knows_its_url=True)
    client = dicomweb_client.DICOMwebClient(other.url, session=other.session, chunk_size=1000)
    datasets = [pydicom.dcmread(io.BytesIO(each)) for each in FILES.values()]
    answer = client.store_instances(datasets)
    assert len(answer.ReferencedSOPSequence) == 6
    assert "FailedSOPSequence" not in answer
    again = client.store_instances(datasets[:3], study_instance_uid="1.2.1")
    assert len(again.ReferencedSOPSequence) == 3
    assert again.RetrieveURL == f"{other.url}/studies/1.2.1"
    assert len(client.search_for_instances()) == 6


@pytest.fixture
def ohif(server):
    """GET as OHIF does: the query is in its own percent encoding."""

    def get(path: str, accept: str = "application/dicom+json"):
        return server.get(path, accept)

    return get


def test_ohif_study_list(ohif):
    page = ohif(f"/studies?limit=101&offset=0&fuzzymatching=false&{OHIF_INCLUDED}")
    assert page.status_code == 200
    assert page.headers["content-type"] == "application/dicom+json"
    rows = page.json()
    assert len(rows) == 3
    for row in rows:
        assert set(row) >= STUDY_KEYS
    first = rows[0]
    assert first["00080061"]["Value"] == ["CT", "SR"]
    assert first["00201206"]["Value"] == [2]
    assert first["00201208"]["Value"] == [4]
    filters = {
        "PatientName=*ada*": "13",
        "00100020=*PH1*": "13",
        "AccessionNumber=*A1*": "1",
        "StudyDescription=*film*": "3",
        "ModalitiesInStudy=CT%2CMR": "123",
        "ModalitiesInStudy=CT%5CMR": "123",
        "StudyDate=19700102-20251231": "2",
        "StudyDate=20250101-20260301": "12",
        "StudyInstanceUID=1.2.1%5C1.2.2": "12",
    }
    for query, found in filters.items():
        answer = ohif(f"/studies?limit=101&offset=0&fuzzymatching=true&{OHIF_INCLUDED}&{query}")
        assert studies_of(answer.json()) == [f"1.2.{each}" for each in found], query
    nothing = ohif("/studies?PatientName=*nobody*")
    assert (nothing.status_code, nothing.json()) == (200, [])


def test_ohif_opens_a_study(ohif, server):
    fields = "includefield=00080021%2C00080031%2C0008103E%2C00200011"
    rows = ohif(f"/studies/1.2.1/series?{fields}").json()
    assert len(rows) == 2
    for row in rows:
        assert set(row) >= SERIES_KEYS
    metadata = ohif("/studies/1.2.1/series/1.2.1.1/metadata").json()
    assert [each["00083002"]["Value"] for each in metadata] == [
        [ExplicitVRLittleEndian], [ExplicitVRLittleEndian], [RLELossless]
    ]  # fmt: skip
    instance = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.3"
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    frame = ohif(f"{instance}/frames/2", accept)
    assert frame.status_code == 200
    assert f"transfer-syntax={RLELossless}".encode() in frame.content
    whole = ohif(instance, 'multipart/related; type="application/dicom"')
    assert whole.status_code == 200
    thumbnail = server.get("/studies/1.2.1/series/1.2.1.1/thumbnail?viewport=256,256", "image/jpeg")
    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert PIL.Image.open(io.BytesIO(thumbnail.content)).size == (256, 256)
    first = ohif("/studies/1.2.1/series/1.2.1.1/instances?limit=1&includefield=00080018").json()
    assert first[0]["00080018"]["Value"] == ["1.2.1.1.1"]
    by_query = server.get(f"{instance}/thumbnail?accept=image/jpeg", "text/html")
    assert by_query.headers["content-type"] == "image/jpeg"
    for accept in ("multipart/related; type=application/octet-stream", "application/octet-stream"):
        assert ohif(f"{instance}/bulkdata/7FE00010", accept).status_code in {200, 406}
    native = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"
    for accept in ("multipart/related; type=application/octet-stream", "application/octet-stream"):
        assert ohif(f"{native}/bulkdata/7FE00010", accept).status_code == 200
    assert ohif(f"{native}/pixeldata", "application/octet-stream").content == (
        pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.1"])).PixelData
    )


@pytest.fixture(scope="module")
def curl(server):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    token = server.token(Role.RADIOLOGIST)

    def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["curl", "--silent", "--show-error", "-H", f"Authorization: Bearer {token}",
             *arguments],
            input=data, capture_output=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def test_curl_stores_and_retrieves(curl, server):
    data = FILES["1.2.3.1.1"]
    answer = curl("-H", "Content-Type: application/dicom", "--data-binary", "@-",
                  f"{server.url}/studies/1.2.3", data=data)  # fmt: skip
    assert json.loads(answer.stdout)["00081199"]["Value"][0]["00081155"]["Value"] == ["1.2.3.1.1"]
    path = f"{server.url}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    assert curl("-H", "Accept: application/dicom", path).stdout == data
    head = curl("-I", "-H", "Accept: application/dicom", path).stdout.decode().lower()
    assert head.startswith("http/1.1 200")
    assert f"content-length: {len(data)}" in head
    rows = curl("--compressed", f"{server.url}/instances").stdout
    assert len(json.loads(rows)) == 6
    packed = curl("-H", "Accept-Encoding: gzip", f"{server.url}/instances").stdout
    assert gzip.decompress(packed) == rows
