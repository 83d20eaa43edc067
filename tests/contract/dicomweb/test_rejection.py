"""DELETE hides and keeps: nobody is shown it, it does not come back, and it is on record."""

from io import BytesIO

import pydicom
import pytest

from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.archive import service as archive
from isocenter.infra.ids import new_uid
from isocenter.standards.dicom.key_object import (
    KEY_OBJECT_SELECTION,
    Note,
    NoteIdentity,
    Reference,
    Title,
    write_note,
)
from isocenter.standards.dicom.part10 import encode_file_meta
from isocenter.standards.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.standards.dicom.values import DataSet, encode_dataset
from tests.builders import NOON
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


def restore(server, path: str, reason: str | None = "it was right", role=Role.ADMINISTRATOR):
    params = {"reason": reason} if reason is not None else {}
    url = f"{server.url}{path}/restore"
    return server.session_of(role).post(url, params=params, timeout=60)


def test_what_was_rejected_can_be_restored(server):
    before = server.get(f"{SERIES}/metadata").json()
    assert delete(server, SERIES).json() == {"rejected": 3}
    assert restore(server, SERIES, role=Role.RADIOLOGIST).status_code == 403
    assert restore(server, SERIES, reason=None).status_code == 400
    (listed,) = server.get("/studies/1.2.1/rejections").json()
    assert (listed["code"], listed["reason"]) == ("113037", "wrong patient")
    assert (listed["number_of_instances"], listed["number_hidden"]) == (3, 3)
    assert restore(server, f"{SERIES}/instances/1.2.1.1.2").json() == {"restored": 1}
    assert found(server, f"{SERIES}/instances") == {"1.2.1.1.2"}
    assert restore(server, SERIES).json() == {"restored": 2}
    assert restore(server, SERIES).status_code == 404
    assert server.get(f"{SERIES}/metadata").json() == before
    assert server.get("/studies/1.2.1/rejections").json()[0]["number_hidden"] == 0
    assert [each.detail["instances"] for each in server.audited("study.restore")] == [2, 1]


def a_note_about(uid: str) -> bytes:
    image = pydicom.dcmread(BytesIO(FILES[uid]))
    place = Reference(
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPClassUID, image.SOPInstanceUID
    )
    identity = NoteIdentity(
        series_instance_uid=new_uid(), sop_instance_uid=new_uid(), written_at=NOON
    )
    document = write_note(Note(Title.QUALITY, (place,)), about=DataSet(), identity=identity)
    head = encode_file_meta(
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
    )
    return head + encode_dataset(document, EXPLICIT_VR_LITTLE_ENDIAN)


def test_notes_come_by_stow_from_those_who_may_reject(server):
    note = a_note_about("1.2.1.1.2")
    session, server.session = server.session, server.session_of(Role.RADIOLOGIST)
    assert server.store(note).status_code == 409  # may store, and may not reject
    assert "1.2.1.1.2" in found(server, "/instances")
    server.session = session
    assert server.store(note).status_code == 200
    assert "1.2.1.1.2" not in found(server, "/instances")
    (record,) = server.audited("study.reject")
    assert record.detail["note"] == "received"
