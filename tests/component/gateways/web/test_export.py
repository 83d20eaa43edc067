"""What leaves the archive for other places, and the pages that are no part of the navigation."""

import io
import json
import subprocess
import zipfile

import pytest
from PIL import Image


@pytest.fixture
def exam(hospital):
    accession = hospital.order(1)
    return accession, hospital.scan(accession, 1, count=2)


def test_a_zip_brings_its_own_viewer_beside_files_and_directory(hospital, exam, tmp_path):
    _, uid = exam
    answer = hospital.program("ada").get(
        f"/dicomweb/studies/{uid}?viewer=true", headers={"accept": "application/zip"}
    )
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    listed = subprocess.run(
        ["dcmdump", "--search", "0004,1430", str(tmp_path / "DICOMDIR")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.count("IMAGE") == 2
    script = (tmp_path / "VIEWER/STUDY.JS").read_text()
    study = json.loads(script.removeprefix("window.exportedStudy = ").rstrip(";\n"))
    assert study["patient"] == "Phantom Ada · PH0001 · 19610304"
    (series,) = study["series"]
    assert series["label"] == "1 Chest 1.0 lung"
    for name in series["pictures"]:
        with Image.open(tmp_path / "VIEWER" / name) as picture:
            assert (picture.format, picture.size) == ("JPEG", (64, 64))
    page = (tmp_path / "INDEX.HTM").read_text()
    for name in ("VIEWER/STUDY.JS", "VIEWER/VIEWER.JS", "VIEWER/VIEWER.CSS"):
        assert name in page
        assert (tmp_path / name).is_file()
    assert "://" not in page + (tmp_path / "VIEWER/VIEWER.JS").read_text()
    assert hospital.audited("study.export") == [("ada", uid, "PH0001")]


def test_pictures_are_on_record_before_they_are_saved(hospital, exam):
    _, uid = exam
    path = f"/api/studies/{uid}/exports"
    ada = hospital.program("ada")
    assert ada.post(path, json={"what": "picture"}).status_code == 204
    assert ada.post(path, json={"what": "everything"}).status_code == 422
    assert hospital.program("fay").post(path, json={"what": "picture"}).status_code == 403
    assert hospital.audited("study.export_picture") == [("ada", uid, "PH0001")]


def test_chosen_images_are_printed_with_the_report_and_on_record(hospital, exam):
    accession, uid = exam
    ada = hospital.program("ada")
    report = ada.post(
        "/api/reports", json={"accession_number": accession, "text": "No nodule is seen."}
    ).json()
    signing = {"draft_revision": report["draft_revision"]}
    signed = ada.post(f"/api/reports/{report['report_id']}/sign", json=signing)
    assert signed.status_code == 200, signed.text
    image = f"{uid}.1/{uid}.1.2/1@40,400"
    page = hospital.browser("ada").get(
        f"/exams/{accession}/print", params={"image": [image, f"{uid}.1/{uid}.1.1/1"], "rows": 1}
    )
    address = f"/dicomweb/studies/{uid}/series/{uid}.1/instances/{uid}.1.2/frames/1/rendered"
    assert f"{address}?window=40,400,linear" in page.text
    assert "No nodule is seen." in page.text
    assert ada.get(address, params={"window": "40,400,linear"}).status_code == 200
    assert hospital.audited("study.print") == [("ada", uid, "PH0001")]
    for other in ("2.25.9/2.25.9.1/1", f"{uid}.1/../1", f"{uid}.1/{uid}.1.1/1@<b>,1"):
        refused = ada.get(f"/exams/{accession}/print", params={"image": other})
        assert refused.status_code == 422, other
    embedded = hospital.browser("tom").get(f"/exams/{accession}/embed").text
    assert embedded.index("No nodule is seen.") < embedded.index('id="workspace"')


PROTOCOL = {
    "name": "Chest",
    "modality": ["CT"],
    "rows": 1,
    "columns": 2,
    "series": [{"label": "Now"}, {"label": "Before", "study": "prior", "modality": ["CT"]}],
    "stages": [{"name": "All", "rows": 4, "columns": 5, "series": [], "link": True}],
}


def test_hanging_protocols_are_kept_for_oneself_and_by_administrators_for_all(hospital):
    path = "/api/hanging-protocols"
    ada, root, tom = (hospital.program(name) for name in ("ada", "root", "tom"))
    assert ada.put(f"{path}/mine", json={"protocols": [PROTOCOL]}).status_code == 204
    assert ada.put(f"{path}/site", json={"protocols": [PROTOCOL]}).status_code == 403
    assert root.put(f"{path}/site", json={"protocols": [PROTOCOL]}).status_code == 204
    assert ada.get(path).json() == {
        "mine": [PROTOCOL],
        "site": [PROTOCOL],
        "may_change_site": False,
    }
    assert tom.get(path).json()["mine"] == []
    assert hospital.audited("site.prefer") == [("root", "hanging-protocols", None)]
