"""WADO-URI, the capabilities, other origins and the figures, with curl-like requests."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import PIL.Image
import pydicom
import pytest

from isocenter.domain.access.model import Role
from isocenter.infra import metrics
from tests.contract.dicomweb.test_clients import FILES

BASE = {"requestType": "WADO", "studyUID": "1.2.1", "seriesUID": "1.2.1.1"}
IMAGE = BASE | {"objectUID": "1.2.1.1.1"}
CINE = BASE | {"objectUID": "1.2.1.1.3"}
REPORT = BASE | {"seriesUID": "1.2.1.2", "objectUID": "1.2.1.2.1"}
ORIGIN = "https://ehr.example"


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server(knows_its_url=True, cross_origins=frozenset({ORIGIN}))
    assert made.store(*FILES.values()).status_code == 200
    return made


def ask(server, query: dict, accept: str = "*/*", path: str = "/wado"):
    return server.get(path, accept, params=query)


def picture(answer) -> PIL.Image.Image:
    assert answer.status_code == 200, answer.text
    return PIL.Image.open(io.BytesIO(answer.content))


def test_pictures(server):
    assert picture(ask(server, IMAGE)).format == "JPEG"
    assert picture(ask(server, IMAGE, path="/")).format == "JPEG"
    assert picture(ask(server, IMAGE | {"contentType": "image/png,image/jpeg"})).format == "PNG"
    assert picture(ask(server, IMAGE, "image/png")).format == "PNG"
    moving = ask(
        server, CINE | {"contentType": "image/gif", "windowCenter": "324", "windowWidth": "48"}
    )
    assert picture(moving).n_frames == 3
    windowed = IMAGE | {"contentType": "image/png", "windowCenter": "108", "windowWidth": "16"}
    shown = np.array(picture(ask(server, windowed)))
    expected = pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.1"])).pixel_array
    assert np.abs(shown - np.clip((expected - 107.5) / 15 + 0.5, 0, 1) * 255).max() <= 1


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ({"rows": "8"}, (8, 8)),
        ({"columns": "12"}, (12, 12)),
        ({"rows": "6", "columns": "100"}, (6, 6)),
        ({"region": "0,0,0.5,1"}, (2, 4)),
        ({"region": "0.5,0.5,1,1", "rows": "10"}, (10, 10)),
    ],
)
def test_sizes_and_regions(server, query, size):
    assert picture(ask(server, IMAGE | query | {"contentType": "image/png"})).size == size


def test_files(server):
    plain = ask(server, CINE | {"contentType": "application/dicom"})
    made = pydicom.dcmread(io.BytesIO(plain.content))
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    stored = pydicom.dcmread(io.BytesIO(FILES["1.2.1.1.3"]))
    assert np.array_equal(made.pixel_array, stored.pixel_array)
    syntax = "1.2.840.10008.1.2.4.90"
    asked = CINE | {"contentType": "application/dicom", "transferSyntax": syntax}
    made = pydicom.dcmread(io.BytesIO(ask(server, asked).content))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(made.pixel_array, stored.pixel_array)
    report = ask(server, REPORT)
    assert report.headers["content-type"] == "application/dicom"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"requestType": "WADO"}, 400),
        (IMAGE | {"requestType": "wado"}, 400),
        (IMAGE | {"objectUID": "9.9"}, 404),
        (IMAGE | {"studyUID": "x"}, 400),
        (IMAGE | {"frameNumber": "2"}, 404),
        (IMAGE | {"contentType": "text/html"}, 406),
        (IMAGE | {"anonymize": "yes"}, 406),
        (IMAGE | {"presentationUID": "1.2"}, 406),
        (IMAGE | {"windowCenter": "1"}, 400),
        (IMAGE | {"region": "0,0,2,1"}, 400),
        (IMAGE | {"rows": "0"}, 400),
        (IMAGE | {"contentType": "application/dicom", "transferSyntax": "1.2.3"}, 406),
    ],
)
def test_refusals(server, query, status):
    assert ask(server, query).status_code == status


def test_who_may(server):
    url = server.url + "/wado"
    assert server.session_of(Role.FRONT_DESK).get(url, params=IMAGE).status_code == 403


def test_capabilities(server):
    answer = server.session.options(server.url + "/", headers={"Accept": "*/*"}, timeout=60)
    assert answer.status_code == 200
    root = ET.fromstring(answer.content)
    space = {"w": "http://wadl.dev.java.net/2009/02"}
    methods = {
        (resource.get("path"), method.get("name"))
        for resource in root.iterfind(".//w:resource", space)
        for method in resource.iterfind("w:method", space)
    }
    assert {("studies", "GET"), ("studies", "POST"), ("studies/{study}", "DELETE")} <= methods
    answer = server.get("/", "application/json").json()
    assert "1.2.840.10008.1.2.4.202" in answer["transfer_syntaxes"]["encoded"]
    assert server.get("/nothing").status_code == 404


def test_other_origins(server):
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = server.session_of(Role.RADIOLOGIST).options(server.url + "/studies", headers=asks)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Range" in answer.headers["Access-Control-Allow-Headers"]
    answer = server.get("/studies", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for origin in ("https://other.example", "null"):
        answer = server.get("/studies", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_figures_name_templates_and_no_patient(server):
    server.get("/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1/frames/1")
    server.get("/studies/1.2.1/metadata")
    server.get("/no/such/path")
    text = metrics.exposition().decode()
    route = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}"
    assert f'isocenter_http_requests_total{{method="GET",route="{route}",status="200"}}' in text
    assert 'route="/dicomweb/studies/{study}/metadata"' in text
    assert 'route="none",status="404"' in text
    assert "isocenter_http_request_duration_seconds_bucket" in text
    lines = [each for each in text.splitlines() if each.startswith("isocenter_http")]
    assert not any("1.2.1" in each for each in lines)
