"""A corrected study says on every way out what is known now, and what it said before."""

import io
import zipfile

import pydicom
import pytest
from pydicom.dataset import Dataset

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from tests.contract.dicomweb.test_clients import FILES
from tests.contract.dicomweb.test_real_files import parts
from tests.dicomweb_server import SYSTEM

STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
INSTANCE = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(knows_its_url=True)
    assert made.store(*FILES.values()).status_code == 200
    made.tags = {
        path: made.get(path).headers["ETag"] for path in (INSTANCE, INSTANCE + "/metadata")
    }
    corrections = Corrections(patient_name="Phantom^Eda", patient_id="PH9", accession_number="A77")
    with made.database.transaction() as tx:
        assert archive.correct(tx, SYSTEM, "1.2.1", corrections, now=made.clock())
    return made


def check(dataset: Dataset) -> None:
    assert dataset.PatientName == "Phantom^Eda"
    assert (dataset.PatientID, dataset.AccessionNumber) == ("PH9", "A77")
    (original,) = dataset.OriginalAttributesSequence
    before = original.ModifiedAttributesSequence[0]
    assert before.PatientName == "Phantom^Ada"
    assert (before.PatientID, before.AccessionNumber) == ("PH1", "A1")
    assert original.ReasonForTheAttributeModification == "COERCE"


@pytest.mark.parametrize("accept", [STORED, 'multipart/related; type="application/dicom"'])
def test_instances_say_it(server, accept):
    sent = [
        pydicom.dcmread(io.BytesIO(data)) for _, data in parts(server.get("/studies/1.2.1", accept))
    ]
    assert len(sent) == 4
    for each in sent:
        check(each)
        original = pydicom.dcmread(io.BytesIO(FILES[each.SOPInstanceUID]))
        if "PixelData" in each:
            assert (each.pixel_array == original.pixel_array).all()


def test_one_instance_says_it_in_byte_ranges_too(server):
    accept = "application/dicom; transfer-syntax=*"
    whole = server.get(INSTANCE, accept)
    check(pydicom.dcmread(io.BytesIO(whole.content)))
    assert whole.headers["ETag"] != server.tags[INSTANCE]
    part = server.get(INSTANCE, accept, headers={"Range": "bytes=300-999"})
    assert part.content == whole.content[300:1000]


def test_metadata_says_it(server):
    for path in ("/studies/1.2.1", "/studies/1.2.1/series/1.2.1.1", INSTANCE):
        answer = server.get(path + "/metadata", "application/dicom+json")
        for model in answer.json():
            check(Dataset.from_json(model, lambda *_: b""))
    old = {"If-None-Match": server.tags[INSTANCE + "/metadata"]}
    assert server.get(INSTANCE + "/metadata", headers=old).status_code == 200


def test_zip_and_search_say_it(server):
    answer = server.get("/studies/1.2.1", "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        directory = pydicom.dcmread(io.BytesIO(archived.read("DICOMDIR")))
        first = archived.namelist()[0]
        check(pydicom.dcmread(io.BytesIO(archived.read(first))))
    assert directory.DirectoryRecordSequence[0].PatientName == "Phantom^Eda"
    (row,) = server.get("/studies?PatientID=PH9").json()
    assert row["00100010"]["Value"][0]["Alphabetic"] == "Phantom^Eda"


def test_other_studies_stay_as_they_are(server):
    ((_, data),) = parts(server.get("/studies/1.2.2", STORED))
    assert data == FILES["1.2.2.1.1"]


def test_who_sends_more_is_told_that_it_will_say_something_else(server):
    more = pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.1"]))
    more.SOPInstanceUID = more.file_meta.MediaStorageSOPInstanceUID = "1.2.1.1.77"
    agreeing = pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.1"]))
    agreeing.SOPInstanceUID = agreeing.file_meta.MediaStorageSOPInstanceUID = "1.2.1.1.78"
    agreeing.PatientName, agreeing.PatientID = "Phantom^Eda", "PH9"
    agreeing.AccessionNumber = "A77"
    contents = []
    for each in (more, agreeing):
        stream = io.BytesIO()
        each.save_as(stream)
        contents.append(stream.getvalue())
    stored = server.store(*contents).json()["00081199"]["Value"]
    assert [each.get("00081196", {}).get("Value") for each in stored] == [[0xB000], None]
    # As before for the other tests.
    for uid in ("1.2.1.1.77", "1.2.1.1.78"):
        path = f"/studies/1.2.1/series/1.2.1.1/instances/{uid}"
        server.session.delete(server.url + path, params={"reason": "test"}, timeout=60)
