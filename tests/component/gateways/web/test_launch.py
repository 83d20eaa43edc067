"""Other systems open our pages: codes, signed addresses, IHE's invocation, frames."""

from urllib.parse import urlencode, urlsplit

import pytest

from isocenter.domain.access.model_launch import signature_of
from tests.hospital import EHR, LAUNCH_KEY

IN_FRAME = {"sec-fetch-dest": "iframe"}


@pytest.fixture
def exams(hospital):
    """Two exams of two patients: accession number and Study Instance UID of each."""
    made = []
    for number, name in ((1, "Phantom^Ada"), (2, "Phantom^Bea")):
        accession = hospital.order(number, name=name)
        made.append((accession, hospital.scan(accession, number, count=1, name=name)))
    return made


def a_launch(hospital, parameters, **more):
    answer = hospital.program("ada").post("/api/launch", json={"parameters": parameters, **more})
    assert answer.status_code == 201, answer.text
    url = urlsplit(answer.json()["url"])
    return f"{url.path}?{url.query}"


def a_study(uid):
    return {"requestType": "STUDY", "studyUID": uid}


def test_a_code_opens_one_exam_once_and_nothing_else(hospital, exams):
    (accession, uid), (other_accession, other_uid) = exams
    address = a_launch(hospital, a_study(uid), on_behalf_of="Dr Phantom")
    browser = hospital.stranger()
    answer = browser.get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/exams/{accession}/read")
    assert "SameSite=Lax" in answer.headers["set-cookie"]
    again = hospital.stranger().get(address)
    assert again.status_code == 403
    assert "set-cookie" not in again.headers

    def status(path):
        return browser.get(path, headers={"accept": "*/*"}).status_code

    for path in (
        f"/exams/{accession}/read?plain=true",
        f"/studies/{uid}/read?plain=true",
        f"/dicomweb/studies/{uid}/metadata",
        f"/dicomweb/studies/{uid}/series/{uid}.1/instances/{uid}.1.1/frames/1/rendered",
        f"/api/studies/{uid}/measurements",
        f"/api/studies/{uid}/priors",
        f"/viewer?StudyInstanceUIDs={uid}",
        "/api/me",
    ):
        assert status(path) == 200, path
    for path in (
        "/",
        "/patients",
        "/audit",
        "/api/exams",
        "/api/reading-list",
        "/api/events",
        f"/exams/{other_accession}/read",
        f"/exams/{accession}",
        f"/exams/{accession}/read/../../{other_accession}/read",
        f"/dicomweb/studies/{other_uid}/metadata",
        "/dicomweb/studies",
        f"/api/studies/{other_uid}/priors",
        f"/viewer?StudyInstanceUIDs={uid},{other_uid}",
    ):
        assert status(path) == 403, path
    assert browser.post("/api/tokens", json={"user_name": "ada", "ttl_s": 60}).status_code == 403
    assert browser.post("/api/launch", json={"parameters": a_study(uid)}).status_code == 403
    assert browser.post(f"/exams/{accession}/read", data={"action": "draft"}).status_code == 403
    assert browser.put("/api/preferences/theme", json={"value": "x"}).status_code == 204
    assert hospital.audited("launch.issue") == [("ada", "ada", None)]
    assert sorted(hospital.audited("launch.open")) == [("", "", None), ("ada", "ada", None)]


def test_a_code_is_good_for_a_minute_and_its_session_for_as_long_as_was_said(hospital, exams):
    (_, uid), _ = exams
    late = a_launch(hospital, a_study(uid))
    hospital.clock.advance(seconds=61)
    assert hospital.stranger().get(late).status_code == 403
    browser = hospital.stranger()
    browser.get(a_launch(hospital, a_study(uid), session_s=90))
    hospital.clock.advance(seconds=80)
    assert browser.get("/api/me").status_code == 200
    hospital.clock.advance(seconds=20)
    assert browser.get("/api/me").status_code == 401


def test_looking_ahead_does_not_use_a_code_up(hospital, exams):
    address = a_launch(hospital, a_study(exams[0][1]))
    ahead = hospital.stranger().get(address, headers={"sec-purpose": "prefetch"})
    assert ahead.status_code == 503
    assert hospital.stranger().get(address).status_code == 303


def test_a_session_that_is_not_confined_does_what_its_scope_and_user_may(hospital, exams):
    (_, uid), _ = exams
    browser = hospital.stranger()
    scope = ["study.read", "exam.read", "user.write"]
    browser.get(a_launch(hospital, a_study(uid), confine="none", scope=scope))
    assert browser.get("/api/me").json()["actions"] == ["exam.read", "study.read"]
    assert browser.get("/api/exams").status_code == 200


def test_nobody_launches_as_somebody_else_without_the_right_to(hospital, exams):
    (_, uid), _ = exams
    hospital.user("tom")
    asked = {"parameters": a_study(uid), "user_name": "tom"}
    assert hospital.program("ada").post("/api/launch", json=asked).status_code == 403
    made = hospital.program("root").post("/api/launch", json=asked)
    browser = hospital.stranger()
    browser.get(f"/launch?{urlsplit(made.json()['url']).query}")
    assert browser.get("/api/me").json()["name"] == "tom"


def test_only_codes_for_a_frame_open_in_one_with_a_cookie_that_works_there(hospital, exams):
    (_, uid), _ = exams
    ours = hospital.stranger()
    unframed = a_launch(hospital, a_study(uid))
    assert ours.get(unframed, headers=IN_FRAME).status_code == 403
    framed = a_launch(hospital, a_study(uid), frame_origin=EHR, view="clinician")
    ours.base_url = "http://localhost"
    answer = ours.get(framed, headers=IN_FRAME)
    assert answer.headers["location"].endswith("/embed")
    assert answer.headers["set-cookie"].endswith("SameSite=None; Secure; Partitioned")
    bad = {"parameters": a_study(uid), "frame_origin": "https://other.example"}
    assert hospital.program("ada").post("/api/launch", json=bad).status_code == 422


def test_pages_may_be_framed_by_the_named_origins_only(hospital, exams):
    (accession, _), _ = exams
    for path in ("/", f"/exams/{accession}/read", f"/exams/{accession}/embed"):
        headers = hospital.browser("ada").get(path).headers
        assert f"frame-ancestors {EHR}" in headers["content-security-policy"]
        assert "x-frame-options" not in headers


def signed(uid, *, expires, user="ada", key=LAUNCH_KEY, **more):
    query = urlencode({**a_study(uid), "user": user, "expires": expires, **more})
    return f"/launch/signed?{query}&signature={signature_of(key, f'/launch/signed?{query}')}"


def test_a_signed_address_opens_once_while_it_is_fresh(hospital, exams):
    (accession, uid), (_, other_uid) = exams
    hospital.user("ada")
    now = int(hospital.clock().timestamp())
    address = signed(uid, expires=now + 60)
    browser = hospital.stranger()
    assert browser.get(address).headers["location"] == f"/exams/{accession}/read"
    assert browser.get("/api/exams").status_code == 403
    for refused in (
        address,
        address.replace(uid, other_uid),
        signed(uid, expires=now),
        signed(uid, expires=now + 3_600),
        signed(uid, expires=now + 60, key="x" * 40),
        signed(uid, expires=now + 60, user="tom"),
    ):
        assert hospital.stranger().get(refused).status_code == 403, refused
    assert len(hospital.audited("launch.open")) == 7


def test_an_invocation_opens_what_it_means_or_lists_it(hospital, exams):
    (accession, uid), (_, other_uid) = exams
    browser = hospital.browser("ada")

    def goes_to(**parameters):
        answer = browser.get("/IHEInvokeImageDisplay", params=parameters)
        return answer.headers.get("location", answer.status_code)

    assert goes_to(requestType="STUDY", studyUID=uid) == f"/exams/{accession}/read"
    assert goes_to(requestType="STUDY", accessionNumber=accession) == f"/exams/{accession}/read"
    assert (
        goes_to(requestType="STUDY", studyUID=uid, diagnosticQuality="false", keyImagesOnly="true")
        == f"/exams/{accession}/embed?keyImagesOnly=true"
    )
    assert goes_to(requestType="PATIENT", patientID="PH0001") == f"/exams/{accession}/read"
    assert goes_to(requestType="PATIENT", patientID="PH0001^^^OTHER") == f"/exams/{accession}/read"
    assert goes_to(requestType="PATIENT", patientID="PH0001", modalitiesInStudy="MR") == 404
    assert goes_to(requestType="PATIENT", patientID="PH0001", upperDateTime="20260301") == 404
    assert goes_to(requestType="STUDY", studyUID=f"{uid},{other_uid}").startswith("/viewer?")
    assert goes_to(requestType="SERIES") == 422
    both = {"requestType": "STUDY", "studyUID": f"{uid},{other_uid}", "diagnosticQuality": "false"}
    page = browser.get("/IHEInvokeImageDisplay", params=both)
    assert f"/exams/{accession}/embed" in page.text
    stranger = hospital.stranger().get("/IHEInvokeImageDisplay", params=both)
    assert stranger.headers["location"].startswith("/sign-in?next=")


def test_the_list_of_a_confined_session_shows_its_own_studies(hospital):
    accession = hospital.order(1)
    uid = hospital.scan(accession, 1, count=1)
    other = hospital.scan("", 3, count=1)
    parameters = {"requestType": "STUDY", "studyUID": f"{uid},{other}"}
    browser = hospital.stranger()
    opened = browser.get(a_launch(hospital, parameters, view="clinician"))
    page = browser.get(opened.headers["location"] + "&view=clinician")
    assert f"/exams/{accession}/embed" in page.text
    assert f"/studies/{other}/embed" in page.text
