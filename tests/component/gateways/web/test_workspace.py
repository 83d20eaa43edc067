"""What the reading workspace asks of the server: its page, measurements, priors, preferences."""

import io
import json
import re

import pydicom
import pytest

from isocenter.domain.reading.model import MEASUREMENTS_MAX
from isocenter.gateways.web.web import STATIC
from isocenter.gateways.web.workspace_assets import workspace_assets
from tests.hospital import a_slice

CONTENT = {"points": [[0.0, 0.0, 4.0], [3.0, 4.0, 4.0]], "statistics": []}


def a_length(study_uid, **changes):
    return {
        "series_instance_uid": f"{study_uid}.1",
        "sop_instance_uid": f"{study_uid}.1.2",
        "frame_number": 1,
        "tool": "Length",
        "label": "Lesion",
        "content": CONTENT,
        **changes,
    }


@pytest.fixture
def study_uid(hospital):
    return hospital.scan(hospital.order(1), 1)


def test_a_measurement_is_kept_changed_and_removed_and_each_is_on_record(hospital, study_uid):
    path = f"/api/studies/{study_uid}/measurements"
    ada, tom = hospital.program("ada"), hospital.program("tom")
    assert ada.put(f"{path}/m-1", json=a_length(study_uid)).status_code == 204
    changed = a_length(study_uid, label="Node")
    assert ada.put(f"{path}/m-1", json=changed).status_code == 204
    (found,) = tom.get(path).json()  # whoever sees the images sees what was measured
    assert (found["label"], found["content"], found["created_by"]) == ("Node", CONTENT, "ada")
    assert tom.put(f"{path}/m-2", json=a_length(study_uid)).status_code == 403
    assert tom.delete(f"{path}/m-1").status_code == 403
    assert ada.delete(f"{path}/m-1").status_code == 204
    assert ada.delete(f"{path}/m-1").status_code == 204
    assert ada.get(path).json() == []
    assert hospital.audited("measurement.keep") == [("ada", study_uid, None)] * 2
    assert hospital.audited("measurement.remove") == [("ada", study_uid, None)]
    assert hospital.program("fay").get(path).status_code == 403


def test_measurements_have_limits_and_belong_to_one_study(hospital, study_uid):
    other_uid = hospital.scan(hospital.order(2, name="Phantom^Bea"), 2)
    ada = hospital.program("ada")

    def put(uid, name, **changes):
        path = f"/api/studies/{uid}/measurements/{name}"
        return ada.put(path, json=a_length(uid, **changes)).status_code

    assert put(study_uid, "m-1") == 204
    assert put(other_uid, "m-1") == 409
    assert put("1.2.3", "m-2") == 404
    assert put(study_uid, "m-2", content={"points": "x" * 200_001}) == 422
    assert put(study_uid, "m-2", frame_number=0) == 422
    assert put(study_uid, "m-2", sop_instance_uid="../1") == 422
    with hospital.database.transaction() as tx:
        tx.run(
            "insert into reading.measurement select 'n-' || n, study_instance_uid,"
            " series_instance_uid, sop_instance_uid, 1, tool, '', '{}', 'ada', now(), 'ada', now()"
            " from reading.measurement, generate_series(2, %s) n",
            (MEASUREMENTS_MAX,),
        )
    assert put(study_uid, "m-3") == 409
    assert put(study_uid, "m-1", label="still mine to change") == 204


def test_priors_are_the_patients_own(hospital, study_uid):
    stranger = hospital.scan(hospital.order(3, name="Phantom^Cleo"), 3)
    earlier = pydicom.dcmread(
        io.BytesIO(a_slice("", 1, 1, name="Phantom^Ada", study_uid="2.25.77")), force=True
    )
    earlier.StudyDate = "20250101"
    content = io.BytesIO()
    earlier.save_as(content, enforce_file_format=True)
    answer = hospital.program("tom").post(
        "/dicomweb/studies",
        content=b"--b\r\nContent-Type: application/dicom\r\n\r\n"
        + content.getvalue()
        + b"\r\n--b--",
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    assert answer.status_code == 200
    (found,) = hospital.program("ada").get(f"/api/studies/{study_uid}/priors").json()
    assert (found["study_instance_uid"], found["study_date"]) == ("2.25.77", "2025-01-01")
    assert hospital.program("ada").get(f"/api/studies/{stranger}/priors").json() == []
    assert hospital.program("fay").get(f"/api/studies/{study_uid}/priors").status_code == 403


def test_a_preference_is_a_users_own(hospital):
    ada, tom = hospital.program("ada"), hospital.program("tom")
    layout = {"rows": 2, "columns": 2}
    assert ada.put("/api/preferences/layout.CT", json={"value": layout}).status_code == 204
    assert ada.get("/api/preferences").json() == {"layout.CT": layout}
    assert tom.get("/api/preferences").json() == {}
    large = {"value": "x" * 200_001}
    assert ada.put("/api/preferences/layout.CT", json=large).status_code == 422


def test_the_reading_list_is_for_those_who_read(hospital, study_uid):
    hospital.quiet()
    (waiting,) = hospital.program("ada").get("/api/reading-list").json()
    assert waiting["study_instance_uids"] == [study_uid]
    assert hospital.program("fay").get("/api/reading-list").status_code == 403


def test_the_workspace_is_told_its_exam_and_may_do_what_it_needs_and_no_more(hospital, study_uid):
    if workspace_assets(STATIC) is None:
        pytest.skip("the reading workspace is not here: make viewer builds it")
    browser = hospital.browser("ada")
    for path in (f"/studies/{study_uid}/read", f"/viewer?StudyInstanceUIDs={study_uid},1.2.3"):
        page = browser.get(path)
        facts = json.loads(re.search(r'id="workspace-facts">(.+?)</script>', page.text)[1])
        (study,) = facts["studies"]
        assert study["study_instance_uid"] == study_uid
        assert facts["compare"] == (["1.2.3"] if path.startswith("/viewer") else [])
        policy = page.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy
        assert "'unsafe-eval'" not in policy
        assert "unsafe-inline" not in policy
    plain = browser.get(f"/studies/{study_uid}/read?plain=true")
    assert "wasm-unsafe-eval" not in plain.headers["content-security-policy"]
    script = browser.get(workspace_assets(STATIC).script, headers={"accept-encoding": "gzip"})
    assert script.headers["content-encoding"] == "gzip"
    assert script.headers["content-type"].startswith("text/javascript")
    assert int(script.headers["content-length"]) < 2_000_000
    assert browser.get("/viewer?StudyInstanceUIDs=").status_code == 404
