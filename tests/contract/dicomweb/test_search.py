"""What searches return beyond the index, in JSON and in XML; pydicom reads both."""

import email.parser
import email.policy
import xml.etree.ElementTree as ET
from dataclasses import replace
from http import HTTPStatus

import pytest
from pydicom.dataset import Dataset

from isocenter.domain.access.model import Role
from tests.contract.dicomweb.test_clients import FILES, a_file

XML = 'multipart/related; type="application/dicom+xml"'


def request_item(**ids) -> Dataset:
    item = Dataset()
    for name, value in ids.items():
        setattr(item, name, value)
    return item


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(knows_its_url=True)
    requests = [
        request_item(RequestedProcedureID="RP1", ScheduledProcedureStepID="SPS1"),
        request_item(RequestedProcedureID="RP2", RequestedProcedureDescription="CT chest"),
    ]
    rich = a_file(
        1,
        1,
        1,
        RequestAttributesSequence=requests,
        TimezoneOffsetFromUTC="+0100",
        PatientWeight="71.5",
        OtherPatientIDs="X1",
        InstitutionName="Phantom General",
        SliceLocation="12.5",
        PatientComments="Zażółć",
    )
    files = [rich, *(data for uid, data in FILES.items() if uid != "1.2.1.1.1")]
    assert made.store(*files).status_code == 200
    return made


def rows(answer) -> list[Dataset]:
    assert answer.status_code == 200
    return [Dataset.from_json(each) for each in answer.json()]


def test_study_attributes_come_from_the_stored_header(server):
    query = "StudyInstanceUID=1.2.1&includefield=PatientWeight,00104000&includefield=SliceLocation"
    (row,) = rows(server.get(f"/studies?{query}"))
    assert row.PatientWeight == 71.5
    assert row.PatientComments == "Zażółć"
    assert "SliceLocation" not in row  # of instances


def test_all_gives_what_the_level_has(server):
    (study,) = rows(server.get("/studies?StudyInstanceUID=1.2.1&includefield=all"))
    assert study.PatientWeight == 71.5
    assert "InstitutionName" not in study
    (series,) = rows(server.get("/studies/1.2.1/series?SeriesInstanceUID=1.2.1.1&includefield=all"))
    assert series.InstitutionName == "Phantom General"
    assert "SliceLocation" not in series
    (instance,) = rows(
        server.get("/studies/1.2.1/instances?SOPInstanceUID=1.2.1.1.1&includefield=all")
    )
    assert instance.SliceLocation == 12.5
    assert "PixelData" not in instance


def test_instances_give_what_they_are_asked_for(server):
    found = rows(server.get("/series?includefield=Manufacturer,SeriesNumber"))
    assert len(found) == 4
    asked = "includefield=SliceLocation,RequestAttributesSequence.RequestedProcedureID"
    first, second = rows(server.get(f"/studies/1.2.1/series/1.2.1.1/instances?{asked}&limit=2"))
    assert first.SliceLocation == 12.5
    assert [each.RequestedProcedureID for each in first.RequestAttributesSequence] == ["RP1", "RP2"]
    assert "SliceLocation" not in second


def test_requests_are_found_once_the_metadata_is_made(server):
    assert server.get("/studies/1.2.1/series/1.2.1.1/metadata").status_code == 200
    for path in ("RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"):
        (row,) = rows(server.get(f"/series?{path}=SPS1"))
        assert row.SeriesInstanceUID == "1.2.1.1"
        first = row.RequestAttributesSequence[0]
        assert (first.RequestedProcedureID, first.ScheduledProcedureStepID) == ("RP1", "SPS1")
        assert row.TimezoneOffsetFromUTC == "+0100"
    assert rows(server.get("/series?RequestAttributesSequence.RequestedProcedureID=RP9")) == []
    (study,) = rows(server.get("/studies?StudyInstanceUID=1.2.1"))
    assert study.TimezoneOffsetFromUTC == "+0100"


def xml_parts(answer) -> list[ET.Element]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(head + answer.content)
    assert all(each.get_content_type() == "application/dicom+xml" for each in message.iter_parts())
    return [ET.fromstring(each.get_content()) for each in message.iter_parts()]


def test_results_as_xml(server):
    answer = server.get("/studies?PatientID=PH1", XML)
    assert answer.status_code == 200
    models = xml_parts(answer)
    assert len(models) == 2
    texts = [
        model.findtext("DicomAttribute[@keyword='StudyInstanceUID']/Value") for model in models
    ]
    assert sorted(texts) == ["1.2.1", "1.2.3"]
    assert {
        model.findtext("DicomAttribute[@keyword='PatientName']/PersonName/Alphabetic/GivenName")
        for model in models
    } == {"Ada"}
    nothing = server.get("/studies?PatientID=nobody", XML)
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_nothing_found(server, make_server):
    answer = server.get("/studies?PatientID=nobody")
    assert (answer.status_code, answer.json()) == (200, [])
    strict = make_server(options=replace(server.options, empty_search_status=HTTPStatus.NO_CONTENT))
    answer = strict.get("/studies")
    assert (answer.status_code, answer.content) == (204, b"")


def test_pages_are_stable_and_say_when_there_is_more(make_server, server):
    small = make_server(options=replace(server.options, search_results_max=2))
    small.store(*FILES.values())
    uids = []
    for offset in range(0, 8, 2):
        answer = small.get(f"/instances?limit=5&offset={offset}")
        more = "Additional results" in answer.headers.get("Warning", "")
        assert more is (offset < 4)
        if more:
            assert answer.headers["Warning"].startswith("299 ")
        uids += [each["00080018"]["Value"][0] for each in answer.json()]
    assert sorted(uids) == sorted(FILES)


def test_keys_of_lists_and_unknown_ones(server):
    found = rows(server.get("/instances?StudyInstanceUID=1.2.2,1.2.3&includefield=SOPClassUID"))
    assert sorted(each.SOPInstanceUID for each in found) == ["1.2.2.1.1", "1.2.3.1.1"]
    ignored = server.get("/studies?PatientWeight=71.5")
    assert "00101030" in ignored.headers["Warning"]
    assert server.get("/studies?NoSuchAttribute=1").status_code == 400
    assert server.get("/studies", "text/html").status_code == 406
    assert server.session_of(Role.FRONT_DESK).get(server.url + "/studies").status_code == 403


ALWAYS = """
SOPClassUID SOPInstanceUID InstanceAvailability RetrieveURL InstanceNumber Modality
SeriesInstanceUID SeriesNumber SeriesDescription NumberOfSeriesRelatedInstances StudyDate StudyTime
AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID StudyInstanceUID
NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
"""


def test_rows_are_whole(server):
    """Every attribute of the tables that these files have is there, and pydicom takes each."""
    for row in rows(server.get("/instances")):
        for keyword in ALWAYS.split():
            assert row.get(keyword), keyword
