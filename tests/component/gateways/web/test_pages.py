import re

import pytest


def test_every_page_of_an_empty_installation_says_what_to_do_next(hospital):
    browser = hospital.browser("root")
    for path, hint in {
        "/": "No exams yet.",
        "/patients": "No two records look like one person.",
        "/reconciliation": "Everything has found its order.",
        "/deliveries": "Nothing has been sent yet.",
        "/messages": "No message yet.",
        "/peers": "Nobody is waiting.",
        "/routes": "Images stay here.",
        "/users": "No token.",
        "/audit": "",
        "/system": "Nothing has given up.",
        "/api/docs": "/api/exams",
    }.items():
        answer = browser.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert hint in answer.text, path


def test_an_exam_is_followed_from_order_to_signed_report(hospital):
    hospital.recipient()
    accession_number = hospital.order(1)
    browser = hospital.browser("ada")
    assert "Scheduled" in browser.get("/").text
    study_uid = hospital.scan(accession_number, 1)
    hospital.quiet()
    page = browser.get(f"/exams/{accession_number}")
    assert "Phantom, Ada" in page.text
    assert "To read" in page.text
    assert "3 images" in page.text
    reading = browser.get(f"/exams/{accession_number}/read?plain=true")
    assert f"/api/studies/{study_uid}/series/{study_uid}.1/frames" in reading.text
    assert "not for primary diagnosis" in reading.text
    assert 'data-theme="dark"' in reading.text
    signed = browser.post(
        f"/exams/{accession_number}/read",
        data={"text": "Normal.\r\nNo change.", "action": "sign"},
    )
    assert signed.status_code == 303
    hospital.dispatcher.run_once()
    page = browser.get(signed.headers["location"]).text
    assert "Signed. The report is on its way" in page
    assert "Normal.\nNo change." in page
    assert "Queued" in page
    assert hospital.audited("exam.read")
    assert hospital.audited("study.view") == [("ada", study_uid, "PH0001")]


def test_an_addendum_is_added_and_the_signed_text_stays(hospital):
    accession_number = hospital.order(1)
    hospital.scan(accession_number, 1)
    browser = hospital.browser("ada")
    path = f"/exams/{accession_number}/read"
    browser.post(path, data={"text": "First.", "action": "sign"})
    page = browser.get(path)
    assert "Write an addendum" in page.text
    assert "<textarea" not in page.text
    page = browser.get(f"{path}?addendum=1").text
    report_id = re.search(r'name="report_id" value="(\w+)"', page)[1]
    browser.post(path, data={"text": "Second.", "action": "addend", "report_id": report_id})
    page = browser.get(f"/exams/{accession_number}").text
    assert page.index("First.") < page.index("Second.")


def test_a_draft_that_somebody_else_changed_is_not_overwritten(hospital):
    accession_number = hospital.order(1)
    browser = hospital.browser("ada")
    path = f"/exams/{accession_number}/read"
    browser.post(path, data={"text": "Mine.", "action": "draft"})
    browser.post(path, data={"text": "Theirs.", "action": "draft", "draft_revision": "1"})
    answer = browser.post(path, data={"text": "Old.", "action": "sign", "draft_revision": "1"})
    assert answer.status_code == 409
    assert "somebody else saved this report" in answer.text
    assert "Theirs." in browser.get(path).text


def test_images_with_a_mistyped_number_are_matched_by_a_person(hospital):
    accession_number = hospital.order(1)
    study_uid = hospital.scan("I0000OO1", 1)
    browser = hospital.browser("tom")
    board = browser.get("/").text
    assert "Needs a person" in board
    case = browser.get(f"/reconciliation/{study_uid}").text
    assert f"Match to {accession_number}" in case
    answer = browser.post(
        f"/reconciliation/{study_uid}/match",
        data={"accession_number": accession_number, "reason": "called the scanner"},
    )
    assert answer.status_code == 303
    hospital.dispatcher.run_once()
    page = browser.get(answer.headers["location"]).text
    assert accession_number in page
    assert "Needs a person" not in page
    assert "Everything has found its order." in browser.get("/reconciliation").text
    undone = browser.post(f"/reconciliation/{study_uid}/undo", data={"reason": "wrong patient"})
    assert undone.status_code == 303
    assert f"/reconciliation/{study_uid}" in browser.get("/reconciliation").text


def test_the_board_counts_all_that_need_a_person_and_shows_the_longest_stuck(hospital):
    for number in range(6):
        hospital.scan(f"WRONG{number}", number + 1)
    browser = hospital.browser("tom")
    board = browser.get("/").text
    assert 'Needs a person <span class="count">6</span>' in board
    assert re.findall(r'id="person-(\d)"', board) == ["1", "2", "3", "4", "5"]
    assert "Show more" in board
    more = browser.get("/?only=stuck").text
    assert len(re.findall(r'id="person-\d"', more)) == 6
    assert "Show more" not in more


def test_images_without_any_number_have_a_page(hospital):
    study_uid = hospital.scan("", 7)
    browser = hospital.browser("ada")
    assert f'href="/studies/{study_uid}"' in browser.get("/").text
    assert "Phantom, Ada" in browser.get(f"/studies/{study_uid}").text
    reading = browser.get(f"/studies/{study_uid}/read").text
    assert "These images belong to no order yet." in reading
    assert "<textarea" not in reading


def test_an_accession_number_with_a_slash_has_its_pages(hospital):
    hospital.order(1, accession_number="A/1")
    browser = hospital.browser("ada")
    page = browser.get("/").text
    assert 'href="/exams/A%2F1"' in page
    assert "Phantom, Ada" in browser.get("/exams/A%2F1").text
    assert browser.get("/exams/A%2F1/read").status_code == 200
    assert hospital.program("ada").get("/api/exams/A%2F1").json()["accession_number"] == "A/1"


def test_markup_in_names_and_texts_is_shown_and_not_obeyed(hospital):
    accession_number = hospital.order(1, name="<script>alert(1)</script>^<b>Ada")
    browser = hospital.browser("ada")
    browser.post(
        f"/exams/{accession_number}/read",
        data={"text": "</textarea><script>alert(2)</script>", "action": "draft"},
    )
    for path in ("/", f"/exams/{accession_number}", f"/exams/{accession_number}/read"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_the_list_is_paged_and_searched(hospital):
    numbers = [hospital.order(number, name=f"Phantom{number}^Ada") for number in range(1, 8)]
    browser = hospital.browser("fay")
    first = browser.get("/").text
    assert numbers[-1] in first
    assert numbers[0] not in first
    following = re.search(r'<a href="([^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    assert numbers[0] in browser.get(following).text
    found = browser.get("/", params={"text": "phantom3"}).text
    assert numbers[2] in found
    assert numbers[3] not in found
    assert "No exam matches." in browser.get("/", params={"text": "nobody"}).text
    assert "No exam matches." in browser.get("/", params={"state": "delivered"}).text


def test_a_late_exam_is_red_with_word_and_reason(hospital):
    accession_number = hospital.order(1)
    hospital.clock.advance(hours=2)
    browser = hospital.browser("fay")
    board = browser.get("/").text
    assert "is-late" in board
    assert "No scanner has asked for this exam 2 h after the scheduled start." in board
    page = browser.get(f"/exams/{accession_number}").text
    assert "Queried · late" in page


@pytest.mark.parametrize(
    ("user", "path", "status"),
    [
        ("fay", "/reconciliation", 403),
        ("fay", "/messages", 403),
        ("fay", "/peers", 403),
        ("fay", "/users", 403),
        ("fay", "/audit", 403),
        ("fay", "/system", 403),
        ("ada", "/users", 403),
        ("ada", "/exams/nothing", 404),
        ("ada", "/nothing", 404),
        ("root", "/messages/12345", 404),
        ("ada", "/reconciliation/1.2.3", 404),
    ],
)
def test_refusals_are_pages_for_people(hospital, user, path, status):
    answer = hospital.browser(user).get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in answer.text


def test_front_desk_sees_the_exam_and_no_images(hospital):
    accession_number = hospital.order(1)
    study_uid = hospital.scan(accession_number, 1)
    browser = hospital.browser("fay")
    page = browser.get(f"/exams/{accession_number}").text
    assert "3 images" in page
    assert "thumbnail" not in page
    assert browser.get(f"/exams/{accession_number}/read").status_code == 403
    accept = {"accept": "application/dicom+json"}
    refused = browser.get(f"/dicomweb/studies/{study_uid}/series", headers=accept)
    assert refused.status_code == 403


def test_a_page_that_refreshes_itself_is_one_reading(hospital):
    accession_number = hospital.order(1)
    browser = hospital.browser("fay")
    for _ in range(5):
        browser.get(f"/exams/{accession_number}")
        hospital.clock.advance(seconds=30)
    assert len(hospital.audited("exam.read")) == 1
    hospital.clock.advance(minutes=5)
    browser.get(f"/exams/{accession_number}")
    hospital.browser("ada").get(f"/exams/{accession_number}")
    assert hospital.audited("exam.read") == [
        ("ada", accession_number, "PH0001"),
        ("fay", accession_number, "PH0001"),
        ("fay", accession_number, "PH0001"),
    ]


def test_exams_open_in_the_second_viewer_where_it_is_installed(hospital):
    accession_number = hospital.order(1)
    study_uid = hospital.scan(accession_number, 1)
    hospital.order(2)  # without images
    hospital.quiet()
    ada, fay = hospital.browser("ada"), hospital.browser("fay")
    pages = ("/", f"/exams/{accession_number}")
    way = f'href="/exams/{accession_number}/ohif"'
    assert not any("OHIF" in ada.get(page).text for page in pages)
    assert ada.get(f"/exams/{accession_number}/ohif").status_code == 404
    (hospital.home / "ohif").mkdir(parents=True)
    (hospital.home / "ohif/index.html").write_text("<html></html>")
    for page in pages:
        assert ada.get(page).text.count("/ohif") == 1
        assert way in ada.get(page).text
        assert "OHIF" not in fay.get(page).text  # the front desk sees no images
    opened = ada.get(f"/exams/{accession_number}/ohif", follow_redirects=False)
    assert opened.headers["location"] == f"/ohif/viewer?StudyInstanceUIDs={study_uid}"
    assert ada.get(f"/studies/{study_uid}/ohif", follow_redirects=False).status_code == 307
    assert fay.get(f"/exams/{accession_number}/ohif").status_code == 403
    assert set(hospital.audited("study.view")) == {("ada", study_uid, "PH0001")}
