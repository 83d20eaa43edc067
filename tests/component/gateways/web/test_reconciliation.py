"""The queue of images that need a person: its pages and API, from counting to taking back."""

import re
from io import BytesIO

import pydicom

from isocenter.domain.reconcile.model import TermName
from tests.hospital import Hospital, a_slice


def test_the_figure_is_on_every_page_of_those_who_may_look(hospital):
    hospital.scan("TYPO", 1)
    browser = hospital.browser("tom")
    for path in ("/", "/reconciliation", "/deliveries", "/stations"):
        page = browser.get(path).text
        assert "(1 study needs a person)" in page, path
    assert "needs a person)" not in hospital.browser("fay").get("/").text


def test_the_queue_shows_what_waits_and_leads_to_it(hospital):
    assert "Everything has found its order." in hospital.browser("tom").get("/reconciliation").text
    for number in range(1, 4):
        hospital.scan(f"TYPO{number}", number, name=f"Phantom{number}^Ada")
    browser = hospital.browser("tom")
    page = browser.get("/reconciliation").text
    assert page.count("Unmatched</span>") >= 3
    assert "3 studies wait" in page
    assert "/thumbnail" in page
    assert page.count("data-href=") == 3
    found = browser.get("/reconciliation", params={"text": "phantom2"}).text
    assert found.count("data-href=") == 1
    assert "Nothing in the queue fits" in browser.get("/reconciliation?kind=ambiguous").text
    assert browser.get("/reconciliation?after=nonsense").status_code == 200
    hospital.clock.advance(hours=9)
    assert "3 wait too long" in browser.get("/reconciliation").text


def test_candidates_are_explained_and_a_preview_tells_what_changes(hospital):
    accession_number = hospital.order(1)
    study_uid = hospital.scan("TYPO", 1)
    browser = hospital.browser("tom")
    page = browser.get(f"/reconciliation/{study_uid}").text
    assert "What speaks for and against it" in page
    assert re.search(r'<span class="points">\+30</span> for: same patient ID', page)
    assert re.search(r'<span class="points">-20</span> against: another accession number', page)
    assert "≠ differs" in page  # not by colour alone
    preview = browser.get(
        f"/reconciliation/{study_uid}/preview", params={"accession_number": accession_number}
    ).text
    assert "Another accession number" in preview
    assert re.search(rf"TYPO.*{accession_number}", preview, re.DOTALL)
    assert "No peer holds these images" in preview
    unknown = {"accession_number": "NONE"}
    answer = browser.get(f"/reconciliation/{study_uid}/preview", params=unknown)
    assert answer.status_code == 404


def test_every_action_of_the_page_and_its_undoing(hospital):
    hospital.order(2, name="Phantom^Zoe")
    study_uid = hospital.scan("TYPO", 1)
    browser = hospital.browser("tom")
    path = f"/reconciliation/{study_uid}"

    def act(step: str, **form: str) -> str:
        answer = browser.post(f"{path}/{step}", data=form)
        assert answer.status_code == 303, answer.text
        hospital.dispatcher.run_once()
        return browser.get(path).text

    assert "Looked after by <bdi>tom" in act("claim")
    assert "Nobody looks after" in act("unclaim")
    assert "At rest" in act("hold", hours="4", reason="order is typed")
    assert "1 at rest" in browser.get("/reconciliation").text
    assert "At rest" not in re.sub(r"<table.*?</table>", "", act("release"), flags=re.DOTALL)
    assert "Phantom, Zoe" in act("patient", patient_id="PH0002", reason="wristband")
    page = act("order", reason="emergency")
    assert "by a person: images that still come follow" in page
    key = re.search(r"decisions/(\d+)/undo", page)[1]
    assert "Taken back" in act(f"decisions/{key}/undo", reason="was wrong")
    unknown = browser.post(f"{path}/patient", data={"patient_id": "NOBODY", "reason": "x"})
    assert unknown.status_code == 404
    assert browser.post(f"{path}/images/reject", data={"reason": "x"}).status_code == 403
    rejected = hospital.browser("root").post(f"{path}/images/reject", data={"reason": "a phantom"})
    assert rejected.status_code == 303
    hospital.dispatcher.run_once()
    assert "Everything has found its order." in browser.get("/reconciliation").text


def test_the_api_scores_previews_decides_and_takes_back(hospital):
    accession_number = hospital.order(1)
    study_uid = hospital.scan("TYPO", 1)
    program = hospital.program("tom")
    (candidate,) = program.get(f"/api/reconciliation/{study_uid}/candidates").json()
    assert candidate["points"] == sum(each["points"] for each in candidate["terms"])
    assert {each["name"] for each in candidate["terms"]} <= set(TermName)
    path = f"/api/reconciliation/{study_uid}"
    preview = program.get(f"{path}/preview", params={"accession_number": accession_number}).json()
    assert preview["changes"] == [
        {"attribute": "accession_number", "said": "TYPO", "becomes": accession_number}
    ]
    program.post(f"{path}/match", json={"accession_number": accession_number, "reason": "x"})
    (decision,) = program.get(f"{path}/decisions").json()
    assert (decision["kind"], decision["can_be_undone"]) == ("link", True)
    undo = f"{path}/decisions/{decision['decision_key']}/undo"
    assert program.post(undo, json={"reason": "y"}).status_code == 204
    assert program.post(undo, json={"reason": "y"}).status_code == 404
    assert program.post(f"{path}/hold", json={"hours": 1, "reason": "z"}).status_code == 204
    assert program.post(f"{path}/hold", json={"hours": 999, "reason": "z"}).status_code == 422
    assert program.get("/api/reconciliation/rules").json() == []


def test_rules_are_offered_made_and_switched(hospital):
    browser = hospital.browser("tom")
    assert "No rule decides." in browser.get("/reconciliation-rules").text
    for number in range(1, 6):
        accession_number = hospital.order(number)
        study_uid = hospital.scan("", number, count=1)
        form = {"accession_number": accession_number, "reason": "as always"}
        browser.post(f"/reconciliation/{study_uid}/match", data=form)
        hospital.dispatcher.run_once()
    page = browser.get("/reconciliation-rules").text
    assert "Your decisions follow a rule" in page
    assert "100.0 %" in page
    station = re.search(r'name="station_ae_title" value="([^"]*)"', page)[1]
    terms = re.findall(r'name="terms" value="([^"]*)"', page)
    form = {"station_ae_title": station, "terms": terms}
    assert browser.post("/reconciliation-rules", data=form).status_code == 303
    hospital.order(6)
    hospital.scan("", 6, count=1)
    assert "Everything has found its order." in browser.get("/reconciliation").text
    assert "1 study<" in browser.get("/reconciliation-rules").text
    browser.post("/reconciliation-rules/1", data={"enabled": "false"})
    assert "Switch on" in browser.get("/reconciliation-rules").text


def test_prefixes_are_the_administrators(hospital):
    browser = hospital.browser("root")
    assert browser.post("/accession-prefixes", data={"prefix": "RAD-"}).status_code == 303
    for unusable in ("RAD1", "*", " "):
        answer = browser.post("/accession-prefixes", data={"prefix": unusable})
        assert 400 <= answer.status_code < 500, unusable
    page = browser.get("/reconciliation-rules").text
    assert re.findall(r'<span class="code">([^<]*)</span>', page) == ["RAD-"]
    browser.post("/accession-prefixes/remove", data={"prefix": "RAD-"})
    assert '<span class="code">' not in browser.get("/reconciliation-rules").text


def test_stations_are_listed_with_their_state(hospital):
    assert "No station has asked" in hospital.browser("tom").get("/stations").text
    hospital.scan("TYPO", 1)
    page = hospital.browser("tom").get("/stations").text
    assert "Uses no worklist" in page
    assert "1 of 1" in page
    (station,) = hospital.program("tom").get("/api/stations").json()
    assert (station["studies"], station["by_hand"], station["is_silent"]) == (1, 1, False)
    assert hospital.program("tom").get("/api/conditions").json() == []


def two_series(hospital: Hospital) -> tuple[str, str]:
    """A study for order 1 whose second series is of order 2, and the number of that order."""
    study_uid = hospital.scan(hospital.order(1), 1)
    other = hospital.order(2, name="Phantom^Zoe")
    model = pydicom.dcmread(BytesIO(a_slice("", 1, 7, name="Phantom^Ada", study_uid=study_uid)))
    model.SeriesInstanceUID = f"{study_uid}.9"
    model.SeriesDescription, model.SeriesNumber = "Topogram", 9
    buffer = BytesIO()
    model.save_as(buffer)
    hospital.keep(buffer.getvalue())
    return study_uid, other


def test_series_are_split_off_and_put_back(hospital):
    study_uid, other = two_series(hospital)
    browser = hospital.browser("tom")
    path = f"/reconciliation/{study_uid}"
    assert f'href="{path}/split"' in browser.get(path).text
    page = browser.get(f"{path}/split").text
    assert page.count('type="checkbox"') == 2
    assert "Topogram" in page
    wanted = {"series": f"{study_uid}.9", "accession_number": other}
    preview = browser.get(f"{path}/split", params=wanted).text
    assert "1 image in 1 series" in preview
    assert "Phantom^Zoe" in preview
    assert "because no peer holds these images" in preview
    assert "Split them off" in preview
    everything = {"series": [f"{study_uid}.9", f"{study_uid}.1"]}
    assert "Split them off" not in browser.get(f"{path}/split", params=everything).text
    answer = browser.post(f"{path}/split", data={**wanted, "reason": "wrong entry"})
    assert answer.status_code == 303, answer.text
    hospital.dispatcher.run_once()
    target = answer.headers["location"].partition("?")[0]
    assert "came with" in browser.get(target).text
    page = browser.get(path).text
    assert "1 image of this study is shown in" in page
    key = re.search(r"splits/(\d+)/undo", page)[1]
    rejected = hospital.browser("root").get("/rejections").text
    assert "Shown in another study" in rejected
    undone = browser.post(f"{path}/splits/{key}/undo", data={"reason": "it was right"})
    assert undone.status_code == 303, undone.text
    hospital.dispatcher.run_once()
    assert "is shown in" not in browser.get(path).text
    assert "Taken back" in browser.get(path).text
    assert "They are where they came again" in hospital.browser("root").get("/rejections").text


def test_the_api_splits_and_restores(hospital):
    study_uid, other = two_series(hospital)
    program, root = hospital.program("tom"), hospital.program("root")
    path = f"/api/reconciliation/{study_uid}"
    series = {"series_instance_uid": f"{study_uid}.9", "accession_number": other}
    preview = program.get(f"{path}/split/preview", params=series).json()
    assert {each["attribute"] for each in preview["changes"]} >= {"patient_name", "patient_id"}
    body = {"series_instance_uids": [f"{study_uid}.9"], "patient_id": "PH0002", "reason": "x"}
    assert hospital.program("fay").post(f"{path}/split", json=body).status_code == 403
    made = program.post(f"{path}/split", json=body).json()
    hospital.dispatcher.run_once()
    (listed,) = program.get(f"{path}/splits").json()
    assert listed["to_study_instance_uid"] == made["to_study_instance_uid"]
    assert program.get("/api/rejections").status_code == 403
    (rejected,) = root.get("/api/rejections").json()
    assert (rejected["split_to"], rejected["can_be_restored"]) == (
        made["to_study_instance_uid"],
        False,
    )
    restore = {"study_instance_uid": study_uid, "reason": "x"}
    assert root.post("/api/rejections/restore", json=restore).status_code == 404
    undo = f"/api/reconciliation/splits/{made['split_key']}/undo"
    assert program.post(undo, json={"reason": "y"}).status_code == 204
    assert program.post(undo, json={"reason": "y"}).status_code == 404
    nobody = {**body, "patient_id": "NOBODY"}
    assert program.post(f"{path}/split", json=nobody).status_code == 404


def test_rejected_images_are_listed_and_restored(hospital):
    study_uid = hospital.scan("TYPO", 1)
    root = hospital.browser("root")
    assert "Nothing is rejected." in root.get("/rejections").text
    assert hospital.browser("tom").get("/rejections").status_code == 403
    root.post(f"/reconciliation/{study_uid}/images/reject", data={"reason": "a phantom"})
    hospital.dispatcher.run_once()
    page = root.get("/rejections").text
    assert "a phantom" in page
    assert "The whole study" in page
    assert "No image of this study" in root.get("/rejections?study=9.9").text
    form = dict(re.findall(r'name="(\w+_instance_uid)" value="([^"]+)"', page))
    assert root.post("/rejections/restore", data=form).status_code == 422  # why?
    answer = root.post("/rejections/restore", data={**form, "reason": "it is no phantom"})
    assert answer.status_code == 303, answer.text
    hospital.dispatcher.run_once()
    assert "Nothing is rejected." in root.get("/rejections").text
    assert hospital.browser("tom").get(f"/reconciliation/{study_uid}").status_code == 200
