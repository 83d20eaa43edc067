"""DELETE hides and keeps: nobody is shown it, it does not come back, and it is on record."""

import pytest

from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.archive import service as archive
from tests.contract.dicomweb.test_clients import FILES
from tests.dicomweb_server import SYSTEM

VIEWER = Viewer.of(SYSTEM, Action.STUDY_READ)
SERIES = "/studies/1.2.1/series/1.2.1.1"


@pytest.fixture
def server(make_server):
    made = make_server(knows_its_url=True)
    assert made.store(*FILES.values()).status_code == 200
    return made


def delete(server, path: str, reason: str | None = "wrong patient", role=Role.ADMINISTRATOR):
    params = {"reason": reason} if reason is not None else {}
    return server.session_of(role).delete(server.url + path, params=params, timeout=60)


def found(server, path: str) -> set[str]:
    return {each["00080018"]["Value"][0] for each in server.get(path).json()}


def test_an_instance_is_hidden_everywhere(server):
    before = server.get(f"{SERIES}/metadata").headers["ETag"]
    answer = delete(server, f"{SERIES}/instances/1.2.1.1.2")
    assert (answer.status_code, answer.json()) == (200, {"rejected": 1})
    assert found(server, "/studies/1.2.1/instances") == {"1.2.1.1.1", "1.2.1.1.3", "1.2.1.2.1"}
    assert server.get(f"{SERIES}/instances/1.2.1.1.2", "*/*").status_code == 404
    assert server.get(f"{SERIES}/instances/1.2.1.1.2/frames/1").status_code == 404
    metadata = server.get(f"{SERIES}/metadata", headers={"If-None-Match": before})
    assert [each["00080018"]["Value"][0] for each in metadata.json()] == ["1.2.1.1.1", "1.2.1.1.3"]
    (study,) = server.get("/studies?StudyInstanceUID=1.2.1").json()
    assert study["00201208"]["Value"] == [3]
    (record,) = server.audited("study.reject")
    assert record.patient_id == "PH1"
    assert record.detail["reason"] == "wrong patient"


def test_a_whole_study_goes_and_stays_away(server):
    uids = [uid for uid in FILES if uid.startswith("1.2.1.")]
    with server.database.read() as tx:
        keys = [each.blob_key for each in archive.locate(tx, VIEWER, "1.2.1")]
    assert delete(server, "/studies/1.2.1").json() == {"rejected": 4}
    assert server.get("/studies?StudyInstanceUID=1.2.1").json() == []
    again = server.store(*(FILES[uid] for uid in uids))
    assert again.status_code == 200  # the sender is not blocked
    assert server.get("/studies?StudyInstanceUID=1.2.1").json() == []
    assert all(server.blobs.read(key) for key in keys)
    with server.database.transaction() as tx:
        assert archive.unreferenced(tx, keys) == []
        assert archive.conflicts_of(tx, VIEWER, "1.2.1") == []
    assert delete(server, "/studies/1.2.1").status_code == 404


def test_the_series_of_a_study_are_recounted(server):
    assert delete(server, "/studies/1.2.1/series/1.2.1.2").json() == {"rejected": 1}
    (study,) = server.get("/studies?StudyInstanceUID=1.2.1").json()
    assert study["00201206"]["Value"] == [1]
    assert study["00080061"]["Value"] == ["CT"]
    assert len(server.get("/studies/1.2.1/series").json()) == 1


def test_who_may_and_why(server):
    for role in (Role.RADIOLOGIST, Role.TECHNOLOGIST, Role.FRONT_DESK):
        assert delete(server, "/studies/1.2.1", role=role).status_code == 403
    for reason in (None, "", "  ", "x" * 401):
        assert delete(server, "/studies/1.2.1", reason).status_code == 400
    assert delete(server, "/studies/9.9").status_code == 404
    assert len(found(server, "/instances")) == len(FILES)
    by_header = server.session.delete(
        server.url + "/studies/1.2.3", headers={"Isocenter-Reason": "test film"}, timeout=60
    )
    assert by_header.status_code == 200


def test_coded_reasons(server):
    def post(code: str):
        return server.session.post(f"{server.url}{SERIES}/reject/{code}", timeout=60)

    assert post("113999%5EDCM").status_code == 400
    assert post("113001%5EDCM").json() == {"rejected": 3}
    (record,) = server.audited("study.reject")
    assert record.detail["code"] == "113001"
    assert record.detail["reason"] == "Rejected for Quality Reasons"
