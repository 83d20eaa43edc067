"""Who asks again gets the same at less cost, and what has changed since at once."""

from io import BytesIO

import pydicom
import pydicom.encaps
import pytest

from isocenter.domain.access.model import Role
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from tests.contract.dicomweb.test_clients import FILES
from tests.contract.dicomweb.test_real_files import parts
from tests.dicomweb_server import SYSTEM

SERIES = "/studies/1.2.1/series/1.2.1.1"
FRAME = f"{SERIES}/instances/1.2.1.1.1/frames/1"
OTHER = "/studies/1.2.2/series/1.2.2.1/metadata"
PLAIN = {"Accept-Encoding": "identity"}
RAW = 'multipart/related; type="application/octet-stream"'


@pytest.fixture(scope="module")
def server(make_server):
    made = make_server()
    assert made.store(*FILES.values()).status_code == 200
    return made


@pytest.mark.parametrize(
    ("frames", "accept"),
    [
        (FRAME, RAW),
        (FRAME, "application/octet-stream"),
        (f"{SERIES}/instances/1.2.1.1.3/frames/3,1", "multipart/related; type=image/dicom-rle"),
        (f"{SERIES}/instances/1.2.1.1.3/frames/2", RAW),
    ],
)
def test_frames(server, frames, accept):
    first, again = (server.get(frames, accept) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    tag = first.headers["ETag"]
    assert again.headers["ETag"] == tag
    same = server.get(frames, accept, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    part = server.get(frames, accept, headers={"Range": "bytes=5-24"})
    assert (part.status_code, part.content) == (206, first.content[5:25])
    beyond = server.get(frames, accept, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    head = server.session.head(server.url + frames, headers={"Accept": accept}, timeout=60)
    assert head.headers["Content-Length"] == str(len(first.content))


def test_frames_are_those_of_the_file(server):
    raw = pydicom.dcmread(BytesIO(FILES["1.2.1.1.1"])).PixelData
    packed = pydicom.dcmread(BytesIO(FILES["1.2.1.1.3"])).PixelData
    one, _, three = pydicom.encaps.generate_frames(packed, number_of_frames=3)
    some = f"{SERIES}/instances/1.2.1.1.3/frames/3,1"
    for _ in range(2):
        assert [data for _, data in parts(server.get(FRAME, RAW))] == [raw]
        answer = server.get(some, "multipart/related; type=image/dicom-rle")
        assert [data for _, data in parts(answer)] == [three, one]


def test_what_there_is_not(server):
    assert server.get(FRAME, RAW).status_code == 200
    assert server.get(FRAME.replace("frames/1", "frames/2"), RAW).status_code == 404
    assert server.get(FRAME.replace("1.2.1.1.1", "1.2.1.1.9"), RAW).status_code == 404
    assert server.get(FRAME, "image/jpeg; transfer-syntax=1.2").status_code == 406


def test_each_opening_is_on_record_once(server):
    """Nobody reads without it, and nobody fills the record by reading on."""
    session = server.session_of(Role.TECHNOLOGIST)
    before = len(server.audited("study.retrieve"))
    for path in (FRAME, FRAME, f"{SERIES}/metadata", f"{SERIES}/metadata"):
        assert session.get(server.url + path, timeout=60).status_code == 200
    assert len(server.audited("study.retrieve")) == before + 1


def test_metadata_plain_and_compressed(server):
    asked = [server.get(f"{SERIES}/metadata", headers=PLAIN) for _ in range(2)]
    packed = [server.get(f"{SERIES}/metadata") for _ in range(2)]
    assert all("Content-Encoding" not in each.headers for each in asked)
    assert all(each.headers["Content-Encoding"] == "gzip" for each in packed)
    assert len({each.content for each in asked + packed}) == 1
    assert len({each.headers["ETag"] for each in asked + packed}) == 1


def test_metadata_names_the_root_that_the_client_uses(server):
    for _ in range(2):
        for host in ("one.example", "two.example"):
            answer = server.get(f"{SERIES}/metadata", headers={"Host": host})
            uris = [each["7FE00010"]["BulkDataURI"] for each in answer.json()]
            assert len(uris) == 3
            assert all(uri.startswith(f"http://{host}/") for uri in uris)


def test_metadata_says_what_is_right_now(server):
    def names() -> set[str]:
        answers = [server.get(OTHER) for _ in range(2)]
        return {each.json()[0]["00100010"]["Value"][0]["Alphabetic"] for each in answers}

    def correct(name: str | None) -> None:
        with server.database.transaction() as tx:
            said = Corrections(patient_name=name)
            assert archive.correct(tx, SYSTEM, "1.2.2", said, now=server.clock())

    (before,) = names()
    correct("Phantom^Eda")
    assert names() == {"Phantom^Eda"}
    correct(None)
    assert names() == {before}


def test_what_was_rejected_is_gone(server):
    instance = "/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    paths = (f"{instance}/frames/1", "/studies/1.2.3/series/1.2.3.1/metadata")
    for path in paths * 2:
        assert server.get(path).status_code == 200
    administrator = server.session_of(Role.ADMINISTRATOR)
    reason = {"reason": "wrong patient"}
    assert administrator.delete(server.url + instance, params=reason, timeout=60).ok
    assert [server.get(path).status_code for path in paths] == [404, 404]
